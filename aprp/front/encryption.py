"""TLS on a client's connection: a transport on top of a transport.

Not asyncio's own layer (`loop.start_tls`): that one reads on from the socket while it is paused,
encrypts all that is written at once, does not tell when what it wrote has left the process, and
cannot end one direction. A proxy needs all four.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

# What is encrypted for one write, in bytes: more would lie in memory twice.
_AT_ONCE: Final = 65536


class HandshakeFailed(Exception):
    """The client speaks no TLS that the server speaks; the text says what happened."""


class PlainHTTP(HandshakeFailed):
    """The client sent a request without TLS."""


class ClientLeft(HandshakeFailed):
    """The client closed the connection before the handshake was over."""


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """The transport of a connection with TLS, and the protocol of the one below it, `tcp`.

    It has to be the protocol of `tcp` from the client's first byte of TLS on. When the handshake
    is over, `done` is called: with None after it has set this transport's protocol, which hears
    no `connection_made` from here; with the error if it failed, and the connection is then closed
    by whoever is called. Nothing is read from the socket beyond what the protocol takes:
    `pause_reading` is that of `tcp`.

    Its protocol has to be a BufferedProtocol; `pause_writing` and `resume_writing` are those of
    `tcp`, by the limits that `set_write_buffer_limits` gives it.
    """

    def __init__(
        self,
        tcp: asyncio.Transport,
        context: ssl.SSLContext,
        scratch: memoryview,
        done: Callable[[HandshakeFailed | None], None],
    ) -> None:
        """`scratch` may be shared by all connections: it is used between two callbacks only."""
        super().__init__()
        self.tcp = tcp
        self._loop = asyncio.get_running_loop()
        self._scratch = scratch
        self._done: Callable[[HandshakeFailed | None], None] | None = done
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # The stubs know only the form that makes new bytes.
        self._into = cast(Callable[[int, memoryview], int], self._tls.read)
        self._protocol: asyncio.BufferedProtocol | None = None
        self._paused = False
        self._closing = False
        self._gone = False
        self._tcp_ended = False
        self._eof_told = False
        self._output_over = False

    # The protocol of the transport below.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend room for records."""
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Records came."""
        if self._eof_told:
            # What is behind a close_notify is not read (RFC 8446 section 6.1).
            return
        self._incoming.write(self._scratch[:nbytes])
        if self._done is not None:
            self._shake_hands()
        else:
            self._deliver()

    def eof_received(self) -> bool:
        """The client's side of the TCP connection is shut."""
        self._tcp_ended = True
        if self._done is not None:
            self._handshake_over(ClientLeft("left during the TLS handshake"))
        else:
            self._deliver()
        # This closes it, when what has come is delivered.
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        self._closing = self._gone = True
        protocol, self._protocol = self._protocol, None
        if self._done is not None:
            self._handshake_over(ClientLeft("left during the TLS handshake"))
        elif protocol is not None:
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the socket is full."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that there is room again."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    # asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See BaseTransport; of TLS there are `ssl_object`, `sslcontext` and `cipher`."""
        match name:
            case "ssl_object":
                return self._tls
            case "sslcontext":
                return self._tls.context
            case "cipher":
                return self._tls.cipher()
        return self.tcp.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol take what comes from now on."""
        assert isinstance(protocol, asyncio.BufferedProtocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See BaseTransport."""
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        """See BaseTransport."""
        return self._closing or self.tcp.is_closing()

    def is_reading(self) -> bool:
        """See ReadTransport."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        if not self._paused:
            self._paused = True
            self.tcp.pause_reading()

    def resume_reading(self) -> None:
        """Go on with what has come, and read from the socket again."""
        if self._paused:
            self._paused = False
            if not self._tcp_ended:
                self.tcp.resume_reading()
            self._loop.call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits of the transport below, which has the queue."""
        self.tcp.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """How many bytes of records are queued."""
        return self.tcp.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See WriteTransport."""
        return self.tcp.get_write_buffer_limits()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of it; what the socket does not take is queued."""
        pieces = deque((memoryview(data),))
        while pieces and not self.is_closing():
            self.write_some(pieces)

    def write_some(self, pieces: deque[memoryview]) -> None:
        """Take from the left as much as makes one write, encrypt and write it."""
        room = _AT_ONCE
        try:
            while pieces and room > 0:
                piece = pieces.popleft()
                taken = self._tls.write(piece[:room]) if piece else 0
                if taken < len(piece):
                    pieces.appendleft(piece[taken:])
                room -= taken
        except ssl.SSLError:
            # It has broken before, as by a record that is not authentic.
            self.abort()
            return
        self._flush()

    def can_write_eof(self) -> bool:
        """One direction can end before the other (RFC 8446 section 6.1)."""
        return True

    def write_eof(self) -> None:
        """Say that nothing more comes, with a close_notify and the end of the TCP direction."""
        if self._output_over or self.is_closing():
            return
        self._say_goodbye()
        self.tcp.write_eof()

    def close(self) -> None:
        """Close with a close_notify, when what is queued is written."""
        if self.is_closing():
            return
        self._closing = True
        self._say_goodbye()
        self.tcp.close()

    def abort(self) -> None:
        """Close at once, without a word: the client sees that it was not meant to end."""
        self._closing = True
        # (Of a connection that is gone, asyncio's transport cannot be aborted.)
        if not self._gone:
            self.tcp.abort()

    # Between the two.

    def shake_hands(self) -> None:
        """Wait for the client to begin the handshake."""
        # A socket's room is told by `pause_writing`, so nothing may wait in the transport unseen.
        self.tcp.set_write_buffer_limits(high=0)
        self.tcp.set_protocol(self)

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            # The alert that says why.
            self._flush()
            words = (error.reason or "not TLS").replace("_", " ").lower()
            kind = PlainHTTP if error.reason == "HTTP_REQUEST" else HandshakeFailed
            self._handshake_over(kind(f"its TLS handshake failed: {words}"))
        else:
            self._flush()
            self._handshake_over(None)
            self._deliver()

    def _handshake_over(self, failure: HandshakeFailed | None) -> None:
        done, self._done = self._done, None
        assert done is not None
        done(failure)

    def _deliver(self) -> None:
        """Give the protocol what has come, as long as it takes it."""
        ended = False
        while not (ended or self._paused or self.is_closing() or self._protocol is None):
            if not (self._incoming.pending or self._tls.pending()):
                break
            room = self._protocol.get_buffer(-1)
            try:
                count, ended = self._read(memoryview(room))
            except ssl.SSLError:
                # What is not authentic is no input; the alert tells the client.
                self._flush()
                self.abort()
                return
            if not count:
                break
            self._protocol.buffer_updated(count)
        self._flush()
        if ended or (self._tcp_ended and not self._paused):
            self._tell_eof()

    def _read(self, room: memoryview) -> tuple[int, bool]:
        """Decrypt into `room`: how many bytes, and whether the client's close_notify is behind."""
        count = 0
        while count < len(room):
            try:
                more = self._into(len(room) - count, room[count:])
            except ssl.SSLWantReadError:
                return count, False
            except ssl.SSLZeroReturnError:
                more = 0
            if not more:
                return count, True
            count += more
        return count, False

    def _tell_eof(self) -> None:
        if self._eof_told or self._protocol is None or self.is_closing():
            return
        self._eof_told = True
        if not self._protocol.eof_received():
            self.close()

    def _say_goodbye(self) -> None:
        if self._output_over:
            return
        self._output_over = True
        # It wants the client's answer too, for which nobody waits; the close_notify is out.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send(self._outgoing.read())

    def _flush(self) -> None:
        """Send the records that are ready."""
        records = self._outgoing.read()
        if not self._output_over:
            self._send(records)

    def _send(self, records: bytes) -> None:
        if records and not self.tcp.is_closing():
            self.tcp.write(records)
