"""Upgrade: what the origin is asked, what of its answer the client gets, and the tunnel after."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from aprp.front.wire import ClientGone
from aprp.handlers import upgrade
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.headers import Fields
from aprp.stats.counters import Count
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.origins import Origin, Origins
from tests.handlers.exchanges import TunnelExchange, client_of
from tests.loops import both_loops
from tests.peers import Peer, Server, closed_port, serving

HANDSHAKE = (
    ("Host", "proxy.example"),
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
    ("Sec-WebSocket-Protocol", "chat, superchat"),
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("Cookie", "a=1"),
    ("Cookie", "b=2"),
)
SWITCHES = (
    b"HTTP/1.1 101 Off we go\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n"
    b"Set-Cookie: c=1\r\nSet-Cookie: d=2\r\n\r\n"
)


class Asked(TunnelExchange):
    """A request to upgrade; `target` is path and query."""

    def __init__(
        self,
        port: int,
        target: str = "/chat?room=1",
        fields: Sequence[tuple[str, str]] = HANDSHAKE,
    ) -> None:
        super().__init__("GET", target, fields)
        self.app.settings = SimpleNamespace(VIA_NAME="aprp", MAX_BODY_SIZE=0)
        self.app.library = None
        self.app.clients = SimpleNamespace(
            forwarded=lambda exchange: {"X-Forwarded-For": exchange.client}
        )
        self._origins = Origins([Origin.parse(f"http://127.0.0.1:{port}", None)], 10.0)
        # A route's: with a path and a field of its own, and no name to be put in the proxy's place.
        self.site = SimpleNamespace(
            origins=self._origins,
            target=lambda path: f"/base{path}",
            fields=(("X-Route", "own"),),
            host=None,
            named=False,
        )

    def ask(self, reader: Reader) -> Ask:
        limits = Limits(5.0, 5.0, 5.0)
        return Ask(self._origins, self.origin_client, limits, self.counters, reader)

    async def serve(self, protocols: str = "websocket") -> None:
        await upgrade.serve(cast(Exchange, self), protocols)

    async def refusal(self) -> Problem:
        """Serve, which has to fail before anything was answered."""
        with pytest.raises(Problem) as caught:
            await self.serve()
        assert self.heads == []
        return caught.value


@contextlib.asynccontextmanager
async def asked(port: int, target: str = "/chat?room=1") -> AsyncIterator[Asked]:
    made = Asked(port, target)
    try:
        yield made
    finally:
        made.close()
    assert made.work is None
    assert made.counters.total(Count.ACTIVE_TRANSFERS) == 0
    assert made.counters.total(Count.TUNNELS_OPEN) == 0


async def answered(server: Server, data: bytes) -> tuple[Peer, bytes]:
    """Accept a connection and answer the request on it."""
    peer = await server.accept()
    return peer, await peer.answer(data)


@both_loops
async def test_a_switch_and_bytes_both_ways() -> None:
    async with serving() as server, asked(server.port) as exchange:
        async with client_of(exchange, leftover=b"early ") as client:
            serve = asyncio.create_task(exchange.serve())
            # What comes with the head is the tunnel's already.
            peer, request = await answered(server, SWITCHES + b"\x81\x05hello")
            assert await client.read(7) == b"\x81\x05hello"
            await client.send(b"words")
            assert await peer.reader.readexactly(11) == b"early words"
            assert exchange.counters.total(Count.TUNNELS_OPEN) == 1
            # It is a tunnel now, not an answer that is being sent.
            assert exchange.counters.total(Count.ACTIVE_TRANSFERS) == 0
            client.end()
            peer.close()
            assert await client.rest() == b""
            await serve
        assert request.decode().split("\r\n") == [
            "GET /base/chat?room=1 HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-version: 13",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "Cookie: a=1",
            "Cookie: b=2",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Via: 1.1 aprp",
            "X-Request-ID: 3f2a",
            "X-Forwarded-For: 192.0.2.7",
            "X-Route: own",
            "",
            "",
        ]
        ((status, reason, fields),) = exchange.heads
        assert (status, reason) == (101, "Off we go")
        assert fields.get_all() == [
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "chat"),
            ("Set-Cookie", "c=1"),
            ("Set-Cookie", "d=2"),
            ("Connection", "Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Via", "1.1 aprp"),
        ]
        assert (exchange.sent, exchange.end) == (7, None)
        assert exchange.pool.lent == set()


@pytest.mark.parametrize(
    ("response", "status", "length", "body"),
    [
        (b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\npage", 200, 4, b"page"),
        (
            b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            403,
            None,
            b"no",
        ),
        (b"HTTP/1.1 426 Other\r\nUpgrade: x/2\r\nContent-Length: 0\r\n\r\n", 426, 0, b""),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", 204, 0, b""),
        (b"HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 1, b"x"),
    ],
    ids=["200", "chunked", "426", "204", "103 before it"],
)
@both_loops
async def test_another_answer_is_handed_on(
    response: bytes, status: int, length: int | None, body: bytes
) -> None:
    async with serving() as server, asked(server.port) as exchange:
        serve = asyncio.create_task(exchange.serve())
        await answered(server, response)
        await serve
        ((got, _, fields),) = exchange.heads
        assert got == status
        assert exchange.lengths == [length]
        assert exchange.answer == body
        assert fields["Via"] == "1.1 aprp"
        assert "Transfer-Encoding" not in fields
        assert exchange.counters.total(Count.TUNNELS) == 0


@both_loops
async def test_an_interim_answer_is_handed_on_before_the_switch() -> None:
    async with serving() as server, asked(server.port) as exchange:
        async with client_of(exchange) as client:
            serve = asyncio.create_task(exchange.serve())
            peer, _ = await answered(server, b"HTTP/1.1 103 Hint\r\nLink: </a>\r\n\r\n" + SWITCHES)
            peer.close()
            assert await client.rest() == b""
            client.end()
            await serve
        assert exchange.interims == [103]
        assert [status for status, _, _ in exchange.heads] == [101]


@pytest.mark.parametrize(
    "chosen", [b"h2c", b"websocket, h2c", b"other/2"], ids=["h2c", "more", "other"]
)
@both_loops
async def test_a_switch_to_what_was_not_asked_for_is_refused(chosen: bytes) -> None:
    head = b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: " + chosen + b"\r\n\r\n"
    async with serving() as server, asked(server.port) as exchange:
        refused = asyncio.create_task(exchange.refusal())
        peer, _ = await answered(server, head)
        assert (await refused).status == 502
        assert await peer.closed()
        assert exchange.counters.total(Count.ORIGIN_REJECTED) == 1


@both_loops
async def test_a_switch_to_nothing_is_no_answer() -> None:
    async with serving() as server, asked(server.port) as exchange:
        refused = asyncio.create_task(exchange.refusal())
        peer, _ = await answered(server, b"HTTP/1.1 101 Yes\r\n\r\n")
        assert (await refused).status == 502
        assert await peer.closed()


@both_loops
async def test_an_origin_that_is_not_there() -> None:
    async with asked(closed_port()) as exchange:
        assert (await exchange.refusal()).status == 502


@both_loops
async def test_an_origin_that_breaks_off_in_an_ordinary_answer() -> None:
    async with serving() as server, asked(server.port) as exchange:
        serve = asyncio.create_task(exchange.serve())
        peer, _ = await answered(server, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.close()
        await serve
        assert exchange.cut == "origin broke"
        assert exchange.counters.total(Count.ORIGIN_BREAKS) == 1


@pytest.mark.parametrize("target", ["/../secret", "/chat#part", "/chat%00", "chat"])
@both_loops
async def test_targets_that_go_no_further(target: str) -> None:
    async with serving() as server, asked(server.port, target) as exchange:
        assert (await exchange.refusal()).status == 400
        assert server.peers == []


@both_loops
async def test_a_client_that_leaves_before_the_switch() -> None:
    async with serving() as server, asked(server.port) as exchange:
        serve = asyncio.create_task(exchange.serve())
        peer = await server.accept()
        await peer.request()
        exchange.closed = True
        exchange.work.abort()
        await serve
        assert await peer.closed()
        assert exchange.heads == []


@both_loops
async def test_a_client_that_leaves_with_the_switch() -> None:
    async with serving() as server, asked(server.port) as exchange:
        began = exchange.begin_tunnel

        def leaves(status: int, reason: str, fields: Fields) -> None:
            exchange.closed = True
            began(status, reason, fields)

        exchange.begin_tunnel = leaves  # type: ignore[method-assign]
        serve = asyncio.create_task(exchange.serve())
        peer, _ = await answered(server, SWITCHES)
        with pytest.raises(ClientGone):
            await serve
        assert await peer.closed()
