"""The measurement: scenarios, turns, and the samples they give."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import BenchError
from benchmarks.client import Load
from benchmarks.origin import Ledger, Work, verify
from benchmarks.peers import ROOT, Peer, Place, environment, find_nginx
from benchmarks.peers.nginx import ORIGIN_LOG, origin_config
from benchmarks.processes import Server, cpu_between, free_port, two_cores
from benchmarks.scenarios import FILE_SIZE, GIB, MIB, Kind, Sample, Scenario

FILE_NAME = "film.mp4"
# A proxy may write its log line after the last byte has left: that work belongs to the request.
SETTLE = 0.05
# What the cache of one proxy takes at most in a turn, in sizes of the file, with room to spare.
DISK_NEEDED = 12
# For each byte that will be stored: the kernel does not take just those pages that were used last.
MEMORY_PER_BYTE = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """What all peers of a run share: the file, its origin, two directories, the cores.

    `directory` is in memory where possible, `disk` on the disk that holds the caches. `sink_port`
    and `sink_ledger` are those of the origin that takes uploads.
    """

    directory: Path
    disk: Path
    file: Path
    origin_port: int
    ledger: Ledger
    sink_port: int
    sink_ledger: Ledger
    proxy_core: int
    load_core: int

    def ledger_of(self, kind: Kind) -> Ledger:
        """The account of the origin that has to do with this kind of work."""
        return self.sink_ledger if kind == "upload" else self.ledger

    @contextlib.contextmanager
    def server(self, peer: Peer, kind: Kind = "pass") -> Iterator[Server]:
        """The peer runs inside, with an empty cache, before the origin for this kind of work.

        What it stored on disk is dropped after.
        """
        memory, disk = (
            Path(tempfile.mkdtemp(dir=where, prefix=f"{peer.name}-"))
            for where in (self.directory, self.disk)
        )
        origin_port = self.sink_port if kind == "upload" else self.origin_port
        place = Place(free_port(), origin_port, memory, disk)
        log = memory / "output.log"
        command = peer.command(place)
        try:
            with Server(
                *(peer.name, command, place.port, self.proxy_core, log, environment(), ROOT),
                aside=peer.aside,
            ) as server:
                yield server
        finally:
            empty_files(disk)


def empty_files(directory: Path) -> None:
    """Drop the contents of all files below a directory, and what of them is not on disk yet.

    The files stay until the end of the run: ext4 goes a long way round inodes that were freed in
    the last minutes, and the next proxy that makes many files would pay for that.
    """
    for where, _, names in os.walk(directory):
        for path in (Path(where, name) for name in names):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)


def prime_memory(size: int) -> None:
    """Touch `size` bytes of free memory, so that the next to use as much find it backed.

    A virtual machine may return free memory to its host; a page's first use after that costs
    several times its copying, and what a store costs would depend on what ran before it. Takes no
    more than half of the free memory.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with mmap.mmap(-1, max(mmap.PAGESIZE, min(size, free // 2))) as memory:
        for place in range(0, len(memory), mmap.PAGESIZE):
            memory[place] = 1


def _write_file(path: Path, size: int) -> None:
    """Random bytes: an answer with bytes of another place must not look right."""
    with path.open("wb") as file:
        for place in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - place)))


def _memory_directory(size: int) -> str | None:
    """A file system in memory with room for the run, or None for the usual temporary place."""
    shm = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2 * size:
            return str(shm)
    return None


@contextlib.contextmanager
def stage(disk: Path, size: int = FILE_SIZE) -> Iterator[Stage]:
    """The origin runs inside, with a file of `size` bytes; all is ended and removed at the end.

    Caches are kept below `disk`. Raises BenchError where it has too little room.
    """
    needed = DISK_NEEDED * size
    if shutil.disk_usage(disk).free < needed:
        raise BenchError(
            f"{disk} has less than {needed / GIB:.1f} GiB free: name another directory with --disk"
        )
    proxy_core, load_core = two_cores()
    with (
        tempfile.TemporaryDirectory(prefix="aprp-bench-", dir=_memory_directory(size)) as name,
        tempfile.TemporaryDirectory(prefix="aprp-bench-", dir=disk) as caches,
    ):
        directory = Path(name)
        root, own = directory / "www", directory / "origin"
        root.mkdir()
        own.mkdir()
        file = root / FILE_NAME
        _write_file(file, size)
        port = free_port()
        config = own / "nginx.conf"
        config.write_text(origin_config(own, port, root))
        command = [find_nginx(), "-c", str(config)]
        ledger = Ledger(own / ORIGIN_LOG)
        sink_port, sink_log = free_port(), own / "sink.log"
        sink = [sys.executable, "-m", "benchmarks.sink"]
        sink += ["--port", str(sink_port), "--log", str(sink_log)]
        with (
            Server("the origin", command, port, load_core, own / "output.log"),
            Server("the sink", sink, sink_port, load_core, own / "sink-output.log", cwd=ROOT),
        ):
            yield Stage(
                *(directory, Path(caches), file, port, ledger),
                *(sink_port, Ledger(sink_log), proxy_core, load_core),
            )


