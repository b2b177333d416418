"""Forked workers for tests of shared memory."""

import os
from collections.abc import Callable


def in_worker(work: Callable[[], object]) -> int:
    """Do the work in a forked child; give its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    """Wait for a child; give its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
