"""From a request's body to the disk: it is written in a thread, a block at a time.

Large pieces stay where the kernel put them until they are written, while the client waits: nothing
of them is copied. Small ones, as chunked bodies and slow clients have them, are joined first: to
change threads costs more than to copy them. A disk that is slow slows its own client down, and
nobody else.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from aprp.files.upload import Progress, Stored
from aprp.upstream.outgoing import RequestBody

BLOCK: Final = 512 << 10
"""Pieces are joined to at most so many bytes; those of half of it and more are not copied."""

SOON: Final = 0.02
"""So long joined pieces wait for more of them, in seconds."""

T = TypeVar("T")


class Taker(Protocol):
    """Who writes a body; every method waits for the disk, and may raise a StoreError."""

    def put(self, view: memoryview) -> None:
        """Take the next bytes."""

    def finish(self) -> Stored | Progress:
        """The body is complete."""

    def discard(self) -> None:
        """Leave nothing behind that is of no use."""


class Left(Exception):
    """The client went away before all of the body had come."""


class Receiving:
    """One body on its way to the disk: the sink of a RequestBody, and the work of an exchange."""

    def __init__(self, taker: Taker, executor: Executor, block: int = BLOCK) -> None:
        """`executor` is where the disk is waited for; `block` is as BLOCK."""
        self._taker = taker
        self._executor = executor
        self._block = block
        self._loop = asyncio.get_running_loop()
        # Something is to be written, or no more comes.
        self._due = asyncio.Event()
        self._over = False
        self._error: BaseException | None = None
        # Small pieces are joined in here; of these bytes, `_begin` to `_end` are to be written.
        self._joined: memoryview | None = None
        self._begin = self._end = 0
        self._timer: asyncio.TimerHandle | None = None
        # A piece that is behind all of them, and what its owner waits for.
        self._piece: memoryview | None = None
        self._taken: asyncio.Future[None] | None = None
        self._working: asyncio.Future[Any] | None = None

    async def run(self, body: RequestBody | None) -> Stored | Progress:
        """Take all of a body, None for an empty one, and store it.

        Raises a StoreError, what the body failed with, or Left.
        """
        try:
            # A client that went away before takes its body with it.
            if body is None:
                self.finish()
            elif not self._over:
                body.attach(self)
            while not self._over or self._something_is_there():
                await self._due.wait()
                self._due.clear()
                await self._write()
            if self._error is not None:
                raise self._error
            # From here on it is stored, whether the client waits for it or not.
            return await self._in_thread(self._taker.finish)
        finally:
            self.abort()
            if self._working is not None and not self._working.done():
                await asyncio.wait((self._working,))
            self._let_go()
            await self._in_thread(self._taker.discard)

    def abort(self) -> None:
        """The client is gone."""
        self.failed(Left())

    def _something_is_there(self) -> bool:
        return self._begin < self._end or self._piece is not None

    async def _write(self) -> None:
        """Write what has come; raises a StoreError."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        views: list[memoryview] = []
        if self._joined is not None and self._begin < self._end:
            views.append(self._joined[self._begin : self._end])
            self._begin = self._end
        if self._piece is not None:
            views.append(self._piece)
            self._piece = None
        if views:
            await self._in_thread(partial(self._put, views))
        if self._begin == self._end:
            self._begin = self._end = 0
        if self._piece is None:
            self._let_go()

    def _put(self, views: list[memoryview]) -> None:
        for view in views:
            self._taker.put(view)

    def _let_go(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None and not taken.done():
            taken.set_result(None)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # Whoever cancels this does not end the thread: it is waited for before `discard`.
        working = self._loop.run_in_executor(self._executor, work)
        self._working = working
        await asyncio.wait((working,))
        return working.result()

    # aprp.upstream.outgoing.BodySink

    def write(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Have bytes written, soon or at once."""
        if self._over:
            return None
        if len(view) < self._block // 2 and self._end + len(view) <= self._block:
            self._join(view)
            return None
        self._piece = view
        self._taken = self._loop.create_future()
        self._due.set()
        return self._taken

    def _join(self, view: memoryview) -> None:
        if self._joined is None:
            self._joined = memoryview(bytearray(self._block))
        stop = self._end + len(view)
        self._joined[self._end : stop] = view
        self._end = stop
        if self._timer is None:
            self._timer = self._loop.call_later(SOON, self._due.set)

    def finish(self) -> None:
        """All of it has come."""
        self._over = True
        self._due.set()

    def failed(self, error: BaseException) -> None:
        """No more of it comes; what has come is of use where it is one of several parts."""
        if not self._over:
            self._error = error
            self.finish()
