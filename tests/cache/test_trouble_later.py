"""An index, a disk, a round that fails while the cache runs."""

import asyncio
import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aprp.cache import disk
from aprp.cache.cache import CannotStore, Entry
from aprp.cache.extent import SLICES, Extent
from aprp.cache.index import BUSY, Index
from aprp.cache.layout import index_path
from aprp.cache.rows import IndexFailure
from aprp.cache.store import DirectoryLost
from aprp.cache.trouble import why
from tests.cache.stores import (
    SLICE,
    database_of,
    is_stored,
    make,
    make_cache,
    make_entry,
    remove,
    running,
    store_extent,
    until,
)
from tests.loops import both_loops

EXTENT = SLICES * SLICE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# The index


@both_loops
async def test_a_damaged_index(directory: Path, lines: Callable[[], list[tuple[str, str]]]) -> None:
    entry = make_entry()
    async with running(directory) as cache, running(directory) as other:
        await cache.add(entry)
        await store_extent(cache, entry)
        assert await other.find(entry.key) == [entry]
        before = cache.generation("x"), other.generation("x")
        damaged = database_of(directory)
        database = sqlite3.connect(damaged)
        database.execute("UPDATE objects SET vary = 'x'")
        database.commit()
        database.close()
        assert await cache.find(entry.key) == []
        await until(lambda: cache.generation("x") != before[0])
        await until(lambda: other.generation("x") != before[1])
        assert database_of(directory) != damaged
        new = make_entry("new")
        await cache.add(new)
        await store_extent(cache, new)
        assert await other.find("new") == [new]
        assert await cache.find(entry.key) == []
        assert cache.problem is None
    assert any(level == "WARNING" and "is damaged" in text for level, text in lines())


