"""An origin of files of any size, whose faults are planned; it counts what it sends.

Where a test writes each byte of an answer itself, `scripted` is the origin to take.
"""

import contextlib
import fcntl
import itertools
import socket
import struct
import termios
import threading
import time
from email.utils import formatdate

from tests.e2e.bodies import Body
from tests.e2e.fault_files import NO_FAULT, File, Plan, Served
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import parse_request

_SEND_BUFFER = 65536
"""SO_SNDBUF: what an origin counts as sent has nearly arrived."""


class FaultOrigin:
    """Serves files, each connection in a thread of its own."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.errors: list[Exception] = []
        self._names = itertools.count(1)
        self._numbers = itertools.count(1)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.port = 0
        self.come_back()
        self.url = f"http://127.0.0.1:{self.port}"

    def add(self, size: int, name: str = "film.bin", *, path: str | None = None) -> File:
        """Serve a file at a path of its own, or at one that another origin has it at."""
        path = path or f"/f{next(self._names)}/{name}"
        file = self.files[path] = File(path, size)
        return file

    def come_back(self) -> None:
        """Listen, at the port where it did before."""
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listening.getsockname()[1]
        thread = threading.Thread(target=self._accept, args=(self._listening,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def go_away(self) -> None:
        """Refuse connections and break those that there are, as a machine does that goes down."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join(PATIENCE)
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._threads.clear()

    def check(self) -> None:
        """Fail if the origin itself failed."""
        errors, self.errors = self.errors, []
        if errors:
            raise errors[0]

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.add(sock)
        try:
            with sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._serve(sock, next(self._numbers))
        except (ConnectionError, TimeoutError):
            # The proxy may go away at any time, and this origin too.
            return
        except Exception as error:
            self.errors.append(error)
        finally:
            with self._lock:
                self._open.discard(sock)

    def _serve(self, sock: socket.socket, number: int) -> None:
        held = b""
        kept = True
        while kept:
            while b"\r\n\r\n" not in held:
                piece = sock.recv(65536)
                if not piece:
                    return
                held += piece
            head, held = held.split(b"\r\n\r\n", 1)
            request = parse_request(head + b"\r\n\r\n", number)
            file = self.files.get(request.target.partition("?")[0])
            if file is None:
                sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            served = Served(request, time.monotonic())
            with self._lock:
                plan = NO_FAULT
                if request.method == "GET":
                    plan = file.plans.popleft() if file.plans else file.always
                file.served.append(served)
                under_way = sum(not other.over for other in file.served)
                file.at_once = max(file.at_once, under_way)
            try:
                kept = _Answer(sock, file, served, plan).give()
                kept &= request.get("Connection") != "close"
            finally:
                if plan.change:
                    file.version += 1
                served.over = True


