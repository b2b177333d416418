"""CONNECT: tunnels for clients that are configured to use this proxy."""

import json
import signal
import socket
import struct
import threading
import time

import pytest

from tests.e2e.clients import Connection, send_raw
from tests.e2e.content import FILM, endless
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE, anonymous_memory, socket_buffers
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import (
    FarEnd,
    at_rest,
    connect,
    forwarding,
    receive,
    refused,
    wait_tunnels,
)

LONG = 64 << 20


@pytest.fixture(scope="module")
def shared_proxy(ports: list[int], start_shared: StartProxy) -> Proxy:
    """A proxy that makes tunnels to `ends`; tests take `proxy`."""
    return forwarding(start_shared, *ports)


@pytest.fixture
def proxy(shared_proxy: Proxy) -> Proxy:
    """A proxy that makes tunnels to `end`, and has none open."""
    return at_rest(shared_proxy)


def opened(proxy: Proxy) -> int:
    """How many tunnels have been opened so far."""
    return int(proxy.stats()["tunnels"]["opened"])


# First, while the proxy has memory of nobody else to use again.
def test_who_does_not_read_costs_no_memory(end: FarEnd, proxy: Proxy) -> None:
    memory = anonymous_memory(proxy.pid)
    with connect(proxy, end.authority) as connection:
        far = end.accept()
        far.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += far.send(endless(sent, sent + (1 << 20)))
        assert sent < socket_buffers() * 2
        assert anonymous_memory(proxy.pid) < memory + (8 << 20)
        assert connection.read(sent) == endless(0, sent)


def test_the_answer_has_no_body_and_no_framing(end: FarEnd, proxy: Proxy) -> None:
    with Connection(proxy.port) as connection:
        connection.ask(end.authority, method="CONNECT")
        reply = connection.read_head()
        assert (reply.status, reply.reason) == (200, "Connection Established")
        # RFC 9110 section 9.3.6.
        assert reply.get("Content-Length") is None
        assert reply.get("Transfer-Encoding") is None
        far = end.accept()
        far.sendall(b"the first to speak")
        assert connection.read(18) == b"the first to speak"


def test_http_1_0_gets_a_tunnel_too(end: FarEnd, proxy: Proxy) -> None:
    with Connection(proxy.port) as connection:
        connection.ask(end.authority, method="CONNECT", version="1.0")
        assert connection.read_head().status == 200
        connection.send(b"x")
        assert receive(end.accept(), 1) == b"x"


