"""Clients' connections: what may come on them, in which order, and what ends them."""

import json
import time

import pytest

from tests.e2e.clients import Connection, send_raw
from tests.e2e.content import FILM, SIZE
from tests.e2e.scripted import ScriptedOrigin, head, says, serves
from tests.e2e.servers import Proxy, StartProxy

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
START = "GET /film.bin HTTP/1.1\r\nHost: a\r\n"

# Each of them could be read in two ways, or hides another request from one of two readers.
AMBIGUOUS = {
    "length and chunks": START + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": START + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": START + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths in one": START + "Content-Length: 0, 5\r\n\r\nabcde",
    "a signed length": START + "Content-Length: +5\r\n\r\nabcde",
    "a negative length": START + "Content-Length: -5\r\n\r\nabcde",
    "a length in hexadecimal": START + "Content-Length: 0x5\r\n\r\nabcde",
    "a length of digits of another script": START + "Content-Length: \xb2\r\n\r\nab",
    "no length": START + "Content-Length:\r\n\r\n",
    "a coding twice": START + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": START + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": START + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": START + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding in quotes": START + 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a coding behind a vertical tab": START + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": START.replace("1.1", "1.0")
    + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size in words": START + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk size with a sign": START + "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "a chunk with bare line feeds": START + "Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "bare line feeds": "GET /film.bin HTTP/1.1\nHost: a\n\n",
    "one bare line feed": START + "X: a\nContent-Length: 5\r\n\r\n",
    "a bare line feed at the end": START + "\n",
    "a bare carriage return": START + "X: a\rContent-Length: 5\r\n\r\n",
    "a folded line": START + "X: a\r\n b\r\n\r\n",
    "a folded first line": "GET /film.bin HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
    "a NUL in a value": START + "X: a\0b\r\n\r\n",
    "a NUL in a name": START + "X\0: a\r\n\r\n",
    "a NUL in the target": START.replace(".bin", "\0.bin") + "\r\n",
    "a blank before the colon": START + "Content-Length : 5\r\n\r\n",
    "a blank in a name": START + "Content Length: 5\r\n\r\n",
    "no name": START + ": a\r\n\r\n",
    "no colon": START + "junk\r\n\r\n",
    "no host": "GET /film.bin HTTP/1.1\r\nX: a\r\n\r\n",
    "two hosts": START + "Host: b\r\n\r\n",
    "a host that is none": "GET /film.bin HTTP/1.1\r\nHost: a/../b@c?d\r\n\r\n",
    "a blank in the target": START.replace(".bin", " .bin") + "\r\n",
    "a carriage return in the target": START.replace(".bin", "\r.bin") + "\r\n",
    "a tab between": START.replace(" ", "\t") + "\r\n",
    "two blanks between": START.replace(" /", "  /") + "\r\n",
    "a blank before the method": " " + START + "\r\n",
    "no version": "GET /film.bin\r\nHost: a\r\n\r\n",
    "an unknown version": START.replace("HTTP/1.1", "HTTP/1.2") + "\r\n",
    "HTTP/0.9": "GET /film.bin\r\n",
    "a version in small letters": START.replace("HTTP/1.1", "http/1.1") + "\r\n",
    "a version of two digits": START.replace("HTTP/1.1", "HTTP/1.10") + "\r\n",
    "TLS": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("ambiguous", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused(
    origin: ScriptedOrigin, scripted_proxy: Proxy, ambiguous: str
) -> None:
    before = len(origin.requests)
    data = (AMBIGUOUS[ambiguous] + SMUGGLED).encode("latin-1")
    # One answer, and the connection ends with it.
    (reply,) = send_raw(scripted_proxy.port, data)
    assert (reply.status, reply.get("Connection")) == (400, "close")
    assert reply.get("Content-Type") == "application/problem+json"
    assert json.loads(reply.body)["title"] == "Bad Request"
    assert len(origin.requests) == before


@pytest.mark.parametrize(
    "data", [START.replace("HTTP/1.1", "HTTP/2.0"), "PRI * HTTP/2.0\r\n\r\nSM\r\n"]
)
def test_another_version(origin: ScriptedOrigin, scripted_proxy: Proxy, data: str) -> None:
    # RFC 9110 section 15.6.6.
    before = len(origin.requests)
    (reply,) = send_raw(scripted_proxy.port, (data + "\r\n" + SMUGGLED).encode())
    assert (reply.status, reply.get("Connection")) == (505, "close")
    assert len(origin.requests) == before


def test_a_refused_request_after_good_ones(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    good = f"GET {path} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n"
    data = (good * 2 + AMBIGUOUS["two lengths"] + SMUGGLED).encode()
    replies = send_raw(scripted_proxy.port, data)
    assert [reply.status for reply in replies] == [206, 206, 400]
    assert replies[0].body == FILM[:10]


def test_pipelined_requests_are_answered_in_order(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(serves(FILM))
    spans = [(100_000 * n, 100_000 * n + (50_000 if n % 2 else 5)) for n in range(10)]
    requests = [f"GET {path}/{a}/{b - 1} HTTP/1.1\r\nHost: a\r\n\r\n" for a, b in spans]
    with Connection(scripted_proxy.port) as connection:
        connection.send("".join(requests).encode())
        for start, stop in spans:
            assert connection.read_reply().body == FILM[start:stop]


def test_a_long_row_of_pipelined_requests(scripted_proxy: Proxy) -> None:
    # More than is read at once, and deeper than a stack: each is for a page of the proxy's own.
    with Connection(scripted_proxy.port) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
        for _ in range(2000):
            assert connection.read_reply().status == 200


def test_a_request_that_comes_byte_by_byte(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    with Connection(scripted_proxy.port) as connection:
        for byte in f"\r\nGET {path} HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9\r\n\r\n".encode():
            connection.send(bytes([byte]))
        assert connection.read_reply().body == FILM[5:10]


def test_the_body_of_a_request_for_an_own_page_is_read_over(scripted_proxy: Proxy) -> None:
    data = b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
    with Connection(scripted_proxy.port) as connection:
        connection.send(data * 2)
        for _ in range(2):
            assert connection.read_reply().status == 200


def test_behind_chunks_for_an_own_page_the_connection_ends(scripted_proxy: Proxy) -> None:
    # Where they end is not looked for.
    data = "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    (reply,) = send_raw(scripted_proxy.port, (data + "0\r\n\r\n" + SMUGGLED).encode())
    assert (reply.status, reply.get("Connection")) == (200, "close")


def test_a_method_that_is_not_for_a_page_is_told_before_its_large_body(
    scripted_proxy: Proxy,
) -> None:
    for method in ("POST", "DELETE"):
        data = f"{method} /stats HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        for body in (b"", bytes(1000000)):
            (reply,) = send_raw(scripted_proxy.port, data.encode() + body)
            assert (reply.status, reply.get("Connection")) == (405, "close")
            assert reply.get("Allow") == "GET, HEAD"


def test_a_head_that_is_too_large(scripted_proxy: Proxy) -> None:
    for lines in (["X: " + "a" * 40000], [f"X-{n}: {'a' * 100}" for n in range(400)]):
        data = START + "\r\n".join(lines) + "\r\n\r\n"
        (reply,) = send_raw(scripted_proxy.port, data.encode())
        assert (reply.status, reply.get("Connection")) == (431, "close")


def test_idle_connections_are_closed(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--keepalive-timeout", "300ms")
    path = origin.plays(serves(FILM))
    with Connection(proxy.port) as connection:
        connection.ask(path)
        assert connection.read_reply().body == FILM
        begun = time.monotonic()
        assert connection.at_end()
        assert 0.1 < time.monotonic() - begun < 5


def test_slow_heads_are_refused(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--header-timeout", "1")
    path = origin.plays(serves(FILM))
    with Connection(proxy.port) as connection:
        connection.ask(path)
        assert connection.read_reply().body == FILM
        connection.send(START.encode())
        begun = time.monotonic()
        reply = connection.read_reply()
        assert (reply.status, reply.get("Connection")) == (408, "close")
        assert connection.at_end()
        assert 0.5 < time.monotonic() - begun < 5


def test_close_is_obeyed(scripted_proxy: Proxy) -> None:
    for value in ("close", "Close", "keep-alive, close"):
        data = f"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n"
        (reply,) = send_raw(scripted_proxy.port, (data + SMUGGLED).encode())
        assert (reply.status, reply.get("Connection")) == (200, "close")


# HTTP/1.0: no chunks, and the connection stays only if both sides say so.

CHUNKED = head("200 OK", "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, FILM)


def test_an_old_client_gets_one_answer(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    for lines in ("", "Host: a\r\n", "Connection: close\r\n"):
        data = f"GET {path} HTTP/1.0\r\n{lines}Range: bytes=0-9\r\n\r\n" + SMUGGLED
        (reply,) = send_raw(scripted_proxy.port, data.encode())
        assert (reply.status, reply.body) == (206, FILM[:10])
        assert reply.get("Connection") in (None, "close")


def test_an_old_client_may_stay(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    with Connection(scripted_proxy.port) as connection:
        for word in ("keep-alive", "Keep-Alive"):
            connection.ask(path, f"Connection: {word}", version="1.0")
            reply = connection.read_reply()
            assert (reply.get("Connection"), reply.body) == ("keep-alive", FILM)


def test_chunks_stay_chunks_for_a_client_that_knows_them(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(says(CHUNKED))
    with Connection(scripted_proxy.port) as connection:
        for _ in range(2):
            connection.ask(path)
            reply = connection.read_reply()
            assert reply.all("Transfer-Encoding") == ["chunked"]
            assert reply.get("Content-Length") is None
            assert reply.body == FILM


@pytest.mark.parametrize("lines", [(), ("Connection: keep-alive",)])
def test_chunks_become_a_body_up_to_the_end_for_an_old_client(
    origin: ScriptedOrigin, scripted_proxy: Proxy, lines: tuple[str, ...]
) -> None:
    path = origin.plays(says(CHUNKED))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, *lines, version="1.0")
        reply = connection.read_reply()
        assert reply.get("Transfer-Encoding") is None
        assert reply.get("Content-Length") is None
        assert reply.body == FILM


@pytest.mark.parametrize(
    "chunks",
    ["1\r\nabc\r\n0\r\n\r\n", "1\r\na\r\n+1\r\nb\r\n0\r\n\r\n", "1\r\na\r\n0\r\nX\n\r\n\r\n"],
)
def test_chunks_that_turn_out_to_be_broken(
    origin: ScriptedOrigin, scripted_proxy: Proxy, chunks: str
) -> None:
    # The origin may have begun to get the request by then, and may have answered it already (404):
    # it gets neither the request's end nor another.
    data = START + "Transfer-Encoding: chunked\r\n\r\n" + chunks + SMUGGLED
    (reply,) = send_raw(scripted_proxy.port, data.encode())
    assert reply.status in (400, 404)
    assert reply.get("Connection") == "close"
    assert "/smuggled" not in [request.target for request in origin.requests]
