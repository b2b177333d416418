"""Bytes used and generations, seen and changed by several processes."""

import sys
import threading
from pathlib import Path

import pytest

from aprp.cache.state import State
from tests.cache.children import Child, Connection


def add(pipe: Connection, path: Path, n: int, times: int) -> None:
    state = State(path)
    pipe.send("ready")
    pipe.recv()
    for _ in range(times):
        state.add_used(n)
    pipe.send("done")


def bump(pipe: Connection, path: Path) -> None:
    state = State(path)
    while (key := pipe.recv()) is not None:
        if key == "*":
            state.all_changed()
        else:
            state.bump(key)
        pipe.send("done")


def test_used_begins_at_zero_and_stays_in_the_file(tmp_path: Path) -> None:
    first = State(tmp_path / "state")
    assert first.used == 0
    first.add_used(5000)
    first.add_used(-1000)
    second = State(tmp_path / "state")
    assert second.used == 4000
    first.close()
    second.add_used(1)
    assert State(tmp_path / "state").used == 4001


def test_used_is_exact_whoever_adds(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = State(path)
    rates = (7, -3, 4096)
    children = [Child(add, path, n, 2000) for n in rates]
    try:
        for child in children:
            assert child.hear() == "ready"
        for child in children:
            child.say("go")
        threads = [threading.Thread(target=add_here, args=(state,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for child in children:
            assert child.hear() == "done"
    finally:
        for child in children:
            child.__exit__(None, None, None)
    assert state.used == sum(rates) * 2000 + 2 * 500 * 11


def add_here(state: State) -> None:
    for _ in range(500):
        state.add_used(11)


def test_a_process_killed_while_it_adds_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = State(path)
    for _ in range(10):
        with Child(add, path, 1, 10_000_000) as child:
            child.hear()
            child.say("go")
            seen = state.used
            while state.used == seen:
                pass
            child.kill()
        before = state.used
        state.add_used(100)
        assert state.used == before + 100


def test_used_is_never_told_below_zero(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.add_used(-10)
    assert state.used == 0
    # The bytes of whoever comes late are not lost.
    state.add_used(10)
    assert state.used == 0
    state.add_used(3)
    assert state.used == 3


def test_used_can_be_counted_anew(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.add_used(77)
    state.set_used(5)
    assert state.used == 5


def test_a_bump_is_seen_by_other_processes(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    before = state.generation("one"), state.generation("two")
    with Child(bump, tmp_path / "state") as child:
        seen = [state.generation("one")]
        for _ in range(5):
            child.say("one")
            assert child.hear() == "done"
            seen.append(state.generation("one"))
        assert len(set(seen)) == len(seen)
        assert state.generation("two") == before[1]
        child.say("*")
        child.hear()
        assert state.generation("two") != before[1]
        assert state.generation("one") != seen[-1]


def purge(pipe: Connection, path: Path) -> None:
    state = State(path)
    while (told := pipe.recv()) is not None:
        key, whole = told
        if whole:
            state.purged(key)
        else:
            state.purged_from(key)
        pipe.send("done")


@pytest.mark.parametrize(
    ("purged", "whole", "changed"),
    [
        ("http://one/a", True, {"http://one/a", "http://one/a?x=1"}),
        ("http://one/a?x=2", True, {"http://one/a", "http://one/a?x=1"}),
        ("http://one/a?", False, {"http://one/a", "http://one/a?x=1"}),
        ("http://one/", False, {"http://one/a", "http://one/a?x=1", "http://one/b"}),
        ("", False, {"http://one/a", "http://one/a?x=1", "http://one/b"}),
    ],
)
def test_a_purge_is_seen_by_other_processes(
    tmp_path: Path, purged: str, whole: bool, changed: set[str]
) -> None:
    state = State(tmp_path / "state")
    keys = ("http://one/a", "http://one/a?x=1", "http://one/b")
    generations = [state.generation(key) for key in keys]
    with Child(purge, tmp_path / "state") as child:
        for _ in range(3):
            before = {key: state.purges(key) for key in keys}
            child.say((purged, whole))
            assert child.hear() == "done"
            assert {key for key in keys if state.purges(key) != before[key]} == changed
    assert [state.generation(key) for key in keys] == generations


def test_what_changes_is_not_purged(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    before = state.purges("key")
    state.bump("key")
    state.all_changed()
    assert state.purges("key") == before


def test_purges_of_a_directory_that_is_made_anew_are_others(tmp_path: Path) -> None:
    states = [State(tmp_path / name) for name in ("one", "two")]
    assert states[0].purges("key") != states[1].purges("key")
    assert 0 not in [state.purges("key") for state in states]


def test_a_file_without_purges_is_made_longer(tmp_path: Path) -> None:
    # Such a one has a page, and 4096 generations.
    path = tmp_path / "state"
    old = bytearray(4096 + 8 * 4096)
    old[:8] = int.from_bytes(b"aprp\0st1", "big").to_bytes(8, sys.byteorder)
    old[8:16] = (77).to_bytes(8, sys.byteorder)
    old[4096:] = b"abcdefgh" * 4096
    path.write_bytes(old)
    with path.open("rb") as before:
        state = State(path)
        assert state.used == 77
        assert state.generation("key") == int.from_bytes(b"abcdefgh", sys.byteorder)
        assert state.purges("key") != 0
        # Who has it open, and knows nothing of purges, sees what it saw.
        assert before.read(len(old)) == old
    asked_at = state.purges("key")
    assert State(path).purges("key") == asked_at
    state.purged("key")
    assert State(path).purges("key") == state.purges("key") != asked_at


def test_all_processes_number_keys_alike(tmp_path: Path) -> None:
    keys = [f"http://origin/{n}" for n in range(200)]
    first, second = State(tmp_path / "state"), State(tmp_path / "state")
    for key in keys:
        first.bump(key)
    assert [first.generation(key) for key in keys] == [second.generation(key) for key in keys]
    # Few keys share a word.
    assert len({first.generation(key) for key in keys}) > 180


def test_a_file_that_is_something_else_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"junk" * 10_000)
    state = State(path)
    assert (state.used, state.generation("key")) == (0, 0)
    state.add_used(9)
    assert State(path).used == 9


@pytest.mark.parametrize("length", [0, 7, 4096, 36863, 36864, 69631])
def test_a_file_that_was_cut_short_is_made_whole_before_it_is_touched(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "state"
    State(path).add_used(9)
    with path.open("r+b") as file:
        file.truncate(length)
    state = State(path)
    state.all_changed()
    state.purged("key")
    state.purged_from("")
    assert state.used == (0 if length < 16 else 9)


def test_a_closed_state_says_so(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.close()
    state.close()
    with pytest.raises(ValueError, match="closed"):
        state.add_used(1)
    assert repr(state) == "<State closed>"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        State(tmp_path / "gone" / "state")