def test_bytes_go_both_ways_and_are_counted(end: FarEnd, proxy: Proxy) -> None:
    before = proxy.stats()["tunnels"]
    with connect(proxy, end.authority, early=b"\x16\x03early ") as connection:
        far = end.accept()
        connection.send(b"\x00\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert receive(far, 31) == b"\x16\x03early \x00\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        far.sendall(b"HTTP/1.1 400 what?\r\n\r\n")
        assert connection.read(22) == b"HTTP/1.1 400 what?\r\n\r\n"
        told = proxy.stats()
        assert told["tunnels"]["open"] == 1
        assert told["transfers"]["active"] == 0
    far.close()
    wait_tunnels(proxy, 0)
    told = proxy.stats()["tunnels"]
    assert told["opened"] == before["opened"] + 1
    assert told["bytes_up"]["bytes"] == before["bytes_up"]["bytes"] + 31
    assert told["bytes_down"]["bytes"] == before["bytes_down"]["bytes"] + 22
    line = proxy.wait_access_line(end.authority)
    assert (line["method"], line["status"]) == ("CONNECT", 200)


def test_much_goes_both_ways_at_once(end: FarEnd, proxy: Proxy) -> None:
    with connect(proxy, end.authority) as connection:
        far = end.accept()

        def send(sock: socket.socket, start: int) -> None:
            for place in range(start, start + LONG, 1 << 20):
                sock.sendall(endless(place, place + (1 << 20)))
            sock.shutdown(socket.SHUT_WR)

        up = threading.Thread(target=send, args=(connection.socket, 0))
        down = threading.Thread(target=send, args=(far, 7))
        got: list[bytes] = []
        reading = threading.Thread(target=lambda: got.append(receive(far, LONG)))
        for thread in (up, down, reading):
            thread.start()
        assert connection.read(LONG) == endless(7, 7 + LONG)
        for thread in (up, down, reading):
            thread.join(PATIENCE)
        assert got == [endless(0, LONG)]
        assert connection.read_all() == b""


@pytest.mark.parametrize("first", ["client", "origin"])
def test_one_direction_may_end_before_the_other(end: FarEnd, proxy: Proxy, first: str) -> None:
    with connect(proxy, end.authority) as connection:
        far = end.accept()
        ends = (connection.socket, far)
        one, other = ends if first == "client" else ends[::-1]
        one.sendall(b"that is all")
        one.shutdown(socket.SHUT_WR)
        assert receive(other, 11) == b"that is all"
        assert other.recv(1) == b""
        other.sendall(FILM)
        other.shutdown(socket.SHUT_WR)
        assert receive(one, len(FILM)) == FILM
        assert one.recv(1) == b""
    wait_tunnels(proxy, 0)


@pytest.mark.parametrize("first", ["client", "origin"])
def test_a_reset_is_passed_on(end: FarEnd, proxy: Proxy, first: str) -> None:
    with connect(proxy, end.authority) as connection:
        far = end.accept()
        ends = (connection.socket, far)
        one, other = ends if first == "client" else ends[::-1]
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        with pytest.raises(ConnectionResetError):
            other.recv(1)
    wait_tunnels(proxy, 0)
    assert "broke" in proxy.wait_access_line(end.authority)["end"]


def test_silence_ends_a_tunnel(end: FarEnd, start_proxy: StartProxy) -> None:
    proxy = forwarding(start_proxy, end.port, APRP_TUNNEL_IDLE_TIMEOUT="0.5")
    with connect(proxy, end.authority) as connection:
        far = end.accept()
        connection.send(b"x")
        assert receive(far, 1) == b"x"
        began = time.monotonic()
        assert connection.read_all() == b""
        assert 0.4 < time.monotonic() - began < 5
        assert far.recv(1) == b""
    assert "TUNNEL_IDLE_TIMEOUT" in proxy.wait_access_line(end.authority)["end"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_tunnel_does_not_hold_up_the_stop(
    end: FarEnd, start_proxy: StartProxy, workers: str
) -> None:
    proxy = forwarding(start_proxy, end.port, APRP_WORKERS=workers, APRP_DRAIN_TIMEOUT="0.5")
    with connect(proxy, end.authority) as connection:
        far = end.accept()
        proxy.signal(signal.SIGTERM)
        # It goes on while others may finish, too.
        connection.send(b"x")
        assert receive(far, 1) == b"x"
        assert proxy.wait() == 0
        # Closed, not broken.
        assert connection.read_all() == b""
        assert far.recv(1) == b""
    assert proxy.wait_access_line(end.authority)["end"] == "the proxy stopped"


def test_a_tunnel_that_ends_lets_the_proxy_stop(end: FarEnd, start_proxy: StartProxy) -> None:
    proxy = forwarding(start_proxy, end.port, APRP_DRAIN_TIMEOUT="60")
    with connect(proxy, end.authority) as connection:
        far = end.accept()
        proxy.signal(signal.SIGTERM)
        far.sendall(b"last words")
        far.close()
        assert connection.read_all() == b"last words"
        connection.close()
        assert proxy.wait() == 0


# Where no tunnel is made.


@pytest.mark.parametrize(
    "authority", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", ":443", "/film.bin"]
)
def test_what_is_no_host_and_port_is_malformed(end: FarEnd, proxy: Proxy, authority: str) -> None:
    with Connection(proxy.port) as connection:
        connection.ask(authority, method="CONNECT")
        check_problem(connection.read_reply(), 400)
    assert end.connections == 0


def test_a_host_that_refuses(end: FarEnd, proxy: Proxy) -> None:
    before = opened(proxy)
    end.close()
    check_problem(refused(proxy, end.authority), 502)
    assert wait_tunnels(proxy, 0)["opened"] == before


def test_the_proxy_itself_is_a_loop(end: FarEnd, proxy: Proxy) -> None:
    check_problem(refused(proxy, f"127.0.0.1:{proxy.port}"), 508)
    check_problem(refused(proxy, f"localhost:{proxy.port}"), 508)


def test_a_refusal_leaves_the_connection_as_it_was(end: FarEnd, proxy: Proxy) -> None:
    with Connection(proxy.port) as connection:
        connection.ask("/status")
        before = json.loads(connection.read_reply().body)["counter"]
        for _ in range(2):
            connection.ask("127.0.0.1:1", method="CONNECT")
            check_problem(connection.read_reply(), 403)
        connection.ask("/status")
        assert json.loads(connection.read_reply().body)["counter"] == before + 3


def test_a_body_is_refused(end: FarEnd, proxy: Proxy) -> None:
    request = f"CONNECT {end.authority} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    (reply,) = send_raw(
        proxy.port, (request + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").encode()
    )[:1]
    check_problem(reply, 400)
    assert end.connections == 0
