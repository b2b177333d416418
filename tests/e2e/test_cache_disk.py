"""Full and broken disks, and the bound on what the cache takes."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.caching import (
    MIB,
    SLICE,
    begin,
    disk_use,
    get_range,
    get_whole,
    in_threads,
)
from tests.e2e.clients import fetch
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy, StartProxy

SMALL = 65536
"""The smallest slice: an extent of 64 of them is 4 MiB."""


@contextlib.contextmanager
def mounted(directory: Path, size: int) -> Iterator[Callable[[str], None]]:
    """Mount a file system of so many bytes; gives a function that remounts it with options."""
    directory.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")

    def remount(options: str) -> None:
        subprocess.run(("mount", "-o", f"remount,{options}", str(directory)), check=True)

    try:
        yield remount
    finally:
        subprocess.run(("umount", "-l", str(directory)), check=True)


def check_served(proxy: Proxy, source: FaultOrigin) -> None:
    """Check that files are served, by all the ways there are, stored or not."""
    file = source.add(6 * SLICE + 3)
    get_whole(proxy, file)
    get_whole(proxy, file)
    get_range(proxy, file, SLICE - 5, 3 * SLICE)
    plain = source.add(2 * SLICE)
    plain.ranges = False
    get_whole(proxy, plain)
    get_range(proxy, plain, SLICE, SLICE + 100)
    in_threads([lambda: get_whole(proxy, file)] * 6)


def problem(proxy: Proxy) -> str | None:
    """What /stats tells of why nothing is stored."""
    told = proxy.stats()["cache"]
    assert told["storing"] is (told["problem"] is None)
    found: str | None = told["problem"]
    return found


def test_a_directory_that_cannot_be_made(source: FaultOrigin, start_proxy: StartProxy) -> None:
    # Not even root may write there.
    proxy = start_proxy("--upstream", source.url, cache=Path("/sys/aprp-cache"))
    check_served(proxy, source)
    told = problem(proxy)
    assert told is not None and "/sys/aprp-cache" in told
    assert "/sys/aprp-cache" in proxy.log()
    assert "Not storing" in proxy.get("/stats?format=html").body.decode()
    assert fetch(proxy.url, "/film.mp4", "PURGE").status == 503


def test_a_disk_that_is_full(source: FaultOrigin, tmp_path: Path, start_proxy: StartProxy) -> None:
    with mounted(tmp_path / "disk", 5 * MIB):
        proxy = start_proxy("--upstream", source.url, cache=tmp_path / "disk" / "cache")
        small = source.add(SLICE)
        get_whole(proxy, small)
        assert problem(proxy) is None
        large = source.add(20 * MIB)
        for _ in range(2):
            get_whole(proxy, large)
        check_served(proxy, source)
        assert "the disk is full" in proxy.log()
        told = problem(proxy)
        assert told is not None and "the disk is full" in told
        assert proxy.stop() == 0


def test_a_disk_that_becomes_read_only(
    source: FaultOrigin, tmp_path: Path, start_proxy: StartProxy
) -> None:
    with mounted(tmp_path / "disk", 64 * MIB) as remount:
        cache = tmp_path / "disk" / "cache"
        flags = ("--upstream", source.url, "--read-ahead", "0")
        stored = source.add(3 * SLICE)
        writing = start_proxy(*flags, cache=cache)
        get_whole(writing, stored)
        assert writing.stop() == 0
        remount("ro")
        proxy = start_proxy(*flags, cache=cache)
        check_served(proxy, source)
        get_whole(proxy, stored)
        told = problem(proxy)
        assert told is not None and str(cache) in told
        assert proxy.stop() == 0


def test_a_directory_that_is_removed(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, cache=True)
    file, running = source.add(3 * SLICE), source.add(24 * MIB)
    get_whole(proxy, file)
    get_range(proxy, running, 0, MIB)
    with begin(proxy, running) as reader:
        assert running.body().matches(0, reader.read(2 * MIB))
        shutil.rmtree(proxy.cache_dir)
        rest = reader.read(running.size - 2 * MIB)
        assert len(rest) == running.size - 2 * MIB and running.body().matches(2 * MIB, rest)
    check_served(proxy, source)
    get_whole(proxy, file)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_size_of_the_cache_holds(
    source: FaultOrigin, start_proxy: StartProxy, workers: str
) -> None:
    most, extent = 24 * MIB, 64 * SMALL
    flags = ("--slice-size", str(SMALL), "--cache-size", str(most), "--workers", workers)
    proxy = start_proxy("--upstream", source.url, *flags, cache=True)
    # The index has its own files, beside those that hold the bytes.
    bound = most + extent * int(workers) + 4 * MIB
    kept = source.add(6 * MIB)
    with begin(proxy, kept, receive_buffer=4096) as slow:
        place = 0
        for _ in range(20):
            files = [source.add(3 * MIB + 5) for _ in range(3)]
            in_threads([lambda file=file: get_whole(proxy, file) for file in files])  # type: ignore[misc]
            piece = slow.read(200_000)
            assert kept.body().matches(place, piece)
            place += len(piece)
            assert disk_use(proxy.cache_dir) <= bound
        # Its extents were evicted under the reader, or not: it goes on.
        assert kept.body().matches(place, slow.read(kept.size - place))
    told = proxy.stats()["cache"]
    assert told["problem"] is None
    assert told["size"]["bytes"] == most
    # What was read last is there.
    before = len(files[-1].served)
    get_whole(proxy, files[-1])
    assert len(files[-1].served) == before
