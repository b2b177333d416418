"""The proxy's server: accepts connections and knows them."""

import asyncio
import socket
from collections.abc import Sequence

from tornado.httputil import HTTPServerConnectionDelegate

from aprp.front.connection import ClientConnection

_SCRATCH = 65536


class ProxyServer:
    """Serves an application (any Tornado `HTTPServerConnectionDelegate`) on given sockets.

    `max_head`: bytes of a request's head; `idle_timeout`: seconds that a connection may be
    without a request, the time in which a head arrives included.
    """

    def __init__(
        self, app: HTTPServerConnectionDelegate, *, max_head: int, idle_timeout: float
    ) -> None:
        self.app = app
        self.max_head = max_head
        self.idle_timeout = idle_timeout
        self.loop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self.scratch = memoryview(bytearray(_SCRATCH))
        self._servers: list[asyncio.AbstractServer] = []

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on bound sockets."""
        for listening in sockets:
            server = await self.loop.create_server(
                lambda: ClientConnection(self), sock=listening, backlog=1024
            )
            self._servers.append(server)

    def stop(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close_idle(self) -> None:
        """Close the connections on which no request is under way."""
        for connection in list(self.connections):
            if connection.idle:
                connection.close()

    def close_all(self) -> None:
        """Close every connection, in whatever state."""
        for connection in list(self.connections):
            connection.close()
