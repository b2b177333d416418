"""Bodies of requests over TLS: what is decrypted does not overtake who takes it."""

import asyncio
import random

import pytest

from aprp.front.tls import ServerTLS
from tests.front.apps import Served, served
from tests.front.encrypted import Encrypted
from tests.front.requests import GET, Slow, post, post_chunked
from tests.loops import both_loops, turns
from tests.peers import server_tls

SOURCE = random.Random(9).randbytes(3 << 20)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n/up"


class Files(ServerTLS):
    """TLS with the certificate of the tests."""

    def __init__(self) -> None:
        self.context = server_tls()


async def encrypted(s: Served) -> Encrypted:
    """A client that has shaken hands."""
    s.server.tls = Files()
    client = Encrypted((await s.connect()).socket)
    await client.handshake()
    return client


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("paused", [False, True])
@both_loops
async def test_large_body(chunked: bool, paused: bool) -> None:
    async with served() as s:
        client = await encrypted(s)
        data = post_chunked("/up", SOURCE) if chunked else post("/up", SOURCE)
        slow = Slow(s) if paused else None
        sending = asyncio.create_task(client.send(data + GET))
        if slow is not None:
            body = bytearray()
            while len(body) < len(SOURCE):
                waiting = await slow.arrived.get()
                assert s.pool.lent <= 2
                body = s.app.begun[0].body
                slow.done_with(waiting)
        await sending
        assert await client.read(len(ANSWER)) == ANSWER
        assert s.app.requests[0].body == SOURCE


@both_loops
async def test_client_that_sends_a_long_rest_gets_the_answer() -> None:
    async with served() as s:
        client = await encrypted(s)
        data = post("/up", SOURCE)
        await client.send(data[:1000])
        while not s.app.begun:
            await turns(1)
        s.app.begun[0].answer(b"/up")
        # The end of what is sent is told in both layers, and what comes is still taken.
        await client.send(data[1000:])
        assert await client.read(len(ANSWER)) == ANSWER
        assert await client.read(1) == b""
        assert client.told_goodbye


@both_loops
async def test_what_a_tunnel_gets() -> None:
    async with served() as s:
        client = await encrypted(s)
        s.app.serve = lambda request: None
        await client.send(GET + b"early")
        request = await s.app.arrived.get()
        detached = request.connection.detach()
        assert detached.leftover == b"early"
        assert detached.tcp is None
        assert not detached.transport.is_reading()
        detached.lost(None)
        detached.transport.abort()
