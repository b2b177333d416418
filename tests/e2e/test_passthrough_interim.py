"""What comes before an answer: Expect: 100-continue, and interim responses of the origin."""

import threading

import pytest

from tests.e2e.clients import Connection, send_raw
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import Aborted, echoes, framing, in_chunks, message, whole

EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET"])
def test_the_origins_consent_is_the_clients(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str, chunked: bool
) -> None:
    told = threading.Event()
    asked = threading.Event()

    def script(peer: Peer) -> None:
        asked.set()
        assert told.wait(PATIENCE)
        assert peer.held == b""
        peer.send(CONTINUE)
        assert whole(peer) == FILM
        peer.send(answer("200 OK", b"thanks"))

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        for _ in range(2):
            told.clear()
            asked.clear()
            connection.ask(path, framing(len(FILM), chunked), EXPECT, method=method)
            assert asked.wait(PATIENCE)
            connection.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.read_some()
            connection.socket.settimeout(PATIENCE)
            told.set()
            assert connection.read_head().status == 100
            connection.send(in_chunks(FILM) if chunked else FILM)
            reply = connection.read_reply()
            # One consent is enough.
            assert (reply.interim, reply.body) == ((), b"thanks")
    assert [request.get("Expect") for request in origin.asked(path)] == ["100-continue"] * 2


@pytest.mark.parametrize("status", ["417 Expectation Failed", "413 Too Large", "401 Who?", "200 Y"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_origin_that_answers_at_once(
    origin: ScriptedOrigin, scripted_proxy: Proxy, status: str, chunked: bool
) -> None:
    taken = Aborted(lambda peer: peer.send(answer(status, b"because")))
    path = origin.plays(taken)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, framing(1 << 30, chunked), EXPECT, method="PUT")
        reply = connection.read_reply()
        assert reply.interim == ()
        assert f"{reply.status} {reply.reason}" == status
        assert reply.body == b"because"
        # RFC 9110 section 10.1.1: the client may send the body all the same, or not.
        assert reply.get("Connection") == "close"
        assert connection.at_end()
    taken.wait()
    assert taken.taken == b""


def test_an_origin_that_says_nothing_gets_the_body_all_the_same(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, framing(3, False), EXPECT, method="POST")
        assert connection.read_head().status == 100
        connection.send(b"abc")
        assert connection.read_reply().body == b"abc"


@pytest.mark.parametrize("consents", [False, True])
def test_a_client_that_does_not_wait(
    origin: ScriptedOrigin, scripted_proxy: Proxy, consents: bool
) -> None:
    def script(peer: Peer) -> None:
        if consents:
            peer.send(CONTINUE)
        assert whole(peer) == FILM
        peer.send(answer("200 OK", b"thanks"))

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, FILM, EXPECT))
        reply = connection.read_reply()
        # RFC 9110 section 10.1.1: the 100 may be left out where the body is there already.
        assert [one.status for one in reply.interim] in ([], [100])
        assert (reply.status, reply.body) == (200, b"thanks")


