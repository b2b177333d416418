"""Extents that several processes use at once, and processes that are killed while they do."""

import random
import signal
from pathlib import Path

import pytest

from aprp.cache.extent import Extent
from tests.cache.bytes_of import (
    LATER,
    NOW,
    SLICE,
    content,
    fill,
    new_extent,
    no_wrong_byte,
    open_extent,
    path_of,
    readable,
)
from tests.cache.children import Child
from tests.cache.extent_users import (
    come_and_go,
    create,
    die_before_the_link,
    fill_in_steps,
    fill_until_killed,
    set_every_second,
    watch,
)

ROUNDS = 50


def test_kill_in_a_loop(tmp_path: Path) -> None:
    """However far a filler came, what can be read after its end is right."""
    chance = random.Random(9)
    data = content()
    kept: set[int] = set()
    for round_ in range(ROUNDS):
        empty = [n for n in range(64) if n not in kept]
        chance.shuffle(empty)
        steps = chance.randrange(1, 60)
        with Child(fill_in_steps, tmp_path, empty) as child:
            for _ in range(steps):
                child.hear()
                child.say("go on")
            # It is in the midst of the last step now, or through with it.
            child.kill()
        extent = open_extent(tmp_path)
        assert no_wrong_byte(extent, data)
        whole = {n for n in range(64) if extent.holds(n)}
        assert whole >= kept
        # A slice takes 17 steps, of which all but the last were made for certain.
        assert len(whole - kept) in ((steps - 1) // 17, steps // 17)
        later = open_extent(tmp_path, LATER)
        assert all(later.verify(n) for n in whole)
        assert no_wrong_byte(later, data)
        assert all(open_extent(tmp_path).verify(n) for n in whole)
        kept = whole
        if round_ % 10 == 9:
            extent.discard()
            kept = set()


@pytest.mark.parametrize("before", ["nothing", "a whole slice", "a damaged slice"])
def test_a_filler_killed_between_any_two_stores(tmp_path: Path, before: str) -> None:
    data = content(2 * SLICE)
    seen = set()
    for last in range(100):
        directory = tmp_path / str(last)
        extent = new_extent(directory, 2 * SLICE, boot=NOW)
        if before != "nothing":
            fill(extent, 0)
        if before == "a damaged slice":
            extent.data[9] ^= 255
        with Child(fill_until_killed, directory, last) as child:
            code = child.wait()
            extent = open_extent(directory, LATER)
            assert no_wrong_byte(extent, data)
            seen.add(extent.run(0, 2 * SLICE))
            again = open_extent(directory, NOW + 1)
            assert readable(again) == {}
            whole = {n for n in (0, 1) if again.verify(n)}
            assert no_wrong_byte(again, data)
            if not code:
                assert child.hear() == last
                assert whole == {0, 1}
                break
            assert code == -signal.SIGKILL
    else:
        pytest.fail("the filler was killed each time")
    assert seen == {0, SLICE // 2, SLICE, SLICE + SLICE // 2, 2 * SLICE}
    assert last > 15


def test_neighbouring_slices_are_set_by_two_processes(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    with (
        Child(set_every_second, tmp_path, 0) as even,
        Child(set_every_second, tmp_path, 1) as odd,
    ):
        for _ in range(10):
            for n in range(64):
                extent.begin(n)
            even.say(True)
            odd.say(True)
            assert (even.hear(), odd.hear()) == ("done", "done")
            assert all(extent.holds(n) for n in range(64))
            assert extent.run(0, extent.size) == extent.size
            assert bytes(extent.data) == content()


def test_the_same_extent_is_created_by_several_at_once(tmp_path: Path) -> None:
    children = [Child(create, tmp_path) for _ in range(3)]
    try:
        for turn in range(60):
            for n, child in enumerate(children):
                child.say(4 * turn + n)
            assert len({child.hear() for child in children}) == 1
            extent = open_extent(tmp_path / str(turn))
            assert readable(extent) == {0: content()[: 3 * SLICE]}
            assert [path.name for path in extent.path.parent.iterdir()] == [extent.path.name]
    finally:
        for child in children:
            child.__exit__(None, None, None)


def test_what_comes_and_goes_is_counted_exactly(tmp_path: Path) -> None:
    children = [Child(come_and_go, tmp_path, 200) for _ in range(3)]
    try:
        for child in children:
            assert child.hear() == "ready"
        for child in children:
            child.say("go")
        total = sum(child.hear() for child in children)
    finally:
        for child in children:
            child.__exit__(None, None, None)
    left = Extent.open(path_of(tmp_path), boot=NOW)
    assert total == (left.counted if left else 0)
    if left:
        assert left.counted == left.path.stat().st_blocks * 512
    names = [path.name for path in path_of(tmp_path).parent.iterdir()]
    assert names == ([path_of(tmp_path).name] if left else [])


def test_what_one_says_the_other_sees(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    with Child(watch, tmp_path) as child:
        child.say(True)
        assert child.hear() == (False, 0, 0, 0)
        extent.touch(1_700_000_000.9)
        extent.data[:5] = b"right"
        extent.grow(0, 5)
        child.say(True)
        assert child.hear() == (False, 1_700_000_000, 5, 5)
        extent.discard()
        child.say(True)
        assert child.hear()[0] is True


def test_a_creator_killed_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    with Child(die_before_the_link, tmp_path) as child:
        assert child.wait() == -signal.SIGKILL
    assert Extent.open(path_of(tmp_path)) is None
    left = [path.name for path in path_of(tmp_path).parent.iterdir()]
    assert len(left) == 1
    assert left[0].endswith(".new")
    fill(new_extent(tmp_path), 0)
    assert open_extent(tmp_path).holds(0)
