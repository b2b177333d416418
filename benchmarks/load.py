"""The load generator: a small client of one thread that asks for ranges and checks each answer.

It is a process of its own (`python -m benchmarks.load`) on the core of the origin. Its dialogue:
it connects, warms the connections up with answers whose every byte is compared with the file,
prints `ready`, waits for a line on standard input, sends the measured requests and prints a JSON
object with what it did. With --new-objects each range is asked of another object (a query string
makes the same file another one), and on a further line all measured ranges are asked once more,
every byte compared, and a second JSON object is printed. Any wrong answer ends it with status 1
and `{"error": ...}`.

In the measured part it checks status, Content-Range, Content-Length and the length received, and
drops the bytes: comparing them would make the client the slowest part of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BUFFER = 1 << 20
MAX_HEAD = 64 << 10


class LoadError(Exception):
    """An answer was wrong, or did not come in time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the half-open range [start, stop) of the file and the bytes that ask for it."""

    start: int
    stop: int
    wire: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What the load generator needs of an answer's head."""

    status: int
    content_range: str
    content_length: int


def parse_head(head: bytes) -> Head:
    """Read status line and fields (without the closing empty line).

    Raises LoadError where there is no status or no Content-Length to frame the body by.
    """
    lines = head.decode("latin-1").split("\r\n")
    try:
        status = int(lines[0].split(" ", 2)[1])
    except (IndexError, ValueError):
        raise LoadError(f"no HTTP status line: {lines[0]!r}") from None
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    length = fields.get("content-length", "")
    if not length.isdecimal():
        raise LoadError(f"status {status}: no Content-Length in the answer")
    return Head(status, fields.get("content-range", ""), int(length))


def check_head(head: Head, ask: Ask, total: int) -> None:
    """Raise LoadError unless this is the 206 (RFC 9110 15.3.7) to exactly the range asked."""
    wanted = f"bytes {ask.start}-{ask.stop - 1}/{total}"
    if head.status != 206:
        raise LoadError(f"asked {wanted}: status {head.status} instead of 206")
    if head.content_range != wanted:
        raise LoadError(f"Content-Range is {head.content_range!r} instead of {wanted!r}")
    if head.content_length != ask.stop - ask.start:
        raise LoadError(f"asked {wanted}: Content-Length is {head.content_length}")


