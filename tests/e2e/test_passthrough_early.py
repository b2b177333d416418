"""Answers that come before the end of a request."""

import contextlib
import threading
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest

from tests.e2e.clients import Connection, curl
from tests.e2e.content import endless
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer, head
from tests.e2e.servers import Proxy
from tests.e2e.uploads import (
    PIECE,
    CutShort,
    Upload,
    echoes,
    endless_pieces,
    framing,
    message,
    pieces,
    whole,
)

LARGE = 100 << 20
REFUSED = answer("403 Not With Me", b"too much", "X-Why: because")


def closes(peer: Peer) -> None:
    """Answer, and close: the rest of the request meets a reset."""
    peer.send(answer("403 Not With Me", b"too much", "X-Why: because", "Connection: close"))
    peer.kept = False


def listens(peer: Peer) -> None:
    """Answer, and read the request to whichever end it has."""
    peer.send(REFUSED)
    peer.kept = False
    with contextlib.suppress(CutShort):
        for _ in pieces(peer):
            continue


def waits(peer: Peer) -> None:
    """Answer, and read nothing until the other end has gone."""
    peer.send(REFUSED)
    peer.kept = False
    with contextlib.suppress(ConnectionResetError):
        while peer.socket.recv(1 << 20):
            # The last of what the kernel has.
            continue


def in_the_middle(peer: Peer) -> None:
    """Answer when a part has come, and close."""
    body = pieces(peer)
    taken = 0
    while taken < 1 << 20:
        taken += len(next(body))
    closes(peer)


EARLY: dict[str, Script] = {
    "closes": closes,
    "listens": listens,
    "waits": waits,
    "in the middle": in_the_middle,
}


def send_all(connection: Connection, data: Callable[[], bytes], stop: threading.Event) -> None:
    """Send on and on, until the other end has had enough."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while not stop.is_set():
            connection.send(data())


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("kind", EARLY)
def test_an_early_answer_to_a_client_that_is_still_sending(
    origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str, chunked: bool
) -> None:
    # It reads nothing before all is sent that can be: a reset would lose it the answer.
    path = origin.plays(EARLY[kind])
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, framing(LARGE, chunked), method="POST")
        with contextlib.suppress(BrokenPipeError):
            for piece in endless_pieces(LARGE, chunked):
                connection.send(piece)
        reply = connection.read_reply()
        assert (reply.status, reply.reason) == (403, "Not With Me")
        assert (reply.body, reply.get("X-Why")) == (b"too much", "because")
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize("kind", EARLY)
def test_an_early_answer_ends_the_connection_of_a_client_that_never_ends(
    origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str
) -> None:
    path = origin.plays(EARLY[kind])
    stop = threading.Event()
    chunk = b"%x\r\n%b\r\n" % (PIECE, bytes(PIECE))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, "Transfer-Encoding: chunked", method="PUT")
        feed = repeat(chunk)
        sender = threading.Thread(
            target=send_all, args=(connection, lambda: next(feed), stop), daemon=True
        )
        sender.start()
        reply = connection.read_reply()
        assert (reply.status, reply.body) == (403, b"too much")
        assert reply.get("Connection") == "close"
        assert connection.at_end()
        stop.set()
        sender.join(PATIENCE)
        assert not sender.is_alive()


@pytest.mark.parametrize("kind", EARLY)
def test_curl_gets_an_early_answer(
    origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str, tmp_path: Path
) -> None:
    path = origin.plays(EARLY[kind])
    file = tmp_path / "large.bin"
    with file.open("wb") as written:
        written.truncate(LARGE)
    ways = ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:"), ("-X", "POST"))
    for more in ways:
        done = curl(scripted_proxy.url + path, "-T", str(file), *more)
        assert (done.reply.status, done.reply.body) == (403, b"too much"), done.errors


@pytest.mark.parametrize("kind", ["closes", "listens", "waits"])
def test_a_short_rest_is_read_over(
    origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str
) -> None:
    # The connection is kept where it costs less than a new one.
    path, good = origin.plays(EARLY[kind]), origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        for _ in range(3):
            connection.ask(path, framing(30_000, False), method="POST")
            reply = connection.read_reply()
            assert (reply.status, reply.get("Connection")) == (403, None)
            connection.send(bytes(30_000) + message("POST", good, b"abc"))
            assert connection.read_reply().body == b"abc"


def test_an_answer_that_goes_on_beside_the_request(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # Not every early answer is a refusal: this one is an echo, larger than all buffers.
    def script(peer: Peer) -> None:
        peer.send(head("200 OK", framing(LARGE, False)))
        for piece in pieces(peer):
            peer.send(piece)

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, framing(LARGE, False), method="POST")
        sender = threading.Thread(
            target=Upload(connection, endless_pieces(LARGE, False)).finish, daemon=True
        )
        sender.start()
        # Where the next request begins cannot be told when the head is written.
        assert connection.read_head().get("Connection") == "close"
        for start in range(0, LARGE, PIECE):
            stop = min(start + PIECE, LARGE)
            assert connection.read(stop - start) == endless(start, stop)
        sender.join(PATIENCE)
        assert connection.at_end()


def test_an_origin_that_breaks_without_an_answer(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    def script(peer: Peer) -> None:
        next(pieces(peer))
        peer.reset()

    path = origin.plays(script)
    for chunked in (False, True):
        with Connection(scripted_proxy.port) as connection:
            connection.ask(path, framing(LARGE, chunked), method="PUT")
            with contextlib.suppress(ConnectionError):
                for piece in endless_pieces(LARGE, chunked):
                    connection.send(piece)
            check_problem(connection.read_reply(), 502)
    # A request that may have been understood is not sent again.
    assert len(origin.asked(path)) == 2


def test_an_answer_that_breaks_off(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        assert whole(peer) == b"abc"
        peer.send(head("200 OK", "Content-Length: 10") + b"01234")
        peer.reset()

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, b"abc"))
        assert connection.read_head().get("Content-Length") == "10"
        assert len(connection.read_all()) <= 5
    assert scripted_proxy.wait_access_line(path)["end"] == "origin broke"
