"""Passthrough: all methods, with bodies both ways, and fields as they are."""

import gzip
import random
import threading

import pytest

from tests.e2e.clients import Connection, send_raw
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer, head, says
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.test_headers import HOP_BY_HOP
from tests.e2e.uploads import echoes, in_chunks, message, whole

METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET", "PROPFIND", "BREW", "get", "M-x!#")
"""A GET with a body is none of a file; methods are told apart by case (RFC 9110 section 9.1)."""
MANY = random.Random(4).randbytes(5 << 20)
BODIES = (b"", b"x", b"0\r\n\r\n", MANY[:400_000])
"""Nothing, a byte, what ends a chunked body, and more than is read at once."""


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_any_method_with_bodies_both_ways(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str, chunked: bool
) -> None:
    path = origin.plays(echoes())
    # More than all buffers hold, for one that is always passed through and one that may not be.
    bodies = (*BODIES, MANY) if method in ("POST", "GET") else BODIES
    with Connection(scripted_proxy.port) as connection:
        for body in bodies:
            connection.send(message(method, f"{path}?a=%20b", body, chunked=chunked))
            reply = connection.read_reply()
            assert (reply.status, reply.reason) == (200, "OK")
            assert reply.body == body
            if body:
                lengths = [] if chunked else [str(len(body))]
                assert reply.all("Content-Length") == lengths
    for request, body in zip(origin.asked(path), bodies, strict=True):
        assert (request.method, request.target) == (method, f"{path}?a=%20b")
        if body or chunked:
            assert request.all("Content-Length") == ([] if chunked else [str(len(body))])
            assert request.all("Transfer-Encoding") == (["chunked"] if chunked else [])


@pytest.mark.parametrize("method", METHODS)
def test_any_method_without_a_body(
    origin: ScriptedOrigin, scripted_proxy: Proxy, method: str
) -> None:
    path = origin.plays(echoes())
    assert scripted_proxy.get(path).status == 200
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, method=method)
        assert connection.read_reply().body == b""
    request = origin.asked(path)[-1]
    assert request.method == method
    assert request.all("Transfer-Encoding") == []
    # RFC 9110 section 8.6: said where the method's meaning has a body, and not elsewhere.
    says_empty = ["0"] if method in ("POST", "PUT", "PATCH") else []
    assert request.all("Content-Length") == says_empty


