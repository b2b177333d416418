"""Worker processes: forks them, starts them anew when they die, stops them.

The workers hear of a stop through a pipe each, not by signals: a service manager or a terminal
sends its signal to the whole group, and a worker would take the parent's second-hand one for a
second request.
"""

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Final

_log = logging.getLogger("aprp")

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})

# A worker that lives for less than this died of its start, in seconds.
_SHORT_LIFE = 1.0
_MOST_SHORT_LIVES = 10


class _Worker:
    """A child: its process id, its number, and the write end of its pipe."""

    __slots__ = ("number", "pid", "pipe", "started")

    def __init__(self, number: int, pid: int, pipe: int) -> None:
        self.number = number
        self.pid = pid
        self.pipe = pipe
        self.started = time.monotonic()


def supervise(
    count: int, run: Callable[[int, int | None], int], cleared: Callable[[int], None]
) -> int:
    """Keep `count` workers running until SIGTERM or SIGINT, and return the exit code.

    `run(number, control)` is a worker's life; its value is the worker's exit code. `cleared`
    is called with the number of a worker that is gone. A second signal stops them at once.
    """
    return _Supervisor(count, run, cleared).run()


class _Supervisor:
    def __init__(
        self, count: int, run: Callable[[int, int | None], int], cleared: Callable[[int], None]
    ) -> None:
        self._count = count
        self._run_worker = run
        self._cleared = cleared
        self._workers: dict[int, _Worker] = {}
        self._stopping = False
        self._short_lives = 0

    def run(self) -> int:
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        for index in range(self._count):
            self._fork(index)
        failed = False
        while self._workers:
            pid, status = os.wait()
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue
            os.close(worker.pipe)
            self._cleared(worker.number)
            if self._stopping:
                continue
            if time.monotonic() - worker.started < _SHORT_LIFE:
                self._short_lives += 1
            else:
                self._short_lives = 0
            _log.error("worker %d ended (%s); starting another", worker.number, _how(status))
            if self._short_lives >= _MOST_SHORT_LIVES:
                _log.error("workers end as soon as they start; giving up")
                failed = True
                self._stop()
                continue
            if self._short_lives:
                time.sleep(min(0.1 * self._short_lives, _SHORT_LIFE))
            if not self._stopping:
                self._fork(worker.number)
        # One that comes now has nothing left to stop.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        return 1 if failed else 0

    def _fork(self, number: int) -> None:
        control, pipe = os.pipe()
        # A signal between the fork and the worker's own handling must not run the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        pid = os.fork()
        if pid:
            os.close(control)
            self._workers[pid] = _Worker(number, pid, pipe)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            return
        for ignored in STOP_SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        code = 1
        try:
            os.close(pipe)
            for sibling in self._workers.values():
                os.close(sibling.pipe)
            code = self._run_worker(number, control)
        except BaseException:
            # The worker is a process of its own: nothing above may run twice.
            traceback.print_exc()
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._workers.values():
            try:
                os.write(worker.pipe, b".")
            except BrokenPipeError:
                # It has just ended; the wait will tell.
                continue


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
