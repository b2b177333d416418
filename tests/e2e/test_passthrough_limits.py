"""Bodies that are too large, too slow or malformed; clients that leave; origins that do."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Connection, send_raw
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, says
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.test_connections import SMUGGLED
from tests.e2e.uploads import Aborted, echoes, framing, message, whole
from tests.peers import closed_port

MOST = 1 << 20
LIMITED = {"APRP_MAX_BODY_SIZE": "1M"}
EXPECT = "Expect: 100-continue"


@pytest.fixture(scope="module")
def limited(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy that takes bodies of up to `MOST` bytes."""
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, "--upstream", shared_origin.url, cache=False, **LIMITED) as started:
        yield started


@pytest.fixture(scope="module")
def hasty(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy that waits 300 ms for an origin, and a second for a body to go on."""
    flags = ("--first-byte-timeout", "300ms", "--idle-timeout", "300ms", "--body-timeout", "1")
    with Proxy(
        tmp_path_factory.mktemp("proxy"), "--upstream", shared_origin.url, *flags
    ) as started:
        yield started


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("lines", [(), (EXPECT,)])
def test_a_body_that_is_said_to_be_too_large(
    origin: ScriptedOrigin, limited: Proxy, method: str, lines: tuple[str, ...]
) -> None:
    path = origin.plays(echoes())
    with Connection(limited.port) as connection:
        connection.ask(path, framing(MOST + 1, False), *lines, method=method)
        # Before a byte of it was sent, and without one being asked for.
        reply = connection.read_reply()
        assert "MAX_BODY_SIZE" in check_problem(reply, 413)
        assert (reply.reason, reply.get("Connection")) == ("Content Too Large", "close")
        assert reply.interim == ()
        assert connection.at_end()
    assert origin.asked(path) == []


def test_it_is_told_to_a_client_that_sends_it_all_the_same(
    origin: ScriptedOrigin, limited: Proxy
) -> None:
    path = origin.plays(echoes())
    (reply,) = send_raw(limited.port, message("PUT", path, bytes(30 << 20)))
    check_problem(reply, 413)
    assert origin.asked(path) == []


@pytest.mark.parametrize("lines", [(), (EXPECT,)])
def test_chunks_that_become_too_many(
    origin: ScriptedOrigin, limited: Proxy, lines: tuple[str, ...]
) -> None:
    taken = Aborted()
    path = origin.plays(taken)
    with Connection(limited.port) as connection:
        connection.ask(path, framing(0, True), *lines, method="POST")
        if lines:
            assert connection.read_head().status == 100
        chunk = b"10000\r\n%b\r\n" % bytes(0x10000)
        connection.send(chunk * 16)
        # That was all there may be, and the origin has it before it is too much.
        assert taken.begun.wait(PATIENCE)
        with contextlib.suppress(ConnectionError):
            connection.send(b"1\r\nx\r\n" + chunk * 200 + b"0\r\n\r\n")
        reply = connection.read_reply()
        assert "MAX_BODY_SIZE" in check_problem(reply, 413)
        assert reply.get("Connection") == "close"
        assert connection.at_end()
    # What came of it does not look like a request that is complete.
    taken.wait()
    assert len(taken.taken) <= MOST


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_just_not_too_large(
    origin: ScriptedOrigin, limited: Proxy, chunked: bool
) -> None:
    path = origin.plays(echoes())
    body = bytes(range(256)) * (MOST // 256)
    with Connection(limited.port) as connection:
        for _ in range(2):
            connection.send(message("POST", path, body, chunked=chunked))
            assert connection.read_reply().body == body


CHUNKED = "POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no size": "\r\nabc\r\n",
    "a size in words": "zz\r\n",
    "a signed size": "+1\r\na\r\n0\r\n\r\n",
    "a size in C": "0x1\r\na\r\n0\r\n\r\n",
    "a size beyond all bounds": "1" + "0" * 16 + "\r\na\r\n0\r\n\r\n",
    "a size that would wrap around": "ffffffffffffffff\r\na\r\n0\r\n\r\n",
    "a blank before the size": " 1\r\na\r\n0\r\n\r\n",
    "a size behind zeros without end": "0" * 5000 + "1\r\na\r\n0\r\n\r\n",
    "a size that is too small": "1\r\nabc\r\n0\r\n\r\n",
    "a bare line feed behind the size": "1\na\r\n0\r\n\r\n",
    "a bare line feed behind the chunk": "1\r\na\n0\r\n\r\n",
    "a bare line feed at the end": "1\r\na\r\n0\r\n\n",
    "a bare carriage return in an extension": "1;a\rb\r\na\r\n0\r\n\r\n",
    "a line feed in an extension": "1;a\nb\r\na\r\n0\r\n\r\n",
    "a NUL in an extension": "1;a\0b\r\na\r\n0\r\n\r\n",
    "an extension of over 4 KB": f"1;{'a' * 5000}\r\na\r\n0\r\n\r\n",
    "extensions of over 4 KB in all": f"1;{'a' * 99}\r\na\r\n" * 50 + "0\r\n\r\n",
    "trailers without end": "0\r\n" + "X: a\r\n" * 10_000,
    "a trailer with a bare line feed": "0\r\nX: a\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("good", [b"", b"3\r\nabc\r\n"])
def test_chunks_that_are_none(
    origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str, good: bytes
) -> None:
    taken = Aborted()
    path = origin.plays(taken)
    data = CHUNKED.format(path).encode() + good + MALFORMED[kind].encode() + SMUGGLED.encode()
    # One answer, and the connection ends with it.
    (reply,) = send_raw(scripted_proxy.port, data)
    check_problem(reply, 400)
    assert reply.get("Connection") == "close"
    # What the origin has of it, if anything, is one request, and no complete one.
    asked = origin.asked(path)
    assert len(asked) < 2
    if asked:
        taken.wait()
    assert b"smuggled" not in taken.taken
    assert origin.asked("/smuggled") == []


@pytest.mark.parametrize("length", ["1" + "0" * 30, "9" * 18 + "9", str(1 << 64), "-1", "1e3"])
def test_lengths_out_of_bounds(origin: ScriptedOrigin, scripted_proxy: Proxy, length: str) -> None:
    path = origin.plays(echoes())
    data = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
    (reply,) = send_raw(scripted_proxy.port, data.encode())
    check_problem(reply, 400)
    assert origin.asked(path) == []


TWO_WAYS = {
    "length and chunks": "Content-Length: {}\r\nTransfer-Encoding: chunked",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: {}",
    "two lengths": "Content-Length: 0\r\nContent-Length: {}",
    "two lengths in one": "Content-Length: {}, 0",
    "a coding behind a blank": "Content-Length: {}\r\nTransfer-Encoding : chunked",
    "a coding behind a tab": "Content-Length: {}\r\nTransfer-Encoding\t: chunked",
    "a coding on a folded line": "Content-Length: {}\r\nX: y\r\n Transfer-Encoding: chunked",
    "a coding on its own line": "Content-Length: {}\r\nTransfer-Encoding:\r\n chunked",
    "a coding behind a bare line feed": "Content-Length: {}\r\nX: y\nTransfer-Encoding: chunked",
    "a coding behind a bare return": "Content-Length: {}\r\nX: y\rTransfer-Encoding: chunked",
    "a coding of another case": "Content-Length: {}\r\ntRANSFER-eNCODING: CHUNKED",
    "identity": "Content-Length: {}\r\nTransfer-Encoding: identity",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "chunked and identity": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "a coding with a parameter": "Transfer-Encoding: chunked;q=1",
    "a coding with a control": "Transfer-Encoding: \x0bchunked",
    "gzip before it": "Transfer-Encoding: gzip, chunked",
}


@pytest.mark.parametrize("kind", TWO_WAYS)
def test_bodies_that_can_be_read_in_two_ways(
    origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str
) -> None:
    path = origin.plays(echoes())
    body = "0\r\n\r\n" + SMUGGLED
    fields = TWO_WAYS[kind].format(len(body))
    data = f"POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}"
    (reply,) = send_raw(scripted_proxy.port, data.encode("latin-1"))
    check_problem(reply, 400)
    assert reply.get("Connection") == "close"
    assert origin.asked(path) + origin.asked("/smuggled") == []


def test_extensions_of_less_than_4_kb_are_left_out(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(echoes())
    data = CHUNKED.format(path) + f'1;{"a" * 90}="b"\r\na\r\n' * 40 + "0;last\r\n\r\n"
    with Connection(scripted_proxy.port) as connection:
        connection.send(data.encode() * 2)
        for _ in range(2):
            assert connection.read_reply().body == b"a" * 40


def test_a_body_that_does_not_go_on(origin: ScriptedOrigin, hasty: Proxy) -> None:
    taken = Aborted()
    path = origin.plays(taken)
    with Connection(hasty.port) as connection:
        connection.ask(path, framing(10, False), method="POST")
        connection.send(b"01234")
        assert taken.begun.wait(PATIENCE)
        reply = connection.read_reply()
        assert "BODY_TIMEOUT" in check_problem(reply, 408)
        assert connection.at_end()
    taken.wait()


def test_a_slow_client_does_not_make_the_origin_late(origin: ScriptedOrigin, hasty: Proxy) -> None:
    heard = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        for _ in range(6):
            assert peer.receive() == b"x"
            heard.release()
        peer.send(answer("200 OK", b""))

    path = origin.plays(script)
    with Connection(hasty.port) as connection:
        connection.ask(path, framing(6, False), method="POST")
        for _ in range(6):
            # A pause that is part of what is tested: in all, several times the limits.
            assert not threading.Event().wait(0.2)
            connection.send(b"x")
            assert heard.acquire(timeout=PATIENCE)
        assert connection.read_reply().status == 200


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_origin_that_is_late(origin: ScriptedOrigin, hasty: Proxy, method: str) -> None:
    def script(peer: Peer) -> None:
        assert whole(peer) == b"abc"
        peer.wait_broken()

    path = origin.plays(script)
    with Connection(hasty.port) as connection:
        connection.send(message(method, path, b"abc"))
        check_problem(connection.read_reply(), 504)
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("way", ["close", "reset", "half"])
def test_a_client_that_leaves_in_the_middle(
    origin: ScriptedOrigin, scripted_proxy: Proxy, way: str, chunked: bool
) -> None:
    taken = Aborted()
    path = origin.plays(taken)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, framing(100, chunked), method="POST")
        connection.send(b"5\r\n01234\r\n" if chunked else b"01234")
        assert taken.begun.wait(PATIENCE)
        if way == "reset":
            Peer(connection.socket, origin.asked(path)[0]).reset()
        elif way == "half":
            connection.socket.shutdown(socket.SHUT_WR)
        else:
            connection.close()
        taken.wait()
    assert taken.taken == b"01234"
    assert scripted_proxy.wait_access_line(path)["end"] == "client went away"
    assert scripted_proxy.wait_idle()["transfers"]["active"] == 0


def test_a_client_that_leaves_while_its_answer_is_awaited(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    broken = threading.Event()
    complete = threading.Event()

    def script(peer: Peer) -> None:
        assert whole(peer) == b"abc"
        complete.set()
        peer.wait_broken()
        broken.set()

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, b"abc"))
        assert complete.wait(PATIENCE)
    assert broken.wait(PATIENCE)


# Which origin, and how often.


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [b"", b"abc"])
def test_a_kept_connection_that_the_origin_closes(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str, body: bytes
) -> None:
    # RFC 9110 section 9.2.2: what is not idempotent is not sent twice.
    warm = origin.plays(says(answer("200 OK", b"")))
    done = []

    def script(peer: Peer) -> None:
        # The first time it is read on a connection that was used before, and breaks there.
        whole(peer)
        done.append(peer.request.connection)
        if len(done) == 1:
            peer.reset()
        else:
            peer.send(answer("200 OK", b""))

    path = origin.plays(script)
    assert scripted_proxy.get(warm).status == 200
    with Connection(scripted_proxy.port) as connection:
        connection.send(message(method, path, body))
        reply = connection.read_reply()
    again = method in ("PUT", "DELETE") and not body
    assert (reply.status, len(done)) == ((200, 2) if again else (502, 1))


def test_an_origin_that_cannot_be_reached(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    dead = f"http://127.0.0.1:{closed_port()}"
    path = origin.plays(echoes())
    body = bytes(300_000)
    proxy = start_proxy("--upstream", f"{dead},{origin.url}")
    with Connection(proxy.port) as connection:
        for chunked in (False, True):
            connection.send(message("POST", path, body, chunked=chunked))
            assert connection.read_reply().body == body
    assert len(origin.asked(path)) == 2
    proxy = start_proxy("--upstream", dead)
    (reply,) = send_raw(proxy.port, message("POST", path, bytes(30 << 20)))
    check_problem(reply, 502)
    with Connection(proxy.port) as connection:
        connection.ask(path, framing(3, False), EXPECT, method="POST")
        check_problem(connection.read_reply(), 502)
