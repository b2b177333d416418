"""Caches on real directories, and things to put into them."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aprp.cache.cache import Cache, CannotStore
from aprp.cache.entry import Entry, new_id
from aprp.cache.extent import SLICES, Extent
from aprp.cache.layout import index_path, state_path
from aprp.cache.state import State
from aprp.cache.store import Store
from aprp.stats.counters import Counters
from tests.cache.bytes_of import content

SLICE = 64 << 10
MIB = 1 << 20
# Seconds between rounds of housekeeping: short, so that nobody waits for one.
PERIOD = 0.02


def make_entry(
    key: str = "http://origin/film.mp4", length: int = 3 * SLICE, **values: Any
) -> Entry:
    made = Entry(
        id=new_id(),
        key=key,
        vary=(),
        status=200,
        reason="OK",
        fields=(("Content-Type", "video/mp4"), ("ETag", '"v1"')),
        length=length,
        request_time=1_700_000_000.0,
        response_time=1_700_000_000.5,
        ranges=True,
        combinable=True,
        complete=False,
        target="/film.mp4",
    )
    return replace(made, **values)


def make_cache(directory: Path, size: int = 64 * MIB, **options: Any) -> Cache:
    given = {
        "slice_size": SLICE,
        "dirty_limit": 64 * MIB,
        "counters": Counters(),
        "period": PERIOD,
        "retry": 0.0,
        **options,
    }
    return Cache(directory, size, **given)


@asynccontextmanager
async def running(directory: Path, size: int = 64 * MIB, **options: Any) -> AsyncIterator[Cache]:
    cache = make_cache(directory, size, **options)
    cache.start()
    try:
        yield cache
    finally:
        await cache.close()


async def store_extent(
    cache: Cache, entry: Entry, number: int = 0, data: bytes | None = None
) -> Extent:
    """Put an extent of an entry that was added into the cache, whole."""
    begin = number * SLICES * cache.slice_size
    size = min(SLICES * cache.slice_size, entry.length - begin)
    count = -(-size // cache.slice_size)
    extent = await cache.prepare(entry.id, number, size, 0, count)
    extent.data[:size] = content(size) if data is None else data
    for n in range(count):
        extent.complete(n)
        cache.wrote(extent, n)
    return extent


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own time limit ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for is done by threads and processes
        await asyncio.sleep(0.005)


def open_store(directory: Path, size: int = 64 * MIB) -> tuple[Store, State]:
    directory.joinpath("extents").mkdir(parents=True, exist_ok=True)
    state = State(state_path(directory))
    return Store(directory, state, size=size, slice_size=SLICE), state


def disk_use(directory: Path) -> int:
    """Bytes on the disk of all extents."""
    total = 0
    for path in (directory / "extents").rglob("*.*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def database_of(directory: Path) -> Path:
    """The file that the index lies in now."""
    return index_path(directory).resolve()


async def nothing_is_stored(cache: Cache) -> None:
    """And nothing fails that does not say so."""
    entry = make_entry()
    with pytest.raises(CannotStore):
        await cache.add(entry)
    with pytest.raises(CannotStore):
        await cache.prepare(entry.id, 0, entry.length, 0, 1)
    assert cache.figures()["problem"] == cache.problem is not None
    assert cache.extent(entry.id, 0) is None
    await cache.refresh(entry)
    await cache.completed(entry)
    await cache.remove(entry)


async def is_stored(cache: Cache) -> None:
    entry = make_entry(f"key {time.monotonic_ns()}")
    await cache.add(entry)
    await store_extent(cache, entry)
    assert await cache.find(entry.key) == [entry]


def remove(path: Path) -> None:
    """Remove a file or directory, with all that is in it, and nobody finds a half of it."""
    if path.is_dir():
        going = path.rename(path.with_name(f"{path.name}.going"))
        shutil.rmtree(going)
    else:
        path.unlink()


def make(path: Path) -> None:
    path.mkdir(parents=True)
