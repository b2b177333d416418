"""The cache over restarts, kills, full and broken disks, its bound, and ranges sent to amplify."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caching import (
    MIB,
    SLICE,
    begin,
    cache_status,
    get_range,
    get_whole,
)
from tests.e2e.clients import Connection
from tests.e2e.fault_files import File
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import PATIENCE, alive, wait_until
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced

SMALL = 65536
"""The smallest slice: an extent of 64 of them is 4 MiB."""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_restart_keeps_what_is_stored(
    source: FaultOrigin, tmp_path: Path, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", source.url, "--workers", workers, "--read-ahead", "0")
    whole, part = source.add(5 * SLICE + 1), source.add(9 * SLICE)
    first = start_proxy(*flags, cache=tmp_path / "cache")
    get_whole(first, whole)
    get_range(first, part, SLICE, 3 * SLICE)
    assert first.stop() == 0
    before = (len(whole.served), len(part.served))
    again = start_proxy(*flags, cache=tmp_path / "cache")
    reply = get_whole(again, whole)
    assert "hit" in cache_status(reply) and reply.get("ETag") == '"v1"'
    get_range(again, part, SLICE + 5, 3 * SLICE - 5)
    assert (len(whole.served), len(part.served)) == before
    get_whole(again, part)
    part.wait_quiet()
    assert part.sent == part.size


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_in_the_middle_of_fills(
    source: FaultOrigin, tmp_path: Path, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", source.url, "--workers", workers)
    files = [file for file in cold_files(source, 5) if file.shape == "sized"]
    first = start_proxy(*flags, cache=tmp_path / "cache")
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(begin(first, file)) for file in files]
        for file, reader in zip(files, readers, strict=True):
            assert file.body().matches(0, reader.read(SLICE))
        # It ends in good order: DRAIN_TIMEOUT is short, and the answers are cut off.
        assert first.stop() == 0
        for file, reader in zip(files, readers, strict=True):
            rest = reader.read_all()
            assert len(rest) < file.size - SLICE and file.body().matches(SLICE, rest)
    check_everything(start_proxy(*flags, cache=tmp_path / "cache"), files)


class Clients:
    """Clients that read ranges of files at random, and check each byte, until they are stopped.

    An answer may end early, and there may be none: what they talk to is killed. What comes of an
    answer is right.
    """

    def __init__(self, files: list[File], count: int) -> None:
        self.port = 0
        self._files = files
        self._stopped = threading.Event()
        self.errors: list[BaseException] = []
        self.checked = 0
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop; raises what went wrong."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self.errors:
            raise self.errors[0]

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        while not self._stopped.is_set():
            try:
                self._read(chance)
            except OSError:
                # Killed, and not there again yet.
                self._stopped.wait(0.01)
            except BaseException as error:
                self.errors.append(error)
                return

    def _read(self, chance: random.Random) -> None:
        file = chance.choice(self._files)
        start = chance.randrange(file.size)
        stop = min(start + chance.choice((1000, SMALL, 10 * SMALL)), file.size)
        with Connection(self.port) as connection:
            connection.ask(file.path, f"Range: bytes={start}-{stop - 1}")
            try:
                reply = connection.read_head()
            except AssertionError:
                # Closed in the head.
                return
            assert (reply.status, reply.get("ETag")) == (206, '"v1"')
            body = connection.read(stop - start)
        assert file.body().matches(start, body), (file.path, start, len(body))
        self.checked += len(body)


@contextlib.contextmanager
def clients(files: list[File], count: int = 4) -> Iterator[Clients]:
    """Clients that read as long as the block runs."""
    reading = Clients(files, count)
    yield reading
    reading.stop()


def kill_all(proxy: Proxy) -> None:
    """Kill the program with all its workers, which have no time to do anything."""
    proxy.expect_faults()
    workers = proxy.workers()
    for pid in (proxy.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    proxy.wait()
    wait_until(lambda: not any(map(alive, workers)), "the workers are gone")


def cold_files(source: FaultOrigin, count: int, size: int = 8 * MIB) -> list[File]:
    """Files that come slowly enough for a kill in the middle of a fill."""
    files = [source.add(size + 11) for _ in range(count)]
    for file in files:
        file.rate = 8 * MIB
    # Streams too, of a length that is known and of one that is not.
    files[0].ranges = files[1].ranges = False
    files[1].shape = "chunked"
    return files


def check_everything(proxy: Proxy, files: list[File]) -> None:
    """Read every byte of every file: what is stored, and what is missing."""
    for file in files:
        file.rate = None
        with begin(proxy, file) as reader:
            # Before all else: what there is of it is right.
            if file.shape == "sized":
                assert file.body().matches(0, reader.read(file.size))
        get_whole(proxy, file)
        before = len(file.served)
        get_whole(proxy, file)
        assert len(file.served) == before


def test_no_wrong_byte_after_kills_of_everything(
    source: FaultOrigin, tmp_path: Path, start_proxy: StartProxy
) -> None:
    cache = tmp_path / "cache"
    flags = ("--upstream", source.url, "--slice-size", str(SMALL), "--retry-backoff", "1ms")
    files = cold_files(source, 6)
    for number in range(15):
        proxy = start_proxy(*flags, "--workers", "2" if number % 3 == 0 else "1", cache=cache)
        with clients(files) as reading:
            reading.port = proxy.port
            sent = sum(file.sent for file in files)
            more = random.Random(number).randrange(SMALL, 20 * SMALL)
            wait_until(
                lambda sent=sent, more=more: sum(file.sent for file in files) > sent + more,  # type: ignore[misc]
                "a fill is under way",
            )
            kill_all(proxy)
    check_everything(start_proxy(*flags, cache=cache), files)


def test_no_wrong_byte_after_kills_of_workers(source: FaultOrigin, start_proxy: StartProxy) -> None:
    # So many that none dies young, which the parent would take for a fault of its start.
    flags = ("--slice-size", str(SMALL), "--workers", "6", "--retry-backoff", "1ms")
    proxy = start_proxy("--upstream", source.url, *flags, cache=True)
    wait_until(lambda: len(proxy.workers()) == 6, "six workers run")
    files = cold_files(source, 10)
    oldest = proxy.workers()
    with clients(files, 8) as reading:
        reading.port = proxy.port
        for _ in range(35):
            checked = reading.checked
            born = time.monotonic()
            victim = oldest.pop(0)
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: victim not in proxy.workers(), "it is gone")  # type: ignore[misc]
            wait_until(lambda: len(proxy.workers()) == 6, "another takes its place")
            oldest += [pid for pid in proxy.workers() if pid not in oldest]
            wait_until(
                lambda checked=checked, born=born: (  # type: ignore[misc]
                    reading.checked > checked and time.monotonic() > born + 0.18
                ),
                "clients get on",
            )
    check_everything(proxy, files)


def test_another_worker_takes_over_the_fill_of_one_that_is_killed(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--upstream", source.url, "--workers", "2", "--parallel-fetches", "1")
    proxy = start_proxy(*flags, cache=True)
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    victim, other = proxy.workers()
    file = source.add(24 * MIB)
    file.rate = 8 * MIB
    with contextlib.ExitStack() as stack:
        with only(proxy, victim):
            first = stack.enter_context(begin(proxy, file))
        with only(proxy, other):
            second = stack.enter_context(begin(proxy, file))
        for reader in (first, second):
            assert file.body().matches(0, reader.read(4 * MIB))
        assert file.at_once == 1
        os.kill(victim, signal.SIGKILL)
        place, longest = 4 * MIB, 0.0
        while place < file.size:
            before = time.monotonic()
            piece = second.read(65536)
            longest = max(longest, time.monotonic() - before)
            assert piece and file.body().matches(place, piece)
            place += len(piece)
    wait_replaced(proxy, victim)
    assert longest < 1.5
    # What the dead one had is there: no more than a slice, and what was under way, comes twice.
    assert file.sent <= file.size + 4 * SLICE
