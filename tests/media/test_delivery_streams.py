"""Streams whose length nobody tells, clients that go away, and clients that are slow."""

import asyncio

import pytest

from aprp.media.errors import DeliveryError, OriginBroke, RangeNotSatisfiable
from aprp.semantics.answer import Asked
from aprp.upstream.errors import OriginClosed
from tests.media.scripted import (
    STOP,
    Reply,
    Script,
    Sink,
    asks,
    delivery,
    no_such_range,
    part,
    whole,
)

DATA = bytes(range(256)) * 4
LARGE = bytes(range(256)) * 1024  # 256 KiB


def run(asked: Asked, *replies: Reply) -> tuple[Sink, Script]:
    async def deliver() -> tuple[Sink, Script]:
        sink, script = Sink(), Script(*replies)
        await delivery(asked, script, sink).run()
        return sink, script

    return asyncio.run(deliver())


def broken(kind: type[Exception], asked: Asked, *replies: Reply) -> tuple[Sink, Exception]:
    sink = Sink()
    with pytest.raises(kind) as caught:
        asyncio.run(delivery(asked, Script(*replies), sink).run())
    return sink, caught.value


# A range with both ends, of a stream without a length: a 200 of an origin without ranges.


@pytest.mark.parametrize(
    ("ranges", "expected", "content_range"),
    [
        pytest.param("0-99", DATA[:100], "bytes 0-99/*", id="from the start"),
        pytest.param("100-199", DATA[100:200], "bytes 100-199/*", id="in the middle"),
        pytest.param("1023-1023", DATA[1023:], "bytes 1023-1023/*", id="the last byte"),
        pytest.param("1000-5000", DATA[1000:], "bytes 1000-1023/1024", id="beyond the end"),
        pytest.param("0-1024", DATA, "bytes 0-1023/1024", id="one byte beyond the end"),
    ],
)
def test_a_small_range_is_exact(ranges: str, expected: bytes, content_range: str) -> None:
    sink, _ = run(asks(ranges), whole(DATA, told=False))
    assert sink.answer.status == 206
    assert sink.answer.fields["Content-Range"] == content_range
    assert sink.answer.length == len(expected)
    assert sink.body == expected


def test_the_stream_is_read_no_further_than_needed() -> None:
    _, script = run(asks("0-99"), whole(LARGE, told=False))
    assert script.aborted == [0]


@pytest.mark.parametrize("ranges", ["0-99999", "100000-199999"])
def test_a_large_range_is_streamed(ranges: str) -> None:
    sink, script = run(asks(ranges), whole(LARGE, told=False, split=4096))
    first, last = map(int, ranges.split("-"))
    assert sink.answer.fields["Content-Range"] == f"bytes {ranges}/*"
    assert sink.body == LARGE[first : last + 1]
    assert script.aborted == [0]


def test_a_large_range_of_a_stream_that_ends_before_it_is_cut_short() -> None:
    sink, _ = broken(OriginBroke, asks("0-99999"), whole(DATA, told=False))
    assert sink.answer.length == 100_000
    assert sink.body == DATA


@pytest.mark.parametrize(
    ("ranges", "data"),
    [
        pytest.param("1024-1030", DATA, id="right behind the end"),
        pytest.param("5000-6000", DATA, id="far behind the end"),
        pytest.param("1024-999999", DATA, id="a large range"),
        pytest.param("0-9", b"", id="of nothing"),
    ],
)
def test_a_late_416(ranges: str, data: bytes) -> None:
    sink, error = broken(RangeNotSatisfiable, asks(ranges), whole(data, told=False))
    assert isinstance(error, RangeNotSatisfiable)
    assert error.total == len(data)
    assert not sink.answers


@pytest.mark.parametrize("ranges", ["0-99", "500-999999"])
def test_a_stream_that_breaks_before_the_answer_began(ranges: str) -> None:
    error = OriginClosed("gone")
    sink, caught = broken(OriginClosed, asks(ranges), Reply(200, {}, [DATA[:50]], error))
    assert caught is error
    assert not sink.answers


def test_a_large_range_that_breaks_after_the_answer_began() -> None:
    sink, _ = broken(OriginBroke, asks("0-99999"), Reply(200, {}, [DATA], OriginClosed("gone")))
    assert sink.body == DATA


def test_a_part_of_a_file_whose_length_is_not_told() -> None:
    reply = Reply(206, {"Content-Range": "bytes 5-9/*"}, [DATA[5:10]])
    sink, _ = run(asks("5-9"), reply)
    assert sink.answer.fields["Content-Range"] == "bytes 5-9/*"
    assert (sink.answer.length, sink.body) == (5, DATA[5:10])


# The client goes away.

WAITS = Reply(200, {"Content-Length": "1024"}, [DATA[:10], STOP, DATA[10:]])


