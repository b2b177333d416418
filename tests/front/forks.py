"""Workers as the program has them: forked processes, driven by the test one step at a time."""

import mmap
import os
import signal
import struct
from collections.abc import Callable
from typing import Any


class SharedClock:
    """A clock of all processes that stands still until it is set."""

    def __init__(self, now: float = 1000.0) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.set(now)

    def set(self, now: float) -> None:
        struct.pack_into("d", self._memory, 0, now)

    def __call__(self) -> float:
        now: float = struct.unpack_from("d", self._memory)[0]
        return now


class Worker:
    """A forked process that does `step(n)` for each n it is told, and tells the result back."""

    def __init__(self, begin: Callable[[], Callable[[int], int]]) -> None:
        told, self._tell = os.pipe()
        self._hear, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._tell)
                os.close(self._hear)
                step = begin()
                while order := os.read(told, 4):
                    os.write(answers, struct.pack("i", step(*struct.unpack("i", order))))
            finally:
                os._exit(0)
        os.close(told)
        os.close(answers)

    def tell(self, number: int) -> None:
        """Begin a step."""
        os.write(self._tell, struct.pack("i", number))

    def hear(self) -> int:
        """The result of the step; it fails if the worker died of it."""
        result: int = struct.unpack("i", os.read(self._hear, 4))[0]
        return result

    def do(self, number: int) -> int:
        self.tell(number)
        return self.hear()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.pid:
            os.close(self._tell)
            self._tell = -1
            self._reap()

    def _reap(self) -> None:
        os.waitpid(self.pid, 0)
        self.pid = 0
        for descriptor in (self._tell, self._hear):
            if descriptor >= 0:
                os.close(descriptor)


def all_at_once(workers: list[Worker], number: int) -> list[int]:
    """Have all of them do the same step together."""
    for worker in workers:
        worker.tell(number)
    return [worker.hear() for worker in workers]
