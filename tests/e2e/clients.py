"""The clients of the tests: curl, and plain sockets where each byte counts."""

import re
import socket
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.e2e.programs import PATIENCE, require, run


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: `fields` in the order and the case of the wire; `body` without framing.

    `interim` are the responses of 1xx that came before it.
    """

    version: str
    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    interim: tuple["Reply", ...] = ()

    def all(self, name: str) -> list[str]:
        """The values of each field line of a name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that comes at most once."""
        values = self.all(name)
        assert len(values) < 2, self.fields
        return values[0] if values else None


def parse_head(head: bytes) -> tuple[str, int, str, tuple[tuple[str, str], ...]]:
    """Read a response's head; fails where it is not of the form that RFC 9112 gives it."""
    assert head.endswith(b"\r\n\r\n"), head
    first, *lines = head[:-4].split(b"\r\n")
    match = re.fullmatch(rb"(HTTP/1\.[01]) (\d{3}) ([^\r\n]*)", first)
    assert match is not None, first
    fields = []
    for line in lines:
        assert b"\n" not in line and b"\r" not in line, line
        name, colon, value = line.partition(b":")
        assert colon and name and name.strip(b" \t") == name, line
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return match[1].decode(), int(match[2]), match[3].decode("latin-1"), tuple(fields)


class Connection:
    """A connection of a client that says what is on the wire, and reads one reply after another.

    `receive_buffer` is SO_RCVBUF in bytes: a small one makes the sender feel how slowly is read.
    `source` is the client's own address, any of 127.0.0.0/8.
    """

    def __init__(
        self, port: int, receive_buffer: int | None = None, source: str | None = None
    ) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        # Unbuffered where it matters: bytes that nobody asked for stay in the kernel.
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; what has come and was not read makes the kernel reset the connection."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def ask(self, target: str, *lines: str, method: str = "GET", version: str = "1.1") -> None:
        """Send a request with Host and the given header lines."""
        head = (f"{method} {target} HTTP/{version}", "Host: media.example", *lines, "", "")
        self.send("\r\n".join(head).encode("latin-1"))

    def read_head(self) -> Reply:
        """Read a response's head; the reply's body is empty."""
        while b"\r\n\r\n" not in self._held:
            piece = self.socket.recv(65536)
            assert piece, f"closed in the head: {self._held!r}"
            self._held += piece
        head, self._held = self._held.split(b"\r\n\r\n", 1)
        return Reply(*parse_head(head + b"\r\n\r\n"), b"")

    def read(self, size: int) -> bytes:
        """Read so many bytes, or less if the connection ends before."""
        pieces = [self._held[:size]]
        self._held = self._held[size:]
        size -= len(pieces[0])
        while size > 0:
            try:
                piece = self.socket.recv(min(size, 1 << 20))
            except ConnectionResetError:
                piece = b""
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def read_line(self) -> bytes:
        """Read to the next line end and including it, or less if the connection ends before."""
        while b"\r\n" not in self._held:
            held, self._held = self._held, b""
            piece = self.read_some()
            self._held = held + piece
            if not piece:
                break
        line, end, self._held = self._held.partition(b"\r\n")
        return line + end

    def read_some(self) -> bytes:
        """Read what there is, at least a byte; none at the connection's end."""
        if self._held:
            held, self._held = self._held, b""
            return held
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def read_all(self) -> bytes:
        """Read until the other end closes the connection."""
        return self.read(1 << 40)

    def read_reply(self, method: str = "GET") -> Reply:
        """Read a whole response, its body by its framing (RFC 9112 section 6.3)."""
        interim: tuple[Reply, ...] = ()
        while (reply := self.read_head()).status < 200 and reply.status != 101:
            interim += (reply,)
        if method == "HEAD" or reply.status in (204, 304):
            body = b""
        elif reply.get("Transfer-Encoding") is not None:
            assert reply.get("Transfer-Encoding") == "chunked"
            assert reply.get("Content-Length") is None
            body = b""
            while piece := self.read_chunk():
                body += piece
        elif (length := reply.get("Content-Length")) is not None:
            body = self.read(int(length))
            assert len(body) == int(length), "body cut short"
        else:
            assert reply.get("Connection") != "keep-alive"
            body = self.read_all()
        return replace(reply, body=body, interim=interim)

    def read_chunk(self) -> bytes:
        """Read one chunk's bytes; none after the last chunk, which has to be well formed."""
        match = re.fullmatch(rb"([0-9a-fA-F]+)\r\n", self.read_line())
        assert match is not None, "no chunk"
        content = self.read(int(match[1], 16))
        assert len(content) == int(match[1], 16) and self.read(2) == b"\r\n", "chunk cut short"
        return content

    def at_end(self) -> bool:
        """Wait for further bytes, which stay to be read, or for the end of the connection."""
        self._held = self.read_some()
        return not self._held


def fetch(url: str, target: str, method: str = "GET", **fields: str) -> Reply:
    """Ask on a connection of its own; that nothing follows the reply is seen to as well."""
    port = urlsplit(url).port
    assert port is not None
    with Connection(port) as connection:
        lines = [f"{name}: {value}" for name, value in fields.items()]
        connection.ask(target, *lines, "Connection: close", method=method)
        reply = connection.read_reply(method)
        assert connection.at_end()
        return reply


def request(
    port: int, method: str, target: str, body: bytes | None = None, *lines: str, host: str = ""
) -> Reply:
    """Ask on a connection of its own, by the address where no host is given.

    A body has its length told, unless `lines` say how it ends.
    """
    told = [f"{method} {target} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *lines]
    if body is not None and not any(line.startswith("Transfer-Encoding:") for line in lines):
        told.append(f"Content-Length: {len(body)}")
    with Connection(port) as connection:
        connection.send("\r\n".join((*told, "", "")).encode() + (body or b""))
        return connection.read_reply(method)


def send_raw(port: int, data: bytes) -> list[Reply]:
    """Send bytes and give the replies up to the end of the connection, which has to come."""
    replies = []
    with Connection(port) as connection:
        connection.send(data)
        while not connection.at_end():
            replies.append(connection.read_reply())
    return replies


@dataclass(frozen=True, slots=True)
class Curled:
    """What curl got: its exit code, what it says, and the last response."""

    exit_code: int
    errors: str
    reply: Reply


def curl(url: str, *arguments: str) -> Curled:
    """Run curl; the exit code is for the caller to look at."""
    program = require("curl")
    with tempfile.TemporaryDirectory() as directory:
        head, body = Path(directory, "head"), Path(directory, "body")
        # -q comes first: no settings of the user. A URL goes out as it is written here.
        options = ("-q", "-sS", "--http1.1", "--path-as-is", "--globoff", "--max-time", "30")
        done = run(program, *options, "-D", head, "-o", body, *arguments, url)
        content = body.read_bytes() if body.exists() else b""
        heads = head.read_bytes().split(b"\r\n\r\n")[:-1] if head.exists() else []
        parsed = parse_head(heads[-1] + b"\r\n\r\n") if heads else ("", 0, "", ())
        return Curled(done.returncode, done.stderr.decode(), Reply(*parsed, content))
