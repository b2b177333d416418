"""WebSocket servers for a proxy to stand before: of the websockets package, and Tornado's."""

import asyncio
import base64
import contextlib
import http
import ssl
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from tests.e2e.programs import PATIENCE

PROTOCOLS = (Subprotocol("chat.v2"), Subprotocol("chat.v1"))

KEY = base64.b64encode(bytes(range(16))).decode()
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)
"""The lines of a request that asks for WebSocket."""


class Echo:
    """Sends back what it gets. What each path does beside that:

    `/bye` closes with 4001 at the first message, `/silent` says nothing, `/forbidden` is a page
    with 403, `/flood` sends without end. `requests` are those that came, `closed` the codes and
    reasons with which connections ended, in that order.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.requests: list[Request] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self.ended = threading.Semaphore(0)
        self._server: Server = serve(
            self._talk,
            "127.0.0.1",
            0,
            ssl=tls,
            select_subprotocol=_select,
            process_request=self._look,
            max_size=None,
            ping_interval=None,
        )
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def wait_closed(self) -> tuple[int | None, str | None]:
        """Wait for the end of a connection; with what code and reason it was closed."""
        assert self.ended.acquire(timeout=PATIENCE), "no connection has ended"
        return self.closed[-1]

    def close(self) -> None:
        """Accept no more."""
        self._server.shutdown()
        self._thread.join(PATIENCE)

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if request.path.startswith("/forbidden"):
            return connection.respond(http.HTTPStatus.FORBIDDEN, "not for you\n")
        return None

    def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path
        try:
            if path == "/flood":
                while True:
                    connection.send(bytes(65536))
            for message in connection:
                if path == "/bye":
                    connection.close(4001, "enough")
                elif path != "/silent":
                    connection.send(message)
        except ConnectionClosed:
            # How it ended is looked at below.
            assert connection.protocol.close_exc is not None
        self.closed.append((connection.close_code, connection.close_reason))
        self.ended.release()


def _select(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The server's own order decides; it does without where none of its is offered."""
    return next((ours for ours in PROTOCOLS if ours in offered), None)


@contextlib.contextmanager
def echo_server(tls: ssl.SSLContext | None = None) -> Iterator[Echo]:
    """Serve on a free port of loopback."""
    server = Echo(tls)
    try:
        yield server
    finally:
        server.close()


class TornadoEcho(tornado.websocket.WebSocketHandler):
    """Sends back what it gets, and answers a ping as every server does."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "chat.v1" if "chat.v1" in subprotocols else None

    def check_origin(self, origin: str) -> bool:
        return True

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message, binary=isinstance(message, bytes))

    def data_received(self, chunk: bytes) -> Any:
        """Nothing: a handshake has no body."""


@contextlib.asynccontextmanager
async def tornado_server() -> Any:
    """Serve `TornadoEcho` in this loop; gives the port."""
    (sock,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/.*", TornadoEcho)]))
    server.add_socket(sock)
    try:
        yield sock.getsockname()[1]
    finally:
        server.stop()
        await server.close_all_connections()
        await asyncio.sleep(0)
