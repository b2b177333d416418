"""WebSocket through the proxy, with the package websockets and with Tornado."""

import asyncio
import random
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

import pytest
import tornado.httpclient
import tornado.websocket
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection
from tests.e2e.programs import PATIENCE, anonymous_memory, socket_buffers, takes_nothing, wait_until
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import at_rest, forwarding, wait_tunnels
from tests.e2e.websocket_servers import HANDSHAKE, Echo, echo_server, tornado_server

LARGE = random.Random(31).randbytes(5 << 20)


class SharedEcho(Echo):
    """Serves one test after the other: each finds only what it has asked itself."""

    def __init__(self) -> None:
        super().__init__(None)
        self._seen_closed = 0

    def wait_closed(self) -> tuple[int | None, str | None]:
        self._seen_closed += 1
        return super().wait_closed()

    def forget(self) -> None:
        """Wait until every connection has ended, and forget them all."""
        talks = [request for request in self.requests if request.path != "/forbidden"]
        while self._seen_closed < len(talks):
            self.wait_closed()
        self._seen_closed = 0
        self.requests.clear()
        self.closed.clear()


@pytest.fixture(scope="module")
def shared_echo() -> Iterator[SharedEcho]:
    """The server behind `shared_proxy`; tests take `echo`."""
    server = SharedEcho()
    yield server
    server.close()


@pytest.fixture
def echo(shared_echo: SharedEcho) -> Iterator[Echo]:
    """A server that sends back what it gets."""
    yield shared_echo
    shared_echo.forget()


@pytest.fixture(scope="module")
def shared_proxy(shared_echo: SharedEcho, start_shared: StartProxy) -> Proxy:
    """A proxy before the server that tests share; they take `proxy`."""
    return start_shared("--upstream", shared_echo.url)


@pytest.fixture
def proxy(echo: Echo, shared_proxy: Proxy) -> Proxy:
    """A proxy before `echo`, with no tunnel open."""
    return at_rest(shared_proxy)


def talk(proxy: Proxy, path: str = "/", **options: Any) -> AbstractContextManager[ClientConnection]:
    """Connect to a path through a proxy."""
    url = f"ws://127.0.0.1:{proxy.port}{path}"
    options = {"proxy": None, "max_size": None, "ping_interval": None} | options
    return connect(url, open_timeout=PATIENCE, close_timeout=PATIENCE, **options)


# First, while the proxy has memory of nobody else to use again.
def test_a_client_that_does_not_read_costs_no_memory(echo: Echo, proxy: Proxy) -> None:
    memory = anonymous_memory(proxy.pid)
    with Connection(proxy.port, receive_buffer=65536) as connection:
        connection.ask("/flood", *HANDSHAKE)
        assert connection.read_head().status == 101
        for port in (proxy.port, echo.port):
            wait_until(partial(takes_nothing, port), "nothing moves any more")
        carried = proxy.stats()["tunnels"]["bytes_down"]["bytes"]
        assert carried < socket_buffers()
        assert anonymous_memory(proxy.pid) < memory + (8 << 20)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_go_both_ways(echo: Echo, proxy: Proxy, compression: str | None) -> None:
    with talk(proxy, "/chat?room=1", compression=compression) as client:
        messages: list[str | bytes] = ["", "words", "Größe €", b"\x00\xff", LARGE, "x" * 70_000]
        for message in messages:
            client.send(message)
            assert client.recv(PATIENCE) == message
        # In fragments, as a stream of unknown length is sent.
        client.send(iter(["a", "b" * 1000, "c"]))
        assert client.recv(PATIENCE) == "a" + "b" * 1000 + "c"
    assert echo.requests[0].path == "/chat?room=1"
    assert echo.wait_closed() == (1000, "")


def test_pings_are_answered_by_the_other_end(echo: Echo, proxy: Proxy) -> None:
    with talk(proxy) as client:
        assert client.ping(b"are you there?").wait(PATIENCE)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going"), (4999, "é" * 61)])
