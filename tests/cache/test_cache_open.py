"""The cache while it runs: open extents, checks, costs, start and end."""

import asyncio
import threading
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aprp.cache.cache import Cache, CannotStore
from aprp.cache.extent import SLICES, Extent, extent_path
from aprp.cache.index import Index
from aprp.cache.layout import index_path
from aprp.stats.counters import Count, Counters
from tests.cache.bytes_of import content
from tests.cache.children import Child, Connection
from tests.cache.stores import (
    MIB,
    SLICE,
    disk_use,
    make_cache,
    make_entry,
    running,
    store_extent,
    until,
)
from tests.loops import both_loops, only_uvloop
from tests.stats.forks import ended, in_worker

EXTENT = SLICES * SLICE


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "media" / "cache"


# Extents that are open


@both_loops
async def test_open_extents_are_kept_up_to_a_number(directory: Path) -> None:
    made = [make_entry(str(number)) for number in range(4)]
    async with running(directory, keep_open=2) as cache:
        for entry in made:
            await cache.add(entry)
            await store_extent(cache, entry)
        two, three = (cache.extent(made[n].id, 0) for n in (2, 3))
        assert two is not None
        assert three is not None
        assert cache.extent(made[2].id, 0) is two
        zero = cache.extent(made[0].id, 0)
        assert zero is not None
        # Number 3 was used longest ago.
        assert cache.extent(made[2].id, 0) is two
        other = cache.extent(made[3].id, 0)
        assert other is not three
        # It is not closed under who uses it.
        assert bytes(three.data) == content(three.size)
        assert not three.closed


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@both_loops
async def test_many_small_objects_do_not_keep_files_open(directory: Path) -> None:
    async with running(directory, keep_open=4) as cache:
        before = descriptors()
        for number in range(100):
            entry = make_entry(str(number), length=10)
            await cache.add(entry)
            await store_extent(cache, entry)
        await until(lambda: cache.figures()["dirty"] == 0)
        assert len(cache._used) == 100
        assert descriptors() <= before + 4 + 5


@both_loops
async def test_what_another_process_removed_is_let_go(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as one, running(directory) as two:
        await one.add(entry)
        await store_extent(one, entry)
        assert two.extent(entry.id, 0) is not None
        await one.remove(entry)
        # Also without anybody who asks for it.
        await until(lambda: not two._open and not one._open)


@only_uvloop
async def test_what_the_hot_path_costs(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)

        def cost(work: Callable[[], object]) -> float:
            return min(timeit.repeat(work, number=2000, repeat=20)) / 2000

        assert cost(lambda: cache.extent(entry.id, 0)) < 1e-6
        assert cost(lambda: cache.touch(extent)) < 1e-6
        assert cost(lambda: cache.generation(entry.key)) < 2e-6


def stores(pipe: Connection, directory: Path, count: int) -> None:
    async def work() -> None:
        async with running(directory) as cache:
            for number in range(count):
                entry = make_entry(f"key {number}", length=SLICE)
                await cache.add(entry)
                await store_extent(cache, entry)
            pipe.send(disk_use(directory))

    asyncio.run(work())


@both_loops
async def test_a_start_is_quick_and_reads_no_tables(directory: Path) -> None:
    with Child(stores, directory, 200) as child:
        child.hear()
    before = threading.active_count()
    cache = make_cache(directory)
    begin = time.perf_counter()
    cache.start()
    assert time.perf_counter() - begin < 0.2
    assert len(await cache.find("key 77")) == 1
    await cache.close()
    assert threading.active_count() == before


# Verifying and loading


def rewrite(directory: Path, entry_id: int, place: int) -> None:
    """Change a byte of a stored extent behind everybody's back."""
    path = extent_path(directory, entry_id, 0)
    with path.open("r+b") as file:
        file.seek(4096 + place)
        before = file.read(1)
        file.seek(4096 + place)
        file.write(bytes([before[0] ^ 1]))


def another_boot(extent: Extent) -> None:
    """Make its slices look as if another boot of the machine had written them."""
    extent._boots[:] = memoryview(bytes(len(extent._boots) * 4)).cast("I")


@both_loops
async def test_slices_of_another_boot_are_verified(directory: Path) -> None:
    counters = Counters()
    entry = make_entry(length=4 * SLICE, complete=True)
    async with running(directory, counters=counters) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)
        rewrite(directory, entry.id, SLICE + 100)
        another_boot(extent)
        assert extent.run(0, extent.size) == 0
        assert await cache.verify(extent, 0)
        assert extent.run(0, extent.size) == SLICE
        asked = [cache.verify(extent, 1) for _ in range(5)]
        assert await asyncio.gather(*asked) == [False] * 5
        assert not extent.stored(1)
        assert counters.total(Count.CACHE_SLICES_WRONG) == 1
        assert counters.total(Count.CACHE_SLICES_STORED) == 4
        assert await cache.find(entry.key) == [replace(entry, complete=False)]
        assert await cache.verify(extent, 2)
        assert (
            bytes(extent.data[2 * SLICE : 3 * SLICE]) == content(4 * SLICE)[2 * SLICE : 3 * SLICE]
        )


