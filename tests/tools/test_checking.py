"""`aprp cache check` on real directories."""

import os
from collections.abc import Callable

from aprp.cache.extent import HEADER, extent_path
from tests.tools.caches import SLICE, Store
from tests.tools.conftest import Done

Tool = Callable[..., Done]


def test_nothing_is_wrong(tool: Tool, store: Store) -> None:
    store.add("/a", 3 * SLICE)
    store.add("/b", 100)
    assert tool("check") == Done(0, "2 extents checked, nothing was wrong\n", "")
    assert store.targets() == ["/a", "/b"]


def test_an_empty_cache(tool: Tool, store: Store) -> None:
    assert store.files() == 0
    assert tool("check") == Done(0, "0 extents checked, nothing was wrong\n", "")


def test_a_damaged_slice_is_dropped(tool: Tool, store: Store) -> None:
    entry = store.add("/a", 3 * SLICE)
    path = extent_path(store.directory, entry.id, 0)
    with path.open("r+b") as file:
        file.seek(HEADER + SLICE + 77)
        file.write(b"\xff")
    done = tool("check")
    assert (done.code, done.err) == (1, "")
    assert done.lines[-1] == "1 extent checked, 1 fault put right"
    assert len(done.lines) == 2
    assert path.name in done.lines[0]
    extent = store.extent(entry)
    assert extent is not None
    assert [extent.stored(n) for n in range(3)] == [True, False, True]
    assert tool("check") == Done(0, "1 extent checked, nothing was wrong\n", "")


def test_a_file_that_is_missing_and_one_too_many(tool: Tool, store: Store) -> None:
    extent_path(store.directory, store.add("/a", SLICE).id, 0).unlink()
    left = extent_path(store.directory, 0x1234, 0)
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"x")
    # Younger ones may be those of a proxy that runs.
    os.utime(left, (1, 1))
    done = tool("check")
    assert done.code == 1
    assert done.lines[-1].endswith("2 faults put right")
    assert not left.exists()
    assert tool("check").code == 0