def plan(
    path: str, host: str, total: int, size: int, count: int, seed: int, new_objects: bool = False
) -> list[Ask]:
    """`count` ranges of `size` bytes at offsets that depend on the seed alone.

    With `new_objects` each is of another object, which no plan with another seed has.
    """
    if size > total:
        raise LoadError(f"a range of {size} bytes does not fit a file of {total}")
    dice = random.Random(seed)
    asks = []
    for number in range(count):
        start = dice.randint(0, total - size)
        target = f"{path}?copy={seed}-{number}" if new_objects else path
        wire = (
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: aprp-bench\r\nAccept: */*\r\n"
            f"Range: bytes={start}-{start + size - 1}\r\n\r\n"
        )
        asks.append(Ask(start, start + size, wire.encode()))
    return asks


class Connection:
    """One keep-alive connection: at most one request under way."""

    __slots__ = ("ask", "left", "partial_head", "sock", "total")

    def __init__(self, host: str, port: int, total: int, timeout: float) -> None:
        """Connect, or raise OSError."""
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.total = total
        self.ask: Ask | None = None
        self.partial_head: bytes | None = None  # None: the head is complete
        self.left = 0

    def send(self, ask: Ask) -> None:
        """Send a request."""
        self.ask, self.partial_head, self.left = ask, b"", 0
        if self.sock.send(ask.wire) != len(ask.wire):
            raise LoadError("a request did not fit the socket's buffer")

    def receive(self, buffer: bytearray, view: memoryview, reference: int | None) -> bool:
        """Take what has arrived into `buffer` (`view` is a view of it); true at the answer's end.

        `reference` is the open file to compare the bytes with, if they are to be compared.
        """
        got = self.sock.recv_into(buffer)
        if got == 0:
            raise LoadError(f"the proxy closed the connection with {self.left} bytes missing")
        if self.ask is None:
            raise LoadError("bytes after the end of an answer")
        body = view[:got]
        if self.partial_head is not None:
            begin = self.partial_head + bytes(view[: min(got, MAX_HEAD)])
            head, found, _ = begin.partition(b"\r\n\r\n")
            if not found:
                if len(head) > MAX_HEAD:
                    raise LoadError("the answer's head has no end")
                self.partial_head = head
                return False
            body = view[len(head) + 4 - len(self.partial_head) : got]
            parsed = parse_head(head)
            check_head(parsed, self.ask, self.total)
            self.left = parsed.content_length
            self.partial_head = None
        if len(body) > self.left:
            raise LoadError("more bytes than Content-Length says")
        if reference is not None:
            at = self.ask.stop - self.left
            if os.pread(reference, len(body), at) != bytes(body):
                raise LoadError(f"wrong bytes between {at} and {at + len(body)}")
        self.left -= len(body)
        if self.left:
            return False
        self.ask = None
        return True


def drive(
    connections: list[Connection], asks: list[Ask], deadline: float, reference: int | None
) -> int:
    """Ask everything, one request a connection at a time; returns the body bytes received.

    `deadline` is a time of time.monotonic(); `reference` an open file to compare every byte with.
    Raises LoadError where an answer is wrong or the deadline passes.
    """
    waiting: Iterator[Ask] = iter(asks)
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    by_fd = {connection.sock.fileno(): connection for connection in connections}
    done = started = 0
    with select.epoll() as poll:
        for (fd, connection), ask in zip(by_fd.items(), waiting, strict=False):
            poll.register(fd, select.EPOLLIN)
            connection.send(ask)
            started += 1
        while done < started:
            events = poll.poll(max(0.0, deadline - time.monotonic()))
            if time.monotonic() > deadline:
                raise LoadError(f"out of time with {done} of {len(asks)} answers complete")
            for fd, _ in events:
                if by_fd[fd].receive(buffer, view, reference):
                    done += 1
                    following = next(waiting, None)
                    if following is not None:
                        by_fd[fd].send(following)
                        started += 1
    return sum(ask.stop - ask.start for ask in asks)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; sizes in bytes, times in seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--file", type=Path, required=True, help="the same file, to compare with")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--new-objects", action="store_true", help="another object a range")
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds for each part")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Warm up, wait for the line, measure; what was done in each part, as it is done.

    Raises LoadError or OSError.
    """
    total = given.file.stat().st_size
    host = f"{given.host}:{given.port}"
    warmup, asks = (
        plan(given.path, host, total, given.size, count, seed, given.new_objects)
        for count, seed in ((given.warmup, given.seed), (given.count, given.seed + 1))
    )
    connections: list[Connection] = []

    def part(asks: list[Ask], reference: int | None) -> dict[str, float]:
        began = time.monotonic()
        received = drive(connections, asks, began + given.deadline, reference)
        seconds = time.monotonic() - began
        return {"requests": len(asks), "bytes": received, "seconds": seconds}

    try:
        for _ in range(given.connections):
            connections.append(Connection(given.host, given.port, total, given.deadline))
        with given.file.open("rb") as file:
            part(warmup, file.fileno())
            print("ready", flush=True)
            sys.stdin.readline()
            yield part(asks, None)
            if given.new_objects:
                sys.stdin.readline()
                yield part(asks, file.fileno())
    finally:
        for connection in connections:
            connection.sock.close()


def main() -> int:
    """Entry point of the process."""
    try:
        for done in run(arguments()):
            print(json.dumps(done), flush=True)
    except (LoadError, OSError) as problem:
        print(json.dumps({"error": str(problem)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