def test_the_clients_close_reaches_the_server(
    echo: Echo, proxy: Proxy, code: int, reason: str
) -> None:
    with talk(proxy) as client:
        client.close(code, reason)
        assert (client.close_code, client.close_reason) == (code, reason)
    assert echo.wait_closed() == (code, reason)


def test_the_servers_close_reaches_the_client(echo: Echo, proxy: Proxy) -> None:
    with talk(proxy, "/bye") as client:
        client.send("hello")
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert (client.close_code, client.close_reason) == (4001, "enough")
    assert echo.wait_closed() == (4001, "enough")
    wait_tunnels(proxy, 0)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["chat.v1"], "chat.v1"), (["other", "chat.v1", "chat.v2"], "chat.v2"), (None, None)],
)
def test_subprotocols_are_between_client_and_server(
    echo: Echo, proxy: Proxy, offered: list[str] | None, chosen: str | None
) -> None:
    with talk(proxy, subprotocols=offered) as client:
        assert client.subprotocol == chosen


def test_what_the_server_learns_of_the_client(echo: Echo, proxy: Proxy) -> None:
    fields = {"Cookie": "a=1", "X-Own": "x", "Authorization": "Basic eA=="}
    with talk(proxy, origin="http://page.example", additional_headers=fields) as client:
        assert client.response is not None
        assert client.response.headers["Via"].endswith("aprp")
    headers = echo.requests[0].headers
    for name, value in fields.items():
        assert headers[name] == value
    assert headers["Origin"] == "http://page.example"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Host"] == f"127.0.0.1:{proxy.port}"
    assert headers["Via"] == "1.1 aprp"


def test_a_server_that_says_no(echo: Echo, proxy: Proxy) -> None:
    before = wait_tunnels(proxy, 0)["opened"]
    with pytest.raises(InvalidStatus) as caught, talk(proxy, "/forbidden"):
        pytest.fail("it was let in")
    assert caught.value.response.status_code == 403
    assert caught.value.response.body == b"not for you\n"
    assert wait_tunnels(proxy, 0)["opened"] == before


def test_bytes_are_counted_and_the_request_is_logged(echo: Echo, proxy: Proxy) -> None:
    before = proxy.stats()
    with talk(proxy, "/counted", compression=None) as client:
        client.send(b"x" * 1000)
        assert client.recv(PATIENCE) == b"x" * 1000
        told = proxy.stats()
        assert (told["tunnels"]["open"], told["transfers"]["active"]) == (1, 0)
        assert told["responses"]["1xx"] == before["responses"]["1xx"] + 1
        # 8 bytes of frame to the server, with its mask; 4 to the client (RFC 6455 section 5.2).
        for way, size in (("bytes_up", 1008), ("bytes_down", 1004)):
            assert told["tunnels"][way]["bytes"] == before["tunnels"][way]["bytes"] + size
    wait_tunnels(proxy, 0)
    line = proxy.wait_access_line("/counted")
    assert (line["method"], line["status"]) == ("GET", 101)


def test_many_at_once_over_two_workers(echo: Echo, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", echo.url, "--workers", "2")
    with ExitStack() as stack:
        clients = [stack.enter_context(talk(proxy)) for _ in range(40)]
        assert wait_tunnels(proxy, 40)["opened"] == 40
        for number, client in enumerate(clients):
            client.send(f"message {number}")
        for number, client in enumerate(clients):
            assert client.recv(PATIENCE) == f"message {number}"
    wait_tunnels(proxy, 0)


def test_a_client_that_breaks_off(echo: Echo, proxy: Proxy) -> None:
    with talk(proxy, "/silent") as client:
        sock = client.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RD)
        sock.close()
        code, _ = echo.wait_closed()
        # Broken, not closed (RFC 6455 section 7.1.5).
        assert code == 1006
    wait_tunnels(proxy, 0)


