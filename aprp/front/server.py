"""The proxy's server: accepts connections and knows them."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aprp.front.connection import ClientConnection
from aprp.front.greeting import Greeting
from aprp.front.quotas import Quotas
from aprp.front.request_body import RequestDelegate
from aprp.front.tls import ServerTLS
from aprp.upstream.buffers import BufferPool

_SCRATCH = 65536

# Bodies are read into blocks of this part of the largest ones, until a client is seen to be fast.
_SMALL = 8

# Time between two lines about connections that were not let in, in seconds.
_COMPLAIN_AFTER = 1.0

_log = logging.getLogger("aprp")


class RequestApplication(Protocol):
    """Who answers requests: a Tornado HTTPServerConnectionDelegate whose delegates do more."""

    def start_request(self, server_conn: object, request_conn: Any) -> RequestDelegate:
        """A request begins on `request_conn`, a ClientConnection."""


class ProxyServer:
    """Serves an application on given sockets.

    `max_head`: bytes of a request's head; `idle_timeout`: seconds that a connection may be
    without a request; `header_timeout`: seconds in which a head, and what comes before the first
    one (PROXY header, TLS handshake), has to arrive; `body_timeout`: seconds between two pieces
    of a body. `buffer_size`: most bytes of a body that are read at once. `rate_limit`: bytes a
    second that a connection is given, after the first `rate_limit_after`; 0: no limit. `tls`:
    connections are encrypted. `trusts`: connections begin with a PROXY header, which is believed
    of the peers that it is true for. `quotas` limit the connections of all addresses but those
    that `exempt` is true for.
    """

    def __init__(
        self,
        app: RequestApplication,
        *,
        max_head: int,
        idle_timeout: float,
        header_timeout: float = 30.0,
        body_timeout: float = 60.0,
        buffer_size: int = 1 << 20,
        rate_limit: float = 0.0,
        rate_limit_after: int = 0,
        tls: ServerTLS | None = None,
        trusts: Callable[[str], bool] | None = None,
        quotas: Quotas | None = None,
        exempt: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self.app = app
        self.max_head = max_head
        self.idle_timeout = idle_timeout
        self.header_timeout = header_timeout
        self.body_timeout = body_timeout
        self.buffers = BufferPool(max(buffer_size // _SMALL, _SCRATCH), buffer_size)
        self.rate_limit = rate_limit
        self.rate_limit_after = rate_limit_after
        self.tls = tls
        self.trusts = trusts
        self.quotas = quotas
        self.exempt = exempt
        self.loop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self.greetings: set[Greeting] = set()
        self.scratch = memoryview(bytearray(_SCRATCH))
        self._servers: list[asyncio.AbstractServer] = []
        self._complained = -_COMPLAIN_AFTER
        self._unsaid = 0

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on bound sockets."""
        for listening in sockets:
            server = await self.loop.create_server(self._accept, sock=listening, backlog=1024)
            self._servers.append(server)

    def _accept(self) -> asyncio.BufferedProtocol:
        if self.tls is None and self.trusts is None:
            return ClientConnection(self)
        return Greeting(self)

    def welcome(self, transport: asyncio.Transport, remote_ip: str | None) -> None:
        """Begin with requests on a connection whose greeting is over.

        `remote_ip`: the client's address, where it is not the connection's own.
        """
        protocol = "http" if self.tls is None else "https"
        connection = ClientConnection(self, remote_ip, protocol)
        transport.set_protocol(connection)
        connection.connection_made(transport)

    def complain(self, text: str) -> None:
        """Log what anybody can bring about: a line a second at most, with how many it is for."""
        now = self.loop.time()
        if now - self._complained < _COMPLAIN_AFTER:
            self._unsaid += 1
            return
        self._complained = now
        unsaid, self._unsaid = self._unsaid, 0
        _log.info("%s%s", text, f" (and {unsaid} more connections before)" if unsaid else "")

    def stop(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close_idle(self) -> None:
        """Close the connections on which no request is under way."""
        for greeting in list(self.greetings):
            greeting.close()
        for connection in list(self.connections):
            if connection.idle:
                connection.close()

    def close_all(self) -> None:
        """Close every connection, in whatever state."""
        for greeting in list(self.greetings):
            greeting.close()
        for connection in list(self.connections):
            connection.abort()
