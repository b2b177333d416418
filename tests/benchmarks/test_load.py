"""The load generator notices each kind of wrong answer; a run's figures stand on that."""

import contextlib
import os
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Ask, Connection, Head, LoadError, check_head, drive, parse_head, plan

FILE = os.urandom(100_000)
HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10"


def test_a_head_is_read_without_regard_to_case() -> None:
    assert parse_head(HEAD) == Head(206, "bytes 0-9/100", 10)
    assert parse_head(HEAD.replace(b"Content-", b"content-")) == Head(206, "bytes 0-9/100", 10)


@pytest.mark.parametrize("head", [b"", b"nonsense", b"HTTP/1.1 xyz OK", b"HTTP/1.1 206 OK\r\nA: 1"])
def test_a_head_that_frames_nothing_is_refused(head: bytes) -> None:
    with pytest.raises(LoadError):
        parse_head(head)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (Head(200, "", 100), "status 200"),
        (Head(206, "bytes 0-9/101", 10), "Content-Range"),
        (Head(206, "bytes 1-10/100", 10), "Content-Range"),
        (Head(206, "bytes 0-9/100", 9), "Content-Length"),
    ],
)
def test_only_the_range_asked_is_accepted(head: Head, says: str) -> None:
    ask = Ask(0, 10, b"")
    check_head(Head(206, "bytes 0-9/100", 10), ask, 100)
    with pytest.raises(LoadError, match=says):
        check_head(head, ask, 100)


def test_a_plan_depends_on_its_seed_alone_and_stays_within_the_file() -> None:
    asks = plan("/f", "h", total=1000, size=100, count=500, seed=7)
    assert asks == plan("/f", "h", total=1000, size=100, count=500, seed=7)
    assert asks != plan("/f", "h", total=1000, size=100, count=500, seed=8)
    assert {ask.stop - ask.start for ask in asks} == {100}
    assert min(ask.start for ask in asks) >= 0
    assert max(ask.stop for ask in asks) <= 1000
    for ask in asks:
        assert f"Range: bytes={ask.start}-{ask.stop - 1}\r\n".encode() in ask.wire


def test_new_objects_are_told_apart_by_number_and_seed() -> None:
    targets = [
        ask.wire.split(b" ")[1]
        for seed in (1, 2)
        for ask in plan("/f", "h", total=10, size=10, count=3, seed=seed, new_objects=True)
    ]
    assert len(set(targets)) == 6
    assert all(target.startswith(b"/f?") for target in targets)


def test_a_range_larger_than_the_file_is_refused() -> None:
    with pytest.raises(LoadError, match="does not fit"):
        plan("/f", "h", total=10, size=11, count=1, seed=1)


class Scripted(socketserver.ThreadingTCPServer):
    """Answers ranges of FILE; `fault` says what is wrong with each answer."""

    fault = ""


class Answer(socketserver.StreamRequestHandler):
    server: Scripted

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client leaves at the first wrong answer
            self.answer()

    def answer(self) -> None:
        while request := self.read_request():
            found = re.search(rb"Range: bytes=(\d+)-(\d+)", request)
            assert found is not None
            first, last = int(found[1]), int(found[2])
            body = FILE[first : last + 1]
            head = (
                f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{len(FILE)}"
                f"\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode()
            match self.server.fault:
                case "flipped byte":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                case "short":
                    self.wfile.write(head + body[:-1])
                    return
                case "too long":
                    body += b"x"
                case "in pieces":
                    for byte in head:
                        self.wfile.write(bytes([byte]))
                    head = b""
                case "silent":
                    self.rfile.read()  # until the client leaves
                    return
            self.wfile.write(head + body)

    def read_request(self) -> bytes:
        lines: list[bytes] = []
        for line in self.rfile:
            if line == b"\r\n":
                return b"".join(lines)
            lines.append(line)
        return b""


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(("127.0.0.1", 0), Answer) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask_all(server: Scripted, file: Path, seconds: float = 10.0) -> int:
    """Thirty requests over three connections, every byte compared."""
    asks = plan("/f", "h", len(FILE), 5000, 30, seed=1)
    port = server.server_address[1]
    connections = [Connection("127.0.0.1", port, len(FILE), seconds) for _ in range(3)]
    try:
        with file.open("rb") as reference:
            return drive(connections, asks, time.monotonic() + seconds, reference.fileno())
    finally:
        for connection in connections:
            connection.sock.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(FILE)
    return path


@pytest.mark.parametrize("fault", ["", "in pieces"])
def test_right_answers_are_counted(server: Scripted, file: Path, fault: str) -> None:
    server.fault = fault
    assert ask_all(server, file) == 30 * 5000


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("flipped byte", "wrong bytes"),
        ("short", "closed the connection with 1 bytes missing"),
        ("too long", "more bytes|after the end"),
    ],
)
def test_wrong_answers_end_the_run(server: Scripted, file: Path, fault: str, says: str) -> None:
    server.fault = fault
    with pytest.raises(LoadError, match=says):
        ask_all(server, file)


def test_a_silent_proxy_ends_the_run_at_the_deadline(server: Scripted, file: Path) -> None:
    server.fault = "silent"
    with pytest.raises(LoadError, match="out of time with 0 of 30"):
        ask_all(server, file, seconds=0.2)
