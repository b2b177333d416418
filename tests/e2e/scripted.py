"""An origin that does what a test tells it, byte by byte: for faults, hangs and oddities."""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from tests.e2e.content import LAST_MODIFIED, endless
from tests.e2e.programs import PATIENCE


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; `connection` numbers the connections of the origin."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    head: bytes
    connection: int

    def all(self, name: str) -> list[str]:
        """The values of each field line of a name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that comes at most once."""
        values = self.all(name)
        assert len(values) < 2, self.fields
        return values[0] if values else None


class Peer:
    """The origin's end of a connection, for a script to play with.

    `held` has come and was not read by the script: it belongs to the next request in the end.
    """

    def __init__(self, sock: socket.socket, request: Request, held: bytes = b"") -> None:
        self.request = request
        self.socket = sock
        self.held = held
        self.kept = True

    def receive(self) -> bytes:
        """Some bytes behind the request's head; none at the end of what the other end sends."""
        if self.held:
            held, self.held = self.held, b""
            return held
        return self.socket.recv(262144)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def send_endless(self, start: int, stop: int, patience: float = PATIENCE) -> int:
        """Send the bytes `start` to `stop` of an endless body, piece by piece.

        Gives up when the other end takes nothing for `patience` seconds; returns how far it got.
        """
        self.socket.settimeout(patience)
        with contextlib.suppress(TimeoutError):
            while start < stop:
                start += self.socket.send(endless(start, min(start + 262144, stop)))
        self.socket.settimeout(PATIENCE)
        return start

    def wait_broken(self) -> float:
        """Wait until the other end closes the connection; the time of it by `time.monotonic`."""
        self.kept = False
        with contextlib.suppress(ConnectionResetError):
            assert self.socket.recv(1) == b"", "the other end says something"
        return time.monotonic()

    def close(self) -> None:
        """Close in good order: the other end reads what was sent, and then the end."""
        self.kept = False
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection, as a crashed machine's successor does."""
        self.kept = False
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Script = Callable[[Peer], None]


def head(status: str, *lines: str) -> bytes:
    """A response's head; Date comes with it, as validators by time need one."""
    return "\r\n".join(
        (f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}", *lines, "", "")
    ).encode("latin-1")


def answer(status: str, body: bytes, *lines: str) -> bytes:
    """A whole response with a Content-Length."""
    return head(status, *lines, f"Content-Length: {len(body)}") + body


def says(data: bytes, *, close: bool = False) -> Script:
    """A script that sends these bytes, the same to every request."""

    def script(peer: Peer) -> None:
        peer.send(data)
        if close:
            peer.close()

    return script


def serves(content: bytes, *lines: str, ranges: bool = True) -> Script:
    """A script that serves a file as it should be: GET, HEAD, one range. `lines` are fields."""

    def script(peer: Peer) -> None:
        request = peer.request
        fields = (f"Last-Modified: {LAST_MODIFIED}", *lines)
        if request.method == "HEAD":
            peer.send(head("200 OK", *fields, f"Content-Length: {len(content)}"))
            return
        asked = request.get("Range") if ranges else None
        if asked is None:
            peer.send(answer("200 OK", content, *fields))
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = min(int(last) + 1, len(content)) if first and last else len(content)
        if start >= stop:
            peer.send(answer("416 No", b"", f"Content-Range: bytes */{len(content)}"))
            return
        place = f"Content-Range: bytes {start}-{stop - 1}/{len(content)}"
        peer.send(answer("206 Partial Content", content[start:stop], *fields, place))

    return script


class ScriptedOrigin:
    """Serves scripts by path, each connection in a thread of its own; records the requests.

    `otherwise` is played for paths that have no script; without it they are not found.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, otherwise: Script | None = None) -> None:
        self._otherwise = otherwise or says(answer("404 Not Found", b""))
        self.requests: list[Request] = []
        self.errors: list[Exception] = []
        self._tls = tls
        self._scripts: dict[str, Script] = {}
        self._names = itertools.count(1)
        self._numbers = itertools.count(1)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def plays(self, script: Script, name: str = "film.bin") -> str:
        """Play a script whenever the path that is returned, which nobody else has, is asked for."""
        path = f"/s{next(self._names)}/{name}"
        self._scripts[path] = script
        return path

    def asked(self, path: str) -> list[Request]:
        """The requests so far whose target begins with a path."""
        return [request for request in self.requests if request.target.startswith(path)]

    def close_connections(self) -> None:
        """Close every connection, as a server does with those that were idle for long."""
        for sock in list(self._open):
            # That of a proxy that has just ended may be closed and not be taken off yet.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Fail if a script failed."""
        errors, self.errors = self.errors, []
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Stop; scripts that wait for something find their connections closed."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.close_connections()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                # Closed: the tests are over.
                return
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        try:
            with sock:
                sock.settimeout(PATIENCE)
                if self._tls is None:
                    self._serve(sock)
                else:
                    with self._tls.wrap_socket(sock, server_side=True) as wrapped:
                        self._serve(wrapped)
        except (ConnectionError, ssl.SSLError):
            # The proxy may go away at any time; what it should not do, a script checks.
            return
        except Exception as error:
            self.errors.append(error)

    def _serve(self, sock: socket.socket) -> None:
        self._open.add(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        number = next(self._numbers)
        held = b""
        try:
            while True:
                while b"\r\n\r\n" not in held:
                    # An idle connection may stay for as long as the proxy keeps it.
                    sock.settimeout(None)
                    piece = sock.recv(65536)
                    sock.settimeout(PATIENCE)
                    if not piece:
                        return
                    held += piece
                data, held = held.split(b"\r\n\r\n", 1)
                peer = Peer(sock, parse_request(data + b"\r\n\r\n", number), held)
                self.requests.append(peer.request)
                path = peer.request.target.partition("?")[0]
                script = self._scripts.get(path, self._otherwise)
                script(peer)
                if not peer.kept:
                    return
                held = peer.held
        finally:
            self._open.discard(sock)


def parse_request(data: bytes, number: int) -> Request:
    """Read a request's head."""
    first, *lines = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = first.split(" ")
    assert version == "HTTP/1.1", first
    fields = []
    for line in lines:
        name, _, value = line.partition(": ")
        fields.append((name, value))
    return Request(method, target, tuple(fields), data, number)
