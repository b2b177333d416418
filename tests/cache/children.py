"""Processes that tests talk with through a pipe, and kill."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

# The children come from a process without threads, which has the modules loaded already.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["aprp.cache.extent", "aprp.cache.state", "aprp.cache.leases"])
# A child that says nothing for so many seconds is a failure.
_PATIENCE = 30


class Child:
    """A process that runs `work(pipe, *arguments)`; it is killed at the end of the block."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=work, args=(theirs, *arguments))
        self._process.start()
        theirs.close()

    def hear(self) -> Any:
        """Wait for what the child says next; EOFError if it has ended."""
        assert self._pipe.poll(_PATIENCE), "the child says nothing"
        return self._pipe.recv()

    def say(self, what: object) -> None:
        self._pipe.send(what)

    def kill(self) -> None:
        self._process.kill()
        self._process.join(_PATIENCE)

    def wait(self) -> int | None:
        """Wait for the child's end and give its exit code: negative for a signal."""
        self._process.join(_PATIENCE)
        return self._process.exitcode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()
        self._process.close()
        self._pipe.close()


__all__ = ["Child", "Connection"]
