"""`check`: finds what is wrong in a directory, and puts it right."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aprp.cache.check import Finding, check
from aprp.cache.entry import Entry
from aprp.cache.extent import HEADER, SLICES, Extent
from aprp.cache.index import IndexFailure
from aprp.cache.state import State
from aprp.cache.upkeep import LITTER_AGE
from tests.cache.bytes_of import content
from tests.cache.stores import SLICE, make_entry, open_store, running, store_extent
from tests.loops import both_loops

EXTENT = SLICES * SLICE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def filled(directory: Path, *entries: Entry) -> None:
    """Leave a cache as a server does."""

    async def work() -> None:
        async with running(directory) as cache:
            for entry in entries:
                await cache.add(entry)
                for number in range(-(-entry.length // EXTENT)):
                    await store_extent(cache, entry, number)
                await cache.completed(entry)

    asyncio.run(work())


def path_of(directory: Path, entry: Entry, number: int = 0) -> Path:
    store, state = open_store(directory)
    store.close()
    state.close()
    return store.path(entry.id, number)


def damage(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(HEADER + place)
        (before,) = file.read(1)
        file.seek(HEADER + place)
        file.write(bytes([before ^ 0x10]))


def findings(directory: Path) -> list[Finding]:
    found = list(check(directory))
    # Once put right, it is right.
    assert list(check(directory)) == []
    return found


def test_nothing_is_wrong(directory: Path) -> None:
    filled(
        directory, make_entry("a", EXTENT + 3), make_entry("b", 5 * SLICE + 7), make_entry("c", 0)
    )
    told: list[tuple[int, int]] = []
    assert list(check(directory, lambda done, total: told.append((done, total)))) == []
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_directory(directory: Path) -> None:
    filled(directory)
    assert findings(directory) == []


def test_a_wrong_slice_is_dropped(directory: Path) -> None:
    entry, other = make_entry("a", EXTENT + 4 * SLICE + 5), make_entry("b")
    filled(directory, entry, other)
    path = path_of(directory, entry, 1)
    damage(path, 2 * SLICE + 77)
    (found,) = findings(directory)
    assert (found.kind, found.where, found.version) == ("wrong slice", str(path), entry.id)
    assert found.text == f"slice 2 of {path.name} was not what had been stored: it was dropped"
    extent = Extent.open(path)
    assert extent is not None
    assert [extent.stored(n) for n in range(6)] == [True, True, False, True, True, False]
    assert bytes(extent.data[: 2 * SLICE]) == content(4 * SLICE + 5)[: 2 * SLICE]
    store, state = open_store(directory)
    assert store.index.get(entry.id) == entry
    assert store.index.get(other.id) == replace(other, complete=True)
    store.close()
    state.close()


def test_a_file_that_is_missing(directory: Path) -> None:
    entry, other = make_entry("a", EXTENT + 5), make_entry("b")
    filled(directory, entry, other)
    paths = [path_of(directory, entry), path_of(directory, other)]
    for path in paths:
        path.unlink()
    found = findings(directory)
    assert {(each.kind, each.where) for each in found} == {
        ("missing extent", str(path)) for path in paths
    }
    store, state = open_store(directory)
    # One extent is left of the one, nothing of the other.
    assert store.index.get(entry.id) == entry
    assert store.index.get(other.id) is None
    assert state.used == store.index.totals()[2]
    store.close()
    state.close()


def test_a_file_that_is_no_extent_any_more(directory: Path) -> None:
    entry = make_entry()
    filled(directory, entry)
    path = path_of(directory, entry)
    path.write_bytes(b"cut short")
    assert [each.kind for each in findings(directory)] == ["missing extent"]
    assert not path.exists()


def test_a_file_of_nothing(directory: Path) -> None:
    filled(directory, make_entry())
    paths = []
    for _ in range(2):
        entry = make_entry()
        path = path_of(directory, entry)
        Extent.create(path, entry.id, 0, SLICE, SLICE)
        paths.append(path)
    before = time.time() - LITTER_AGE - 1
    os.utime(paths[0], (before, before))
    (found,) = findings(directory)
    assert (found.kind, found.where, found.version) == ("file of nothing", str(paths[0]), 0)
    assert [path.exists() for path in paths] == [False, True]


@pytest.mark.parametrize(("wrong", "text"), [(12345, "12345 too high"), (-77, "77 too low")])
def test_a_wrong_count(directory: Path, wrong: int, text: str) -> None:
    filled(directory, make_entry())
    state = State(directory / "state")
    right = state.used
    state.add_used(wrong)
    if wrong < 0:
        # Opening puts that right already.
        assert findings(directory) == []
    else:
        (found,) = findings(directory)
        assert (found.kind, found.text) == ("wrong count", f"the count of bytes used was {text}")
    assert state.used == right
    state.close()


@both_loops
async def test_while_a_server_runs(directory: Path) -> None:
    entry = make_entry(length=10 * SLICE)
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)
        await cache.completed(entry)
        view = extent.data[: 3 * SLICE]
        damage(extent.path, 5 * SLICE)
        before = cache.generation(entry.key)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(None, lambda: list(check(directory)))
        await loop.shutdown_default_executor()
        assert [each.kind for each in found] == ["wrong slice"]
        # The server sees it at once.
        assert extent.run(0, extent.size) == 5 * SLICE
        assert cache.generation(entry.key) != before
        assert await cache.find(entry.key) == [entry]
        assert bytes(view) == content(10 * SLICE)[: 3 * SLICE]


def test_where_there_is_no_cache(directory: Path) -> None:
    with pytest.raises((OSError, IndexFailure)):
        list(check(directory))
