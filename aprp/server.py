"""The client's side of HTTP/1.1: Tornado's server, strict about what it reads.

Heads are read by one rule for the whole block (RFC 9112 sections 3 and 5): no bare line feeds,
no folding, no control characters, one way to tell where the message ends. What breaks a rule
becomes a request that can only be answered with 400.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Final

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from aprp.handlers.errors import Problem
from aprp.semantics.headers import Fields

if TYPE_CHECKING:
    from aprp.application import Application

_REQUEST_LINE: Final = re.compile(
    r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64} [^\x00-\x20\x7f]+ HTTP/1\.[01]"
)
_FIELD_LINES: Final = re.compile(
    r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*"
)
_NO_REQUEST: Final = "GET / HTTP/1.1"

# A head may be read up to so many times the limit, in order to say that it is too large.
_OVERSIZE: Final = 4


class Connection(HTTP1Connection):
    """One request and response; `malformed` is the answer to a head that breaks the rules."""

    malformed: Problem | None = None
    head_seen = False

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        self.head_seen = True
        if len(data) * _OVERSIZE > self.params.max_header_size:
            self.malformed = Problem(431, "The request's head is larger than MAX_HEADER_SIZE.")
            return _NO_REQUEST, Fields()  # type: ignore[return-value]
        text = data.decode("latin-1")
        while text.startswith("\r\n"):
            # RFC 9112 section 2.2: an empty line before the request is overlooked.
            text = text[2:]
        line, _, block = text.partition("\r\n")
        fields, wrong = _read_fields(line, block)
        if wrong is not None:
            self.malformed = Problem(400, f"Malformed request: {wrong}.")
            line, fields = _NO_REQUEST, Fields()
        return line, fields  # type: ignore[return-value]


def _read_fields(line: str, block: str) -> tuple[Fields, str | None]:
    """Read the field lines; the second value says what is wrong with the head, if anything."""
    fields = Fields()
    if _REQUEST_LINE.fullmatch(line) is None:
        return fields, "the request line is not METHOD TARGET HTTP/1.1"
    if not block.endswith("\r\n") or _FIELD_LINES.fullmatch(block, 0, len(block) - 2) is None:
        return fields, "a header line has a bad name, a control character or a bare line end"
    pairs = []
    for field in block[:-4].split("\r\n") if len(block) > 2 else ():
        name, _, value = field.partition(":")
        pairs.append((name, value.strip(" \t")))
    fields = Fields(pairs)
    hosts = fields.getlist("Host")
    if len(hosts) > 1 or (not hosts and line.endswith("1")):
        return fields, "a request needs exactly one Host field"
    if "Transfer-Encoding" in fields:
        if "Content-Length" in fields:
            return fields, "both Transfer-Encoding and Content-Length are given"
        if fields["Transfer-Encoding"].lower() != "chunked" or line.endswith("0"):
            return fields, "the only Transfer-Encoding understood is chunked, in HTTP/1.1"
    elif "Content-Length" in fields:
        lengths = set(fields.getlist("Content-Length"))
        if len(lengths) > 1 or re.fullmatch(r"[0-9]{1,18}", lengths.pop()) is None:
            return fields, "Content-Length is not one number"
        fields["Content-Length"] = fields.getlist("Content-Length")[0]
    return fields, None


class ServerConnection(HTTP1ServerConnection):
    """A client's connection: requests one after another, closed when it is idle for too long."""

    def __init__(
        self, stream: IOStream, server: "ProxyServer", context: _HTTPRequestContext
    ) -> None:
        super().__init__(stream, server.conn_params, context)
        self._server = server
        self._current: Connection | None = None
        self._loop = server.app.loop
        self._idle_since = self._loop.time()
        self._timer = self._loop.call_later(server.idle_timeout, self._check_idle)

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._current is None or not self._current.head_seen

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            more = True
            while more:
                self._idle_since = self._loop.time()
                self._current = Connection(self.stream, False, self.params, self.context)
                exchange = delegate.start_request(self, self._current)
                more = await self._current.read_response(exchange)
        except (StreamClosedError, UnsatisfiableReadError):
            # The client left, or its head is so large that it is not worth an answer.
            self.stream.close()
        finally:
            self._timer.cancel()
            self._current = None
            delegate.on_close(self)

    def _check_idle(self) -> None:
        left = self._server.idle_timeout
        if self.idle:
            left -= self._loop.time() - self._idle_since
            if left <= 0.001:
                self.stream.close()
                return
        self._timer = self._loop.call_later(left, self._check_idle)


class ProxyServer(HTTPServer):
    """Serves an `Application`; knows its connections, so that idle ones can be closed."""

    def initialize(self, app: "Application") -> None:  # type: ignore[override]
        """Take limits from the application's settings."""
        super().initialize(
            app, max_header_size=_OVERSIZE * app.settings.MAX_HEADER_SIZE, max_body_size=65536
        )
        self.app = app
        self.idle_timeout: float = app.settings.KEEPALIVE_TIMEOUT
        self.connections: set[ServerConnection] = set()
        # The connection's own timer does this for less.
        self.conn_params.header_timeout = None

    def handle_stream(self, stream: IOStream, address: tuple) -> None:  # type: ignore[type-arg]
        """Serve a new connection."""
        context = _HTTPRequestContext(stream, address, None, None)
        connection = ServerConnection(stream, self, context)
        self.connections.add(connection)
        connection.start_serving(self.app)

    def start_request(self, server_conn: object, request_conn: object) -> HTTPMessageDelegate:
        """Hand a request to the application."""
        return self.app.start_request(server_conn, request_conn)  # type: ignore[arg-type]

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self.connections.discard(server_conn)

    def close_idle(self) -> None:
        """Close the connections on which no request is under way."""
        for connection in list(self.connections):
            if connection.idle:
                connection.stream.close()

    async def close_all_connections(self) -> None:
        """Close every connection, in whatever state."""
        pending = [connection.close() for connection in list(self.connections)]
        await asyncio.gather(*pending)