def test_the_body_of_a_head_request(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        for body in (b"abc", MANY):
            connection.send(message("HEAD", path, body))
            assert connection.read_reply("HEAD").get("Content-Length") == str(len(body))


def test_trace_is_refused(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    # What the proxy adds for the origin's eyes is not for the client's.
    path = origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, method="TRACE")
        reply = connection.read_reply()
    check_problem(reply, 405)
    assert "POST" in (reply.get("Allow") or "") and "TRACE" not in (reply.get("Allow") or "")
    assert origin.asked(path) == []


def test_options_of_the_proxy_and_of_the_origin(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(says(answer("200 OK", b"", "Allow: GET, BREW")))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, method="OPTIONS")
        assert connection.read_reply().all("Allow") == ["GET, BREW"]
        # RFC 9110 section 7.6.2: it goes no further.
        connection.ask(path, "Max-Forwards: 0", method="OPTIONS")
        assert "BREW" not in (connection.read_reply().get("Allow") or "BREW")
        connection.ask("*", method="OPTIONS")
        assert connection.read_reply().status == 204
    assert len(origin.asked(path)) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_row_of_requests_with_bodies_at_once(
    origin: ScriptedOrigin, scripted_proxy: Proxy, chunked: bool
) -> None:
    path = origin.plays(echoes())
    # A quarter of a MiB may wait for its turn.
    sizes = [0, 1, 70_000, 3, 100_000, 0, 2]
    bodies = [MANY[n * 1000 : n * 1000 + size] for n, size in enumerate(sizes)]
    row = [message("POST", path, body, chunked=chunked) for body in bodies]
    with Connection(scripted_proxy.port) as connection:
        connection.send(b"".join(row))
        for body in bodies:
            assert connection.read_reply().body == body
        # Between them, too, come requests without one.
        plain = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        connection.send(row[3] + plain + row[1] + plain)
        for body in (bodies[3], b"", bodies[1], b""):
            assert connection.read_reply().body == body


def test_more_than_may_wait_for_its_turn_ends_the_connection(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # No client has to send so much before it knows what became of the request before.
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        assert go_on.wait(PATIENCE)
        peer.send(answer("200 OK", b"first"))

    slow, path = origin.plays(script), origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("DELETE", slow, b"") + message("POST", path, MANY))
        go_on.set()
        assert connection.read_reply().body == b"first"
        assert connection.at_end()
    assert origin.asked(path) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_wants_no_more_than_one_answer(
    origin: ScriptedOrigin, scripted_proxy: Proxy, chunked: bool
) -> None:
    path = origin.plays(echoes())
    data = message("POST", path, MANY, "Connection: close", chunked=chunked)
    (reply,) = send_raw(scripted_proxy.port, data)
    assert (reply.get("Connection"), reply.body) == ("close", MANY)
    assert origin.asked(path)[0].get("Connection") is None


def test_a_body_that_comes_byte_by_byte(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(echoes())
    with Connection(scripted_proxy.port) as connection:
        for chunked in (False, True):
            for byte in message("POST", path, b"0\r\n\r\nabc", chunked=chunked):
                connection.send(bytes([byte]))
            assert connection.read_reply().body == b"0\r\n\r\nabc"


def test_the_answer_comes_while_the_request_is_sent(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # Each side waits for the other's bytes: nothing is collected on the way.
    def script(peer: Peer) -> None:
        peer.send(head("200 OK", "Transfer-Encoding: chunked"))
        for _ in range(20):
            assert peer.receive() == b"1\r\nq\r\n"
            peer.send(b"1\r\na\r\n")
        assert peer.receive() == b"0\r\n\r\n"
        peer.send(b"0\r\n\r\n")

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, "Transfer-Encoding: chunked", method="POST")
        for _ in range(20):
            connection.send(b"1\r\nq\r\n")
            if _ == 0:
                assert connection.read_head().status == 200
            assert connection.read_chunk() == b"a"
        connection.send(b"0\r\n\r\n")
        assert connection.read_chunk() == b""


def test_fields_of_a_request_with_a_body(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(echoes())
    passed = [
        ("user-AGENT", "app/1.0"),
        ("X-Repeated", "1"),
        ("Content-Type", 'multipart/form-data; boundary="x y"'),
        ("x-repeated", "2"),
        ("Cookie", "a=1"),
        ("X-Odd_~!#$&'*+^`|.", "caf\xe9  x"),
        ("X-Repeated", ""),
        ("cookie", "b=2"),
        ("Range", "bytes=5-9"),
        ("If-Match", '"1"'),
        ("Content-Encoding", "gzip"),
        ("Accept-Encoding", "br, gzip;q=0.5"),
        ("Authorization", "Basic YTpi"),
        ("Content-Range", "bytes 0-2/7"),
    ]
    lines = [f"{name}: {value}" for name, value in passed + HOP_BY_HOP]
    with Connection(scripted_proxy.port) as connection:
        more = ("Via: 1.0 fred", "X-Request-ID: job-17")
        connection.send(message("PUT", path, b"abc", *lines, *more))
        assert connection.read_reply().body == b"abc"
    (request,) = origin.asked(path)
    assert request.fields[0] == ("Host", origin.url.removeprefix("http://"))
    assert list(request.fields[1 : len(passed) + 1]) == passed
    assert sorted(request.fields[len(passed) + 1 :]) == [
        ("Content-Length", "3"),
        ("Forwarded", "for=127.0.0.1;host=media.example;proto=http"),
        ("Via", "1.0 fred, 1.1 aprp"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "media.example"),
        ("X-Forwarded-Proto", "http"),
        ("X-Request-ID", "job-17"),
    ]


@pytest.mark.parametrize("status", ["200 Fine, thanks; and you?", "201 ", "207 Multi", "409 No!"])
def test_fields_and_reason_of_the_answer(
    origin: ScriptedOrigin, scripted_proxy: Proxy, status: str
) -> None:
    passed = [
        ("sERVER", "origin/1.0"),
        ("Set-Cookie", "a=1"),
        ("X-Between", "x"),
        ("set-cookie", "b=2"),
        ("Link", "</a>; rel=preload"),
        ("X-Latin", "caf\xe9 \xff"),
        ("X-Empty", ""),
        ("Link", "</b>; rel=preload"),
        ("Accept-Ranges", "none"),
        ("Content-Encoding", "br"),
    ]
    lines = [f"{name}: {value}" for name, value in passed + HOP_BY_HOP]
    path = origin.plays(echoes(*lines, status=status))
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, b"abc"))
        reply = connection.read_reply()
    assert f"{reply.status} {reply.reason}" == status
    names = {"date", "content-length", "via", "x-request-id"}
    assert [pair for pair in reply.fields if pair[0].lower() not in names] == passed
    assert reply.get("Via") == "1.1 aprp"
    assert reply.body == b"abc"


def test_an_answer_without_a_date_gets_one(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    # RFC 9110 section 6.6.1.
    path = origin.plays(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, method="DELETE")
        assert len(connection.read_reply().all("Date")) == 1


ENDLESS_TAIL: dict[str, tuple[Script, int, bytes]] = {
    "204": (says(head("204 No Content")), 204, b""),
    "304": (says(head("304 Not Modified", 'ETag: "1"')), 304, b""),
    "205": (says(answer("205 Reset Content", b"")), 205, b""),
    "up to the end": (says(head("200 OK") + FILM, close=True), 200, FILM),
    "HTTP/1.0": (says(b"HTTP/1.0 200 OK\r\n\r\n" + FILM, close=True), 200, FILM),
}


@pytest.mark.parametrize("kind", ENDLESS_TAIL)
def test_answers_of_each_framing(origin: ScriptedOrigin, scripted_proxy: Proxy, kind: str) -> None:
    script, status, body = ENDLESS_TAIL[kind]

    def takes(peer: Peer) -> None:
        assert whole(peer) == b"abc"
        script(peer)

    path = origin.plays(takes)
    with Connection(scripted_proxy.port) as connection:
        for _ in range(2):
            connection.send(message("POST", path, b"abc"))
            reply = connection.read_reply()
            assert (reply.status, reply.body) == (status, body)


def test_what_is_compressed_stays_so(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    packed = gzip.compress(FILM)
    path = origin.plays(echoes("Content-Encoding: gzip"))
    with Connection(scripted_proxy.port) as connection:
        for chunked in (False, True):
            line = "Content-Encoding: gzip"
            connection.send(message("POST", path, packed, line, chunked=chunked))
            reply = connection.read_reply()
            assert (reply.get("Content-Encoding"), reply.body) == ("gzip", packed)
    # Of a file as well, if the client takes it.
    path = origin.plays(says(answer("200 OK", packed, "Content-Encoding: gzip")))
    reply = scripted_proxy.get(path, **{"Accept-Encoding": "gzip"})
    assert (reply.get("Content-Encoding"), reply.body) == ("gzip", packed)
    assert origin.asked(path)[0].get("Accept-Encoding") == "gzip"


def test_trailers_are_dropped_in_both_directions(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    def script(peer: Peer) -> None:
        # `whole` knows no trailers.
        assert whole(peer) == b"abc"
        told = head("200 OK", "Transfer-Encoding: chunked", "Trailer: X-Sum, Set-Cookie")
        peer.send(told + b"3\r\ndef\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=1\r\n\r\n")

    path = origin.plays(script)
    start = message("POST", path, b"", "Trailer: X-Sum", "TE: trailers", chunked=True)
    body = b"3;name=value\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n"
    with Connection(scripted_proxy.port) as connection:
        for _ in range(2):
            connection.send(start.removesuffix(b"0\r\n\r\n") + body)
            # The reader knows no trailers either.
            reply = connection.read_reply()
            assert reply.body == b"def"
            assert reply.all("Trailer") + reply.all("X-Sum") + reply.all("Set-Cookie") == []
    for request in origin.asked(path):
        assert request.all("Trailer") + request.all("TE") + request.all("X-Sum") == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("cache", [False, True])
def test_events_are_told_as_they_happen(
    origin: ScriptedOrigin, start_proxy: StartProxy, method: str, cache: bool
) -> None:
    # The origin says nothing before the client has read what came before.
    seen = threading.Semaphore(0)
    fields = ("Content-Type: text/event-stream", "Cache-Control: no-cache")

    def script(peer: Peer) -> None:
        chunked = peer.request.target.endswith("chunked")
        peer.send(head("200 OK", *fields, *(["Transfer-Encoding: chunked"] if chunked else [])))
        for number in range(10):
            assert seen.acquire(timeout=PATIENCE)
            event = b"data: %d\n\n" % number
            peer.send(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
        if chunked:
            peer.send(b"0\r\n\r\n")
        else:
            peer.close()

    path = origin.plays(script, "events")
    proxy = start_proxy("--upstream", origin.url, cache=cache)
    for framing in ("chunked", "closing"):
        with Connection(proxy.port) as connection:
            connection.ask(f"{path}?{framing}", "Accept: text/event-stream", method=method)
            assert connection.read_head().get("Content-Type") == "text/event-stream"
            for number in range(10):
                seen.release()
                assert connection.read_chunk() == b"data: %d\n\n" % number
            assert connection.read_chunk() == b""


def test_bodies_to_an_old_client(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        assert whole(peer) == b"abc"
        peer.send(head("200 OK", "Transfer-Encoding: chunked") + in_chunks(FILM))

    path = origin.plays(script)
    data = message("POST", path, b"abc").replace(b"HTTP/1.1", b"HTTP/1.0")
    (reply,) = send_raw(scripted_proxy.port, data)
    assert reply.all("Transfer-Encoding") == []
    assert reply.body == FILM
    assert origin.asked(path)[0].get("Via") == "1.0 aprp"
