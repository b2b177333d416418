"""Making room: who goes first, who stays, and that CACHE_SIZE holds, also for many processes."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from aprp.cache.cache import CannotStore
from aprp.cache.entry import Entry
from aprp.cache.extent import HEADER, SLICES, Extent, extent_path
from aprp.cache.index import ENTRY_COST, ExtentRow
from aprp.cache.state import State
from aprp.cache.store import Store
from aprp.stats.counters import Count, Counters
from tests.cache.bytes_of import content
from tests.cache.children import Child, Connection
from tests.cache.stores import (
    MIB,
    SLICE,
    disk_use,
    make_entry,
    open_store,
    running,
    store_extent,
    until,
)
from tests.loops import both_loops

# What a file of one slice takes, and what `prepare` holds free for it beside.
FILE = SLICE + HEADER
SPARE = (64 << 10) + ENTRY_COST


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    made, state = open_store(directory, size=10 * FILE + SPARE)
    yield made
    made.close()
    state.close()


def put(store: Store, last_used: int | None = None, key: str = "key") -> Entry:
    """Store an entry of one slice, used last at that time."""
    entry = make_entry(key, length=SLICE)
    store.add(entry)
    extent = store.prepare(entry.id, 0, SLICE, 0, 1)
    extent.data[:] = content(SLICE)
    extent.complete(0)
    if last_used is not None:
        extent.touch(last_used)
        store.used_extents({(entry.id, 0): last_used})
    return entry


def there(store: Store, entry: Entry) -> bool:
    found = store.index.get(entry.id) is not None
    assert found == store.path(entry.id, 0).exists()
    return found


def test_the_longest_unused_goes_first(store: Store) -> None:
    made = [put(store, last_used=1000 + number) for number in (3, 0, 4, 1, 2, 9, 8, 7, 6, 5)]
    order = sorted(made, key=lambda entry: store.index.extents_of(entry.id)[0].last_used)
    for gone in range(1, 6):
        put(store)
        assert [there(store, entry) for entry in order] == [n >= gone for n in range(10)]
    assert store.evictions == 5
    assert disk_use(store.directory) == store.state.used <= store.size


def test_the_header_knows_better_than_the_index(store: Store) -> None:
    made = [put(store, last_used=1000 + number) for number in range(10)]
    for entry, used in ((made[0], 5000), (made[1], 1004)):
        extent = Extent.open(store.path(entry.id, 0))
        assert extent is not None
        extent.touch(used)
    for gone in (made[2], made[3]):
        put(store)
        assert not there(store, gone)
    assert there(store, made[0])
    # Its row was put right on the way.
    assert store.index.extents_of(made[0].id)[0].last_used == 5000


def test_what_was_used_just_now_goes_only_if_nothing_else_is_left(store: Store) -> None:
    now = int(time.time())
    recent = [put(store, last_used=now + 3600 + number) for number in range(9)]
    old = put(store, last_used=1000)
    put(store, last_used=now + 7200)
    assert not there(store, old)
    assert all(there(store, entry) for entry in recent)
    put(store, last_used=now + 7201)
    assert [there(store, entry) for entry in recent] == [False] + [True] * 8


def test_the_extent_that_grows_is_not_removed_for_itself(directory: Path) -> None:
    store, state = open_store(directory, size=6 * SLICE)
    entry = make_entry(length=8 * SLICE)
    store.add(entry)
    extent = store.prepare(entry.id, 0, 8 * SLICE, 0, 4)
    with pytest.raises(CannotStore, match="no room within CACHE_SIZE"):
        store.prepare(entry.id, 0, 8 * SLICE, 4, 4)
    assert not extent.gone
    assert state.used == store.index.totals()[2]
    store.close()
    state.close()


def test_more_than_the_whole_cache(store: Store) -> None:
    kept = put(store, last_used=1000)
    entry = make_entry(length=60 * SLICE)
    store.add(entry)
    with pytest.raises(CannotStore, match="no room within CACHE_SIZE"):
        store.prepare(entry.id, 0, 60 * SLICE, 0, 60)
    # Nothing is removed for what can never fit.
    assert there(store, kept)
    assert store.state.used == disk_use(store.directory) + ENTRY_COST


def test_entries_without_bytes_have_an_end(directory: Path) -> None:
    """Redirects and the like: they take room too."""
    store, state = open_store(directory, size=50 * ENTRY_COST)
    for number in range(200):
        store.add(make_entry(f"/{number}", length=0))
    assert store.index.totals() == (50, 0, 50 * ENTRY_COST)
    assert store.index.ids_of("/199") != []
    assert state.used == 50 * ENTRY_COST
    store.close()
    state.close()


def test_a_row_without_a_file_makes_room_too(store: Store) -> None:
    made = [put(store, last_used=1000 + number) for number in range(10)]
    store.path(made[0].id, 0).unlink()
    put(store)
    assert store.index.get(made[0].id) is None
    assert there(store, made[1])
    assert store.evictions == 0


def test_a_count_that_is_too_high_is_put_right(store: Store) -> None:
    """After a loss of power, for instance: there would never be room again."""
    kept = put(store, last_used=1000)
    store.state.add_used(100 * MIB)
    put(store)
    assert store.state.used == store.index.totals()[2]
    assert not there(store, kept)


def test_a_count_that_is_too_low_is_put_right_at_the_start(store: Store) -> None:
    for _ in range(3):
        put(store)
    right = store.state.used
    store.state.set_used(0)
    second = Store(store.directory, store.state, size=store.size, slice_size=SLICE)
    assert store.state.used == right
    second.close()


def test_generations_change_with_what_is_evicted(store: Store) -> None:
    made = [put(store, last_used=1000 + number, key=f"key {number}") for number in range(10)]
    before = [store.state.generation(entry.key) for entry in made]
    put(store, key="another")
    after = [store.state.generation(entry.key) for entry in made]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False] + [True] * 9


@both_loops
async def test_a_reader_is_not_disturbed(directory: Path) -> None:
    counters = Counters()
    async with running(directory, size=8 * MIB, counters=counters) as cache:
        first = make_entry(length=4 * MIB)
        await cache.add(first)
        extent = await store_extent(cache, first)
        extent.touch(1000)
        await cache._disk.run(lambda store: store.used_extents({(first.id, 0): 1000}))
        view = extent.data[: 4 * MIB]
        for number in range(4):
            entry = make_entry(str(number), length=3 * MIB)
            await cache.add(entry)
            await store_extent(cache, entry)
        assert extent.gone
        assert cache.extent(first.id, 0) is None
        assert await cache.find(first.key) == []
        assert bytes(view) == content(4 * MIB)
        assert cache.used <= 8 * MIB
    assert counters.total(Count.CACHE_EVICTIONS) == 3


@both_loops
async def test_a_smaller_cache_than_before(directory: Path) -> None:
    async with running(directory, size=8 * MIB) as cache:
        for number in range(7):
            entry = make_entry(str(number), length=MIB)
            await cache.add(entry)
            await store_extent(cache, entry)
    assert disk_use(directory) >= 7 * MIB
    async with running(directory, size=3 * MIB) as cache:
        await until(lambda: disk_use(directory) <= 3 * MIB)
        await until(lambda: cache.used <= 3 * MIB)
        # Not all of them had to go.
        assert cache.used >= MIB
        assert disk_use(directory) >= MIB


# Several processes


def loads(pipe: Connection, directory: Path, size: int, seconds: float) -> None:
    """Store new objects of all sizes for some time, and read what is stored."""

    async def work() -> None:
        counters = Counters()
        wrong = stored = refused = 0
        pipe.recv()
        until = time.monotonic() + seconds
        async with running(directory, size=size, counters=counters) as cache:
            number = 0
            views: list[tuple[memoryview, int]] = []
            while time.monotonic() < until:
                number += 1
                length = (number * 7919) % (40 * SLICE) + 1
                entry = make_entry(f"{os.getpid()}/{number}", length=length)
                try:
                    await cache.add(entry)
                    extent = await store_extent(cache, entry)
                except CannotStore:
                    refused += 1
                    continue
                stored += 1
                end = extent.run(0, length)
                views = [*views[-5:], (extent.data[:end], length)]
                wrong += sum(bytes(view) != content(length)[: len(view)] for view, length in views)
            problem = cache.problem
        evicted = counters.total(Count.CACHE_EVICTIONS)
        pipe.send((stored, refused, wrong, evicted, problem))

    asyncio.run(work())


def test_the_size_holds_under_load(directory: Path) -> None:
    size, workers = 20 * MIB, 3
    with ExitStack() as stack:
        children = [stack.enter_context(Child(loads, directory, size, 1.5)) for _ in range(workers)]
        seen = [0]
        over = threading.Event()

        def watches() -> None:
            while not over.is_set():
                seen.append(disk_use(directory))

        watching = threading.Thread(target=watches)
        watching.start()
        for child in children:
            child.say("go")
        try:
            told = [child.hear() for child in children]
        finally:
            over.set()
            watching.join()
    for stored, refused, wrong, evicted, problem in told:
        assert stored > 20
        assert refused <= stored // 10
        assert wrong == 0
        assert evicted > 0
        assert problem is None
    assert size / 2 < max(seen) <= size + workers * SLICES * SLICE
    # Afterwards, all counts agree with the disk.
    state = State(directory / "state")
    store = Store(directory, state, size=size, slice_size=SLICE)
    objects, extents, bytes = store.index.totals()
    files = [path for path in (directory / "extents").rglob("*") if path.is_file()]
    assert len(files) == extents
    assert disk_use(directory) == bytes - ENTRY_COST * (objects - extents)
    assert state.used == bytes <= size
    store.close()
    state.close()


def test_two_that_evict_at_once(directory: Path) -> None:
    """What one has taken away the other neither counts nor trips over."""
    store, state = open_store(directory, size=1000 * FILE)
    for number in range(60):
        put(store, last_used=1000 + number)
    other = Store(directory, state, size=20 * FILE, slice_size=SLICE)
    row = store.index.oldest_extents(1)[0]
    # The other has the extent's file removed, and not its row yet.
    extent = Extent.open(extent_path(directory, row.version, 0))
    assert extent is not None
    extent.discard()
    entry = put(other)
    assert there(other, entry)
    assert state.used == other.index.totals()[2] == disk_use(directory) <= other.size
    assert store.index.extent(*row[:2]) is None
    # And one who has removed the row before.
    assert store.index.forget_extents([row[:2]]).bytes == 0
    for each in (store, other):
        each.close()
    state.close()


def test_one_who_prepares_while_it_is_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make_entry(length=SLICE)
    store.add(entry)
    other = Store(store.directory, store.state, size=store.size, slice_size=SLICE)
    allocate = Extent.allocate

    def then_removed(self: Extent, first: int, count: int) -> int:
        grown = allocate(self, first, count)
        found = Extent.open(self.path)
        assert found is not None
        found.discard()
        return grown

    monkeypatch.setattr(Extent, "allocate", then_removed)
    with pytest.raises(CannotStore, match="removed while"):
        store.prepare(entry.id, 0, SLICE, 0, 1)
    assert store.index.extents_of(entry.id) == []
    assert store.state.used == store.index.totals()[2]
    other.close()


def killed_at_work(pipe: Connection, directory: Path, size: int) -> None:
    async def work() -> None:
        async with running(directory, size=size) as cache:
            number = 0
            while True:
                number += 1
                entry = make_entry(
                    f"{os.getpid()}/{number}", length=number * 7919 % (8 * SLICE) + 1
                )
                await cache.add(entry)
                await store_extent(cache, entry)
                if number % 10 == 0:
                    pipe.send(number)

    asyncio.run(work())


def test_killed_at_any_moment(directory: Path) -> None:
    """Never a wrong byte later, and nothing is lost from the count for good."""
    size = 4 * MIB
    for place in range(10):
        with Child(killed_at_work, directory, size) as child:
            for _ in range(1 + place % 3):
                child.hear()
            child.kill()
        store, state = open_store(directory, size)
        for entry in store.index.entries():
            extent = Extent.open(store.path(entry.id, 0))
            if extent is not None:
                end = extent.run(0, extent.size)
                assert bytes(extent.data[:end]) == content(entry.length)[:end]
        rows: list[ExtentRow] = store.index.oldest_extents(10_000)
        assert sum(row.bytes for row in rows) == store.index.totals()[2]
        store.close()
        state.close()
    # A cache that starts then works within its size.

    async def goes_on() -> None:
        async with running(directory, size) as cache:
            for number in range(50):
                entry = make_entry(f"new {number}", length=5 * SLICE)
                await cache.add(entry)
                await store_extent(cache, entry)
            assert cache.state is not None
            await until(lambda: cache.used == indexed(directory))
            assert cache.used <= size

    asyncio.run(goes_on())


def indexed(directory: Path) -> int:
    store, state = open_store(directory)
    try:
        return store.index.totals()[2]
    finally:
        store.close()
        state.close()
