"""`aprp cache purge` on real directories, with a proxy's processes beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aprp.cache.extent import HEADER, SLICES
from aprp.cache.state import State
from tests.tools.caches import SLICE, Store, content
from tests.tools.conftest import Done

Tool = Callable[..., Done]

EXTENT = SLICES * SLICE


# Beside its slices, an extent has a page; so much is counted for an object without bytes, too.


def summary(objects: str, freed: str) -> str:
    return f"{objects} removed, {freed} set free\n"


def test_one_object_in_all_its_variants(tool: Tool, store: Store) -> None:
    store.add("/a.mp4", SLICE, vary=(("accept-language", "de"),))
    store.add("/a.mp4", SLICE, vary=(("accept-language", "en"),))
    store.add("/a.mp4x", SLICE)
    used = store.state.used
    done = tool("purge", "http://localhost:8000/a.mp4?range=0-99")
    assert done == Done(0, summary("2 objects", "136 KiB"), "")
    assert store.targets() == ["/a.mp4x"]
    assert store.files() == 1
    assert store.state.used == used - 2 * (HEADER + SLICE) == store.index.totals()[2]


def test_all_extents_of_an_object(tool: Tool, store: Store) -> None:
    store.add("/a.mp4", 3 * EXTENT, {0, 1, 2 * SLICES})
    assert store.files() == 2
    assert tool("purge", "/a.mp4").out == summary("1 object", "200 KiB")
    assert (store.files(), store.state.used, store.targets()) == (0, 0, [])


def test_an_object_without_bytes(tool: Tool, store: Store) -> None:
    store.add("/a.mp4", 0)
    assert tool("purge", "/a.mp4") == Done(0, summary("1 object", "4 KiB"), "")
    assert (store.state.used, store.targets()) == (0, [])


def test_several_names_of_which_one_is_wrong(tool: Tool, store: Store) -> None:
    for target in ("/a", "/b", "/c"):
        store.add(target, SLICE)
    done = tool("purge", "/a", "/typo", "/c", "/a")
    assert done.code == 1
    assert done.err == "aprp: /typo: nothing is stored under it\n"
    assert done.out == summary("2 objects", "136 KiB")
    assert store.targets() == ["/b"]


def test_a_prefix(tool: Tool, store: Store) -> None:
    for target in ("/films/a", "/films/b?x=1", "/film", "/series/films/"):
        store.add(target, SLICE)
    # Stored for another origin.
    store.add("/films/a", SLICE, key="http://other.test/films/a")
    done = tool("purge", "--prefix", "/films/")
    assert done == Done(0, summary("2 objects", "136 KiB"), "")
    assert store.targets() == ["/film", "/films/a", "/series/films/"]
    again = tool("purge", "--prefix", "/films/")
    assert (again.code, again.err) == (1, "aprp: /films/: nothing is stored under it\n")


def test_everything(tool: Tool, store: Store) -> None:
    # More than are removed in one go, and of another origin too.
    for number in range(250):
        store.add(f"/{number}", 1, key=f"http://other.test/{number}")
    assert tool("purge", "--all").code == 0
    assert (store.targets(), store.files(), store.state.used) == ([], 0, 0)
    assert store.index.totals() == (0, 0, 0)
    assert tool("purge", "--all") == Done(0, summary("0 objects", "0 B"), "")


def test_parameters_that_are_no_part_of_the_key(tool: Tool, store: Store) -> None:
    store.add("/a?x=1", SLICE)
    words = ("/a?token=secret&x=1", "--cache-key-ignore", "token")
    assert tool("purge", *words).code == 0
    assert store.targets() == []


def test_a_reader_finishes_and_the_next_looks_again(tool: Tool, store: Store) -> None:
    entry = store.add("/a", SLICE)
    reading = store.extent(entry)
    assert reading is not None
    # Another process of the proxy.
    other = State(store.directory / "state")
    before = other.generation(entry.key)
    assert tool("purge", "/a").code == 0
    assert other.generation(entry.key) != before
    other.close()
    assert reading.gone
    assert bytes(reading.data) == content(SLICE)
    assert store.extent(entry) is None


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("/a",), {"/a"}),
        (("/b", "/a"), {"/a", "/b"}),
        (("--prefix", "/a"), {"/a", "/b"}),
        (("--all",), {"/a", "/b"}),
    ],
)
def test_what_the_origin_is_still_asked_for(
    tool: Tool, store: Store, words: tuple[str, ...], refused: set[str]
) -> None:
    """Whether anything is stored or not; a prefix is taken for all that there is."""
    keys = {target: store.add(target, 1).key for target in ("/a", "/b", "/c")}
    state = State(store.directory / "state")
    for _ in range(2):
        before = {target: state.purges(keys[target]) for target in ("/a", "/b")}
        tool("purge", *words)
        changed = {target for target in before if state.purges(keys[target]) != before[target]}
        assert changed == refused
    state.close()


def test_everything_is_looked_up_again_after_all(tool: Tool, store: Store) -> None:
    # Not stored yet when the command reads the index.
    before = store.state.generation("being stored")
    assert tool("purge", "--all").code == 0
    assert store.state.generation("being stored") != before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "no URL is given: one of URL..., --prefix PREFIX or --all says what to remove"),
        (("/a", "--all"), "too much is given: one of URL..., --prefix PREFIX or --all"),
        (("--prefix", "/a", "--all"), "too much is given"),
        (("/a", "--prefix", "/a"), "too much is given"),
        (("a.mp4",), "a.mp4: neither a URL nor a path; a path begins with /, as in /a.mp4"),
        (("--prefix", "films"), "films: neither a URL nor a path"),
        (("/a", "film.mp4"), "film.mp4: neither a URL nor a path"),
        (("--al",), "--al: no such option; did you mean --all?"),
        (("--prefix",), "--prefix: expected one argument"),
        (("/a/9/0",), "/a/9/0: malformed range"),
    ],
)
def test_mistakes_remove_nothing(
    call: Tool, store: Store, words: tuple[str, ...], complaint: str
) -> None:
    store.add("/a", SLICE)
    done = call("purge", "--cache-dir", str(store.directory), *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"aprp: {complaint}")
    assert done.err.count("\n") == 1
    assert store.targets() == ["/a"]


def test_an_index_that_cannot_be_opened(tool: Tool, store: Store, tmp_path: Path) -> None:
    path = store.directory / "state"
    path.unlink()
    path.mkdir()
    done = tool("purge", "--all")
    assert done == Done(2, "", f"aprp: CACHE_DIR: {path} cannot be used: Is a directory\n")