@both_loops
async def test_one_who_leaves_does_not_end_the_check_of_others(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    calls = []
    verify = Extent.verify

    def slowly(self: Extent, n: int) -> bool:
        calls.append(n)
        assert go.wait(10)
        return verify(self, n)

    monkeypatch.setattr(Extent, "verify", slowly)
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)
        another_boot(extent)
        leaves = asyncio.ensure_future(cache.verify(extent, 0))
        stays = asyncio.ensure_future(cache.verify(extent, 0))
        await until(lambda: bool(calls))
        leaves.cancel()
        go.set()
        assert await stays
        assert calls == [0]
        assert leaves.cancelled()


@both_loops
async def test_loading(directory: Path) -> None:
    entry = make_entry(length=EXTENT)
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)
        await cache.load(extent, 0, EXTENT)
        assert extent.resident(0, EXTENT)


# Several things at once, and the end


@both_loops
async def test_a_look_up_does_not_wait_for_the_disk(directory: Path) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        go = threading.Event()
        busy = asyncio.ensure_future(cache._disk.run(lambda _: go.wait(10)))
        assert await cache.find(entry.key) == [entry]
        assert not busy.done()
        go.set()
        assert await busy


@both_loops
async def test_figures(directory: Path) -> None:
    async with running(directory, size=99 * MIB) as cache:
        for number in range(3):
            entry = make_entry(str(number))
            await cache.add(entry)
            await store_extent(cache, entry)
        await until(lambda: cache.figures()["objects"] == 3)
        await until(lambda: cache.figures()["dirty"] == 0)
        assert cache.figures() == {
            "used": disk_use(directory),
            "size": 99 * MIB,
            "objects": 3,
            "dirty": 0,
            "problem": None,
        }


@both_loops
async def test_the_end(directory: Path) -> None:
    before = threading.active_count()
    cache = make_cache(directory)
    assert await cache.find("x") == []
    await cache.close()
    cache.start()
    entry = make_entry()
    await cache.add(entry)
    extent = await store_extent(cache, entry)
    # As if it were touched later.
    cache.touch(extent)
    assert set(cache._used) == {(entry.id, 0)}
    cache._used[entry.id, 0] = 2_000_000_000
    leases = cache.leases
    assert leases is not None
    assert leases.take(77)
    await cache.close()
    assert threading.active_count() == before
    assert (cache.leases, cache.state) == (None, None)
    # The last use was written.
    index = Index(index_path(directory))
    assert [row.last_used for row in index.extents_of(entry.id)] == [2_000_000_000]
    index.close()
    # Who still reads is not disturbed.
    assert bytes(extent.data) == content(entry.length)
    assert await cache.find(entry.key) == []
    assert cache.extent(entry.id, 0) is None
    with pytest.raises(CannotStore, match="closed"):
        await cache.add(entry)
    with pytest.raises(CannotStore):
        await cache.prepare(entry.id, 0, entry.length, 0, 1)
    await cache.close()


@both_loops
async def test_the_end_in_the_midst_of_work(directory: Path) -> None:
    before = threading.active_count()
    cache: Cache = make_cache(directory)
    cache.start()
    made = [make_entry(str(number)) for number in range(20)]
    work = [asyncio.ensure_future(cache.add(entry)) for entry in made]
    await asyncio.sleep(0)
    await cache.close()
    assert await asyncio.gather(*work) == [None] * 20
    assert threading.active_count() == before
    async with running(directory) as cache:
        assert [len(await cache.find(entry.key)) for entry in made] == [1] * 20


def test_made_before_the_fork(directory: Path) -> None:
    """As the workers do: made once, started in each."""
    cache = make_cache(directory)
    entry = make_entry()

    async def work() -> None:
        cache.start()
        await cache.add(entry)
        await store_extent(cache, entry)
        await cache.close()

    assert ended(in_worker(lambda: asyncio.run(work()))) == 0

    async def look() -> None:
        cache.start()
        assert await cache.find(entry.key) == [entry]
        await cache.close()

    asyncio.run(look())
