"""The start of a connection: PROXY header, TLS handshake, and then requests of whom they are."""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from aprp.front.connection import ClientConnection
from aprp.front.server import ProxyServer
from aprp.front.tls import ServerTLS
from aprp.semantics.networks import Networks
from tests.front.apps import MAX_HEAD, TIMEOUT, App, Request
from tests.front.encrypted import Encrypted
from tests.loops import both_loops, turns
from tests.peers import client_tls, server_tls
from tests.upstream.fetches import Clock

GET = b"GET /film HTTP/1.1\r\nHost: h\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n/film"
V1 = b"PROXY TCP4 192.0.2.55 192.0.2.1 5000 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack(">H", 19) + bytes((192, 0, 2, 55, 192, 0, 2, 1))
V2 += struct.pack(">HH", 5000, 443) + b"\x03\x00\x04abcd"
V2_SIX = SIGNATURE + b"\x21\x21" + struct.pack(">H", 36)
V2_SIX += socket.inet_pton(socket.AF_INET6, "2001:db8::5") + bytes(16) + bytes(4)
LOCAL = SIGNATURE + b"\x20\x00\0\0"
HEADER_TIMEOUT = 7.0


LOOPBACK = Networks(["127.0.0.0/8"])
NOBODY = Networks([])


class Files(ServerTLS):
    """TLS with the certificate of the tests."""

    def __init__(self) -> None:
        self.context = server_tls()


class Greeted:
    """A server under test."""

    def __init__(self, server: ProxyServer, clock: Clock, app: App, port: int) -> None:
        self.server = server
        self.clock = clock
        self.app = app
        self._port = port
        self.sockets: list[socket.socket] = []

    async def connect(self, first: bytes = b"") -> socket.socket:
        """A client, `first` of which is there when the server first looks."""
        sock = socket.socket()
        self.sockets.append(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self._port))
        await loop.sock_sendall(sock, first)
        return sock

    async def greeting(self) -> None:
        """Wait until a connection is in its greeting."""
        while not self.server.greetings:
            await turns(1)

    @property
    def clients(self) -> list[tuple[str, str]]:
        """Address and protocol of each request."""
        contexts = [request.connection.context for request in self.app.requests]
        return [(context.remote_ip, context.protocol) for context in contexts]


@contextlib.asynccontextmanager
async def greeted(
    trusts: Callable[[str], bool] | None = None, tls: bool = False
) -> AsyncIterator[Greeted]:
    """Serve on loopback; at the end no connection and no timer may be left."""
    app = App()
    server = ProxyServer(
        app,
        max_head=MAX_HEAD,
        idle_timeout=TIMEOUT,
        header_timeout=HEADER_TIMEOUT,
        trusts=trusts,
        tls=Files() if tls else None,
    )
    clock = Clock(server.loop)
    server.loop = clock  # type: ignore[assignment]
    listening = socket.create_server(("127.0.0.1", 0))
    await server.listen([listening])
    trial = Greeted(server, clock, app, listening.getsockname()[1])
    try:
        yield trial
    finally:
        server.stop()
        server.close_all()
        for sock in trial.sockets:
            sock.close()
        while server.connections or server.greetings:
            await turns(1)
    await turns(3)
    clock.advance(1e6)
    assert clock.pending == []


