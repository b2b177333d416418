"""Requests with bodies: how clients send them, and how a scripted origin takes them."""

import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import endless
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, Script, answer, head

PIECE = 262144


class CutShort(Exception):
    """The request ended in the middle of its body: an aborted one (RFC 9112 section 8)."""


# The client's side.


def framing(length: int, chunked: bool) -> str:
    """The line of a head that says how its body ends."""
    return "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"


def in_chunks(body: bytes, size: int = PIECE) -> bytes:
    """A whole body in the chunked coding."""
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def message(method: str, target: str, body: bytes, *lines: str, chunked: bool = False) -> bytes:
    """A whole request."""
    told = (f"{method} {target} HTTP/1.1", "Host: media.example", *lines)
    start = "\r\n".join((*told, framing(len(body), chunked), "", ""))
    return start.encode("latin-1") + (in_chunks(body) if chunked else body)


def endless_pieces(stop: int, chunked: bool) -> Iterator[bytes]:
    """The endless body up to `stop` as it is sent."""
    for start in range(0, stop, PIECE):
        piece = endless(start, min(start + PIECE, stop))
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"


class Upload:
    """Sends bytes on a connection for as long as they are taken; `sent` are those so far."""

    def __init__(self, connection: Connection | Peer, pieces: Iterable[bytes]) -> None:
        self.sent = 0
        self._socket = connection.socket
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def push(self, patience: float = 1.0) -> None:
        """Send until nothing is taken for `patience` seconds, which has to come."""
        self._socket.settimeout(patience)
        try:
            with pytest.raises(TimeoutError):
                self.finish()
        finally:
            self._socket.settimeout(PATIENCE)

    def finish(self, each: Callable[[], None] = lambda: None) -> None:
        """Send the rest; `each` is called after every piece."""
        while self._rest or self._next():
            count = self._socket.send(self._rest)
            self.sent += count
            self._rest = self._rest[count:]
            each()

    def _next(self) -> bool:
        self._rest = memoryview(next(self._pieces, b""))
        return len(self._rest) > 0


# The origin's side.


def pieces(peer: Peer) -> Iterator[bytes]:
    """The body of a request piece by piece, by its framing; raises CutShort.

    Of the chunked coding nothing but chunks is understood: no extensions, no trailers.
    """
    codings = peer.request.all("Transfer-Encoding")
    lengths = peer.request.all("Content-Length")
    assert len(codings) + len(lengths) < 2, peer.request.fields
    if lengths:
        yield from _exactly(peer, int(lengths[0]))
    if codings:
        assert codings == ["chunked"]
        while size := int(_line(peer), 16):
            yield from _exactly(peer, size)
            assert _line(peer) == b""
        assert _line(peer) == b"", "there are trailers"


def whole(peer: Peer) -> bytes:
    """The body of a request; raises CutShort."""
    return b"".join(pieces(peer))


def compare_endless(
    peer: Peer, stop: int, each: Callable[[int], None] = lambda place: None
) -> None:
    """Take a body that has to be the endless one up to `stop`."""
    place = 0
    for piece in pieces(peer):
        assert piece == endless(place, place + len(piece)), f"wrong bytes behind {place}"
        place += len(piece)
        each(place)
    assert place == stop


def echoes(*lines: str, status: str = "200 OK") -> Script:
    """A script that answers with the body of the request, and in the same framing."""

    def script(peer: Peer) -> None:
        body = whole(peer)
        if peer.request.method == "HEAD":
            peer.send(head(status, *lines, f"Content-Length: {len(body)}"))
        elif peer.request.get("Transfer-Encoding") is None:
            peer.send(answer(status, body, *lines))
        else:
            peer.send(head(status, *lines, "Transfer-Encoding: chunked") + in_chunks(body, 1000))

    return script


class Aborted:
    """A script for requests that do not come to their end: `wait` until one was cut short."""

    def __init__(self, first: Callable[[Peer], None] = lambda peer: None) -> None:
        """`first` is done before the body is read."""
        self.taken = b""
        self.whole = False
        self.begun = threading.Event()
        self._first = first
        self._over = threading.Event()

    def __call__(self, peer: Peer) -> None:
        """See `Script`."""
        peer.kept = False
        self._first(peer)
        try:
            for piece in pieces(peer):
                self.taken += piece
                self.begun.set()
            self.whole = True
        except CutShort:
            return
        finally:
            self._over.set()

    def wait(self) -> None:
        """Wait for the end of the request, which must not look complete."""
        assert self._over.wait(PATIENCE)
        assert not self.whole


def _line(peer: Peer) -> bytes:
    while b"\r\n" not in peer.held:
        held, peer.held = peer.held, b""
        peer.held = held + _some(peer)
    line, _, peer.held = peer.held.partition(b"\r\n")
    return line


def _exactly(peer: Peer, size: int) -> Iterator[bytes]:
    while size:
        piece = _some(peer)
        peer.held = piece[size:]
        piece = piece[:size]
        size -= len(piece)
        yield piece


def _some(peer: Peer) -> bytes:
    try:
        piece = peer.receive()
    except ConnectionResetError:
        piece = b""
    if not piece:
        raise CutShort
    return piece
