"""A start does not depend on how much is stored: an index of a million slices."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aprp.cache.entry import Entry
from aprp.cache.extent import SLICES, extent_path
from aprp.cache.layout import index_path
from aprp.cache.rows import COLUMNS, values_of
from tests.e2e.caching import MIB, SLICE, cache_status, get_range, get_whole
from tests.e2e.fault_files import File
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import anonymous_memory, wait_until
from tests.e2e.servers import Proxy, StartProxy

EXTENTS = 1_000_000 // SLICES
PER_OBJECT = 5
"""Extents of each object: films of 320 MiB."""
STARTS = 3


def entry(number: int) -> Entry:
    """What the index says of a film, with as many fields as origins usually send."""
    now = time.time()
    return Entry(
        id=number + 1,
        key=f"http://media.example:8080/library/films/{number:06d}/film.mp4",
        vary=(),
        status=200,
        reason="OK",
        fields=(
            ("Content-Type", "video/mp4"),
            ("ETag", f'"{number:032x}"'),
            ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Cache-Control", "public, max-age=86400"),
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ),
        length=PER_OBJECT * SLICES * SLICE,
        request_time=now,
        response_time=now,
        ranges=True,
        combinable=True,
        complete=True,
        target=f"/library/films/{number:06d}/film.mp4",
    )


def fill_index(cache: Path) -> None:
    """Write a million slices into the index of a cache that no program uses at the moment.

    The extents have their names in the directory too, without bytes behind them.
    """
    entries = [entry(number) for number in range(EXTENTS // PER_OBJECT)]
    extents = [(one.id, number) for one in entries for number in range(PER_OBJECT)]
    assert len(extents) == EXTENTS
    with closing(sqlite3.connect(index_path(cache).resolve(), isolation_level=None)) as index:
        index.execute("BEGIN")
        marks = ", ".join("?" * len(COLUMNS.split(",")))
        index.executemany(
            f"INSERT INTO objects ({COLUMNS}) VALUES ({marks})", map(values_of, entries)
        )
        index.executemany(
            "INSERT INTO extents VALUES (?, ?, ?, ?)",
            ((*name, SLICES * SLICE, int(time.time())) for name in extents),
        )
        index.execute("COMMIT")
    for name in extents:
        path = extent_path(cache, *name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def figures(proxy: Proxy) -> dict[str, Any]:
    """What /stats tells of the cache's size."""
    told: dict[str, Any] = proxy.stats()["cache"]
    return told


def memory(proxy: Proxy) -> int:
    """The anonymous memory of all its processes, in bytes."""
    return sum(map(anonymous_memory, (proxy.pid, *proxy.workers())))


@pytest.fixture(scope="module")
def stored(
    shared_fault_origin: FaultOrigin, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, File]:
    """A cache with a million slices, and a file that is really there."""
    directory = tmp_path_factory.mktemp("million")
    file = shared_fault_origin.add(3 * SLICE + 5)
    cache = directory / "cache"
    with Proxy(directory, "--upstream", shared_fault_origin.url, cache=cache) as proxy:
        get_whole(proxy, file)
    fill_index(cache)
    return cache, file


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_does_not_depend_on_how_much_is_stored(
    source: FaultOrigin,
    start_proxy: StartProxy,
    stored: tuple[Path, File],
    tmp_path: Path,
    workers: str,
) -> None:
    cache, file = stored
    flags = ("--upstream", source.url, "--cache-size", "4T", "--workers", workers)

    def start(directory: Path) -> tuple[Proxy, float]:
        begun = time.monotonic()
        proxy = start_proxy(*flags, cache=directory)
        return proxy, time.monotonic() - begun

    # The quickest of several says what the program needs, the others what the machine did.
    empty, full, answered = [], [], []
    before = len(file.served)
    for number in range(STARTS):
        proxy, took = start(tmp_path / f"empty{number}")
        empty.append(took)
        proxy.stop()
        proxy, took = start(cache)
        full.append(took)
        # It is of use at once.
        begun = time.monotonic()
        assert "hit" in cache_status(get_whole(proxy, file))
        answered.append(time.monotonic() - begun)
        if number < STARTS - 1:
            proxy.stop()
    assert len(file.served) == before
    # So it listens within a second wherever an empty cache has it listen within 0.7 s.
    assert min(full) < min(empty) + 0.3, (empty, full)
    assert min(answered) < 0.5, answered

    get_range(proxy, source.add(3 * SLICE), SLICE, 2 * SLICE)
    # The first round of housekeeping is over too.
    wait_until(lambda: figures(proxy)["objects"] > EXTENTS // PER_OBJECT, "objects are counted")
    assert figures(proxy)["used"]["bytes"] > EXTENTS * SLICES * SLICE
    assert memory(proxy) < 150 * MIB