async def receive(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer at the end of the connection."""
    got = b""
    while len(got) < size:
        try:
            data = await asyncio.get_running_loop().sock_recv(sock, size - len(got))
        except ConnectionResetError:
            break
        if not data:
            break
        got += data
    return got


HEADERS = [
    (V1, "192.0.2.55"),
    (V2, "192.0.2.55"),
    (V2_SIX, "2001:db8::5"),
    (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (LOCAL, "127.0.0.1"),
]


@pytest.mark.parametrize(("header", "client"), HEADERS)
@both_loops
async def test_a_header_and_a_request_in_one_piece(header: bytes, client: str) -> None:
    async with greeted(LOOPBACK) as g:
        sock = await g.connect(header + GET + GET)
        assert await receive(sock, 2 * len(ANSWER)) == ANSWER * 2
        assert g.clients == [(client, "http")] * 2


@pytest.mark.parametrize(("header", "client"), HEADERS)
@both_loops
async def test_a_header_byte_by_byte(header: bytes, client: str) -> None:
    async with greeted(LOOPBACK) as g:
        sock = await g.connect()
        await g.greeting()
        for byte in header + GET:
            await asyncio.get_running_loop().sock_sendall(sock, bytes((byte,)))
            await turns(3)
        assert await receive(sock, len(ANSWER)) == ANSWER
        assert g.clients == [(client, "http")]


@pytest.mark.parametrize(("header", "client"), HEADERS)
@both_loops
async def test_a_header_before_tls(header: bytes, client: str) -> None:
    async with greeted(LOOPBACK, tls=True) as g:
        # The client's first words of TLS come in one piece with the header.
        sock = await g.connect()
        peer = Encrypted(sock)
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        await asyncio.get_running_loop().sock_sendall(sock, header + peer.records())
        await peer.handshake()
        await peer.send(GET)
        assert await peer.read(len(ANSWER)) == ANSWER
        assert g.clients == [(client, "https")]


@both_loops
async def test_tls_alone() -> None:
    async with greeted(tls=True) as g:
        peer = Encrypted(await g.connect())
        await peer.handshake()
        await peer.send(GET * 3)
        assert await peer.read(3 * len(ANSWER)) == ANSWER * 3
        assert g.clients == [("127.0.0.1", "https")] * 3
        assert not g.server.greetings
        assert len(g.server.connections) == 1


@pytest.mark.parametrize("broken", [False, True])
@both_loops
async def test_the_end_of_an_answer_is_told_and_one_cut_short_is_not(broken: bool) -> None:
    # RFC 9112 section 9.8.
    def serve(request: Request) -> None:
        if not broken:
            request.answer(b"/film")
        else:
            request.connection.wire.send(b"HTTP/1.0 200 OK\r\n\r\n/film")
        request.connection.close()

    async with greeted(tls=True) as g:
        g.app.serve = serve
        peer = Encrypted(await g.connect())
        await peer.handshake()
        await peer.send(GET)
        assert (await peer.read(1000)).endswith(b"/film")
        assert peer.told_goodbye is not broken


@both_loops
async def test_a_client_of_tls_that_leaves_in_the_middle() -> None:
    async with greeted(tls=True) as g:
        g.app.serve = lambda request: None
        peer = Encrypted(await g.connect())
        await peer.handshake()
        await peer.send(GET)
        await g.app.arrived.get()
        await asyncio.get_running_loop().sock_sendall(peer.socket, peer.say_goodbye())
        await g.app.left.wait()


@both_loops
async def test_a_client_that_speaks_http_to_tls() -> None:
    async with greeted(tls=True) as g:
        sock = await g.connect(GET)
        answer = await receive(sock, 10_000)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert f"Content-Length: {len(body)}".encode() in head
        assert b"https://" in body
        assert not g.server.connections


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (GET, "malformed"),
        (b"PROXY TCP4 1.2.3.4\r\n" + GET, "malformed"),
        (SIGNATURE + b"\x11\x11\0\0" + GET, "malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), "malformed"),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
@both_loops
async def test_no_header_no_connection(
    caplog: pytest.LogCaptureFixture, first: bytes, why: str, tls: bool
) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(LOOPBACK, tls) as g:
            sock = await g.connect(first)
            assert await receive(sock, 1) == b""
            assert g.app.begun == []
    (line,) = caplog.messages
    assert "127.0.0.1" in line and why in line and "PROXY_PROTOCOL" in line


@both_loops
async def test_whoever_is_not_trusted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(NOBODY) as g:
            sock = await g.connect(V1 + GET)
            assert await receive(sock, 1) == b""
            assert g.app.begun == []
    (line,) = caplog.messages
    assert "TRUSTED_PROXIES" in line


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
@both_loops
async def test_this_machine_may_speak_for_itself(header: bytes) -> None:
    async with greeted(NOBODY) as g:
        sock = await g.connect(header + GET)
        assert await receive(sock, len(ANSWER)) == ANSWER
        assert g.clients == [("127.0.0.1", "http")]


@both_loops
async def test_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(LOOPBACK) as g:
            for seconds in (0.0, 0.3, 0.3, 0.5, 5.0):
                g.clock.advance(seconds)
                assert await receive(await g.connect(GET), 1) == b""
    first, second, third = caplog.messages
    assert "more" not in first and "and 2 more" in second and "more" not in third


@pytest.mark.parametrize("sent", [b"", V1[:-1], V2[:20]])
@both_loops
async def test_time_for_the_header(caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(LOOPBACK) as g:
            sock = await g.connect(sent)
            await g.greeting()
            g.clock.advance(HEADER_TIMEOUT - 0.1)
            await turns(5)
            assert g.server.greetings
            g.clock.advance(0.2)
            assert await receive(sock, 1) == b""
    (line,) = caplog.messages
    assert "PROXY header" in line and "HEADER_TIMEOUT (7 s)" in line


@pytest.mark.parametrize("trusts", [None, LOOPBACK])
@both_loops
async def test_time_for_the_handshake(
    caplog: pytest.LogCaptureFixture, trusts: Callable[[str], bool] | None
) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(trusts, tls=True) as g:
            sock = await g.connect(V1 if trusts else b"")
            await g.greeting()
            await asyncio.get_running_loop().sock_sendall(sock, b"\x16\x03\x01")
            await turns(10)
            g.clock.advance(HEADER_TIMEOUT + 0.1)
            assert await receive(sock, 1) == b""
    (line,) = caplog.messages
    assert "TLS handshake" in line and "HEADER_TIMEOUT" in line


@both_loops
async def test_a_handshake_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(tls=True) as g:
            context = client_tls()
            context.set_ciphers("AES128-SHA")
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            peer = Encrypted(await g.connect(), context)
            with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
                await peer.handshake()
    (line,) = caplog.messages
    assert "127.0.0.1" in line and "no shared cipher" in line


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", V1[:10], V1, V1 + b"\x16\x03"])
@both_loops
async def test_a_client_that_leaves(
    caplog: pytest.LogCaptureFixture, sent: bytes, how: str
) -> None:
    with caplog.at_level(logging.INFO, "aprp"):
        async with greeted(LOOPBACK, tls=True) as g:
            sock = await g.connect(sent)
            await g.greeting()
            await turns(5)
            if how == "reset":
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
            while g.server.greetings:
                await turns(1)
            assert not g.server.connections
    # Whoever looks only whether the port is open is no news.
    assert caplog.messages == []


@pytest.mark.parametrize("sent", [b"", V1[:10], V1, V1 + b"\x16\x03"])
@both_loops
async def test_stopping_does_not_wait_for_greetings(sent: bytes) -> None:
    async with greeted(LOOPBACK, tls=True) as g:
        sock = await g.connect(sent)
        await g.greeting()
        await turns(5)
        g.server.stop()
        g.server.close_idle()
        assert await receive(sock, 1) == b""
        assert not g.server.greetings


@both_loops
async def test_a_new_certificate_is_for_new_connections() -> None:
    async with greeted(tls=True) as g:
        before = Encrypted(await g.connect())
        await before.handshake()
        assert g.server.tls is not None
        g.server.tls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with pytest.raises(ssl.SSLError):
            await Encrypted(await g.connect()).handshake()
        await before.send(GET)
        assert await before.read(len(ANSWER)) == ANSWER


@both_loops
async def test_without_either_there_is_no_greeting() -> None:
    async with greeted() as g:
        sock = await g.connect(GET)
        assert await receive(sock, len(ANSWER)) == ANSWER
        (connection,) = g.server.connections
        assert type(connection) is ClientConnection
        assert g.clients == [("127.0.0.1", "http")]
