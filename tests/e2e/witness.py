"""An origin that bears witness: it keeps every byte, and reads it as strictly as RFC 9112 lets it.

What a proxy sends is a row of well-formed requests, the last of them perhaps unfinished, or this
origin says what is wrong with it.
"""

import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field
from email.utils import formatdate

from tests.e2e.programs import PATIENCE, wait_until

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!-~]*|\*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\x00-\x08\x0a-\x1f\x7f]*)")
_HOST = re.compile(r"(?:[0-9A-Za-z.\-_]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")


@dataclass(slots=True)
class Witnessed:
    """A request as it came; `body` is without framing, `complete` says that its end has come."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    connection: int
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def all(self, name: str) -> list[str]:
        """The values of each field line of a name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]


class _Malformed(Exception):
    """What came is no request that every server would read in the same way."""


class _Ended(Exception):
    """The connection ended."""


class Witness:
    """Answers each request with 200 and its own method, target and size of the body.

    `replies` has, by path, the bytes to be sent in the place of that. What is below `/kept/` may be
    stored by caches. `requests` are those whose head has come, in that order; `heard` is all that
    came, by connection; `faults` says what was malformed.
    """

    def __init__(self) -> None:
        self.requests: list[Witnessed] = []
        self.heard: list[bytearray] = []
        self.faults: list[str] = []
        self.replies: dict[str, bytes] = {}
        self._ended: set[int] = set()
        self._sockets: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def bytes_heard(self) -> int:
        """How many bytes have come, on all connections."""
        return sum(map(len, self.heard))

    def asked(self, path: str) -> list[Witnessed]:
        """The requests so far whose target begins with a path."""
        return [request for request in self.requests if request.target.startswith(path)]

    def wait_body(self, path: str, body: bytes) -> Witnessed:
        """Wait until a request for a path has come, with these bytes of its body so far."""
        wait_until(
            lambda: any(request.body == body for request in self.asked(path)),
            f"{path} comes with {len(body)} bytes",
        )
        return self.asked(path)[-1]

    def wait_ended(self, connection: int) -> None:
        """Wait until the other end has closed a connection."""
        wait_until(lambda: connection in self._ended, f"connection {connection} ends")

    def check(self) -> None:
        """Fail if anything malformed has come."""
        faults, self.faults = self.faults, []
        assert not faults, faults

    def close(self) -> None:
        """Stop."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE)
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                # Closed: the tests are over.
                return
            self._sockets.append(sock)
            self.heard.append(bytearray())
            number = len(self.heard) - 1
            threading.Thread(target=self._run, args=(sock, number), daemon=True).start()

    def _run(self, sock: socket.socket, number: int) -> None:
        reading = _Reading(sock, self.heard[number])
        try:
            while True:
                self._serve(sock, reading, number)
        except _Malformed as error:
            self.faults.append(f"{error}: {bytes(self.heard[number])!r}")
        except (_Ended, OSError):
            # The proxy may close at any time; with what is unfinished, tests look at.
            pass
        finally:
            self._ended.add(number)
            with contextlib.suppress(OSError):
                sock.close()

    def _serve(self, sock: socket.socket, reading: "_Reading", number: int) -> None:
        request = _parse_head(reading.until(b"\r\n\r\n"), number)
        self.requests.append(request)
        reading.body(request)
        request.complete = True
        path = request.target.partition("?")[0]
        reply = self.replies.get(path)
        sock.sendall(_answer(request, path) if reply is None else reply)


def _answer(request: Witnessed, path: str) -> bytes:
    words = f"{request.method} {request.target} {len(request.body)}".encode()
    lines = ["HTTP/1.1 200 OK", f"Date: {formatdate(usegmt=True)}", f"Content-Length: {len(words)}"]
    if path.startswith("/kept/"):
        lines += ["Cache-Control: max-age=1000", 'ETag: "kept"']
    head = "\r\n".join((*lines, "", "")).encode()
    return head if request.method == "HEAD" else head + words


class _Reading:
    """What comes on a socket, kept as it comes."""

    def __init__(self, sock: socket.socket, kept: bytearray) -> None:
        self._socket = sock
        self._kept = kept
        self._held = b""

    def until(self, mark: bytes) -> bytes:
        """What comes before a mark."""
        while mark not in self._held:
            self._more()
        before, self._held = self._held.split(mark, 1)
        return before

    def body(self, request: Witnessed) -> None:
        """Read a body (RFC 9112 section 6.3)."""
        lengths, codings = request.all("Content-Length"), request.all("Transfer-Encoding")
        if codings:
            if codings != ["chunked"] or lengths:
                raise _Malformed(f"framed by {codings} and {lengths}")
            while size := self._size():
                self._take(size, request.body)
                self._expect(b"\r\n")
            # Trailers are not handed on.
            self._expect(b"\r\n")
        elif lengths:
            if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
                raise _Malformed(f"framed by {lengths}")
            self._take(int(lengths[0]), request.body)

    def _size(self) -> int:
        line = self.until(b"\r\n")
        if not _SIZE.fullmatch(line):
            raise _Malformed(f"chunk size {line!r}")
        return int(line, 16)

    def _take(self, size: int, into: bytearray) -> None:
        while size:
            if not self._held:
                self._more()
            piece, self._held = self._held[:size], self._held[size:]
            into += piece
            size -= len(piece)

    def _expect(self, what: bytes) -> None:
        while len(self._held) < len(what):
            self._more()
        if not self._held.startswith(what):
            raise _Malformed(f"{what!r} is missing")
        self._held = self._held[len(what) :]

    def _more(self) -> None:
        piece = self._socket.recv(65536)
        if not piece:
            raise _Ended
        self._kept += piece
        self._held += piece


def _parse_head(head: bytes, number: int) -> Witnessed:
    first, *lines = head.split(b"\r\n")
    match = _LINE.fullmatch(first)
    if match is None:
        raise _Malformed(f"request line {first!r}")
    fields = []
    for line in lines:
        pair = _FIELD.fullmatch(line)
        if pair is None:
            raise _Malformed(f"field line {line!r}")
        fields.append((pair[1].decode(), pair[2].decode("latin-1")))
    request = Witnessed(match[1].decode(), match[2].decode(), tuple(fields), number)
    hosts = request.all("Host")
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
        raise _Malformed(f"hosts {hosts}")
    return request
