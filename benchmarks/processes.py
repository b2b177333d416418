"""Starting, pinning, watching and ending the processes of a run. Linux only: it reads /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks import BenchError

START_TIMEOUT = 15.0
STOP_TIMEOUT = 5.0
_CPUCLOCK_SCHED = 2


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def two_cores() -> tuple[int, int]:
    """The core for the proxy under test and the core for origin and load generator.

    They are the same one on a machine with a single core.
    """
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1], cores[0]


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes started inside inherit this core, with all their threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def stat_fields(pid: int) -> list[str] | None:
    """What follows the name in /proc/<pid>/stat, see proc(5); None: no such process."""
    try:
        # The name in parentheses may contain anything, also spaces and parentheses.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_tick(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None where it has ended."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def parents() -> dict[int, int]:
    """Process id -> parent's id, for every process that can be seen."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := stat_fields(int(entry.name))) is not None:
            found[int(entry.name)] = int(fields[1])
    return found


def family(root: int, parent_of: dict[int, int]) -> list[int]:
    """The process and its descendants, sorted by id."""
    members = {root}
    while True:
        more = {pid for pid, parent in parent_of.items() if parent in members} - members
        if not more:
            return sorted(members)
        members |= more


def command_line(pid: int) -> str:
    """The arguments of a process, or the title it has given itself; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, also of threads that have ended.

    This is the kernel's CPU clock of another process (see clock_getcpuclockid(3)), in nanoseconds.
    Where a sandbox does not offer it: /proc/<pid>/stat, in ticks of mostly 10 ms.
    """
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        fields = stat_fields(pid)
        if fields is None:
            raise BenchError(f"process {pid} ended while measuring") from None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Server:
    """A program of the run that listens on a port; a context manager that starts and ends it.

    Entering raises BenchError with the end of its output where it does not come up. On leaving it
    gets SIGTERM, and what is left of it and its children after STOP_TIMEOUT is killed by id.
    Processes with `aside` in their command line (if it is not empty) are not counted.
    """

    name: str
    command: list[str]
    port: int
    core: int
    log: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    aside: str = ""
    process: subprocess.Popen[bytes] | None = None
    _output: IO[bytes] | None = None

    def __enter__(self) -> Server:
        """Start it on its core and wait until it accepts a connection."""
        self._output = self.log.open("wb")
        try:
            with pinned(self.core):
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=subprocess.STDOUT,
                    cwd=self.cwd,
                    env=self.env,
                )
            self._wait_until_listening()
        except OSError as problem:
            self.stop()
            raise BenchError(f"{self.name} cannot be started: {problem}") from problem
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.stop()

    def _wait_until_listening(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self.process.poll() is not None:
                raise BenchError(
                    f"{self.name} ended at its start, status {self.process.returncode}: "
                    f"{self.last_words()}"
                )
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{self.name} does not listen on port {self.port} after "
                    f"{START_TIMEOUT:.0f} s: {self.last_words()}"
                )
            time.sleep(0.02)

    def last_words(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace").strip()[-800:] or "(no output)"

    def pids(self) -> list[int]:
        """Its process and all descendants."""
        assert self.process is not None
        return family(self.process.pid, parents())

    def cpu(self) -> dict[int, float]:
        """CPU seconds so far of each of its processes."""
        counted = self.pids()
        if self.aside:
            counted = [pid for pid in counted if self.aside not in command_line(pid)]
        return {pid: cpu_seconds(pid) for pid in counted}

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what remains; does nothing the second time."""
        if self.process is not None:
            children = {pid: start_tick(pid) for pid in self.pids() if pid != self.process.pid}
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for pid, born in children.items():
                # The same id with another time of birth would be a stranger's process.
                if born is not None and start_tick(pid) == born:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            self.process = None
        if self._output is not None:
            self._output.close()
            self._output = None


def cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU seconds spent between two readings of the same processes.

    Raises BenchError where a process came or went: its time would be lost or counted twice.
    """
    if before.keys() != after.keys():
        raise BenchError(f"processes changed while measuring: {sorted(before)} -> {sorted(after)}")
    return sum(after[pid] - before[pid] for pid in before)