def test_silence_ends_it(echo: Echo, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", echo.url, APRP_TUNNEL_IDLE_TIMEOUT="0.8")
    with talk(proxy, "/silent") as client:
        began = time.monotonic()
        # Pings are bytes too.
        while time.monotonic() < began + 1.1:
            assert client.ping().wait(PATIENCE)
            time.sleep(0.1)
        with pytest.raises(ConnectionClosedError):
            client.recv(PATIENCE)
        assert client.close_code == 1006
    assert "TUNNEL_IDLE_TIMEOUT" in proxy.wait_access_line("/silent")["end"]


def test_it_does_not_hold_up_the_stop(echo: Echo, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", echo.url, APRP_DRAIN_TIMEOUT="0.5")
    with talk(proxy) as client:
        proxy.signal(signal.SIGTERM)
        client.send("still there?")
        assert client.recv(PATIENCE) == "still there?"
        assert proxy.wait() == 0
        with pytest.raises(ConnectionClosedError):
            client.recv(PATIENCE)


# TLS on either side.


def test_a_server_with_tls(authority: Authority, start_proxy: StartProxy) -> None:
    with echo_server(authority.server("wss", "IP:127.0.0.1")) as secure:
        proxy = start_proxy("--upstream", secure.url, "--upstream-ca", str(authority.file))
        with talk(proxy) as client:
            for message in ("words", LARGE):
                client.send(message)
                assert client.recv(PATIENCE) == message
        assert secure.wait_closed() == (1000, "")


def test_a_client_with_tls(echo: Echo, authority: Authority, start_proxy: StartProxy) -> None:
    authority.server("front", "IP:127.0.0.1")
    at = authority.directory
    proxy = start_proxy(
        "--upstream",
        echo.url,
        APRP_TLS_CERT=str(at / "front.pem"),
        APRP_TLS_KEY=str(at / "front.key"),
    )
    trusting = ssl.create_default_context(cafile=str(authority.file))
    url = f"wss://127.0.0.1:{proxy.port}/"
    with connect(url, ssl=trusting, proxy=None, max_size=None) as client:
        for message in ("words", LARGE):
            client.send(message)
            assert client.recv(PATIENCE) == message
    assert echo.wait_closed() == (1000, "")
    assert echo.requests[0].headers["X-Forwarded-Proto"] == "https"


# Through CONNECT, as browsers do that are configured to use a proxy.


def test_through_a_forward_proxy(echo: Echo, start_proxy: StartProxy) -> None:
    proxy = forwarding(start_proxy, echo.port)
    with connect(f"ws://127.0.0.1:{echo.port}/chat", proxy=proxy.url, max_size=None) as client:
        client.send(LARGE)
        assert client.recv(PATIENCE) == LARGE
        assert wait_tunnels(proxy, 1)["opened"] == 1
    assert "Via" not in echo.requests[0].headers


# Tornado on both sides.


def test_tornados_client_and_server(
    start_proxy: StartProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with tornado_server() as port, asyncio.timeout(PATIENCE):
            proxy = await asyncio.to_thread(start_proxy, "--upstream", f"http://127.0.0.1:{port}")
            pongs: list[bytes] = []
            client = await tornado.websocket.websocket_connect(
                tornado.httpclient.HTTPRequest(f"ws://127.0.0.1:{proxy.port}/any"),
                subprotocols=["other", "chat.v1"],
                compression_options={},
                max_message_size=1 << 30,
            )
            assert client.selected_subprotocol == "chat.v1"
            for message in ("words", b"\x00\xff", LARGE[: 1 << 20]):
                await client.write_message(message, binary=isinstance(message, bytes))
                assert await client.read_message() == message
            monkeypatch.setattr(client, "on_pong", pongs.append)
            client.ping(b"x")
            await client.write_message("after the ping")
            assert await client.read_message() == "after the ping"
            assert pongs == [b"x"]
            client.close(4000, "over")
            assert await client.read_message() is None

    asyncio.run(run())


def test_the_proxys_own_pages_stay_its_own(echo: Echo, proxy: Proxy) -> None:
    with pytest.raises(InvalidStatus) as caught, talk(proxy, "/stats"):
        pytest.fail("the server was asked")
    assert caught.value.response.status_code == 200
    assert echo.requests == []
