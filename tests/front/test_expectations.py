"""Clients that ask before they send a body: RFC 9110 section 10.1.1."""

import pytest

from tests.front.apps import BODY_TIMEOUT, Request, served
from tests.front.requests import GET, get, post, post_chunked
from tests.loops import both_loops, turns

EXPECT = "Expect: 100-continue"


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "100-continue, ,100-continue"])
@both_loops
async def test_client_is_told_to_go_on_when_its_body_is_wanted(expect: str) -> None:
    async with served() as s:
        client = await s.connect()
        request = post("/up", b"0123456789", f"Expect: {expect}")
        await client.send_and_be_read(request[:-10])
        (begun,) = s.app.begun
        # Nobody has asked for it yet, for however long.
        assert begun.connection.expects_continue
        s.clock.advance(10 * BODY_TIMEOUT)
        await turns(5)
        begun.connection.send_continue()
        assert not begun.connection.expects_continue
        begun.connection.send_continue()
        assert await client.answer() == (100, b"")
        s.clock.advance(BODY_TIMEOUT - 1)
        await client.send(request[-10:])
        assert await client.answer() == (200, b"/up")
        assert begun.body == b"0123456789"
        await client.send(GET)
        assert await client.answer() == (200, b"/film?a=%20")


@both_loops
async def test_body_is_waited_for_as_long_as_any_when_it_was_asked_for() -> None:
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post("/up", b"0123456789", EXPECT)[:-10])
        s.clock.advance(10 * BODY_TIMEOUT)
        s.app.begun[0].connection.send_continue()
        assert await client.answer() == (100, b"")
        s.clock.advance(BODY_TIMEOUT + 1)
        assert (await client.answer())[0] == 408


@pytest.mark.parametrize("together", [True, False])
@both_loops
async def test_client_that_does_not_wait(together: bool) -> None:
    # A server may leave the 100 out when it has received some of the content.
    async with served() as s:
        client = await s.connect()
        request = post("/up", b"0123456789", EXPECT)
        s.app.serve = lambda request: None
        if together:
            await client.send_and_be_read(request[:-5])
        else:
            await client.send_and_be_read(request[:-10])
            assert s.app.begun[0].connection.expects_continue
            await client.send_and_be_read(request[-10:-5])
        (begun,) = s.app.begun
        assert not begun.connection.expects_continue
        begun.connection.send_continue()
        await client.send(request[-5:])
        await s.app.arrived.get()
        begun.answer()
        assert await client.answer() == (200, b"")
        assert begun.body == b"0123456789"


@both_loops
async def test_asked_for_in_the_middle_of_the_head_being_handed_on() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.headed = lambda request: request.connection.send_continue()
        request = post("/up", b"0123456789", EXPECT)
        await client.send(request[:-10])
        assert await client.answer() == (100, b"")
        await client.send(request[-10:])
        assert await client.answer() == (200, b"/up")


@both_loops
async def test_chunks_may_be_asked_for_too() -> None:
    async with served() as s:
        client = await s.connect()
        s.app.headed = lambda request: request.connection.send_continue()
        head, _, body = post_chunked("/up", b"0123456789").partition(b"\r\n\r\n")
        await client.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert await client.answer() == (100, b"")
        await client.send(body)
        assert await client.answer() == (200, b"/up")
        assert s.app.requests[0].body == b"0123456789"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(post("/up", b"0123456789", EXPECT).replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(get("/up", EXPECT), id="no body"),
        pytest.param(post("/up", b"", EXPECT), id="an empty body"),
        pytest.param(get("/up", "Expect: x").replace(b"1.1", b"1.0"), id="another in HTTP/1.0"),
        pytest.param(get("/up", "Expect: ,"), id="an empty list"),
    ],
)
@both_loops
async def test_expectation_that_has_no_meaning(request_bytes: bytes) -> None:
    async with served() as s:
        client = await s.connect()
        asked: list[bool] = []

        def ask(request: Request) -> None:
            asked.append(request.connection.expects_continue)
            request.connection.send_continue()

        s.app.headed = ask
        await client.send(request_bytes)
        # No 100 before it.
        assert await client.answer() == (200, b"/up")
        assert asked == [False]


@pytest.mark.parametrize("expect", ["x", "100-continue, x", "200-ok", "100-continue;a=b"])
@pytest.mark.parametrize("body", [b"", b"0123456789"])
@both_loops
async def test_other_expectations(expect: str, body: bytes) -> None:
    async with served() as s:
        client = await s.connect()
        await client.send(post("/up", body, f"Expect: {expect}") + GET)
        assert (await client.answer())[0] == 417
        assert await client.ended()
        (request,) = s.app.requests
        assert (request.line.path, bytes(request.body)) == ("/up", b"")


@both_loops
async def test_answer_instead_of_a_continue() -> None:
    # The client may send its body now or leave it: what comes next cannot be told.
    async with served() as s:
        client = await s.connect()
        await client.send_and_be_read(post("/up", b"0123456789", EXPECT)[:-10])
        (begun,) = s.app.begun
        assert begun.connection.must_close
        begun.answer(b"no")
        assert await client.answer() == (200, b"no")
        assert await client.ended()
        await client.send_and_be_read(GET)
        await turns(3)
        assert len(s.app.begun) == 1
        # Nothing is written any more.
        begun.connection.send_continue()
