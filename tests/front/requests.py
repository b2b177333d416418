"""Requests of clients as bytes, and an application that takes its time with their bodies."""

import asyncio
import random

from tests.front.apps import Request, Served

GET = b"GET /film?a=%20 HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nX: 1\r\nX: 2\r\n\r\n"
SOURCE = random.Random(7).randbytes(8 << 20)


def get(target: str, *lines: str) -> bytes:
    """A GET."""
    return "\r\n".join((f"GET {target} HTTP/1.1", "Host: h", *lines, "", "")).encode()


def post(target: str, body: bytes, *lines: str) -> bytes:
    """A POST whose body has a Content-Length."""
    head = get(target, f"Content-Length: {len(body)}", *lines).replace(b"GET", b"POST", 1)
    return head + body


def post_chunked(target: str, *chunks: bytes) -> bytes:
    """A POST whose body comes in these chunks."""
    head = get(target, "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (*chunks, b""))


class Slow:
    """Takes pieces one by one, when it is told to, and sees that they stay as they are."""

    def __init__(self, s: Served) -> None:
        self.arrived: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self.views: list[tuple[memoryview, bytes]] = []
        self.waiting: asyncio.Future[None] | None = None
        s.app.take = self.take

    def take(self, request: Request, view: memoryview) -> "asyncio.Future[None]":
        assert self.waiting is None or self.waiting.done(), "one at a time"
        request.body += view
        self.views.append((view, bytes(view)))
        self.waiting = asyncio.get_running_loop().create_future()
        self.arrived.put_nowait(self.waiting)
        return self.waiting

    def done_with(self, waiting: "asyncio.Future[None]") -> None:
        """Be done with the last piece."""
        view, was = self.views[-1]
        assert bytes(view) == was
        waiting.set_result(None)
