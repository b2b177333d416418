"""Answers of origins that two readers could read in two ways: refused, and nothing behind them."""

import threading
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Connection
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, says
from tests.e2e.servers import Proxy
from tests.e2e.smuggling import Stage, Way, stage

WAYS = ("passthrough", "forward", "cache", "forward, cache")
OK = "HTTP/1.1 200 OK\r\n"
CHUNKS = OK + "Transfer-Encoding: chunked\r\n\r\n"
POISON = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

REFUSED = {
    # RFC 9112 section 6.3.
    "two lengths": OK + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "two lengths in one line": OK + "Content-Length: 5, 6\r\n\r\nabcde",
    "a length and chunks": OK
    + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    "chunks and a length": OK
    + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    **{
        f"a length of {length!r}": f"{OK}Content-Length: {length}\r\n\r\nabcde"
        for length in ("", "+5", "-5", "0x5", "5 5", "five", "5_0", "9" * 30)
    },
    **{
        f"a coding of {coding!r}": f"{OK}Transfer-Encoding: {coding}\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
        for coding in ("chunked, chunked", "xchunked", "chunked, gzip", "\x0bchunked", "identity")
    },
    "a folded line": OK + "X: a\r\n b\r\nContent-Length: 5\r\n\r\nabcde",
    "a bare line feed": OK + "X: a\nContent-Length: 5\r\n\r\nabcde",
    "bare line feeds": "HTTP/1.1 200 OK\nContent-Length: 5\n\nabcde",
    "a bare carriage return": OK + "X: a\rContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
    "a NUL": OK + "X: a\0\r\nContent-Length: 5\r\n\r\nabcde",
    "a blank before the colon": OK + "Content-Length : 5\r\n\r\nabcde",
    "no name": OK + ": a\r\nContent-Length: 5\r\n\r\nabcde",
    "no colon": OK + "junk\r\nContent-Length: 5\r\n\r\nabcde",
    "no status line": "abcde\r\n\r\n",
    "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nabcde",
    "HTTP/2": "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    "a request": "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "another protocol that nobody wanted": "HTTP/1.1 101 Switching Protocols\r\n"
    + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a large head": f"{OK}X: {'a' * 40_000}\r\nContent-Length: 5\r\n\r\nabcde",
}

BROKEN = {
    # RFC 9112 sections 7.1 and 8; each stands behind a good chunk.
    **{
        f"a size of {size!r}": f"{size}\r\nabcde\r\n0\r\n\r\n"
        for size in ("", "-5", "+5", "0x5", "g", " 5", "5 5", "0" * 16 + "5", "f" * 16)
    },
    "a bare line feed behind a size": "5\nabcde\r\n0\r\n\r\n",
    "no line end behind a chunk": "5\r\nabcde0\r\n\r\n",
    "a chunk that is too long": "5\r\nabcdef\r\n0\r\n\r\n",
    "a long extension": f"5;{'a' * 5000}\r\nabcde\r\n0\r\n\r\n",
    "a bare line feed at the end": "0\r\n\n",
    "a malformed trailer": "0\r\nX : a\r\n\r\n",
}


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A proxy that asks once, and the origin."""
    with stage(tmp_path_factory.mktemp("proxy"), APRP_RETRIES="0") as started:
        yield started


def ask(connection: Connection, way: Way) -> None:
    """Ask for what the origin answers oddly."""
    body = "Content-Length: 3\r\n\r\nabc" if way.method == "POST" else "\r\n"
    connection.send(way.fill(f"START{body}"))


def check_not_used_again(on_stage: Stage, path: str) -> None:
    """See that the origin's connection is closed, and that the next one gets its own answer."""
    for came in on_stage.origin.asked(path):
        on_stage.origin.wait_ended(came.connection)
    on_stage.settle()


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("form", REFUSED)
def test_refused(on_stage: Stage, form: str, name: str) -> None:
    way = on_stage.way(name)
    on_stage.origin.replies[way.path] = (REFUSED[form] + POISON).encode("latin-1")
    with Connection(on_stage.proxy.port) as connection:
        for _ in range(2):
            ask(connection, way)
            reply = connection.read_reply()
            assert check_problem(reply, 502)
            assert b"poison" not in reply.body
    # Nothing of it is stored.
    assert len(on_stage.origin.asked(way.path)) == 2
    check_not_used_again(on_stage, way.path)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("form", BROKEN)
def test_cut_short(on_stage: Stage, form: str, name: str) -> None:
    way = on_stage.way(name)
    reply = f"{CHUNKS}3\r\nabc\r\n{BROKEN[form]}{POISON}"
    on_stage.origin.replies[way.path] = reply.encode("latin-1")
    with Connection(on_stage.proxy.port) as connection:
        ask(connection, way)
        came = connection.read_all()
    # The client sees that there is no end: neither the last chunk nor another answer.
    assert not came.endswith(b"0\r\n\r\n")
    assert b"poison" not in came
    head = came.partition(b"\r\n\r\n")[0]
    if head.startswith(b"HTTP/1.1 200 "):
        assert b"Transfer-Encoding: chunked" in head
    else:
        assert head.startswith(b"HTTP/1.1 502 ")
    check_not_used_again(on_stage, way.path)


@pytest.mark.parametrize("name", WAYS)
def test_what_stands_behind_an_answer_is_for_nobody(on_stage: Stage, name: str) -> None:
    way, second = on_stage.way(name), on_stage.way("passthrough")
    reply = f"{OK}Content-Length: 5\r\n\r\nabcde{POISON}"
    on_stage.origin.replies[way.path] = reply.encode("latin-1")
    with Connection(on_stage.proxy.port) as connection:
        ask(connection, way)
        assert connection.read_reply().body == b"abcde"
        ask(connection, second)
        assert connection.read_reply().body == f"POST {second.path} 3".encode()
    check_not_used_again(on_stage, way.path)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_answer_that_nobody_asked_for(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str
) -> None:
    read, broken = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.send(answer("200 OK", b"abcde"))
        assert read.wait(PATIENCE)
        # The connection is idle, and kept for the next request.
        peer.send(POISON.encode())
        peer.wait_broken()
        broken.set()

    odd, plain = origin.plays(script), origin.plays(says(answer("200 OK", b"plain")))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(odd, method=method)
        assert connection.read_reply().body == b"abcde"
        read.set()
        assert broken.wait(PATIENCE)
        connection.ask(plain, method=method)
        assert connection.read_reply().body == b"plain"
