"""Worker processes: forks them, starts them anew when they die, stops them.

The parent waits for signals one at a time, blocked otherwise, so that none comes between two of
its steps. The workers hear of a stop, and of files to be read again, through a pipe each: a service
manager or a terminal sends its signal to the whole group, and a worker would take the parent's
second-hand one for a second request.
"""

import contextlib
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final

_log = logging.getLogger("aprp")

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
RELOAD_SIGNAL: Final = signal.SIGHUP
OWN_SIGNALS: Final = STOP_SIGNALS | {RELOAD_SIGNAL}
_SIGNALS: Final = OWN_SIGNALS | {signal.SIGCHLD}

# What is said to a worker.
STOP: Final = b"."
RELOAD: Final = b"r"

# A worker that lives for less than this died of its start, in seconds.
_SHORT_LIFE: Final = 1.0
_MOST_SHORT_LIVES: Final = 10


class _Worker:
    """A child: its number, the write end of its pipe, and when it began."""

    __slots__ = ("number", "pipe", "started")

    def __init__(self, number: int, pipe: int) -> None:
        self.number = number
        self.pipe = pipe
        self.started = time.monotonic()


class Supervisor:
    """Keeps `count` workers running until SIGTERM or SIGINT.

    `work(number, control)` is a worker's life: its value is the worker's exit code, `control`
    the read end of a pipe on which STOP says drain, and a second one or the end says stop.
    `cleared` is called with the number of a worker that is gone, `stopping` when no worker will
    be started any more. A second signal stops the workers at once. On SIGHUP `reload` is called;
    where it returns true, each worker is told RELOAD, and one that is forked later finds what
    `reload` did in its memory.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int, int], int],
        cleared: Callable[[int], None],
        stopping: Callable[[], None],
        reload: Callable[[], bool],
    ) -> None:
        self._count = count
        self._work = work
        self._cleared = cleared
        self._tell_stopping = stopping
        self._reload = reload
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}
        self._stopping = False
        self._short_lives = 0
        self._failed = False

    def run(self) -> int:
        """Run until every worker has ended, and return the exit code.

        SIGTERM, SIGINT, SIGHUP and SIGCHLD stay blocked afterwards: there is nothing left to stop.
        """
        # Where it is ignored, which is inherited (SIGHUP by nohup), nobody hears of it.
        for heard in (signal.SIGCHLD, RELOAD_SIGNAL):
            signal.signal(heard, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number in range(self._count):
            self._fork(number)
        while self._workers or self._due:
            number_of_signal = self._next_signal()
            if number_of_signal in STOP_SIGNALS:
                self._stop()
            elif number_of_signal == RELOAD_SIGNAL and not self._stopping and self._reload():
                self._tell(RELOAD)
            self._reap()
            self._fork_due()
        return 1 if self._failed else 0

    def _next_signal(self) -> int | None:
        """Wait for a signal, or for the time to start a worker; None for the latter."""
        if not self._due:
            return signal.sigwaitinfo(_SIGNALS).si_signo
        left = max(min(self._due.values()) - time.monotonic(), 0.0)
        told = signal.sigtimedwait(_SIGNALS, left)
        return None if told is None else told.si_signo

    def _fork(self, number: int) -> None:
        control, pipe = os.pipe()
        pid = os.fork()
        if pid:
            os.close(control)
            self._workers[pid] = _Worker(number, pipe)
            return
        code = 1
        try:
            for ignored in OWN_SIGNALS:
                signal.signal(ignored, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(pipe)
            for sibling in self._workers.values():
                os.close(sibling.pipe)
            code = self._work(number, control)
        except BaseException:
            # The worker is a process of its own: nothing above may run twice.
            traceback.print_exc()
        finally:
            # Output that nobody takes is no reason to live on as a second parent.
            with contextlib.suppress(Exception):
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Take note of the workers that have ended; several may share a signal."""
        for pid, worker in list(self._workers.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._workers[pid]
            os.close(worker.pipe)
            self._cleared(worker.number)
            if not self._stopping:
                self._replace(worker, status)

    def _replace(self, worker: _Worker, status: int) -> None:
        ended = how(os.waitstatus_to_exitcode(status))
        now = time.monotonic()
        short = now - worker.started < _SHORT_LIFE
        self._short_lives = self._short_lives + 1 if short else 0
        if self._short_lives >= _MOST_SHORT_LIVES:
            _log.error("workers end as soon as they start (%s); giving up", ended)
            self._failed = True
            self._stop()
            return
        _log.error("worker %d ended (%s); starting another", worker.number, ended)
        self._due[worker.number] = now + min(0.1 * self._short_lives, _SHORT_LIFE)

    def _fork_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._fork(number)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._due.clear()
            self._tell_stopping()
        self._tell(STOP)

    def _tell(self, what: bytes) -> None:
        for worker in self._workers.values():
            # One that has just ended has no reader; `_reap` will see it.
            with contextlib.suppress(BrokenPipeError):
                os.write(worker.pipe, what)


def how(code: int) -> str:
    """Say how a process ended: with an exit code, or by a signal, whose number is below zero."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        # One that has no name, as the real-time signals.
        return f"signal {-code}"
