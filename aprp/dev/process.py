"""The backend as a process: started in a group of its own, read, killed with all it has started."""

import asyncio
import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from aprp.dev.output import STDERR, STDOUT, Console, Tail
from aprp.workers import how

_READ_AT_ONCE: Final = 64 << 10
# Between two looks at whether all of a group has ended, in seconds.
_FIRST_LOOK: Final = 0.002
_LAST_LOOK: Final = 0.05
# After so long it is said that something does not end, in seconds.
_LONG: Final = 5.0
# How long the end of the output is waited for when all has ended, in seconds.
_OUTPUT_PATIENCE: Final = 0.5

_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> bool:
    """Become the parent of what descendants leave behind, so that it can be found and killed.

    So even a process that has left the backend's group is found. Linux alone; elsewhere it is
    False, and a process that leaves the group is left alone.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    return bool(library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


class Process:
    """A running backend. `tail` has the last of its output."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        console: Console,
        spared: Collection[int] | None,
    ) -> None:
        """Start it; raises OSError where that is not possible.

        `spared`: children of this process that are not the backend's, where `adopt_orphans` was
        true; None where it was not called.
        """
        self._loop = asyncio.get_running_loop()
        self._console = console
        self._spared = spared
        self.tail = Tail()
        self._popen = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Away from the terminal's Ctrl+C, and a group that can be killed as a whole.
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._ended = asyncio.Event()
        self._read = asyncio.Event()
        self._stop_reading, self._stopped = os.pipe()
        self._deadline: float | None = None
        # Their ends are waited for as events; the threads end with the process.
        for target in (self._wait, self._read_all):
            threading.Thread(target=target, name="backend", daemon=True).start()

    async def ended(self) -> str:
        """Wait until the process itself has ended, and say how."""
        await self._ended.wait()
        return how(self._popen.returncode)

    def kill(self, graceful: float) -> None:
        """Kill the group; with `graceful`, SIGTERM comes so many seconds before."""
        if graceful > 0 and self._deadline is None:
            self._deadline = self._loop.time() + graceful
            self._signal(signal.SIGTERM)
            self._loop.call_later(graceful, self._signal, signal.SIGKILL)
        else:
            self._deadline = self._loop.time()
            self._signal(signal.SIGKILL)

    async def bury(self) -> None:
        """Wait for the process, kill what it has left behind, and wait until nothing is left.

        What was told to end with SIGTERM has its time for it.
        """
        await self._ended.wait()
        began, delay, told = self._loop.time(), _FIRST_LOOK, False
        while not self._is_over():
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, _LAST_LOOK)
            if not told and self._loop.time() - max(began, self._deadline or 0.0) > _LONG:
                told = True
                self._console.say(f"process group {self.pid} does not end; waiting for it", "bad")
        await self._take_leave_of_output()

    def kill_now(self) -> None:
        """Kill all of it, without waiting for anything."""
        self._deadline = self._loop.time()
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError: macOS, for a group whose last member is not waited for yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _is_over(self) -> bool:
        if self._deadline is None or self._loop.time() >= self._deadline:
            self._signal(signal.SIGKILL)
            for orphan in self._orphans():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(orphan, signal.SIGKILL)
        return not self._reap() and not self._group_lives()

    def _reap(self) -> bool:
        """Wait for what was adopted and has ended; whether anything adopted is left."""
        left = False
        for orphan in self._orphans():
            with contextlib.suppress(ChildProcessError):
                ended, _ = os.waitpid(orphan, os.WNOHANG)
                left = left or not ended
        return left

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            # On macOS only what has ended is left; elsewhere another user's process (sudo).
            return sys.platform != "darwin"
        return True

    def _orphans(self) -> list[int]:
        """Children of this process that it did not start: what the backend has left behind."""
        if self._spared is None:
            return []
        return [pid for pid in _children() if pid not in self._spared and pid != self.pid]

    async def _take_leave_of_output(self) -> None:
        """Read what is still there; somebody who holds the pipe open is not waited for."""
        os.close(self._stopped)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OUTPUT_PATIENCE):
                await self._read.wait()

    # Threads.

    def _wait(self) -> None:
        self._popen.wait()
        self._tell(self._ended)

    def _read_all(self) -> None:
        assert self._popen.stdout is not None and self._popen.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ, STDOUT)
            selector.register(self._popen.stderr, selectors.EVENT_READ, STDERR)
            selector.register(self._stop_reading, selectors.EVENT_READ, None)
            open_streams, stopping = 2, False
            while open_streams:
                ready = [key for key, _ in selector.select(0 if stopping else None)]
                if stopping and not ready:
                    break
                for key in ready:
                    if key.data is None:
                        stopping = True
                        selector.unregister(key.fd)
                    elif not self._take(key.fd, key.data):
                        selector.unregister(key.fileobj)
                        open_streams -= 1
        self._popen.stdout.close()
        self._popen.stderr.close()
        os.close(self._stop_reading)
        self._tell(self._read)

    def _take(self, descriptor: int, meant_for: int) -> bool:
        data = os.read(descriptor, _READ_AT_ONCE)
        self.tail.feed(data)
        self._console.pass_on(meant_for, data)
        return bool(data)

    def _tell(self, event: asyncio.Event) -> None:
        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(event.set)


def _children() -> list[int]:
    """The children of this process, those that have ended among them; Linux alone."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found
