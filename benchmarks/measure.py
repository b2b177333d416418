"""The measurement: scenarios, turns, and the samples they give."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.peers import ROOT, Peer, Place, environment, find_nginx
from benchmarks.peers.nginx import origin_config
from benchmarks.processes import Server, cpu_between, free_port, pinned, two_cores

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
FILE_SIZE = 320 * MIB
FILE_NAME = "film.mp4"
# A proxy may write its log line after the last byte has left: that work belongs to the request.
SETTLE = 0.05


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of work: `count` ranges of `size` bytes over some keep-alive connections."""

    name: str
    title: str
    size: int
    connections: int
    warmup: int
    count: int
    quick_count: int
    unit: str  # "us/request" or "s/GiB"


SCENARIOS = (
    Scenario("1k", "1 KiB ranges", KIB, 8, 200, 8000, 2000, "us/request"),
    Scenario("64k", "64 KiB ranges", 64 * KIB, 8, 200, 6000, 1500, "us/request"),
    Scenario("1m", "1 MiB ranges", MIB, 8, 40, 1000, 200, "us/request"),
    Scenario("large", "256 MiB ranges", 256 * MIB, 1, 1, 4, 1, "s/GiB"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One peer's work in one scenario of one turn.

    `seconds` is the time it took by the clock, `cpu` the proxy's CPU time in seconds.
    """

    turn: int
    peer: str
    scenario: str
    requests: int
    bytes: int
    seconds: float
    cpu: float

    def value(self, unit: str) -> float:
        """CPU time in the scenario's unit."""
        if unit == "s/GiB":
            return self.cpu / (self.bytes / GIB)
        return self.cpu / self.requests * 1e6


@dataclass(frozen=True, slots=True)
class Stage:
    """What all peers of a run share: the file, its origin, a directory, the cores."""

    directory: Path
    file: Path
    origin_port: int
    proxy_core: int
    load_core: int

    def server(self, name: str, command: Callable[[Place], list[str]], cwd: Path = ROOT) -> Server:
        """A peer that is ready to be started, in a directory of its own."""
        place = Place(free_port(), self.origin_port, Path(tempfile.mkdtemp(dir=self.directory)))
        log = place.directory / "output.log"
        argv = command(place)
        return Server(name, argv, place.port, self.proxy_core, log, environment(), cwd)


def _write_file(path: Path) -> None:
    """Random bytes: an answer with bytes of another place must not look right."""
    with path.open("wb") as file:
        for _ in range(FILE_SIZE // (16 * MIB)):
            file.write(os.urandom(16 * MIB))


def _memory_directory() -> str | None:
    """A file system in memory with room for the run, or None for the usual temporary place."""
    shm = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2 * FILE_SIZE:
            return str(shm)
    return None


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """The origin runs inside; everything is ended and removed at the end."""
    proxy_core, load_core = two_cores()
    with tempfile.TemporaryDirectory(prefix="aprp-bench-", dir=_memory_directory()) as name:
        directory = Path(name)
        root, own = directory / "www", directory / "origin"
        root.mkdir()
        own.mkdir()
        file = root / FILE_NAME
        _write_file(file)
        port = free_port()
        config = own / "nginx.conf"
        config.write_text(origin_config(own, port, root))
        command = [find_nginx(), "-c", str(config)]
        with Server("the origin", command, port, load_core, own / "output.log"):
            yield Stage(directory, file, port, proxy_core, load_core)


def _load_command(on: Stage, port: int, scenario: Scenario, count: int, seed: int) -> list[str]:
    return [
        *(sys.executable, "-m", "benchmarks.load", "--port", str(port), "--path", f"/{FILE_NAME}"),
        *("--file", str(on.file), "--size", str(scenario.size), "--count", str(count)),
        *("--warmup", str(scenario.warmup), "--connections", str(scenario.connections)),
        *("--seed", str(seed)),
    ]


def measure(on: Stage, server: Server, scenario: Scenario, count: int, turn: int) -> Sample:
    """Warm the proxy up, check its bytes, give it the work and read its CPU clocks around it."""
    command = _load_command(on, server.port, scenario, count, seed=1000 * turn)
    with pinned(on.load_core):
        load = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
    with load:
        assert load.stdin is not None
        assert load.stdout is not None
        try:
            # The load generator ends by itself when its deadline passes: no line waits for ever.
            line = load.stdout.readline()
            if line == "ready\n":
                time.sleep(SETTLE)
                before = server.cpu()
                load.stdin.write("go\n")
                load.stdin.flush()
                line = load.stdout.readline()
                time.sleep(SETTLE)
                cpu = cpu_between(before, server.cpu())
        finally:
            load.kill()
    done = json.loads(line) if line else {"error": "the load generator ended without a word"}
    if "error" in done:
        raise BenchError(
            f"{server.name}, {scenario.title}: {done['error']}; it printed: {server.last_words()}"
        )
    return Sample(turn, server.name, scenario.name, **done, cpu=cpu)


def run(
    peers: Sequence[Peer],
    scenarios: Sequence[Scenario],
    turns: int,
    quick: bool,
    say: Callable[[str], None],
) -> list[Sample]:
    """All samples of a run: each turn starts every peer anew, one after the other.

    Raises BenchError at the first wrong answer or peer that does not start.
    """
    samples = []
    with stage() as on:
        for turn in range(1, turns + 1):
            for peer in peers:
                said = []
                with on.server(peer.name, peer.command) as server:
                    for scenario in scenarios:
                        count = scenario.quick_count if quick else scenario.count
                        sample = measure(on, server, scenario, count, turn)
                        samples.append(sample)
                        said.append(f"{scenario.name} {sample.value(scenario.unit):.3g}")
                say(f"turn {turn}/{turns}  {peer.name:<12} {'   '.join(said)}")
    return samples