class _Answer:
    """One answer: the head, the body at its pace, and the fault that is planned."""

    def __init__(self, sock: socket.socket, file: File, served: Served, plan: Plan) -> None:
        self._sock = sock
        self._file = file
        self._served = served
        self._plan = plan
        self._request = served.request
        # The version may change while this answer is under way; the answer does not.
        self._version = file.version
        self._tag = file.tag_of(self._version)
        self._date = file.date_of(self._version) if file.dated else None
        self._begun = 0.0

    def give(self) -> bool:
        """Answer; returns whether the connection can be used again."""
        plan, file = self._plan, self._file
        if file.delay:
            # The length of the line: what the file is slow for.
            time.sleep(file.delay)
        if plan.wait is not None:
            assert plan.wait.wait(PATIENCE * 2), "nobody released it"
        if plan.hang_up:
            return False
        if plan.mute:
            return self._wait_closed()
        if self._request.target.partition("?")[2] in file.run_out:
            return self._short("403 Forbidden", b"this link has run out\n")
        if plan.status is not None:
            return self._short(plan.status, b"this is not the file\n")
        fields = [*file.fields, *plan.fields]
        if self._tag is not None:
            fields.append(f"ETag: {self._tag}")
        if self._date is not None:
            fields.append(f"Last-Modified: {self._date}")
        if self._not_modified():
            return self._short("304 Not Modified", b"", *fields)
        span = self._span()
        if span is not None and span[0] >= file.size:
            place = f"Content-Range: bytes */{file.size}"
            return self._short("416 Range Not Satisfiable", b"", place)
        start, stop = span or (0, file.size)
        self._served.start, self._served.stop = start, stop
        if span is not None:
            total = plan.total or file.size
            place = f"{start + plan.moved}-{stop - 1 + plan.moved}/{total}"
            fields.append(f"Content-Range: bytes {place}")
        status = "200 OK" if span is None else "206 Partial Content"
        return self._body(status, fields, start, stop)

    def _body(self, status: str, fields: list[str], start: int, stop: int) -> bool:
        shape = self._file.shape
        chunked = shape == "chunked"
        if chunked:
            fields.append("Transfer-Encoding: chunked")
        elif shape == "sized":
            fields.append(f"Content-Length: {stop - start + self._plan.declared}")
        else:
            fields.append("Connection: close")
        body = self._file.body(self._version)
        self._head(status, fields)
        if self._request.method == "HEAD":
            return True
        self._begun = time.monotonic()
        limits = (self._plan.cut, self._plan.reset, self._plan.stall)
        ends = [start + limit for limit in limits if limit is not None]
        end = min([*ends, stop])
        hold_at, released = self._plan.hold or (0, None)
        if released is not None and start + hold_at < end:
            self._send(body, start, start + hold_at, chunked)
            assert released.wait(PATIENCE * 2), "nobody released it"
            start += hold_at
        self._send(body, start, end, chunked)
        if self._plan.cut is not None or self._plan.reset is not None:
            return self._break_off()
        if self._plan.stall is not None and end < stop:
            return self._wait_closed()
        if self._plan.declared < 0:
            # What follows a whole body: bytes that were not declared.
            return self._wait_closed()
        if chunked:
            self._sock.sendall(b"0\r\n\r\n")
        return chunked or (shape == "sized" and self._plan.declared == 0)

    def _send(self, body: Body, start: int, end: int, chunked: bool) -> None:
        rate = self._file.rate
        for piece in body.pieces(start, end, 262144 if rate is None else 32768):
            if chunked:
                self._sock.sendall(b"%x\r\n" % len(piece))
            place = 0
            while place < len(piece):
                count = self._sock.send(piece[place:])
                place += count
                self._served.sent += count
            if chunked:
                self._sock.sendall(b"\r\n")
            if rate is not None:
                due = self._begun + self._served.sent / rate
                time.sleep(max(due - time.monotonic(), 0.0))

    def _short(self, status: str, body: bytes, *fields: str) -> bool:
        self._head(status, [*fields, *([] if not body else [f"Content-Length: {len(body)}"])])
        if body and self._request.method != "HEAD":
            self._sock.sendall(body)
        return True

    def _head(self, status: str, fields: list[str]) -> None:
        self._served.status = int(status[:3])
        version = "1.0" if self._file.shape == "http/1.0" else "1.1"
        if status.startswith("416"):
            fields.append("Content-Length: 0")
        lines = [f"HTTP/{version} {status}", f"Date: {formatdate(usegmt=True)}", *fields, "", ""]
        self._sock.sendall("\r\n".join(lines).encode("latin-1"))

    def _not_modified(self) -> bool:
        asked, tag = self._request.get("If-None-Match"), self._tag
        if asked is not None:
            tags = [one.strip().removeprefix("W/") for one in asked.split(",")]
            return asked == "*" or (tag is not None and tag.removeprefix("W/") in tags)
        since = self._request.get("If-Modified-Since")
        return since is not None and since == self._date

    def _span(self) -> tuple[int, int] | None:
        """The bytes to send as 206, half open; None for the whole as 200."""
        asked = self._request.get("Range")
        if asked is None or not self._file.ranges or self._plan.ignores_range:
            return None
        if self._request.method != "GET" or "," in asked:
            return None
        condition = self._request.get("If-Range")
        strong = [self._date, self._tag if self._file.etag == "strong" else None]
        if condition is not None and condition not in strong:
            return None
        first, _, last = asked.removeprefix("bytes=").partition("-")
        size = self._file.size
        if not first:
            return max(size - int(last), 0), size
        return int(first), min(int(last) + 1, size) if last else size

    def _break_off(self) -> bool:
        if self._plan.reset is not None:
            _wait_taken(self._sock)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _wait_closed(self) -> bool:
        with contextlib.suppress(ConnectionError):
            assert self._sock.recv(1) == b"", "the other end says something"
        return False


def _wait_taken(sock: socket.socket) -> None:
    """Wait until the other end's kernel has what was sent: a reset throws away the rest.

    Not for long, though: the other end may have stopped reading.
    """
    deadline = time.monotonic() + 1.0
    while fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0") != b"\0\0\0\0":
        if time.monotonic() > deadline:
            return
        time.sleep(0.002)