@pytest.mark.parametrize(
    ("asked", "replies", "aborted", "sent"),
    [
        pytest.param(asks(), [Reply(200, stop_before_head=True)], [0], 0, id="before the head"),
        pytest.param(asks(), [WAITS], [0], 10, id="in the body"),
        pytest.param(asks("5-99"), [WAITS], [0], 5, id="in a range"),
        pytest.param(asks("50-99"), [WAITS], [0], 0, id="before a range"),
        pytest.param(
            asks("5-99"), [Reply(200, {}, [DATA[:10], STOP, DATA])], [0], 0, id="in a held range"
        ),
        pytest.param(asks("20-99,0-4"), [WAITS], [0], None, id="in several of one"),
        pytest.param(
            asks("0-9,20-29"),
            [part(DATA, 0, 9), Reply(206, stop_before_head=True)],
            [1],
            None,
            id="between two parts",
        ),
        pytest.param(
            asks("0-9,20-29"),
            [part(DATA, 0, 9), Reply(206, part(DATA, 20, 29).fields, [DATA[20:25], STOP])],
            [1],
            None,
            id="in the second part",
        ),
        pytest.param(
            asks("5000-,0-9"),
            [no_such_range(1024), Reply(206, stop_before_head=True)],
            [1],
            0,
            id="after a 416 to the first",
        ),
        pytest.param(
            asks("0-9", if_range='"a"'),
            [part(DATA, 0, 9), Reply(200, stop_before_head=True)],
            [1],
            0,
            id="before the second question's head",
        ),
    ],
)
def test_the_client_goes(
    asked: Asked, replies: list[Reply], aborted: list[int], sent: int | None
) -> None:
    async def deliver() -> None:
        sink, script = Sink(), Script(*replies)
        job = delivery(asked, script, sink)
        task = asyncio.create_task(job.run())
        await script.stopped.wait()
        before = sink.body
        job.abort()
        job.abort()
        # What it ends with is of no concern to anybody, so long as it ends.
        await asyncio.gather(task, return_exceptions=True)
        assert task.exception() is None or isinstance(task.exception(), DeliveryError)
        assert script.aborted == aborted
        assert len(script.asked) == len(replies)
        assert sink.body == before
        assert sent is None or len(before) == sent

    asyncio.run(asyncio.wait_for(deliver(), 10))


def test_a_client_that_is_gone_before_the_first_question() -> None:
    async def deliver() -> None:
        sink, script = Sink(), Script(whole(DATA))
        job = delivery(asks(), script, sink)
        job.abort()
        await job.run()
        assert not script.asked
        assert not sink.answers

    asyncio.run(deliver())


def test_nothing_is_asked_for_a_client_that_went_in_the_first_answer() -> None:
    async def deliver() -> None:
        first = part(DATA, 0, 9)
        sink = Sink()
        script = Script(Reply(206, first.fields, [*first.body, STOP]), part(DATA, 20, 29))
        job = delivery(asks("0-9,20-29"), script, sink)
        task = asyncio.create_task(job.run())
        await script.stopped.wait()
        job.abort()
        await task
        assert len(script.asked) == 1

    asyncio.run(asyncio.wait_for(deliver(), 10))


# The client is slow.


@pytest.mark.parametrize(
    ("ranges", "writes"),
    [
        pytest.param(None, 4, id="the whole"),
        pytest.param("0-", 4, id="a range"),
        pytest.param("0-255,256-", 5, id="several ranges, and the line behind them"),
    ],
)
def test_the_origin_waits_for_the_client(ranges: str | None, writes: int) -> None:
    async def deliver() -> None:
        sink, script = Sink(slow=True), Script(whole(DATA, split=256))
        task = asyncio.create_task(delivery(asks(ranges), script, sink).run())
        for number in range(writes):
            await sink.written.wait()
            sink.written.clear()
            # One write is under way; what follows waits for it.
            assert len(sink.waiting) == number + 1
            assert not task.done()
            sink.waiting[number].set_result(None)
        await task
        assert len(sink.body) == sink.answer.length

    asyncio.run(asyncio.wait_for(deliver(), 10))


def test_the_future_of_a_write_is_handed_on_and_none_where_nothing_is_written() -> None:
    async def deliver() -> None:
        sink, script = Sink(slow=True), Script(Reply(200, {"Content-Length": "1024"}, [STOP]))
        job = delivery(asks("100-199"), script, sink)
        task = asyncio.create_task(job.run())
        await script.stopped.wait()
        assert job.on_body(memoryview(DATA)[:100]) is None
        waiting = job.on_body(memoryview(DATA)[100:150])
        assert waiting is sink.waiting[0]
        assert not waiting.done()
        assert job.on_body(memoryview(DATA)[150:300]) is sink.waiting[1]
        assert script.aborted == [0]
        await task
        assert sink.body == DATA[100:200]

    asyncio.run(asyncio.wait_for(deliver(), 10))


def test_a_slow_client_goes_while_a_write_is_under_way() -> None:
    async def deliver() -> None:
        sink, script = Sink(slow=True), Script(whole(DATA))
        job = delivery(asks(), script, sink)
        task = asyncio.create_task(job.run())
        await script.stopped.wait()
        job.abort()
        await task
        assert script.aborted == [0]
        assert len(sink.waiting) == 1
        assert not sink.waiting[0].done()

    asyncio.run(asyncio.wait_for(deliver(), 10))
