"""Uploads are measured as such: all bytes arrive, in order, or there is no figure."""

import argparse
import contextlib
import io
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import BenchError
from benchmarks.load import LoadError
from benchmarks.measure import Stage, measure, stage
from benchmarks.peers import PEERS
from benchmarks.scenarios import MIB, SCENARIOS, Scenario
from benchmarks.sink import SinkError, body_length, serve
from benchmarks.upload import arguments, crc_of, post, wait_at_most
from tests.e2e.programs import require

FILE = os.urandom(100_000)
BY_NAME = {peer.name: peer for peer in PEERS}
UPLOAD = Scenario("upload", "uploads", "upload", 3 * MIB, 1, 1, 2, 2, "s/GiB")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(FILE)
    return path


def told(file: Path, size: int) -> argparse.Namespace:
    words = f"--port 1 --path /f --count 1 --size {size} --file"
    return arguments([*words.split(), str(file)])


@contextlib.contextmanager
def sink(log: io.BytesIO) -> Iterator[socket.socket]:
    """A connection to a sink; what it raises comes out of the end of the block."""
    near, far = socket.socketpair()
    errors: list[Exception] = []

    def run() -> None:
        try:
            serve(far, log)
        except Exception as error:
            errors.append(error)
        finally:
            far.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with near:
            wait_at_most(near, 10)
            yield near
    finally:
        thread.join(10)
    if errors:
        raise errors[0]


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, 350_000])
def test_what_is_sent_is_the_file_again_and_again(file: Path, size: int) -> None:
    given = told(file, size)
    content = (FILE * 4)[:size]
    assert crc_of(file, size) == zlib.crc32(content)
    log = io.BytesIO()
    with sink(log) as sock:
        post(sock, given, zlib.crc32(content))
        post(sock, given, None)
        with pytest.raises(LoadError, match="the origin got"):
            post(sock, given, zlib.crc32(content) ^ 1)
    assert log.getvalue() == b"%d\n" % size * 3


def test_a_proxy_that_refuses_is_told(file: Path) -> None:
    given = told(file, 5)
    for answer, says in (
        (b"HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig", "status 413"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbi", "status 200"),
        (b"", "without an answer"),
    ):
        near, far = socket.socketpair()
        with near, far:
            far.sendall(answer)
            far.shutdown(socket.SHUT_WR)
            with pytest.raises(LoadError, match=says):
                post(near, given, None)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "no Content-Length"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", "2 bytes missing"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabc", "behind the end"),
        (b"POST / HTTP/1.1\r\n", "no end"),
    ],
)
def test_the_sink_takes_whole_sized_bodies_alone(data: bytes, says: str) -> None:
    log = io.BytesIO()
    with pytest.raises(SinkError, match=says), sink(log) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    assert log.getvalue() == b""


def test_the_name_of_the_length_has_any_case() -> None:
    assert body_length(b"POST / HTTP/1.1\r\ncontent-LENGTH:5") == 5


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require("nginx")
    with stage(tmp_path_factory.mktemp("disk"), MIB) as made:
        yield made


@pytest.mark.parametrize("name", ["aprp", "nginx", "nginx-large"])
def test_uploads_through_each_proxy(on: Stage, name: str) -> None:
    peer = BY_NAME[name]
    with on.server(peer, "upload") as server:
        sample = measure(on, server, peer, UPLOAD, UPLOAD.count, turn=1)
    assert (sample.requests, sample.bytes) == (2, 6 * MIB)
    assert (sample.origin_requests, sample.origin_bytes) == (2, 6 * MIB)
    assert sample.cpu > 0


def test_an_upload_that_does_not_reach_the_sink_is_none(on: Stage) -> None:
    peer = BY_NAME["nginx"]
    # Before the origin of files, which takes no bodies.
    with on.server(peer) as server, pytest.raises(BenchError, match="status 4"):
        measure(on, server, peer, UPLOAD, UPLOAD.count, turn=1)


def test_uploads_are_for_those_that_know_them() -> None:
    assert [peer.name for peer in PEERS if peer.works("upload")] == ["aprp", "nginx", "nginx-large"]
    assert [scenario.size for scenario in SCENARIOS if scenario.kind == "upload"] == [1 << 30]
