"""Requests with a body: what arrives at the origin."""

import asyncio

import pytest

from aprp.upstream.outgoing import RequestBody
from aprp.upstream.request import framed
from tests.loops import both_loops
from tests.peers import Peer
from tests.upstream.fetches import Transfer, origin, sized
from tests.upstream.uploads import BODY, KNOWN, TLS, body_for, body_of, chunks, feeding, started


@TLS
@KNOWN
@pytest.mark.parametrize("size", [0, 1, 70_000, len(BODY)])
@both_loops
async def test_every_byte_arrives(size: int, known: bool, tls: bool) -> None:
    async with origin(tls=tls) as o:
        data = BODY[:size]
        body = body_for(data, known)
        transfer, peer = await started(o, body=body)
        feeder = feeding(body, data)
        head = await peer.request()
        assert await body_of(peer, head) == data
        await feeder
        await peer.send(sized(b"thanks"))
        await transfer.whole()
        assert transfer.body == b"thanks"
        assert head.count(b"ontent-") + head.count(b"ransfer-") == 1
        # The connection can be used for more.
        assert o.client.pool.idle == 1
        second = body_for(BODY[:9])
        again = Transfer(o, "POST", body=second)
        feeding_again = feeding(second, BODY[:9])
        assert await body_of(peer, await peer.request()) == BODY[:9]
        await peer.send(sized(b""))
        await again.whole()
        await feeding_again
        assert o.events.reuses == 1


@TLS
@both_loops
async def test_a_chunk_for_each_piece(tls: bool) -> None:
    # RFC 9112 section 7.1: what the client sent is not held back to make larger chunks.
    async with origin(tls=tls) as o:
        body = RequestBody(None)
        transfer, peer = await started(o, body=body)
        assert b"\r\nTransfer-Encoding: chunked\r\n" in await peer.request()
        for piece in (b"one", b"", b"two" * 20):
            waiting = body.feed(memoryview(piece))
            if waiting is not None:
                await waiting
            if piece:
                line = await peer.reader.readuntil(b"\r\n")
                assert int(line, 16) == len(piece)
                assert await peer.reader.readexactly(len(piece) + 2) == piece + b"\r\n"
        body.end()
        assert await peer.reader.readexactly(5) == b"0\r\n\r\n"
        await peer.send(sized(b""))
        await transfer.whole()


@KNOWN
@both_loops
async def test_body_that_is_there_before_the_connection_goes_with_the_head(known: bool) -> None:
    async with origin() as o:
        body = body_for(b"hello", known)
        waiting = body.feed(memoryview(b"hello"))
        assert waiting is not None
        body.end()
        assert not body.started
        transfer, peer = await started(o, body=body)
        assert await body_of(peer, await peer.request()) == b"hello"
        await waiting
        await peer.send(sized(b""))
        await transfer.whole()
        assert body.started


@both_loops
async def test_names_and_order_of_fields_and_repeats_are_kept() -> None:
    async with origin() as o:
        pairs = [
            ("hOST", "origin.example"),
            ("x-b", "1"),
            ("Content-length", "999"),
            ("X-A", "2"),
            ("X-b", "3"),
            ("Transfer-Encoding", "gzip, chunked"),
        ]
        body = body_for(b"hello")
        transfer = Transfer(o, "PATCH", headers=pairs, body=body)
        peer = await o.server.accept()
        feeder = feeding(body, b"hello")
        assert await peer.request() == (
            b"PATCH /film HTTP/1.1\r\nhOST: origin.example\r\nx-b: 1\r\nContent-Length: 5\r\n"
            b"X-A: 2\r\nX-b: 3\r\n\r\n"
        )
        await feeder
        await peer.send(sized(b""))
        await transfer.whole()


@both_loops
async def test_asterisk() -> None:
    # RFC 9112 section 3.2.4.
    async with origin() as o:
        transfer = Transfer(o, "OPTIONS", asterisk=True)
        peer = await o.server.accept()
        assert (await peer.request()).startswith(b"OPTIONS * HTTP/1.1\r\n")
        await peer.send(sized(b""))
        await transfer.whole()


LENGTH, CODING = ("Content-Length", "5"), ("Transfer-Encoding", "chunked")


@pytest.mark.parametrize(
    ("method", "body", "fields", "expected"),
    [
        ("POST", RequestBody(5), [], [LENGTH]),
        ("POST", RequestBody(None), [("A", "b")], [("A", "b"), CODING]),
        ("GET", RequestBody(5), [("content-length", "5"), ("A", "b")], [LENGTH, ("A", "b")]),
        # Two answers to the question where the body ends are how requests are smuggled.
        (
            "PUT",
            RequestBody(5),
            [("TRANSFER-ENCODING", "chunked"), ("Content-Length", "7")],
            [LENGTH],
        ),
        ("PUT", RequestBody(None), [("Content-Length", "7"), ("Content-Length", "7")], [CODING]),
        ("POST", None, [("Content-Length", "7")], [("Content-Length", "0")]),
        ("POST", None, [], [("Content-Length", "0")]),
        ("DELETE", None, [("Content-Length", "7")], []),
        ("GET", None, [("Transfer-Encoding", "chunked"), ("A", "b")], [("A", "b")]),
    ],
)
def test_framing_is_told_once(
    method: str,
    body: RequestBody | None,
    fields: list[tuple[str, str]],
    expected: list[tuple[str, str]],
) -> None:
    # RFC 9112 section 6.3.
    assert framed(fields, method, body) == expected


@both_loops
async def test_chunks_are_read_by_the_tests_own_decoder() -> None:
    """The decoder of these tests refuses what RFC 9112 section 7.1 does not have."""
    reader = asyncio.StreamReader()
    reader.feed_data(b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
    assert await chunks(Peer(reader, None)) == [b"abc", b"d"]  # type: ignore[arg-type]
