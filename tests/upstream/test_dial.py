"""Opening a connection: every way in which it fails has its type, and leaves nothing open."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aprp.upstream.connection import OriginConnection
from aprp.upstream.dial import Endpoint, dial
from aprp.upstream.errors import (
    ConnectFailed,
    ConnectTimeout,
    ResolveFailed,
    TLSFailed,
    Undelivered,
)
from tests.loops import both_loops, turns
from tests.peers import TLS_HOST, client_tls, closed_port, server_tls, serving
from tests.upstream.connections import Names, WatchedConnection, WatchedPool, local
from tests.upstream.fetches import Mute

V4 = socket.AF_INET


class Dialling:
    """Dials, and knows the connections that were made for it."""

    def __init__(self) -> None:
        self.pool = WatchedPool()
        self.made: list[WatchedConnection] = []

    def make(self) -> WatchedConnection:
        connection = WatchedConnection(self.pool)
        self.made.append(connection)
        return connection

    async def __call__(
        self, endpoint: Endpoint, names: Names, timeout: float | None = 5.0
    ) -> OriginConnection:
        return await dial(endpoint, self.make, names, timeout)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def dialling() -> AsyncIterator[Dialling]:
    """At the end no descriptor may be open that was not before, and each connection be told."""
    # The loop opens some of its own when it first has to do with sockets.
    async with serving() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
        await writer.wait_closed()
    await turns(10)
    before = descriptors()
    trial = Dialling()
    yield trial
    for connection in trial.made:
        connection.abort()
    await turns(20)
    assert descriptors() == before
    assert [connection.closings for connection in trial.made] == [1] * len(trial.made)
    assert trial.pool.lent == set()


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port of loopback that answers no attempt to connect: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(10):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0.05)
            try:
                sock.connect(listening.getsockname())
            except TimeoutError:
                break
        else:
            pytest.fail("the queue does not fill")
        yield listening.getsockname()[1]


@pytest.mark.parametrize("limit", [5.0, None, 0])
@both_loops
async def test_connects(limit: float | None) -> None:
    async with dialling() as dialled, serving() as server:
        names = local(server.port)
        connection = await dialled(Endpoint("origin.example", 8080), names, limit)
        assert connection.usable
        assert names.asked == [("origin.example", 8080, socket.AF_UNSPEC)]
        await server.accept()
        connection.abort()


@both_loops
async def test_connects_with_tls() -> None:
    async with dialling() as dialled, serving(server_tls()) as server:
        names = local(server.port)
        connection = await dialled(Endpoint(TLS_HOST, 443, client_tls()), names)
        assert connection.usable
        connection.abort()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), socket.EAI_NONAME),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), socket.EAI_AGAIN),
        (UnicodeError("label empty or too long"), socket.EAI_NONAME),
        (None, socket.EAI_NONAME),
    ],
)
@both_loops
async def test_name_without_an_address(error: Exception | None, code: int) -> None:
    async with dialling() as dialled:
        with pytest.raises(ResolveFailed, match=r"cannot resolve nowhere\.example: ") as caught:
            await dialled(Endpoint("nowhere.example", 80), Names(error=error))
        assert caught.value.errno == code
        assert isinstance(caught.value, Undelivered)
        assert dialled.made == []


@both_loops
async def test_refused() -> None:
    async with dialling() as dialled:
        port = closed_port()
        with pytest.raises(ConnectFailed, match=r"cannot connect to down\.example:80: ") as caught:
            await dialled(Endpoint("down.example", 80), local(port))
        assert caught.value.errno == errno.ECONNREFUSED
        assert os.strerror(errno.ECONNREFUSED) in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((V4, ("127.0.0.1", None)), id="refuses"),
        pytest.param((socket.AF_APPLETALK, ("127.0.0.1", 80)), id="family without support"),
        pytest.param((V4, ("255.255.255.255", 80)), id="not to be reached"),
    ],
)
@pytest.mark.parametrize("last", [True, False])
@both_loops
async def test_several_addresses(bad: tuple[int, Any], last: bool) -> None:
    family, (host, port) = bad
    address = (family, (host, port or closed_port()))
    async with dialling() as dialled, serving() as server:
        if last:
            with pytest.raises(ConnectFailed):
                await dialled(Endpoint("o.example", 80), Names(address, address))
        else:
            good = (V4, ("127.0.0.1", server.port))
            connection = await dialled(Endpoint("o.example", 80), Names(address, address, good))
            assert connection.usable
            connection.abort()


@both_loops
async def test_silent_address_leaves_time_for_the_next() -> None:
    with silent_port() as silent:
        async with dialling() as dialled, serving() as server:
            names = Names((V4, ("127.0.0.1", silent)), (V4, ("127.0.0.1", server.port)))
            start = asyncio.get_running_loop().time()
            connection = await dialled(Endpoint("o.example", 80), names, 0.4)
            taken = asyncio.get_running_loop().time() - start
            assert connection.usable
            assert 0.19 < taken < 0.4
            connection.abort()


@both_loops
async def test_timeout_while_resolving() -> None:
    async with dialling() as dialled:
        with pytest.raises(ConnectTimeout, match=r"while resolving slow\.example"):
            await dialled(Endpoint("slow.example", 80), Mute(), 0.02)


@both_loops
async def test_timeout_while_connecting() -> None:
    with silent_port() as silent:
        async with dialling() as dialled:
            names = local(silent)
            with pytest.raises(ConnectTimeout, match=r"while connecting to o\.example:80"):
                await dialled(Endpoint("o.example", 80), names, 0.02)


@both_loops
async def test_timeout_in_the_handshake() -> None:
    async with dialling() as dialled, serving() as server:
        endpoint = Endpoint(TLS_HOST, 443, client_tls())
        names = local(server.port)
        with pytest.raises(ConnectTimeout, match="during TLS handshake with foo"):
            await dialled(endpoint, names, 0.05)
        assert await (await server.accept()).reader.read() != b""


@pytest.mark.parametrize(
    ("host", "context", "text"),
    [
        pytest.param(
            TLS_HOST,
            ssl.create_default_context(),
            "self.signed certificate",
            id="unknown authority",
        ),
        pytest.param("bar.example.com", client_tls(), "Hostname mismatch", id="other name"),
    ],
)
@both_loops
async def test_certificate_that_is_not_trusted(
    host: str, context: ssl.SSLContext, text: str
) -> None:
    async with dialling() as dialled, serving(server_tls()) as server:
        names = local(server.port)
        with pytest.raises(TLSFailed, match=f"TLS handshake with {host}:443 failed: .*{text}"):
            await dialled(Endpoint(host, 443, context), names)


@pytest.mark.parametrize(
    "says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\0\x02\x02\x28"]
)
@both_loops
async def test_server_that_speaks_no_tls(says: bytes) -> None:
    async with dialling() as dialled, serving() as server:
        names = local(server.port)
        attempt = asyncio.create_task(dialled(Endpoint(TLS_HOST, 443, client_tls()), names))
        await (await server.accept()).send(says)
        with pytest.raises(TLSFailed):
            await attempt


@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
@both_loops
async def test_server_that_leaves_in_the_handshake(reset: bool) -> None:
    async with dialling() as dialled, serving() as server:
        names = local(server.port)
        attempt = asyncio.create_task(dialled(Endpoint(TLS_HOST, 443, client_tls()), names))
        peer = await server.accept()
        await peer.reader.read(10)
        if reset:
            peer.reset()
        else:
            peer.close()
        with pytest.raises(Undelivered, match=TLS_HOST):
            await attempt


@pytest.mark.parametrize("phase", ["resolving", "connecting", "handshake"])
@both_loops
async def test_cancelled(phase: str) -> None:
    with silent_port() as silent:
        async with dialling() as dialled, serving() as server:
            tls = client_tls() if phase == "handshake" else None
            port = silent if phase == "connecting" else server.port
            names = Mute() if phase == "resolving" else local(port)
            attempt = asyncio.create_task(dialled(Endpoint(TLS_HOST, 443, tls), names))
            if phase == "handshake":
                await (await server.accept()).reader.read(10)
            await turns(5)
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt


@both_loops
async def test_cancelled_when_the_connection_stands() -> None:
    async with dialling() as dialled, serving() as server:

        def make_and_cancel() -> WatchedConnection:
            attempt.cancel()
            return dialled.make()

        names = local(server.port)
        attempt = asyncio.create_task(
            dial(Endpoint("o.example", 80), make_and_cancel, names, 5.0)  # type: ignore[arg-type]
        )
        with pytest.raises(asyncio.CancelledError):
            await attempt


@both_loops
async def test_source_address() -> None:
    async with dialling() as dialled, serving() as server:
        names = local(server.port)
        connection = await dialled(Endpoint("o.example", 80, source="127.0.0.9"), names)
        peer = await server.accept()
        assert peer.writer.get_extra_info("peername")[0] == "127.0.0.9"
        connection.abort()
        with pytest.raises(ConnectFailed) as caught:
            await dialled(Endpoint("o.example", 80, source="192.0.2.1"), names)
        assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(("host", "text"), [("a.b", "a.b:80"), ("::1", "[::1]:80")])
def test_endpoint_as_text(host: str, text: str) -> None:
    assert str(Endpoint(host, 80)) == text
