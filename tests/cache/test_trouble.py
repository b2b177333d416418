"""Directories that cannot be used: it is said once, serving goes on, storing begins again."""

import asyncio
import codecs
import errno
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aprp.cache.cache import CannotStore
from aprp.cache.extent import SLICES
from tests.cache.bytes_of import content
from tests.cache.children import Child, Connection
from tests.cache.stores import (
    MIB,
    SLICE,
    disk_use,
    is_stored,
    make_entry,
    nothing_is_stored,
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


def in_the_way(path: Path) -> Path:
    """Put a file where the directory should be."""
    path.write_text("somebody's notes")
    return path


def names_in(path: Path) -> list[str]:
    return [each.name for each in path.iterdir()]


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


# At the start


@both_loops
async def test_a_file_where_the_directory_should_be(
    directory: Path, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    in_the_way(directory)
    async with running(directory) as cache:
        assert cache.problem == (
            f"CACHE_DIR cannot be used: {directory} is not a directory; set it to another path"
        )
        assert (cache.leases, cache.state, cache.used) == (None, None, 0)
        assert await cache.find("anything") == []
        await nothing_is_stored(cache)
        before = cache.generation("key")
        remove(directory)
        await until(lambda: cache.problem is None)
        assert cache.leases is not None
        assert cache.generation("key") != before
        await is_stored(cache)
    # One line when it begins and one when it is over, however often it was tried.
    (first, text), second = lines()
    assert first == "WARNING"
    assert text.startswith("nothing is stored: CACHE_DIR cannot be used")
    assert second == ("INFO", f"CACHE_DIR {directory} can be used again")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach."""
    made = Path(tempfile.mkdtemp(prefix="aprp-test-"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    remove(made)


def uses_without_right(pipe: Connection, directory: Path) -> None:
    # Modules of the standard library may be where only root can read them.
    codecs.lookup("ascii")
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)

    async def work() -> None:
        async with running(directory / "cache") as cache:
            await nothing_is_stored(cache)
            pipe.send(cache.problem)
            pipe.recv()
            await until(lambda: cache.problem is None)
            await is_stored(cache)
            pipe.send(cache.problem)

    asyncio.run(work())


def test_a_directory_that_may_not_be_written(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    with Child(uses_without_right, open_directory) as child:
        problem = child.hear()
        assert problem.startswith(f"CACHE_DIR cannot be written: {open_directory}/cache")
        assert "permission denied; give the user that aprp runs as the right" in problem
        open_directory.chmod(0o777)
        child.say("go on")
        assert child.hear() is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("a file system can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@both_loops
async def test_a_read_only_file_system(small_disk: Path) -> None:
    async with running(small_disk / "cache") as cache:
        await is_stored(cache)
    remount(small_disk, "ro")
    async with running(small_disk / "cache") as cache:
        assert cache.problem is not None
        assert "is on a read-only file system" in cache.problem
        await nothing_is_stored(cache)
        remount(small_disk, "rw")
        await until(lambda: cache.problem is None)
        await is_stored(cache)


# The disk is full


@both_loops
async def test_a_disk_that_becomes_full(
    small_disk: Path, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    kept = make_entry(length=SLICE)
    filler = small_disk / "filler"
    async with running(small_disk / "cache") as cache:
        await cache.add(kept)
        await store_extent(cache, kept)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * MIB)
        entry = make_entry("large", length=EXTENT)
        await cache.add(entry)
        with pytest.raises(CannotStore, match="the disk is full: make room for CACHE_DIR"):
            await cache.prepare(entry.id, 0, EXTENT, 0, 60)
        assert cache.problem is not None
        await nothing_is_stored(cache)
        # What is there is served.
        assert await cache.find(kept.key) == [kept]
        extent = cache.extent(kept.id, 0)
        assert extent is not None
        assert bytes(extent.data) == content(SLICE)
        remove(filler)
        await until(lambda: cache.problem is None)
        await is_stored(cache)
        assert cache.used >= disk_use(small_disk / "cache")
    assert [level for level, _ in lines()] == ["WARNING", "INFO"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "the disk is full: make room for CACHE_DIR"),
        (errno.EDQUOT, "the disk quota is used up: make room for CACHE_DIR"),
        (errno.EROFS, "is on a read-only file system"),
        (errno.EIO, "Input/output error"),
    ],
)
@both_loops
async def test_what_allocating_fails_with(
    directory: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    broken = [True]
    fallocate = os.posix_fallocate

    def fails(file: int, offset: int, length: int) -> None:
        if broken[0]:
            raise OSError(number, os.strerror(number))
        fallocate(file, offset, length)

    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        monkeypatch.setattr(os, "posix_fallocate", fails)
        with pytest.raises(CannotStore, match=text):
            await cache.prepare(entry.id, 0, entry.length, 0, 1)
        assert cache.problem is not None
        assert text in cache.problem
        assert await cache.find(entry.key) == [entry]
        broken[0] = False
        await until(lambda: cache.problem is None)
        await store_extent(cache, entry)


@both_loops
async def test_it_is_tried_again_after_some_time(directory: Path) -> None:
    in_the_way(directory)
    async with running(directory, retry=3600.0) as cache:
        remove(directory)
        for _ in range(20):
            await cache._round()
        assert cache.problem is not None
        await nothing_is_stored(cache)


# The directory goes


@both_loops
async def test_a_directory_that_is_removed(
    directory: Path, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    entry = make_entry()
    async with running(directory) as cache:
        await cache.add(entry)
        extent = await store_extent(cache, entry)
        before = cache.generation(entry.key)
        remove(directory)
        # Noticed with the next round, or with the next that is to be stored.
        await until(lambda: cache.generation(entry.key) != before)
        await until(lambda: cache.problem is None)
        assert await cache.find(entry.key) == []
        assert cache.extent(entry.id, 0) is None
        await is_stored(cache)
        assert bytes(extent.data) == content(entry.length)
        assert cache.used == disk_use(directory)
    (level, text), last = lines()
    assert (level, "has been removed: it is made anew" in text) == ("WARNING", True)
    assert last[0] == "INFO"


@both_loops
async def test_a_removed_directory_is_noticed_before_storing(directory: Path) -> None:
    entry = make_entry()
    async with running(directory, period=3600.0) as cache:
        await cache.add(entry)
        remove(directory)
        with pytest.raises(CannotStore, match="has been removed"):
            await cache.prepare(entry.id, 0, entry.length, 0, 1)
        # Nothing was made in its place that nobody watches.
        assert names_in(directory.parent) == []
        assert (cache.state, cache.leases) == (None, None)


@both_loops
async def test_two_processes_and_a_removed_directory(directory: Path) -> None:
    async with running(directory) as one, running(directory) as two:
        await is_stored(one)
        remove(directory)
        before = one.generation("x"), two.generation("x")
        await until(lambda: one.generation("x") != before[0] and two.generation("x") != before[1])
        await until(lambda: one.problem is None and two.problem is None)
        entry = make_entry("after")
        await one.add(entry)
        await store_extent(one, entry)
        assert await two.find("after") == [entry]
        assert two.extent(entry.id, 0) is not None
        assert one.used == two.used == disk_use(directory)
