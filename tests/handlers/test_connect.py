"""CONNECT: who is reached, and what is answered where nobody is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aprp.front.wire import ClientGone
from aprp.handlers import connect
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.headers import Fields
from aprp.semantics.reaching import Reach
from aprp.sites.own import OwnAddress
from aprp.stats.counters import Count
from aprp.tunnel.bridge import Why
from tests.handlers.exchanges import TunnelExchange, client_of
from tests.loops import both_loops, turns
from tests.peers import closed_port, serving

LOOPBACK = ("127.0.0.0/8", "*.example")


class Names:
    """A resolver: any name leads to loopback, but for those that are told to lead nowhere."""

    def __init__(self, *nowhere: str) -> None:
        self.nowhere = nowhere
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def resolve(self, host: str, port: int, family: int) -> list[tuple[int, Any]]:
        self.asked.append(host)
        self.was_asked.set()
        await self.answers.wait()
        if host in self.nowhere:
            raise OSError(-2, "Name or service not known")
        return [(2, (host if host[0].isdigit() else "127.0.0.1", port))]

    def close(self) -> None:
        """Nothing is open."""


class Asked(TunnelExchange):
    """A CONNECT."""

    def __init__(
        self,
        target: str,
        *,
        ports: Sequence[int] = (443,),
        own: Sequence[socket.socket] = (),
        nowhere: Sequence[str] = (),
        fields: Sequence[tuple[str, str]] = (),
        timeout: float = 5,
    ) -> None:
        self.names = Names(*nowhere)
        super().__init__("CONNECT", target, fields, cast(Any, self.names))
        self.app.settings = SimpleNamespace(CONNECT_PORTS=ports, CONNECT_TIMEOUT=timeout)
        self.app.own = OwnAddress()
        self.app.own.listen(own)

    async def serve(self, *allow: str) -> None:
        await connect.serve(cast(Exchange, self), Reach.of(allow))

    async def refusal(self, *allow: str) -> Problem:
        """Serve, which has to fail before anything was answered."""
        with pytest.raises(Problem) as caught:
            await self.serve(*allow)
        assert self.heads == []
        assert self.work is None
        return caught.value


@contextlib.asynccontextmanager
async def asked(target: str, **options: Any) -> AsyncIterator[Asked]:
    made = Asked(target, **options)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    "target",
    [
        "media.example",
        "media.example:",
        "media.example:0",
        "media.example:65536",
        "media.example:https",
        ":443",
        "user@media.example:443",
        "http://media.example:443",
        "/film.mp4",
        "*",
        "[::1:443",
        "0x7f.1:443",
    ],
)
@both_loops
async def test_a_target_that_is_no_host_and_port(target: str) -> None:
    async with asked(target) as exchange:
        assert (await exchange.refusal(*LOOPBACK)).status == 400
        assert exchange.names.asked == []


@pytest.mark.parametrize(
    "field", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], ids=lambda f: f[0]
)
@both_loops
async def test_a_body_is_refused(field: tuple[str, str]) -> None:
    async with asked("media.example:443", fields=[field]) as exchange:
        assert (await exchange.refusal(*LOOPBACK)).status == 400


@pytest.mark.parametrize("port", [1, 25, 80, 444, 8443])
@both_loops
async def test_a_port_that_is_not_listed(port: int) -> None:
    async with asked(f"media.example:{port}") as exchange:
        problem = await exchange.refusal(*LOOPBACK)
        assert problem.status == 403
        assert "CONNECT_PORTS" in problem.detail
        assert exchange.names.asked == []


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        # Nothing listed: public hosts, and these are none.
        ("127.0.0.1:443", ()),
        ("10.1.2.3:443", ()),
        ("[::1]:443", ()),
        ("[::ffff:127.0.0.1]:443", ()),
        ("169.254.169.254:443", ()),
        ("0.0.0.0:443", ()),
        # Something is listed: nothing else, be it public.
        ("93.184.216.34:443", ("10.0.0.0/8",)),
        ("media.test:443", ("media.example",)),
        ("media.example.test:443", ("*.example",)),
    ],
)
@both_loops
async def test_a_host_that_is_not_allowed(target: str, allow: tuple[str, ...]) -> None:
    async with asked(target) as exchange:
        problem = await exchange.refusal(*allow)
        assert problem.status == 403
        assert "FORWARD_ALLOW" in problem.detail
        assert exchange.names.asked == []


@pytest.mark.parametrize("allow", [(), ("10.0.0.0/8",)], ids=["public", "another network"])
@both_loops
async def test_a_name_whose_address_is_not_allowed(allow: tuple[str, ...]) -> None:
    # A name that anybody may register can lead to loopback.
    async with serving() as server, asked("rebind.test:443") as exchange:
        exchange.target = f"rebind.test:{server.port}"
        exchange.app.settings.CONNECT_PORTS = (server.port,)
        problem = await exchange.refusal(*allow)
        assert problem.status == 403
        assert exchange.names.asked == ["rebind.test"]
        assert "127.0.0.1" not in problem.detail
        assert server.peers == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST."])
@both_loops
async def test_its_own_address_is_a_loop(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        target = f"{host}:{own.getsockname()[1]}"
        async with asked(target, own=[own]) as exchange:
            assert (await exchange.refusal(*LOOPBACK)).status == 508
            assert exchange.names.asked == []


@both_loops
async def test_a_name_that_leads_to_its_own_address_is_a_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        async with asked(f"media.example:{port}", ports=[port], own=[own]) as exchange:
            assert (await exchange.refusal(*LOOPBACK)).status == 508
            assert exchange.names.asked == ["media.example"]


@both_loops
async def test_a_name_that_has_no_address() -> None:
    async with asked("nowhere.example:443", nowhere=["nowhere.example"]) as exchange:
        assert (await exchange.refusal(*LOOPBACK)).status == 502
        assert exchange.counters.total(Count.ORIGIN_FAILURES) == 1


@both_loops
async def test_a_host_that_refuses() -> None:
    port = closed_port()
    async with asked(f"media.example:{port}", ports=(port,)) as exchange:
        assert (await exchange.refusal(*LOOPBACK)).status == 502
        assert exchange.counters.total(Count.ORIGIN_FAILURES) == 1


@both_loops
async def test_a_host_that_does_not_answer_in_time() -> None:
    async with asked("media.example:443", timeout=0.05) as exchange:
        # The name is looked up for ever, which is within the same limit.
        exchange.names.answers.clear()
        assert (await exchange.refusal(*LOOPBACK)).status == 504


@pytest.mark.parametrize("host", ["media.example", "127.0.0.1", "MEDIA.Example."])
@both_loops
async def test_bytes_go_both_ways(host: str) -> None:
    async with serving() as server, asked(f"{host}:{server.port}") as exchange:
        exchange.app.settings.CONNECT_PORTS = (443, server.port)
        # What the client sent before it had the answer comes first.
        async with client_of(exchange, leftover=b"early ") as client:
            serve = asyncio.create_task(exchange.serve(*LOOPBACK))
            peer = await server.accept()
            await client.send(b"words")
            assert await peer.reader.readexactly(11) == b"early words"
            await peer.send(b"answer")
            assert await client.read(6) == b"answer"
            assert not serve.done()
            peer.close()
            assert await client.rest() == b""
            client.end()
            await serve
        # RFC 9110 section 9.3.6: neither Content-Length nor Transfer-Encoding.
        assert exchange.heads == [(200, "Connection Established", Fields())]
        assert (exchange.sent, exchange.end) == (6, None)
        assert exchange.counters.total(Count.TUNNELS) == 1
        assert exchange.counters.total(Count.TUNNEL_BYTES_UP) == 11
        assert exchange.pool.lent == set()


@both_loops
async def test_how_it_ended_is_told() -> None:
    async with serving() as server, asked(f"media.example:{server.port}") as exchange:
        exchange.app.settings.CONNECT_PORTS = (server.port,)
        async with client_of(exchange) as client:
            serve = asyncio.create_task(exchange.serve(*LOOPBACK))
            peer = await server.accept()
            peer.reset()
            assert await client.is_reset()
            await serve
        assert exchange.end == Why.ORIGIN_BROKE.value


@both_loops
async def test_a_client_that_leaves_ends_the_attempt() -> None:
    async with asked("media.example:443") as exchange:
        exchange.names.answers.clear()
        serve = asyncio.create_task(exchange.serve(*LOOPBACK))
        await exchange.names.was_asked.wait()
        exchange.closed = True
        exchange.work.abort()
        with pytest.raises(ClientGone):
            await serve
        assert exchange.heads == []


@both_loops
async def test_a_client_that_has_left_leaves_no_connection_behind() -> None:
    async with serving() as server, asked(f"media.example:{server.port}") as exchange:
        exchange.app.settings.CONNECT_PORTS = (server.port,)
        # It went away in the moment in which the connection stood.
        exchange.closed = True
        with pytest.raises(ClientGone):
            await exchange.serve(*LOOPBACK)
        peer = await server.accept()
        assert await peer.closed()


@both_loops
async def test_the_tunnel_begins_when_the_client_has_taken_the_head() -> None:
    async with serving() as server, asked(f"media.example:{server.port}") as exchange:
        exchange.app.settings.CONNECT_PORTS = (server.port,)
        taken = exchange.wire.unfinished = exchange.loop.create_future()
        async with client_of(exchange) as client:
            serve = asyncio.create_task(exchange.serve(*LOOPBACK))
            peer = await server.accept()
            await peer.send(b"the origin's first words")
            await turns(20)
            assert exchange.counters.total(Count.TUNNELS) == 0
            taken.set_result(None)
            assert await client.read(24) == b"the origin's first words"
            peer.close()
            client.end()
            await serve
