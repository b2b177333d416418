"""Small bodies of requests, read whole."""

import asyncio

from aprp.front.wire import ClientGone
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange


async def read_small(exchange: Exchange, most: int) -> bytes:
    """Read the request's body, b"" where it has none; raises Problem 413, BodyFailed, ClientGone.

    most: bytes that it may have.
    """
    body = exchange.body
    if body is None:
        return b""
    if body.length is not None and body.length > most:
        raise _too_large(most)
    collected = _Collected(most)
    exchange.work = collected
    body.attach(collected)
    try:
        return await collected.done
    finally:
        body.detach()
        exchange.work = None


class _Collected:
    """Takes a body as it comes."""

    def __init__(self, most: int) -> None:
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._most = most
        self._data = bytearray()

    def write(self, view: memoryview) -> "asyncio.Future[None] | None":
        self._data += view[: max(self._most + 1 - len(self._data), 0)]
        if len(self._data) > self._most:
            self.failed(_too_large(self._most))
        return None

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(bytes(self._data))

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def abort(self) -> None:
        self.failed(ClientGone())


def _too_large(most: int) -> Problem:
    return Problem(413, f"The request's body is larger than {most} bytes.")
