"""What an open dashboard costs: the CPU time of requests with a stream of events and without.

`python -m benchmarks.dashboard` starts aprp with a file in its cache, and has it
serve ranges of it, in turns: without anybody who looks, and with one open /stats/events. It prints
the CPU time of all its processes for a request of either kind, the ratio as the median over the
turns, and what an open stream costs while nothing else happens. docs/dashboard.md says what to
expect.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.client import Load
from benchmarks.peers import ROOT
from benchmarks.processes import Server, cpu_between, free_port, two_cores
from benchmarks.scenarios import KIB, MIB, Scenario

_FILE_SIZE = 64 * MIB
_TARGET = 1.05
# A proxy may write its log line after the last byte has left; and a look lasts for some seconds.
_SETTLE = 0.05
_LOOK_LASTS = 3.5
_IDLE = 5.0


@dataclass(frozen=True, slots=True)
class Turn:
    """CPU seconds of the requests of one turn, with nobody who looks and with a stream."""

    alone: float
    watched: float

    @property
    def ratio(self) -> float:
        """How much more the second is."""
        return self.watched / self.alone


@contextlib.contextmanager
def looking(port: int) -> Iterator[None]:
    """Somebody reads the events meanwhile, from the first of them on."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /stats/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        connection.settimeout(10)
        if b" 200 " not in connection.recv(65536).partition(b"\r\n")[0]:
            raise BenchError("the proxy gives no events")

        def read() -> None:
            with contextlib.suppress(OSError):
                while connection.recv(1 << 20):
                    pass

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            reader.join()


def fill(port: int, file: Path) -> None:
    """Have all of the file in the cache."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", f"/{file.name}")
        answer = connection.getresponse()
        if answer.status != 200 or len(answer.read()) != _FILE_SIZE:
            raise BenchError(f"the proxy does not give the file: {answer.status}")


def measured(server: Server, load: Load) -> float:
    """The CPU time of one part of the load."""
    before = server.cpu()
    load.go_on()
    time.sleep(_SETTLE)
    return cpu_between(before, server.cpu())


def one_turn(server: Server, scenario: Scenario, file: Path, core: int, seed: int) -> Turn:
    """Requests of both kinds; which comes first changes from turn to turn."""

    def load() -> Load:
        count = scenario.count
        return Load(scenario, count, file=file, port=server.port, core=core, seed=seed)

    def alone() -> float:
        with load() as ready:
            time.sleep(_LOOK_LASTS)
            return measured(server, ready)

    def watched() -> float:
        with load() as ready, looking(server.port):
            # As long as without: what lies idle gets cold.
            time.sleep(_LOOK_LASTS)
            return measured(server, ready)

    if seed % 2:
        return Turn(alone(), watched())
    second = watched()
    return Turn(alone(), second)


def idle_cost(server: Server) -> float:
    """CPU seconds that a second of an open stream takes while nothing else happens."""

    def cost() -> float:
        time.sleep(_LOOK_LASTS)
        before, begun = server.cpu(), time.monotonic()
        time.sleep(_IDLE)
        lasted = time.monotonic() - begun
        return cpu_between(before, server.cpu()) / lasted

    alone = cost()
    with looking(server.port):
        return cost() - alone


def run(turns: int, requests: int, size: int, workers: int) -> float:
    """Print the figures; give the ratio. Raises BenchError."""
    proxy_core, load_core = two_cores()
    with tempfile.TemporaryDirectory(prefix="aprp-dashboard-") as name:
        directory = Path(name)
        media = directory / "media"
        media.mkdir()
        file = media / "film.mp4"
        file.write_bytes(os.urandom(MIB) * (_FILE_SIZE // MIB))
        port = free_port()
        command = [sys.executable, str(ROOT / "runserver.py"), "--port", str(port)]
        command += ["--settings", "settings.production", "--address", "127.0.0.1"]
        command += ["--upstream", "embedded", "--media-dir", str(media), "--workers", str(workers)]
        command += ["--cache-dir", str(directory / "cache"), "--cache-size", "1G"]
        command += ["--log-file", str(directory / "aprp.log")]
        scenario = Scenario(
            "dashboard", "hits", "hit", size, 8, 200, requests, requests, "us/request"
        )
        log = directory / "output.log"
        with Server("aprp", command, port, proxy_core, log, cwd=directory) as server:
            fill(port, file)
            # What happens for the first time costs more.
            one_turn(server, scenario, file, load_core, turns)
            found = []
            for turn in range(turns):
                found.append(one_turn(server, scenario, file, load_core, turn))
                alone, watched = (
                    each / requests * 1e6 for each in (found[-1].alone, found[-1].watched)
                )
                print(f"turn {turn + 1}: {alone:.1f} and {watched:.1f} us a request", flush=True)
            idle = idle_cost(server)
    ratio = statistics.median(turn.ratio for turn in found)
    print(
        f"{requests} requests of {size} bytes: {ratio:.3f} times the CPU with an open dashboard "
        f"(median of {turns} turns, at most {_TARGET}); {idle * 1e3:.2f} ms of CPU for a second "
        "of it while nothing else happens"
    )
    return ratio


def main() -> int:
    """Entry point; the exit status is 1 where the ratio is above what it may be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--size", type=int, default=64 * KIB, help="bytes of a range")
    parser.add_argument("--workers", type=int, default=1, help="with more, figures scatter more")
    given = parser.parse_args()
    try:
        return 0 if run(given.turns, given.requests, given.size, given.workers) <= _TARGET else 1
    except BenchError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
