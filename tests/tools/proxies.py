"""A small HTTP server that stands where the proxy would: each path answers as a test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 20.0
"""Seconds after which a test that waits for something has failed."""

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Looks up the answer for a path, and notes what was asked."""

    protocol_version = "HTTP/1.1"
    server: "Proxy"

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        self.server.answers[self.path](self)

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at what was asked instead."""


class Proxy(ThreadingHTTPServer):
    """`answers` by path; `asked` has method, path and fields of each request, as they came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Proxy]:
    """Serve on a free port of loopback until the block ends."""
    with Proxy() as proxy:
        # Looked at between two requests: how soon the end is noticed.
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def answers(status: int, body: bytes = b"", **fields: str) -> Answer:
    """A whole answer; `_` in the names of fields stands for `-`."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def chunked(*pieces: bytes) -> Answer:
    """An answer whose length is not told before."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in (*pieces, b""):
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    return answer


def breaks_off(told: int, body: bytes) -> Answer:
    """An answer that ends before it has as many bytes as were told."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(told))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return answer


def together(count: int) -> Answer:
    """Answers that come only when so many are wanted at the same time."""
    barrier = threading.Barrier(count)

    def answer(handler: Handler) -> None:
        barrier.wait(PATIENCE)
        answers(200, b"x")(handler)

    return answer
