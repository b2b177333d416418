"""Interim responses: who hears of them, and what they cannot do."""

import pytest

from aprp.upstream.errors import BadResponse
from tests.loops import both_loops
from tests.upstream.fetches import origin, sized

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\n"


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@both_loops
async def test_interim_responses_are_handed_on(tls: bool) -> None:
    # RFC 9110 section 15.2: a proxy forwards them; an unknown one is read like any other.
    async with origin(tls=tls) as o:
        transfer, peer = await o.ask()
        for interim in (HINTS, b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 199 Odd\r\n\r\n"):
            await peer.send(interim)
        await peer.send(sized(b"final"))
        await transfer.whole()
        assert [head.status for head in transfer.interim] == [103, 102, 199]
        assert transfer.interim[0].reason == "Early Hints"
        assert transfer.interim[0].fields.get_all() == [
            ("Link", "</a.css>; rel=preload"),
            ("Link", "</b.js>"),
        ]
        assert transfer.body == b"final"
        assert o.client.pool.idle == 1


@both_loops
async def test_consent_that_nobody_asked_for_is_not_handed_on() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"final"))
        await transfer.whole()
        assert (transfer.interim, transfer.body) == ([], b"final")


@both_loops
async def test_too_many() -> None:
    async with origin() as o:
        transfer, peer = await o.ask()
        await peer.send(HINTS * 11)
        assert isinstance(await transfer.error(), BadResponse)
        assert await peer.closed()
        assert len(transfer.interim) == 10


@pytest.mark.parametrize("aborts", [True, False])
@both_loops
async def test_a_reader_that_fails(aborts: bool) -> None:
    async with origin() as o:
        transfer, peer = await o.ask()

        def fail() -> None:
            raise RuntimeError("the client is gone")

        transfer.at_interim = transfer.request.abort if aborts else fail
        await peer.send(HINTS + sized(b"final"))
        error = await transfer.error()
        assert aborts or str(error) == "the client is gone"
        assert transfer.heads == []
        assert await peer.closed()
