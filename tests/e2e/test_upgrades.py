"""Upgrade through the proxy, byte by byte: what a tunnel gets, and what is none."""

import socket
from typing import Any

import pytest

from tests.e2e.caching import cache_status
from tests.e2e.clients import Connection
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.websocket_servers import HANDSHAKE, KEY


def switches(lines: tuple[str, ...] = (), then: bytes = b"", reply: bytes = b"") -> Any:
    """A script: switch, say `then`, expect `reply`, and end."""

    def script(peer: Peer) -> None:
        peer.kept = False
        fields = ("Connection: Upgrade", "Upgrade: websocket", *lines)
        peer.send(head("101 Switching Protocols", *fields) + then)
        taken = b""
        while len(taken) < len(reply):
            piece = peer.socket.recv(65536)
            assert piece, taken
            taken += piece
        assert taken == reply
        peer.close()
        assert peer.socket.recv(1) == b""

    return script


def test_what_comes_with_the_heads_belongs_to_the_tunnel(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(switches(then=b"\x81\x02hi", reply=b"\x81\x85early and later"))
    with Connection(scripted_proxy.port) as connection:
        request = "\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *HANDSHAKE, "", ""))
        connection.send(request.encode() + b"\x81\x85early and ")
        reply = connection.read_head()
        assert (reply.status, reply.reason) == (101, "Switching Protocols")
        assert (reply.get("Connection"), reply.get("Upgrade")) == ("Upgrade", "websocket")
        assert reply.get("Content-Length") is None
        assert reply.get("Transfer-Encoding") is None
        assert connection.read(4) == b"\x81\x02hi"
        connection.send(b"later")
        # The origin has said all, and ends its direction alone.
        assert connection.read_all() == b""
        connection.socket.shutdown(socket.SHUT_WR)
    (asked,) = origin.asked(path)
    assert asked.get("Sec-WebSocket-Key") == KEY
    assert asked.get("Sec-WebSocket-Version") == "13"
    assert asked.get("Upgrade") == "websocket"
    assert asked.get("Connection") == "Upgrade"
    assert asked.get("Range") is None


def test_another_protocol_than_websocket(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        peer.kept = False
        peer.send(head("101 Yes", "Connection: upgrade", "Upgrade: Own/1.2") + b"mine")

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, "Connection: x, upgrade", "Upgrade: own/1.2, other")
        reply = connection.read_head()
        assert (reply.status, reply.get("Upgrade")) == (101, "Own/1.2")
        assert connection.read(4) == b"mine"


@pytest.mark.parametrize(
    "lines",
    [
        ("Upgrade: websocket",),
        ("Connection: Upgrade",),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAA"),
        ("Connection: Upgrade", "Upgrade: TLS/1.3"),
    ],
    ids=["no Connection", "no Upgrade", "h2c", "TLS"],
)
def test_what_is_no_upgrade_is_an_ordinary_request(
    origin: ScriptedOrigin, scripted_proxy: Proxy, lines: tuple[str, ...]
) -> None:
    path = origin.plays(serves(FILM))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path, *lines)
        reply = connection.read_reply()
        assert (reply.status, reply.body) == (200, FILM)
        (asked,) = origin.asked(path)
        assert asked.get("Upgrade") is None
        assert asked.get("HTTP2-Settings") is None
        connection.ask(path, "Range: bytes=0-9")
        assert connection.read_reply().body == FILM[:10]


@pytest.mark.parametrize(
    "status", ["200 OK", "404 Not Found", "426 Upgrade Required"], ids=lambda s: s[:3]
)
def test_an_answer_without_a_switch_is_an_ordinary_one(
    origin: ScriptedOrigin, scripted_proxy: Proxy, status: str
) -> None:
    path = origin.plays(says(answer(status, b"page", "X-Own: a", "X-Own: b")))
    with Connection(scripted_proxy.port) as connection:
        # The connection is kept, as after every answer that is complete.
        for _ in range(2):
            connection.ask(path, *HANDSHAKE)
            reply = connection.read_reply()
            assert f"{reply.status} {reply.reason}" == status
            assert reply.body == b"page"
            assert reply.all("X-Own") == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "told", "connection"),
    [
        (("Upgrade: own/2, websocket", "Connection: Upgrade"), "own/2, websocket", "Upgrade"),
        (("upgrade: h2c, own", "Connection: upgrade, X-Hop", "X-Hop: 1"), "own", "Upgrade"),
        (("Upgrade: TLS/1.2, HTTP/2.0", "Connection: Upgrade"), None, None),
    ],
    ids=["all", "one of two", "none"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_origin_that_wants_an_upgrade_says_which(
    origin: ScriptedOrigin,
    scripted_proxy: Proxy,
    method: str,
    lines: tuple[str, ...],
    told: str | None,
    connection: str | None,
) -> None:
    # RFC 9110 section 15.5.22: a 426 has to have Upgrade, and section 7.8: Connection names it.
    path = origin.plays(says(answer("426 Upgrade Required", b"page", *lines)))
    with Connection(scripted_proxy.port) as client:
        for fields in ((), HANDSHAKE if method == "GET" else ()):
            client.ask(path, *fields, method=method)
            reply = client.read_reply()
            assert (reply.status, reply.body) == (426, b"page")
            assert (reply.get("Upgrade"), reply.get("Connection")) == (told, connection)
            assert reply.get("X-Hop") is None
        client.ask(path, "Connection: close", method=method)
        reply = client.read_reply()
        assert reply.get("Connection") == (f"{connection}, close" if connection else "close")


def test_an_answer_without_a_switch_says_why_it_is_not_stored(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    path = origin.plays(says(answer("200 OK", b"page", "Cache-Control: max-age=60")))
    with Connection(proxy.port) as connection:
        connection.ask(path, *HANDSHAKE)
        # RFC 9211 section 2.2: the method is not what kept the cache from answering.
        assert cache_status(connection.read_reply()) == {"fwd": "bypass", "fwd-status": "200"}


def test_a_switch_that_nobody_asked_for(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(says(head("101 Yes", "Connection: Upgrade", "Upgrade: own")))
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path)
        check_problem(connection.read_reply(), 502)
        connection.ask(path, *HANDSHAKE)
        check_problem(connection.read_reply(), 502)


def test_bytes_behind_a_handshake_that_failed_are_no_request(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # What a client sends too early is read as a request where the origin did not switch; it is
    # answered as one, by this proxy, and never reaches the origin with the first.
    path = origin.plays(says(answer("403 Forbidden", b"")))
    other = origin.plays(says(answer("200 OK", b"")))
    with Connection(scripted_proxy.port) as connection:
        request = "\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *HANDSHAKE, "", ""))
        connection.send(request.encode() + f"GET {other} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert connection.read_reply().status == 403
        assert connection.read_reply().status == 200
    assert [len(origin.asked(place)) for place in (path, other)] == [1, 1]


def test_an_origin_that_is_not_there(start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", "http://127.0.0.1:9")
    with Connection(proxy.port) as connection:
        connection.ask("/", *HANDSHAKE)
        check_problem(connection.read_reply(), 502)