@pytest.mark.parametrize("length", [0, 3])
def test_an_old_client_expects_nothing(
    origin: ScriptedOrigin, scripted_proxy: Proxy, length: int
) -> None:
    path = origin.plays(echoes())
    data = message("POST", path, b"abc"[:length], EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0")
    (reply,) = send_raw(scripted_proxy.port, data)
    assert (reply.interim, reply.status, reply.body) == ((), 200, b"abc"[:length])
    assert origin.asked(path)[0].get("Expect") is None


def test_nothing_is_expected_without_a_body(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        for method in ("POST", "DELETE"):
            connection.send(message(method, path, b"", EXPECT))
            assert connection.read_reply().status == 200


def test_other_expectations_fail(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(echoes())
    (reply,) = send_raw(scripted_proxy.port, message("POST", path, b"abc", "Expect: a-miracle"))
    check_problem(reply, 417)
    assert origin.asked(path) == []


def test_a_client_that_leaves_instead_of_sending_the_body(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    taken = Aborted(lambda peer: peer.send(CONTINUE))
    path = origin.plays(taken)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, framing(3, False), EXPECT, method="POST")
        assert connection.read_head().status == 100
    taken.wait()
    assert scripted_proxy.wait_access_line(path)["end"] == "client went away"


HINTS = (
    (103, "Early Hints", ("Link", "</style.css>; rel=preload")),
    (102, "Processing", None),
    (103, "Early Hints", ("Link", "</script.js>; rel=preload; as=script")),
    (199, "Wait A Bit", ("X-Odd", "1")),
)


def hinting(peer: Peer) -> None:
    """A script that says something before it answers."""
    body = whole(peer)
    for status, reason, pair in HINTS:
        line = f"{pair[0]}: {pair[1]}\r\n" if pair else ""
        hop = "Connection: x-hop, close\r\nX-Hop: 1\r\n"
        peer.send(f"HTTP/1.1 {status} {reason}\r\n{line}{hop}\r\n".encode())
    peer.send(answer("200 OK", FILM, f"X-Body: {body.decode()}", "Cache-Control: max-age=60"))


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("body", [None, b"abc"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_interim_answers_are_handed_on(
    origin: ScriptedOrigin, start_proxy: StartProxy, method: str, body: bytes | None, cache: bool
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=cache)
    path = origin.plays(hinting)
    with Connection(proxy.port) as connection:
        if body is None:
            connection.ask(path, method=method)
        else:
            connection.send(message(method, path, body))
        for status, reason, pair in HINTS:
            hint = connection.read_head()
            assert (hint.status, hint.reason) == (status, reason)
            assert hint.fields == ((pair,) if pair else ())
        reply = connection.read_reply()
        assert (reply.interim, reply.status, reply.body) == ((), 200, FILM)
        # And the connection goes on.
        connection.ask("/healthz")
        assert connection.read_reply().status == 200


def test_a_range_and_a_head_with_hints(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        peer.send(head("200 OK", f"Content-Length: {len(FILM)}"))
        if peer.request.method != "HEAD":
            peer.send(FILM)

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        for asked, line, status in (("GET", "Range: bytes=5-9", 206), ("HEAD", "X: y", 200)):
            connection.ask(path, line, method=asked)
            assert connection.read_head().status == 103
            assert connection.read_reply(asked).status == status


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("line", ["X: y", "Connection: keep-alive"])
def test_an_old_client_gets_no_interim_answers(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str, line: str
) -> None:
    # RFC 9110 section 15.2: HTTP/1.0 has none.
    path = origin.plays(hinting)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, line, "Content-Length: 0", method=method, version="1.0")
        reply = connection.read_reply()
        assert (reply.interim, reply.status, reply.body) == ((), 200, FILM)


def test_hints_come_before_the_answer_is_there(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    seen = threading.Event()

    def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert seen.wait(PATIENCE)
        peer.send(answer("200 OK", b"late"))

    path = origin.plays(script)
    for method in ("GET", "DELETE"):
        seen.clear()
        with Connection(scripted_proxy.port) as connection:
            connection.ask(path, method=method)
            assert connection.read_head().status == 103
            seen.set()
            assert connection.read_reply().body == b"late"


def test_consent_that_nobody_asked_for(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        body = whole(peer)
        peer.send(CONTINUE + answer("200 OK", body))

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        for data in (message("GET", path, b""), message("POST", path, b"abc")):
            connection.send(data)
            reply = connection.read_reply()
            assert (reply.interim, reply.status) == ((), 200)


def test_a_switch_that_nobody_asked_for(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        whole(peer)
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        peer.wait_broken()

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, b"abc"))
        check_problem(connection.read_reply(), 502)


def test_interim_answers_without_end(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        whole(peer)
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000)
        peer.wait_broken()

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, b"abc"))
        replies = [connection.read_head()]
        while replies[-1].status == 102:
            replies.append(connection.read_head())
        assert replies[-1].status == 502 and len(replies) < 100
