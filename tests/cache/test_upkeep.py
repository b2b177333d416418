"""Housekeeping: litter is removed, counts are put right, one process does it for all."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aprp.cache.entry import Entry
from aprp.cache.extent import Extent
from aprp.cache.layout import extent_folders, index_path
from aprp.cache.state import State
from aprp.cache.store import Store
from aprp.cache.upkeep import LITTER_AGE, Upkeep, remove_litter
from tests.cache.children import Child, Connection
from tests.cache.stores import (
    MIB,
    SLICE,
    database_of,
    disk_use,
    make_entry,
    open_store,
    running,
    store_extent,
    until,
)
from tests.loops import both_loops


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    made, state = open_store(directory)
    yield made
    made.close()
    state.close()


def put(store: Store) -> Entry:
    entry = make_entry(length=SLICE)
    store.add(entry)
    store.prepare(entry.id, 0, SLICE, 0, 1)
    return entry


def litter(store: Store) -> Path:
    """An extent that the index does not know."""
    entry = make_entry(length=SLICE)
    path = store.path(entry.id, 0)
    Extent.create(path, entry.id, 0, SLICE, SLICE).allocate(0, 1)
    return path


def aged(path: Path) -> Path:
    before = time.time() - LITTER_AGE - 1
    os.utime(path, (before, before))
    return path


def test_what_nothing_refers_to_is_removed(store: Store) -> None:
    known = store.path(put(store).id, 0)
    aged(known)
    old = aged(litter(store))
    shared = Extent.open(old)
    young = litter(store)
    half = aged(old).with_name(f"{old.name}.0123.new")
    half.write_bytes(bytes(4096))
    aged(half)
    half_young = old.with_name(f"{old.name}.4567.new")
    half_young.write_bytes(bytes(4096))
    broken = old.with_name(f"{make_entry().id:016x}.3")
    broken.write_bytes(b"no extent")
    aged(broken)
    notes = old.with_name("notes.txt")
    notes.write_text("somebody's")
    aged(notes)
    removed = [
        path
        for folder in extent_folders(store.directory)
        for path in remove_litter(store, folder, time.time())
    ]
    assert sorted(removed) == sorted([old, half, broken])
    assert not any(path.exists() for path in removed)
    assert all(path.exists() for path in (known, young, half_young, notes))
    # Who has it open learns of it.
    assert shared is not None
    assert shared.gone


def test_every_folder_has_its_turn(store: Store) -> None:
    paths = [aged(litter(store)) for _ in range(40)]
    upkeep = Upkeep(store)
    rounds = 0
    while any(path.exists() for path in paths):
        upkeep.round()
        rounds += 1
        assert rounds <= 16
    # The first time is quick: the index may be a new one. Later, it takes its time.
    while upkeep._hurried:
        upkeep.round()
    paths = [aged(litter(store)) for _ in range(10)]
    before = upkeep._place
    for _ in range(256):
        upkeep.round()
    assert upkeep._place == before
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("wrong", [5 * MIB, -3000])
def test_a_wrong_count_is_put_right(store: Store, wrong: int) -> None:
    for _ in range(3):
        put(store)
    right = store.state.used
    store.state.add_used(wrong)
    upkeep = Upkeep(store)
    for _ in range(10):
        upkeep.settle()
    assert store.state.used == right


def test_what_others_reserve_for_a_moment_is_not_wrong(store: Store) -> None:
    put(store)
    right = store.state.used
    upkeep = Upkeep(store)
    for _ in range(5):
        for reserved in (MIB, 0, 2 * MIB, MIB):
            store.state.add_used(reserved)
            upkeep.settle()
            store.state.add_used(-reserved)
            assert store.state.used == right


@both_loops
async def test_a_new_index_leaves_no_old_extents(directory: Path) -> None:
    """They would fill the disk, and nobody would count them."""
    async with running(directory) as cache:
        for number in range(20):
            entry = make_entry(str(number))
            await cache.add(entry)
            await store_extent(cache, entry)
    for path in (directory / "extents").rglob("*.0"):
        aged(path)
    database_of(directory).write_bytes(b"garbage" * 1000)
    async with running(directory) as cache:
        await until(lambda: disk_use(directory) == 0)
        await until(lambda: cache.used == 0)
        assert cache.figures()["objects"] == 0


def serves(pipe: Connection, directory: Path) -> None:
    async def work() -> None:
        async with running(directory):
            pipe.send("runs")
            await asyncio.Event().wait()

    asyncio.run(work())


def test_another_takes_over_where_one_was_killed(directory: Path) -> None:
    with Child(serves, directory) as first:
        first.hear()
        first.kill()

    async def work() -> None:
        async with running(directory) as cache:
            assert cache.state is not None
            cache.state.add_used(5 * MIB)
            await until(lambda: cache.used == 0)

    asyncio.run(work())


@both_loops
async def test_only_one_does_it(directory: Path) -> None:
    async with running(directory) as one, running(directory) as two:
        await until(lambda: one._disk._upkeep is not None or two._disk._upkeep is not None)
        keeper, other = (one, two) if one._disk._upkeep is not None else (two, one)
        assert other._disk._upkeep is None
        await keeper.close()
        await until(lambda: other._disk._upkeep is not None)


def test_a_directory_made_anew_is_not_the_same(directory: Path) -> None:
    store, state = open_store(directory)
    assert not store.lost()
    (directory / "state").unlink()
    assert store.lost()
    State(directory / "state").close()
    assert store.lost()
    store.close()
    state.close()
    assert index_path(directory).exists()
