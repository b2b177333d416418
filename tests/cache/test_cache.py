"""The cache as the media path uses it, on real directories."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from aprp.cache.cache import CannotStore
from aprp.cache.extent import SLICES
from tests.cache.bytes_of import content
from tests.cache.stores import (
    SLICE,
    disk_use,
    make_entry,
    running,
    store_extent,
)
from tests.loops import both_loops

EXTENT = SLICES * SLICE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "media" / "cache"


# Storing and finding


@both_loops
async def test_what_is_stored_is_read(directory: Path) -> None:
    entry = make_entry(length=EXTENT + 5 * SLICE + 77)
    async with running(directory) as cache:
        assert (cache.slice_size, cache.extent_size) == (SLICE, EXTENT)
        assert await cache.find(entry.key) == []
        assert cache.extent(entry.id, 0) is None
        await cache.add(entry)
        assert await cache.find(entry.key) == [entry]
        for number in (0, 1):
            await store_extent(cache, entry, number)
            extent = cache.extent(entry.id, number)
            assert extent is not None
            assert extent.run(0, extent.size) == extent.size
            assert bytes(extent.data) == content(extent.size)
        await cache.completed(replace(entry, length=entry.length))
        assert await cache.find(entry.key) == [replace(entry, complete=True)]
        assert cache.used == disk_use(directory) > entry.length


@both_loops
async def test_another_process_has_it_at_once(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as one, running(directory) as two:
        before = two.generation(entry.key)
        assert await two.find(entry.key) == []
        await one.add(entry)
        assert two.generation(entry.key) != before
        assert await two.find(entry.key) == [entry]
        extent = await one.prepare(entry.id, 0, entry.length, 0, 3)
        other = two.extent(entry.id, 0)
        assert other is not None
        assert other.run(0, entry.length) == 0
        extent.data[:1000] = content(1000)
        extent.grow(0, 1000)
        assert other.run(0, entry.length) == 1000
        assert bytes(other.data[:1000]) == content(1000)


@both_loops
async def test_a_restart_keeps_everything(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        await store_extent(cache, entry)
        await cache.completed(entry)
        used = cache.used
    async with running(directory) as cache:
        assert await cache.find(entry.key) == [replace(entry, complete=True)]
        extent = cache.extent(entry.id, 0)
        assert extent is not None
        assert bytes(extent.data) == content(entry.length)
        assert cache.used == used
        assert cache.problem is None


@both_loops
async def test_a_304_changes_what_is_found(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        fresher = replace(entry, response_time=2e9, request_time=2e9, fields=(("Age", "1"),))
        before = cache.generation(entry.key)
        await cache.refresh(fresher)
        assert cache.generation(entry.key) != before
        assert await cache.find(entry.key) == [fresher]


@both_loops
async def test_one_in_place_of_another(directory: Path) -> None:
    old, new = make_entry(), make_entry()
    async with running(directory) as cache:
        await cache.add(old)
        extent = await store_extent(cache, old)
        view = extent.data[:]
        await cache.add(new, replacing=[old.id])
        assert await cache.find(old.key) == [new]
        assert extent.gone
        assert cache.extent(old.id, 0) is None
        assert disk_use(directory) == 0
        # Who reads it goes on.
        assert bytes(view) == content(old.length)


@both_loops
async def test_removing_and_purging(directory: Path) -> None:
    made = {key: make_entry(key) for key in ("/a/1", "/a/2", "/a/3", "/b", "/c")}
    async with running(directory) as cache, running(directory) as other:
        for entry in made.values():
            await cache.add(entry)
            await store_extent(cache, entry)
        shared = other.extent(made["/b"].id, 0)
        assert shared is not None
        generations = {key: other.generation(key) for key in made}
        await cache.remove(made["/b"], made["/c"])
        assert shared.gone
        assert other.extent(made["/b"].id, 0) is None
        assert await other.find("/b") == []
        assert other.generation("/b") != generations["/b"]
        assert await cache.purge("/a/1") == 1
        assert await cache.purge("/a/1") == 0
        assert await cache.purge_prefix("/a/") == 2
        assert disk_use(directory) == cache.used == 0
        many = [make_entry(f"/{number}", length=0) for number in range(200)]
        for entry in many:
            await cache.add(entry)
        generation = other.generation("/70")
        assert await cache.purge_ids([entry.id for entry in many[:100]] + [5]) == 100
        assert other.generation("/70") != generation
        assert await cache.purge_ids([many[0].id]) == await cache.purge_ids([]) == 0
        assert await cache.purge_prefix("") == 100
        assert cache.used == 0


# Preparing


@both_loops
async def test_no_room_for_what_is_not_there(directory: Path) -> None:
    async with running(directory) as cache:
        entry = make_entry()
        with pytest.raises(CannotStore, match="the entry was removed"):
            await cache.prepare(entry.id, 0, entry.length, 0, 1)
        assert cache.used == disk_use(directory) == 0
        assert cache.extent(entry.id, 0) is None
        # That is no fault of the directory.
        assert cache.problem is None


@both_loops
async def test_only_the_slices_asked_for_take_room(directory: Path) -> None:
    entry = make_entry(length=EXTENT)
    async with running(directory) as cache:
        await cache.add(entry)
        await cache.prepare(entry.id, 0, EXTENT, 8, 2)
        assert 2 * SLICE < disk_use(directory) == cache.used < 3 * SLICE
        first = await cache.prepare(entry.id, 0, EXTENT, 8, 2)
        assert cache.used == disk_use(directory)
        assert await cache.prepare(entry.id, 0, EXTENT, 10, 1) is first
        assert cache.extent(entry.id, 0) is first
        assert 3 * SLICE < disk_use(directory) == cache.used < 4 * SLICE


@both_loops
async def test_slices_of_another_size(directory: Path) -> None:
    """SLICE_SIZE was changed between two runs."""
    entry = make_entry(length=4 * SLICE)
    async with running(directory) as cache:
        await cache.add(entry)
        await store_extent(cache, entry)
    async with running(directory, slice_size=2 * SLICE) as cache:
        assert await cache.find(entry.key) == [entry]
        assert cache.extent(entry.id, 0) is None
        extent = await cache.prepare(entry.id, 0, entry.length, 0, 1)
        assert extent.slice_size == 2 * SLICE
        assert extent.run(0, extent.size) == 0
        assert cache.extent(entry.id, 0) is extent
        assert cache.used == disk_use(directory)


@both_loops
async def test_add_comes_before_prepare(directory: Path) -> None:
    """In the order of the calls, without waiting in between."""
    entry = make_entry()
    async with running(directory) as cache:
        adding = asyncio.ensure_future(cache.add(entry))
        preparing = asyncio.ensure_future(cache.prepare(entry.id, 0, entry.length, 0, 1))
        await asyncio.gather(adding, preparing)
        assert await cache.find(entry.key) == [entry]
