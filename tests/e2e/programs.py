"""Programs that the tests drive: found, started, awaited, stopped, their output kept."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Self

import pytest

from tests.e2e.starter import Started

PATIENCE = 20.0
"""Seconds after which something that should have happened counts as never happening."""

# nginx is in a directory that is not on the PATH of ordinary users.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def require(name: str) -> str:
    """Return a program's path; without it the test is skipped, where CI=true it fails."""
    path = shutil.which(name, path=_PATH)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed, and CI=true")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings for aprp and without proxies for clients."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("APRP_")
        and name != "ASYNC_PROXY_SERVER_PORT"
        and not name.lower().endswith("_proxy")
    }
    return kept | {"PATH": _PATH, "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | more


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program to its end; the caller looks at its exit code."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment() if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for what no event tells of, such as another process's state; fails after `patience`."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {patience:g} s: {what}")
        time.sleep(0.01)


class Program:
    """A program that runs until it is stopped; what it prints is kept.

    In a `with` block it is stopped at the end: SIGTERM, and after a while SIGKILL.
    """

    def __init__(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.command = [str(word) for word in command]
        self.process = self._start(cwd, environment() if env is None else env, pass_fds)
        self.pid = self.process.pid
        self._changed = threading.Condition()
        assert self.process.stdout is not None and self.process.stderr is not None
        self._streams = {"stdout": self.process.stdout, "stderr": self.process.stderr}
        self._lines: dict[str, list[str]] = {name: [] for name in self._streams}
        self._readers = [
            threading.Thread(target=self._read, args=item, daemon=True)
            for item in self._streams.items()
        ]
        for reader in self._readers:
            reader.start()

    def _start(
        self, cwd: Path | None, env: Mapping[str, str], pass_fds: tuple[int, ...]
    ) -> "subprocess.Popen[str] | Started":
        return subprocess.Popen(
            self.command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )

    def _read(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self._lines[name].append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return "\n".join(self._lines["stdout"])

    @property
    def stderr(self) -> str:
        """What it has written to its standard error so far."""
        return "\n".join(self._lines["stderr"])

    def wait_line(self, pattern: str, name: str = "stdout") -> re.Match[str]:
        """Wait for a line that matches; fails with the output if the program ends before."""
        deadline = time.monotonic() + PATIENCE
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[name][seen:]:
                    if match := re.search(pattern, line):
                        return match
                seen = len(self._lines[name])
                over = not any(reader.is_alive() for reader in self._readers)
                if over or time.monotonic() > deadline:
                    pytest.fail(f"no line {pattern!r} from {self}")
                # A reader's end is told before it is dead: look again soon.
                self._changed.wait(0.1)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {patience:g} s: {self}")
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """Stop it, if it has not ended yet, and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.wait()
        for stream in self._streams.values():
            stream.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def __str__(self) -> str:
        code = self.process.poll()
        state = "running" if code is None else f"exit code {code}"
        return f"{' '.join(self.command)} ({state})\n{self.stdout}\n{self.stderr}"


def state(pid: int) -> str:
    """The letter of a process's state, such as T for stopped; empty where there is none."""
    return _stat(pid)[0]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    return state(pid) not in ("", "Z")


def children(pid: int) -> list[int]:
    """The process ids of a process's children that are alive."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted(child for child in found if _stat(child)[1] == str(pid) and alive(child))


def _stat(pid: int) -> tuple[str, str]:
    """State and parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    # pid (name) state ppid ...; the name may hold anything.
    state, parent, *_ = text.rpartition(")")[2].split()
    return state, parent


def anonymous_memory(pid: int) -> int:
    """The process's resident memory that is backed by no file, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None, status
    return int(match[1]) * 1024


def socket_buffers(ways: str = "rw") -> int:
    """How much the kernel may hold in a connection's buffers, in bytes, and a bit more.

    `ways`: r for a socket's receive buffer, w for its send buffer.
    """
    limits = [Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text().split()[2] for way in ways]
    return sum(map(int, limits)) + (4 << 20)


def takes_nothing(port: int) -> bool:
    """Whether the other end of a connection at a local port takes nothing more.

    The kernel then asks it from time to time for room: its probe timer runs (proc_net_tcp).
    """
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[5].startswith("04:") for row in rows)
