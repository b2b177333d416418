"""Hits of others while one client reads a film: from the disk, or as fast as memory allows."""

import ctypes
import mmap
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.caching import MIB, get_whole
from tests.e2e.clients import Connection, fetch
from tests.e2e.content import PROJECT
from tests.e2e.fault_files import File
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import Program, wait_until
from tests.e2e.servers import Proxy, StartProxy

TURNS = 12
FEWEST_TURNS = 4
STEP = 32 * MIB
PART = 24 * MIB
"""What is read from the disk in each turn, a step after the last: no page of it is in memory."""
FILM = TURNS * STEP
HIT = 64 * 1024
PACE = 40_000_000
"""Bytes a second: a client on a good line, and several times what any film needs."""

_libc = ctypes.CDLL(None, use_errno=True)


class Hits:
    """A client that asks for one range of 64 KiB after another and takes the times, in seconds."""

    def __init__(self, proxy: Proxy, file: File) -> None:
        self.times: list[float] = []
        self._file = file
        self._connection = Connection(proxy.port)
        self._stopped = threading.Event()
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; raises what went wrong."""
        self._stopped.set()
        self._thread.join()
        self._connection.close()
        if self._errors:
            raise self._errors[0]

    def p99(self) -> float:
        """The time that one of a hundred took longer than, in seconds."""
        return sorted(self.times)[len(self.times) * 99 // 100]

    def _run(self) -> None:
        try:
            count = self._file.size // HIT
            while not self._stopped.is_set():
                start = len(self.times) % count * HIT
                self.times.append(self._hit(start))
        except BaseException as error:
            self._errors.append(error)

    def _hit(self, start: int) -> float:
        begun = time.perf_counter()
        self._connection.ask(self._file.path, f"Range: bytes={start}-{start + HIT - 1}")
        reply = self._connection.read_head()
        body = self._connection.read(HIT)
        took = time.perf_counter() - begun
        assert reply.status == 206 and len(body) == HIT
        return took


@contextmanager
def hits(proxy: Proxy, file: File) -> Iterator[Hits]:
    """Hits as long as the block runs."""
    client = Hits(proxy, file)
    try:
        yield client
    finally:
        client.stop()


def resident(path: Path) -> int:
    """How many pages of a file are in memory; the kernel tells those who may write it."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        place = ctypes.c_char.from_buffer(mapped)
        failed = _libc.mincore(
            ctypes.c_void_p(ctypes.addressof(place)), ctypes.c_size_t(len(mapped)), pages
        )
        # The mapping cannot be undone while something points into it.
        del place
        assert not failed, os.strerror(ctypes.get_errno())
        return sum(page & 1 for page in pages)


def make_cold(cache: Path) -> None:
    """Have the kernel forget the pages of all extents, which no process may have mapped."""
    extents = [path for path in (cache / "extents").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in extents) > FILM
    for path in extents:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if any(map(resident, extents)):
        pytest.skip("the pages of this file system are always in memory")


def waits_for_disk(proxy: Proxy) -> int:
    """How often the thread of the event loop has waited for a page to come from the disk."""
    text = Path(f"/proc/{proxy.pid}/task/{proxy.pid}/stat").read_text()
    # Major faults are the twelfth field (proc_pid_stat(5)); the second, in brackets, may hold any.
    return int(text.rpartition(")")[2].split()[12 - 3])


def read(proxy: Proxy, file: File, start: int, stop: int, rate: int) -> None:
    """Let a client in another process read a range of a file at a pace."""
    module = ("-m", "tests.e2e.paced_reader")
    words = (proxy.port, file.path, start, stop - 1, rate)
    with Program(sys.executable, *module, *map(str, words), cwd=PROJECT) as client:
        assert client.wait() == 0, str(client)
        assert client.stdout == str(stop - start)


@pytest.fixture
def cold(source: FaultOrigin, start_proxy: StartProxy, tmp_path: Path) -> tuple[Proxy, File, File]:
    """A proxy that was started on a cache without a page in memory; a film, and a small file."""
    film, small = source.add(FILM), source.add(4 * MIB)
    first = start_proxy("--upstream", source.url, cache=tmp_path / "cache")
    for file in (film, small):
        assert len(fetch(first.url, file.path).body) == file.size
    first.wait_idle()
    # What a process has mapped stays in memory.
    assert first.stop() == 0
    make_cold(tmp_path / "cache")
    proxy = start_proxy("--upstream", source.url, cache=tmp_path / "cache")
    get_whole(proxy, small)
    return proxy, film, small


def test_a_read_from_the_disk_does_not_hold_up_the_hits_of_others(
    cold: tuple[Proxy, File, File],
) -> None:
    proxy, film, small = cold
    assert not proxy.workers()
    before, waits = len(film.served), waits_for_disk(proxy)
    for turn in range(2):
        with hits(proxy, small) as client:
            read(proxy, film, turn * STEP, turn * STEP + PART, 0)
        assert client.times
    assert len(film.served) == before
    # Disks are quick and slow: on any of them it is not the loop that waits.
    assert waits_for_disk(proxy) <= waits + 2


@pytest.mark.skipif(os.environ.get("APRP_LONG") != "1", reason="measures: APRP_LONG=1")
def test_what_hits_take_beside_a_read_from_the_disk(cold: tuple[Proxy, File, File]) -> None:
    proxy, film, small = cold
    usual, beside = [], []
    # The best turns say what the program does, the others what else the machine did.
    for turn in range(TURNS):
        with hits(proxy, small) as client:
            wait_until(lambda client=client: len(client.times) >= 2000, "hits")  # type: ignore[misc]
        usual.append(client.p99())
        with hits(proxy, small) as client:
            read(proxy, film, turn * STEP, turn * STEP + PART, PACE)
        # With fewer, one wait of the machine's own would be the figure.
        if len(client.times) >= 400:
            beside.append(client.p99())
        if turn + 1 >= FEWEST_TURNS and beside and min(beside) < 2 * min(usual):
            break
    assert beside and min(beside) < 2 * min(usual), (usual, beside)


def test_a_client_as_fast_as_memory_leaves_the_others_their_turns(
    cold: tuple[Proxy, File, File],
) -> None:
    proxy, film, small = cold
    read(proxy, film, 0, FILM, 0)
    shares = []
    for _ in range(FEWEST_TURNS):
        begun = time.monotonic()
        with hits(proxy, small) as client:
            read(proxy, film, 0, FILM, 0)
        shares.append(max(client.times) / (time.monotonic() - begun))
    # Whoever waited for the film's end would wait for nearly all of it: the reader's start apart.
    assert min(shares) < 0.2, shares
