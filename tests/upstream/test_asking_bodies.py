"""Asking the origins with a body, with fields as pairs, and for another protocol."""

import asyncio
import random

import pytest

from aprp.stats.counters import Count
from aprp.upstream.asking import Ask, Limits
from aprp.upstream.errors import ConnectFailed, FirstByteTimeout, Forbidden, OriginClosed
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin, Origins
from aprp.upstream.outgoing import RequestBody
from tests.loops import both_loops, turns
from tests.peers import closed_port, serving
from tests.upstream.askers import Asker, Only, Talk, asker
from tests.upstream.fetches import sized
from tests.upstream.uploads import body_of, feeding

BODY = random.Random(8).randbytes(500_000)


@pytest.mark.parametrize("known", [True, False], ids=["sized", "chunked"])
@both_loops
async def test_body_goes_to_the_origin_that_can_be_reached(known: bool) -> None:
    dead = closed_port()
    async with serving() as server, asker(server, dead) as one:
        body = RequestBody(len(BODY) if known else None)
        feeder = feeding(body, BODY)
        sending = asyncio.create_task(one.ask.send("POST", "/form", {"A": "b"}, body=body))
        peer = await server.accept()
        head = await peer.request()
        host = b"Host: 127.0.0.1:%d\r\n" % server.port
        assert head.startswith(b"POST /form HTTP/1.1\r\n" + host + b"A: b\r\n")
        assert await body_of(peer, head) == BODY
        await peer.send(sized(b"thanks"))
        await sending
        await feeder
        assert bytes(one.body) == b"thanks"
        assert [origin.endpoint.port for origin in one.asked] == [dead, server.port]
        assert one.counters.total(Count.ORIGIN_FAILOVERS) == 1


@both_loops
async def test_nobody_can_be_reached_and_the_client_is_let_go() -> None:
    async with serving() as server, asker(server, closed_port(), closed_port()) as one:
        one.origins.origins = one.origins.origins[:2]
        body = RequestBody(len(BODY))
        feeder = feeding(body, BODY)
        with pytest.raises(ConnectFailed):
            await one.ask.send("POST", "/form", [], body=body)
        await feeder
        assert body.released
        assert not body.started


@both_loops
async def test_what_was_begun_is_not_taken_elsewhere() -> None:
    async with serving() as first, serving() as second, asker(second, first.port) as one:
        body = RequestBody(len(BODY))
        feeder = feeding(body, BODY)
        sending = asyncio.create_task(one.ask.send("PUT", "/form", {}, body=body))
        peer = await first.accept()
        await peer.request()
        await peer.reader.readexactly(10)
        peer.reset()
        with pytest.raises(OriginClosed):
            await sending
        await feeder
        assert len(one.asked) == 1
        assert second.peers == []


@both_loops
async def test_pairs_go_out_as_they_are() -> None:
    async with serving() as server, asker(server) as one:
        pairs = [("x-B", "1"), ("COOKIE", "a=1"), ("X-b", "2"), ("cookie", "b=2")]
        sending = asyncio.create_task(one.ask.send("GET", "/a?b=c", pairs))
        peer = await server.accept()
        assert await peer.answer(sized(b"")) == (
            b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"x-B: 1\r\nCOOKIE: a=1\r\nX-b: 2\r\ncookie: b=2\r\n\r\n" % server.port
        )
        await sending


@both_loops
async def test_host_among_the_pairs_is_the_one_that_is_sent() -> None:
    # RFC 9110 section 7.2; RFC 9112 section 3.2: there is one only.
    async with serving() as server, asker(server) as one:
        pairs = [("A", "b"), ("host", "films.example"), ("Host", "other.example")]
        sending = asyncio.create_task(one.ask.send("OPTIONS", "*", pairs))
        peer = await server.accept()
        assert await peer.answer(sized(b"")) == (
            b"OPTIONS * HTTP/1.1\r\nhost: films.example\r\nA: b\r\n\r\n"
        )
        await sending


@pytest.mark.parametrize("illegal", ["a\r\nB: c", "a\nb", "a\0b"])
@both_loops
async def test_pairs_that_would_break_out(illegal: str) -> None:
    async with serving() as server, asker(server) as one:
        body = RequestBody(None)
        with pytest.raises(ValueError, match="Illegal characters"):
            await one.ask.send("POST", "/", [("A", illegal)], body=body)
        assert body.released
        assert server.peers == []


class Hinted(Asker):
    """Takes interim responses, too."""

    def __init__(self, one: Asker) -> None:
        vars(self).update(vars(one))
        self.interim: list[ResponseHead] = []
        limits = Limits(5.0, 0.2, 5.0)
        self.ask = Ask(self.origins, one.ask._client, limits, self.counters, self)

    def on_interim(self, head: ResponseHead) -> None:
        self.interim.append(head)


@both_loops
async def test_the_reader_hears_of_interim_responses() -> None:
    async with serving() as server, asker(server) as one:
        hinted = Hinted(one)
        sending = asyncio.create_task(hinted.ask.send("GET", "/", {}))
        peer = await server.accept()
        await peer.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + sized(b"hello"))
        await sending
        assert [head.fields.get("link") for head in hinted.interim] == ["</a>"]
        assert bytes(hinted.body) == b"hello"


@both_loops
async def test_upgrade() -> None:
    async with serving() as server, asker(server) as one:
        with pytest.raises(OriginClosed):
            one.ask.detach()
        pairs = [("Connection", "upgrade"), ("Upgrade", "echo")]
        sending = asyncio.create_task(one.ask.send("GET", "/chat", pairs, upgrade=True))
        peer = await server.accept()
        await peer.answer(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhi"
        )
        await sending
        assert [head.status for head in one.heads] == [101]
        talk = Talk(one.ask.detach())
        await talk.until(b"hi")
        talk.detached.transport.write(b"there")
        assert await peer.reader.readexactly(5) == b"there"
        talk.detached.transport.abort()
        await talk.gone.wait()


@both_loops
async def test_cancelled_in_the_middle_of_a_body() -> None:
    async with serving() as server, asker(server) as one:
        body = RequestBody(len(BODY))
        feeder = feeding(body, BODY[:9])
        sending = asyncio.create_task(one.ask.send("PUT", "/form", {}, body=body))
        peer = await server.accept()
        await peer.request()
        assert await peer.reader.readexactly(9) == BODY[:9]
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        with pytest.raises(ValueError, match="ended at 9"):
            await feeder
        assert body.released
        assert await peer.closed()


@both_loops
async def test_origin_that_is_late_with_its_answer_to_a_body() -> None:
    async with serving() as server, asker(server) as one:
        hurried = Hinted(one)
        body = RequestBody(5)
        sending = asyncio.create_task(hurried.ask.send("POST", "/", {}, body=body))
        peer = await server.accept()
        await feeding(body, b"hello")
        await peer.request()
        with pytest.raises(FirstByteTimeout):
            await sending
        assert one.counters.total(Count.ORIGIN_TIMEOUTS) == 1


@both_loops
async def test_a_refused_address_is_not_passed_over() -> None:
    async with serving() as server, serving() as other, asker(other, server.port) as one:
        guard = Only()
        one.origins = Origins(
            [
                Origin.parse(f"http://127.0.0.1:{server.port}", None, guard),
                one.origins.origins[1],
            ],
            retry_after=10.0,
        )
        guarded = Hinted(one)
        with pytest.raises(Forbidden):
            await guarded.ask.send("GET", "/", {})
        await turns(10)
        assert (server.peers, other.peers) == ([], [])
