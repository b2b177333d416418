"""From a request's body to the disk: each piece is written in a thread, while the client waits.

The pieces stay where the kernel put them until they are written: nothing of the body is copied,
and a disk that is slow slows its own client down, and nobody else.
"""

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from aprp.files.upload import Progress, Stored
from aprp.upstream.outgoing import RequestBody


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

    def __init__(self, taker: Taker, executor: Executor) -> None:
        """`executor` is where the disk is waited for."""
        self._taker = taker
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._writing: asyncio.Future[None] | None = None

    async def run(self, body: RequestBody | None) -> Stored | Progress:
        """Take all of a body, None for an empty one, and store it.

        Raises a StoreError, what the body failed with, or Left.
        """
        try:
            # A client that went away before takes its body with it.
            if body is not None and not self._over.done():
                body.attach(self)
            if body is not None or self._over.done():
                await self._over
            # From here on it is stored, whether the client waits for it or not.
            return await self._loop.run_in_executor(self._executor, self._taker.finish)
        finally:
            self.abort()
            if self._writing is not None and not self._writing.done():
                await asyncio.wait((self._writing,))
            await self._loop.run_in_executor(self._executor, self._taker.discard)

    def abort(self) -> None:
        """The client is gone."""
        self.failed(Left())

    # aprp.upstream.outgoing.BodySink

    def write(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Have bytes written."""
        if self._over.done():
            return None
        self._writing = self._loop.run_in_executor(self._executor, self._taker.put, view)
        self._writing.add_done_callback(self._written)
        return self._writing

    def _written(self, writing: "asyncio.Future[None]") -> None:
        if not writing.cancelled() and (error := writing.exception()) is not None:
            self.failed(error)

    def finish(self) -> None:
        """All of it has come."""
        if not self._over.done():
            self._over.set_result(None)

    def failed(self, error: BaseException) -> None:
        """No more of it comes."""
        if not self._over.done():
            self._over.set_exception(error)
            # Nobody may be waiting.
            self._over.exception()
