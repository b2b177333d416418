"""A process that kills the backend if the development proxy itself is killed (kill -9).

It is forked from the proxy before that has threads, waits for the end of a pipe, and knows the
backend's process group. Where the proxy ends as it should, there is nothing left to do for it.
"""

import contextlib
import fcntl
import os
import signal
import struct
from typing import Final

_NUMBER: Final = struct.Struct("=q")
_HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)

_FIRST_AFTER_STANDARD: Final = 3
# No descriptor is as high as this so early.
_DESCRIPTORS: Final = 1 << 16


class Guard:
    """The pipe to the process that waits; `pid` is that process."""

    def __init__(self) -> None:
        """Fork it; to be called before there are threads or an event loop."""
        ours, self._pipe = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._pipe)
            _wait(ours)
        os.close(ours)

    def watch(self, group: int) -> None:
        """Kill this process group if this process ends; 0: none."""
        # Where somebody has killed the guard, the proxy works on without.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, _NUMBER.pack(group))

    def close(self) -> None:
        """End it; a group that it was told of and that is still there is killed."""
        os.close(self._pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _wait(pipe: int) -> None:
    """The life of the process; does not return."""
    try:
        os.setsid()
        for number in _HEARD:
            signal.signal(number, signal.SIG_IGN)
        # Where the proxy was started without a standard input the pipe has one of its numbers.
        pipe = fcntl.fcntl(pipe, fcntl.F_DUPFD_CLOEXEC, _FIRST_AFTER_STANDARD)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(_FIRST_AFTER_STANDARD):
            os.dup2(nothing, descriptor)
        # Above all the sockets that listen: whoever holds one keeps its port taken.
        os.closerange(_FIRST_AFTER_STANDARD, pipe)
        os.closerange(pipe + 1, _DESCRIPTORS)
        group = 0
        while told := os.read(pipe, _NUMBER.size):
            (group,) = _NUMBER.unpack(told)
        if group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)
