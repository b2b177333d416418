"""What comes before the first request: the header of the PROXY protocol, the handshake of TLS."""

import asyncio
from typing import TYPE_CHECKING, cast

from aprp.front.encryption import ClientLeft, HandshakeFailed, PlainHTTP, TlsTransport
from aprp.semantics.proxy_protocol import Header, Incomplete, MalformedHeader, parse_header

if TYPE_CHECKING:
    from aprp.front.server import ProxyServer

_NOT_TRUSTED = "PROXY_PROTOCOL is on, and it is not one of TRUSTED_PROXIES"
_NOT_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 47\r\nConnection: close\r\n\r\n"
    b"This port speaks TLS: use https:// in the URL.\n"
)


class Greeting(asyncio.BufferedProtocol):
    """A fresh connection, until `ProxyServer.welcome` can be given its transport.

    Of what the client sends only the PROXY header is read here, not a byte behind it. A connection
    that breaks the rules, or takes longer than `header_timeout`, is closed; a line a second at
    most is logged of those.
    """

    def __init__(self, server: "ProxyServer") -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._client: str | None = None
        self._tls: TlsTransport | None = None
        self._header = bytearray()
        self._lent = memoryview(b"")
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        server = self._server
        server.greetings.add(self)
        self._timer = server.loop.call_later(server.header_timeout, self._too_late)
        peer, own = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        self._peer = peer[0] if peer else "unix"
        if server.trusts is None:
            self._introduced()
        elif not (server.trusts(self._peer) or (peer and peer[0] == own[0])):
            self._refuse(_NOT_TRUSTED)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend room for bytes that are surely part of the PROXY header."""
        begun = parse_header(bytes(self._header))
        assert isinstance(begun, Incomplete)
        self._lent = memoryview(bytearray(begun.missing))
        return self._lent

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of the PROXY header came."""
        if self._transport is None:
            return
        self._header += self._lent[:nbytes]
        try:
            header = parse_header(bytes(self._header))
        except MalformedHeader as error:
            self._refuse(f"PROXY_PROTOCOL is on, and what came is malformed: {error}")
            return
        if isinstance(header, Header):
            self._take(header)

    def eof_received(self) -> bool:
        """The client left."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._over()

    def close(self) -> None:
        """Close the connection: there is no request on it yet."""
        transport = self._over()
        if transport is not None:
            transport.abort()

    def _take(self, header: Header) -> None:
        """Believe a header, if it is one's to be believed."""
        trusts = self._server.trusts
        assert trusts is not None
        # This machine was let so far: it may speak for itself, as in a health check, but with a
        # header that names nobody.
        if header.client is not None and not trusts(self._peer):
            self._refuse(_NOT_TRUSTED)
            return
        self._client = header.client
        self._introduced()

    def _introduced(self) -> None:
        """It is known whose connection this is."""
        transport, tls = self._transport, self._server.tls
        assert transport is not None
        if tls is None:
            self._welcome(transport)
            return
        self._tls = TlsTransport(transport, tls.context, self._server.scratch, self._secured)
        self._tls.shake_hands()

    def _secured(self, failure: HandshakeFailed | None) -> None:
        """The TLS handshake is over."""
        transport = self._transport
        if transport is None:
            return
        match failure:
            case None:
                assert self._tls is not None
                self._welcome(self._tls)
            case ClientLeft():
                # As do those that look only whether the port is open.
                self.close()
            case PlainHTTP():
                # A person with a browser, most likely.
                transport.write(_NOT_PLAIN)
                transport.close()
                self._over()
            case _:
                self._refuse(str(failure))

    def _welcome(self, transport: asyncio.Transport) -> None:
        self._over()
        self._server.welcome(transport, self._client)

    def _refuse(self, why: str) -> None:
        """Close the connection, when what is written is sent, and log why."""
        self._server.complain(f"a connection from {self._peer} was closed: {why}")
        transport = self._over()
        if transport is not None:
            transport.close()

    def _too_late(self) -> None:
        what = "PROXY header" if self._tls is None else "end of the TLS handshake"
        self._server.complain(
            f"a connection from {self._peer} was closed: no {what} within HEADER_TIMEOUT "
            f"({self._server.header_timeout:g} s)"
        )
        self.close()

    def _over(self) -> asyncio.Transport | None:
        """Forget the connection, and return its transport, if it is still there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._server.greetings.discard(self)
        transport, self._transport = self._transport, None
        return transport