def _load(on: Stage, server: Server, scenario: Scenario, count: int, seed: int) -> Load:
    return Load(scenario, count, file=on.file, port=server.port, core=on.load_core, seed=seed)


@contextlib.contextmanager
def _told(server: Server, scenario: Scenario) -> Iterator[None]:
    """Problems inside are told with the names of both and what the server printed."""
    try:
        yield
    except BenchError as problem:
        raise BenchError(
            f"{server.name}, {scenario.title}: {problem}; it printed: {server.last_words()}"
        ) from problem


def fill(on: Stage, server: Server, scenario: Scenario) -> None:
    """Have the proxy fetch the whole file once, so that everything after can be a hit."""
    whole = replace(scenario, kind="hit", size=on.file.stat().st_size, connections=1, warmup=1)
    with _told(server, scenario), _load(on, server, whole, 0, seed=0):
        pass


def measure(
    on: Stage,
    server: Server,
    peer: Peer,
    scenario: Scenario,
    count: int,
    turn: int,
    around: contextlib.AbstractContextManager[object] | None = None,
) -> Sample:
    """Warm the proxy up, check its bytes, give it the work and read its CPU clocks around it.

    The measured work is done inside `around`. Raises BenchError for a wrong answer, and where the
    origin had to do more or less than the kind of work means.
    """
    with _told(server, scenario), _load(on, server, scenario, count, seed=1000 * turn) as load:
        if scenario.kind == "miss":
            prime_memory(MEMORY_PER_BYTE * count * scenario.size)
        time.sleep(SETTLE)
        ledger = on.ledger_of(scenario.kind)
        before, cpu_before = ledger.total(), server.cpu()
        with around or contextlib.nullcontext():
            done = load.go_on()
            time.sleep(SETTLE)
        cpu = cpu_between(cpu_before, server.cpu())
        asked = Work(done.requests, done.bytes)
        fetched = ledger.since(before, 0 if scenario.kind == "hit" else done.bytes)
        verify(scenario.kind, asked, fetched, peer.slice_size)
        if scenario.kind == "miss":
            # A miss that was not stored would be cheaper than it may be.
            before = ledger.total()
            load.go_on()
            time.sleep(SETTLE)
            verify("hit", asked, ledger.since(before), peer.slice_size)
    return Sample(
        *(turn, server.name, scenario.name, done.requests, done.bytes, done.seconds, cpu),
        *(fetched.requests, fetched.bytes),
    )


def _by_origin(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """The scenarios that one server can be measured with: uploads have an origin of their own."""
    parts = [
        [scenario for scenario in scenarios if (scenario.kind == "upload") == uploads]
        for uploads in (False, True)
    ]
    return [part for part in parts if part]


def run(
    peers: Sequence[Peer],
    scenarios: Sequence[Scenario],
    turns: int,
    quick: bool,
    disk: Path,
    say: Callable[[str], None],
) -> list[Sample]:
    """All samples of a run: each turn starts every peer anew, one after the other.

    Raises BenchError at the first wrong answer or peer that does not start.
    """
    samples = []
    with stage(disk) as on:
        for turn in range(1, turns + 1):
            for peer in peers:
                own = [scenario for scenario in scenarios if peer.works(scenario.kind)]
                said = []
                for part in _by_origin(own):
                    with on.server(peer, part[0].kind) as server:
                        if any(scenario.kind == "hit" for scenario in part):
                            fill(on, server, part[0])
                        for scenario in part:
                            count = scenario.quick_count if quick else scenario.count
                            sample = measure(on, server, peer, scenario, count, turn)
                            samples.append(sample)
                            said.append(f"{scenario.name} {sample.value(scenario.unit):.3g}")
                if said:
                    say(f"turn {turn}/{turns}  {peer.name:<12} {'   '.join(said)}")
    if not samples:
        raise BenchError("none of these peers does any of these scenarios")
    return samples