@both_loops
async def test_an_index_that_fails(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)

        def fails(*_: object) -> None:
            raise IndexFailure("the index cannot be used: disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(Index, "find", fails)
            assert await cache.find(entry.key) == []
            assert cache.problem == "the index cannot be used: disk I/O error"
        await until(lambda: cache.problem is None)
        assert await cache.find(entry.key) == [entry]


@both_loops
async def test_an_index_that_cannot_be_opened(directory: Path) -> None:
    lock = index_path(directory).with_suffix(".lock")
    make(lock)
    cache = make_cache(directory)
    cache.start()
    # It is opened in a thread.
    with pytest.raises(CannotStore):
        await cache.add(make_entry())
    await until(lambda: cache.problem is not None)
    assert cache.problem is not None
    assert "index.sqlite cannot be used: Is a directory" in cache.problem
    remove(lock)
    await until(lambda: cache.problem is None)
    await is_stored(cache)
    await cache.close()


@contextmanager
def locked_by_another(directory: Path) -> Iterator[None]:
    """Have another process, as it were, in the middle of writing to the index."""
    database = sqlite3.connect(database_of(directory), isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.close()


@both_loops
async def test_another_process_at_the_index_is_waited_for(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        with locked_by_another(directory):
            storing = asyncio.create_task(store_extent(cache, entry))
            # Longer than tools wait.
            done, _ = await asyncio.wait([storing], timeout=BUSY + 0.5)
            assert not done
            assert cache.problem is None
            assert await cache.find(entry.key) == [entry]
        extent = await storing
        assert extent.stored(0)
        assert cache.problem is None


@both_loops
async def test_a_disk_that_hangs_keeps_nobody_waiting(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make_entry()
    go = threading.Event()
    find = Index.find

    def hangs(index: Index, key: str) -> list[Entry]:
        assert go.wait(10)
        return find(index, key)

    async with running(directory, patience=0.05) as cache:
        await cache.add(entry)
        with locked_by_another(directory), pytest.raises(CannotStore, match="does not answer"):
            await store_extent(cache, entry)
        await until(lambda: cache.problem is None)
        monkeypatch.setattr(Index, "find", hangs)
        assert await cache.find(entry.key) == []
        assert cache.problem is not None and "does not answer in time" in cache.problem
        go.set()
        await until(lambda: cache.problem is None)
        await store_extent(cache, entry)
        assert await cache.find(entry.key) == [entry]


# Reading and writing out


@both_loops
async def test_a_slice_that_cannot_be_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)

        def fails(self: Extent, *_: int) -> None:
            raise OSError(errno.EIO, "Input/output error", str(self.path))

        monkeypatch.setattr(Extent, "load", fails)
        await cache.load(extent, SLICE + 5, SLICE + 10)
        assert [extent.stored(n) for n in range(3)] == [True, False, True]
        monkeypatch.setattr(Extent, "verify", fails)
        extent._boots[:] = memoryview(bytes(4 * SLICES)).cast("I")
        assert not await cache.verify(extent, 2)
        assert not extent.stored(2)
        await until(lambda: cache.problem is None)


@both_loops
async def test_a_disk_slower_than_the_origin(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    written: list[tuple[int, int]] = []

    def slowly(_: Extent, begin: int, stop: int) -> None:
        assert go.wait(10)
        written.append((begin, stop))

    monkeypatch.setattr(Extent, "write_out", slowly)
    entry = make_entry(length=10 * SLICE)
    async with running(directory, dirty_limit=4 * SLICE) as cache:
        await cache.add(entry)
        extent = await cache.prepare(entry.id, 0, entry.length, 0, 10)
        for n in range(4):
            extent.complete(n)
            cache.wrote(extent, n)
        assert cache.figures()["dirty"] == 4 * SLICE
        assert await cache.prepare(entry.id, 0, entry.length, 4, 1) is extent
        extent.complete(4)
        cache.wrote(extent, 4)
        with pytest.raises(CannotStore, match="slower than the origin"):
            await cache.prepare(entry.id, 0, entry.length, 5, 1)
        # It is the disk's pace and no fault.
        assert cache.problem is None
        go.set()
        await until(lambda: cache.figures()["dirty"] == 0)
        await cache.prepare(entry.id, 0, entry.length, 5, 1)
        assert written == [(0, SLICE), (SLICE, 5 * SLICE)]


@both_loops
async def test_what_cannot_be_written_out(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    entry = make_entry()
    async with running(directory, period=3600.0) as cache:
        await cache.add(entry)
        monkeypatch.setattr("aprp.cache.pages.write_out", fails)
        extent = await store_extent(cache, entry)
        await until(lambda: cache.problem is not None)
        assert cache.problem is not None
        assert "Input/output error" in cache.problem
        await until(lambda: cache.figures()["dirty"] == 0)
        assert [extent.stored(n) for n in range(3)] == [False] * 3


@both_loops
async def test_extents_that_are_gone_are_not_written_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(Extent, "write_out", lambda *_: written.append(1))
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await cache.prepare(entry.id, 0, entry.length, 0, 1)
        await cache.remove(entry)
        cache.wrote(extent, 0)
        await until(lambda: cache.figures()["dirty"] == 0)
    assert written == []


# Housekeeping goes on


@both_loops
async def test_an_error_in_a_round_is_logged_and_the_next_follows(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[tuple[str, str]]],
) -> None:
    calls = []

    async def fails(*_: object) -> None:
        calls.append(1)
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(disk.Disk, "round", fails)
    async with running(directory):
        await until(lambda: len(calls) >= 3)
    assert set(lines()) == {("ERROR", "error in the housekeeping of the cache; it goes on")}


def test_causes_in_words() -> None:
    directory = Path("/srv/cache")
    assert "ulimit -n" in why(OSError(errno.EMFILE, "Too many open files"), directory)
    assert "/srv/cache has been removed" in why(DirectoryLost(), directory)
    assert why(OSError(errno.EBUSY, "Busy", "/srv/cache/state"), directory) == (
        "CACHE_DIR cannot be used: /srv/cache/state: Busy"
    )
    with pytest.raises(TypeError):
        why(ValueError("something else"), directory)
