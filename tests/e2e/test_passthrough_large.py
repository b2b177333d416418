"""Large bodies both ways: the proxy holds a bounded part of them, whoever is the slower one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import endless
from tests.e2e.programs import PATIENCE, anonymous_memory, socket_buffers
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import (
    PIECE,
    Upload,
    compare_endless,
    endless_pieces,
    framing,
    message,
    whole,
)

LARGE = 300 << 20
GROWTH = 8 << 20
"""Bytes by which the proxy's memory may grow for one exchange, whatever its size: buffers."""


class Memory:
    """The most anonymous memory of a process, seen at each `look`, beyond that of the start."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = anonymous_memory(pid)
        self._calls = 0
        self.growth = 0

    def look(self) -> None:
        """Look each time that 4 MiB have gone."""
        self._calls += 1
        if self._calls % 16 == 0:
            self.look_now()

    def look_now(self) -> None:
        """Look."""
        self.growth = max(self.growth, anonymous_memory(self._pid) - self._before)


@pytest.fixture
def warm_proxy(origin: ScriptedOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy that has all it needs in memory already, but for what bodies need."""
    proxy = start_proxy("--upstream", origin.url)
    path = origin.plays(taking(1 << 20))
    with Connection(proxy.port) as connection:
        upload(connection, path, 1 << 20, False, lambda: None)
    return proxy


def taking(size: int, each: Callable[[int], None] = lambda place: None) -> Callable[[Peer], None]:
    """A script that takes the endless body up to `size`, and sends it back."""

    def script(peer: Peer) -> None:
        compare_endless(peer, size, each)
        if peer.request.get("Transfer-Encoding") is None:
            peer.send(head("200 OK", f"Content-Length: {size}"))
            assert peer.send_endless(0, size) == size
        else:
            peer.send(head("200 OK", "Transfer-Encoding: chunked"))
            for start in range(0, size, PIECE):
                piece = endless(start, min(start + PIECE, size))
                peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            peer.send(b"0\r\n\r\n")

    return script


def upload(
    connection: Connection, path: str, size: int, chunked: bool, each: Callable[[], None]
) -> None:
    """Send the endless body up to `size`, and read it back."""
    connection.ask(path, framing(size, chunked), method="PUT")
    Upload(connection, endless_pieces(size, chunked)).finish(each)
    read_back(connection, size, chunked, each)


def read_back(connection: Connection, size: int, chunked: bool, each: Callable[[], None]) -> None:
    """Read an answer with the endless body up to `size`."""
    assert connection.read_head().status == 200
    place = 0
    for piece in read_chunks(connection) if chunked else read_sized(connection, size):
        assert piece == endless(place, place + len(piece)), f"wrong bytes behind {place}"
        place += len(piece)
        each()
    assert place == size


def read_chunks(connection: Connection) -> Iterator[bytes]:
    """A chunked body."""
    while piece := connection.read_chunk():
        yield piece


def read_sized(connection: Connection, size: int) -> Iterator[bytes]:
    """A body of so many bytes."""
    for start in range(0, size, PIECE):
        yield connection.read(min(PIECE, size - start))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_both_ways(origin: ScriptedOrigin, warm_proxy: Proxy, chunked: bool) -> None:
    memory = Memory(warm_proxy.pid)
    path = origin.plays(taking(LARGE))
    with Connection(warm_proxy.port) as connection:
        upload(connection, path, LARGE, chunked, memory.look)
        # And the connection goes on.
        upload(connection, origin.plays(taking(5)), 5, not chunked, memory.look)
    assert memory.growth < GROWTH
    line = warm_proxy.wait_access_line(path)
    assert (line["status"], line["sent"]) == (200, LARGE)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_origin_that_reads_slowly_slows_the_client_down(
    origin: ScriptedOrigin, warm_proxy: Proxy, chunked: bool
) -> None:
    memory = Memory(warm_proxy.pid)
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        assert go_on.wait(PATIENCE)
        compare_endless(peer, LARGE)
        peer.send(answer("201 Created", b""))

    path = origin.plays(script)
    with Connection(warm_proxy.port) as connection:
        connection.ask(path, framing(LARGE, chunked), method="POST")
        upload = Upload(connection, endless_pieces(LARGE, chunked))
        upload.push()
        # What the kernel holds on both sides, and little more.
        assert upload.sent < 2 * socket_buffers()
        memory.look_now()
        go_on.set()
        upload.finish(memory.look)
        assert connection.read_reply().status == 201
    assert memory.growth < GROWTH


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_reads_slowly_slows_the_origin_down(
    origin: ScriptedOrigin, warm_proxy: Proxy, chunked: bool
) -> None:
    memory = Memory(warm_proxy.pid)
    stuck = threading.Event()

    def script(peer: Peer) -> None:
        assert whole(peer) == b"all"
        peer.send(head("200 OK", framing(LARGE, chunked)))
        # Of an origin, it is the same end of a connection as of a client.
        upload = Upload(peer, endless_pieces(LARGE, chunked))
        upload.push()
        assert upload.sent < 2 * socket_buffers()
        stuck.set()
        upload.finish()

    path = origin.plays(script)
    with Connection(warm_proxy.port) as connection:
        connection.send(message("POST", path, b"all"))
        assert stuck.wait(PATIENCE)
        memory.look_now()
        read_back(connection, LARGE, chunked, memory.look)
    assert memory.growth < GROWTH


def test_many_uploads_at_once_to_an_origin_that_reads_nothing(
    origin: ScriptedOrigin, warm_proxy: Proxy
) -> None:
    memory = Memory(warm_proxy.pid)
    go_on = threading.Event()
    size = 32 << 20

    def script(peer: Peer) -> None:
        assert go_on.wait(PATIENCE)
        compare_endless(peer, size)
        peer.send(answer("201 Created", b""))

    path = origin.plays(script)
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(warm_proxy.port)) for _ in range(8)]
        uploads = [Upload(each, endless_pieces(size, False)) for each in connections]
        for connection, upload in zip(connections, uploads, strict=True):
            connection.ask(path, framing(size, False), method="POST")
            upload.push(0.3)
        memory.look_now()
        go_on.set()
        for connection, upload in zip(connections, uploads, strict=True):
            upload.finish()
            assert connection.read_reply().status == 201
    # A large buffer for each that is waited for, and a spare one.
    assert memory.growth < GROWTH
