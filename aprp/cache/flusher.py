"""Writes what was stored to the disk, behind the writers and in a thread.

Bytes that come from an origin are written into mapped pages. If the kernel gets more dirty pages
than the disk can take, it stops whoever dirties another one: here, the event loop. So the process
writes them out itself, and knows how many are not on the disk yet.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aprp.cache.extent import Extent

__all__ = ["Flusher"]


@dataclass(slots=True)
class _Run:
    """Bytes of an extent to be written out."""

    extent: Extent
    begin: int
    stop: int


class Flusher:
    """A queue of what is to be written, in the order in which it came; lives on one event loop."""

    def __init__(self, limit: int, failed: Callable[[OSError], None]) -> None:
        """Write one after the other.

        limit: dirty bytes (DIRTY_LIMIT) beyond which `full` says so.
        failed: told of what cannot be written; the slices concerned are forgotten.
        """
        self.limit = limit
        self.dirty = 0
        """Bytes given to `put` that are not on the disk yet."""
        self._failed = failed
        self._waiting: deque[_Run] = deque()
        self._running: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "aprp-cache-flush")

    @property
    def full(self) -> bool:
        """Whether no more should be dirtied now."""
        return self.dirty > self.limit

    def put(self, extent: Extent, begin: int, stop: int) -> None:
        """Have bytes of an extent written."""
        self.dirty += stop - begin
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.extent is extent and last.stop == begin:
            last.stop = stop
        else:
            self._waiting.append(_Run(extent, begin, stop))
        if self._running is None:
            self._next()

    def _next(self) -> None:
        run = self._waiting.popleft()
        work = asyncio.get_running_loop().run_in_executor(self._thread, _write, run)
        self._running = work
        work.add_done_callback(lambda done: self._written(run, done))

    def _written(self, run: _Run, done: "asyncio.Future[None]") -> None:
        self.dirty -= run.stop - run.begin
        self._running = None
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, OSError):
            self._failed(error)
        elif error is not None:
            raise error
        if self._waiting:
            self._next()

    async def close(self) -> None:
        """Wait for what is being written; the kernel writes the rest in its own time."""
        self._waiting.clear()
        self.dirty = 0
        if self._running is not None:
            await asyncio.wait([self._running])
        self._thread.shutdown()


def _write(run: _Run) -> None:
    if run.extent.gone:
        return
    try:
        run.extent.write_out(run.begin, run.stop)
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror, str(run.extent.path)) from error
