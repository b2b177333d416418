"""Clients that take their time: how long each of them is waited for, and who waits with them."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM, endless
from tests.e2e.problems import check_problem
from tests.e2e.scripted import Peer, ScriptedOrigin, head, serves
from tests.e2e.servers import StartProxy
from tests.e2e.witness import Witness

START = b"POST /film HTTP/1.1\r\nHost: a\r\n"
SOON = 5.0
"""Seconds within which something happens on a machine that is busy."""


@pytest.fixture
def witness() -> Iterator[Witness]:
    """An origin that says what came of a body."""
    started = Witness()
    yield started
    started.close()
    started.check()


def tick() -> None:
    """The pace of a slow client, in seconds."""
    threading.Event().wait(0.05)


@pytest.mark.parametrize("paced", [False, True])
def test_a_head_that_does_not_end(witness: Witness, start_proxy: StartProxy, paced: bool) -> None:
    proxy = start_proxy("--upstream", witness.url, "--header-timeout", "500ms")
    with Connection(proxy.port) as connection:
        begun = time.monotonic()
        connection.send(START)
        # That something comes all the time is no head.
        while paced and time.monotonic() - begun < 0.4:
            connection.send(b"X: a\r\n")
            tick()
        reply = connection.read_reply()
        assert reply.get("Connection") == "close"
        assert "HEADER_TIMEOUT" in check_problem(reply, 408)
        assert connection.at_end()
    assert 0.45 < time.monotonic() - begun < SOON
    assert witness.requests == []


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_on_which_nothing_is_asked(
    witness: Witness, start_proxy: StartProxy, sent: bytes
) -> None:
    flags = ("--header-timeout", "400ms", "--keepalive-timeout", "400ms")
    proxy = start_proxy("--upstream", witness.url, *flags)
    begun = time.monotonic()
    with Connection(proxy.port) as connection:
        connection.send(sent)
        came = connection.read_all()
    assert 0.35 < time.monotonic() - begun < SOON
    # What began as a request is answered, and nothing else is.
    assert came == b"" if not sent else came.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("first", [b"", b"abc"])
def test_a_body_that_does_not_go_on(
    witness: Witness, start_proxy: StartProxy, first: bytes, chunked: bool
) -> None:
    proxy = start_proxy("--upstream", witness.url, "--body-timeout", "500ms")
    with Connection(proxy.port) as connection:
        if chunked:
            piece = b"3\r\nabc\r\n" if first else b"3"
            connection.send(START + b"Transfer-Encoding: chunked\r\n\r\n" + piece)
        else:
            connection.send(START + b"Content-Length: 10\r\n\r\n" + first)
        begun = time.monotonic()
        reply = connection.read_reply()
        assert reply.get("Connection") == "close"
        assert "BODY_TIMEOUT" in check_problem(reply, 408)
        assert connection.at_end()
    assert 0.45 < time.monotonic() - begun < SOON
    # What was begun at the origin is not completed there.
    for request in witness.requests:
        witness.wait_ended(request.connection)
        assert (bytes(request.body), request.complete) == (first, False)


def test_a_body_that_comes_slowly(witness: Witness, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", witness.url, "--body-timeout", "500ms")
    with Connection(proxy.port) as connection:
        connection.send(START + b"Content-Length: 20\r\n\r\n")
        for _ in range(20):
            connection.send(b"a")
            tick()
        assert connection.read_reply().body == b"POST /film 20"


def test_the_size_of_a_head(witness: Witness, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", witness.url, "--max-header-size", "1K")
    for size, status in ((1024, 200), (1025, 431), (2048, 431), (100_000, 431)):
        with Connection(proxy.port) as connection:
            start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
            connection.send(start + b"a" * (size - len(start) - 4) + b"\r\n\r\n")
            reply = connection.read_reply()
            if status == 200:
                assert reply.status == status
                continue
            assert "MAX_HEADER_SIZE" in check_problem(reply, status)
            assert connection.at_end()
    assert len(witness.requests) == 1
    with Connection(proxy.port) as connection:
        connection.send(b"GET /" + b"a" * 1024 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "MAX_HEADER_SIZE" in check_problem(connection.read_reply(), 414)


def test_the_size_of_a_body(witness: Witness, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", witness.url, "--max-body-size", "10")
    sized, chunked = b"Content-Length: %d\r\n\r\n%b", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b"
    for framing, behind in ((sized, b""), (chunked, b"\r\n0\r\n\r\n")):
        for size in (10, 11, 5000):
            with Connection(proxy.port) as connection:
                connection.send(START + framing % (size, b"a" * size) + behind)
                reply = connection.read_reply()
                if size == 10:
                    assert reply.body == b"POST /film 10"
                else:
                    assert "MAX_BODY_SIZE" in check_problem(reply, 413)
    complete = [bytes(request.body) for request in witness.requests if request.complete]
    assert complete == [b"a" * 10] * 2


def test_many_slow_clients_hold_up_nobody(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    released = threading.Event()

    def drips(peer: Peer) -> None:
        peer.send(head("200 OK", "Content-Length: 1000000") + endless(0, 1000))
        released.wait()
        peer.kept = False

    slow, film = origin.plays(drips), origin.plays(serves(FILM))
    proxy = start_proxy("--upstream", origin.url)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Connection(proxy.port)) for _ in range(200)]
        stack.callback(released.set)
        for place, client in enumerate(clients):
            begun = (
                b"GET /film HTTP/1.1\r\nHost: a\r\nX: a",
                START + b"Content-Length: 1000\r\n\r\na",
                f"GET {slow} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
                b"G",
                START + b"Transfer-Encoding: chunked\r\n\r\n1",
            )
            client.send(begun[place % len(begun)])
        for _ in range(20):
            for client in clients[::5] + clients[3::5]:
                client.send(b"a")
            begun_at = time.monotonic()
            reply = proxy.get(film)
            assert (reply.status, reply.body) == (200, FILM)
            # Far below every time limit that the slow ones run into.
            assert time.monotonic() - begun_at < 10.0
