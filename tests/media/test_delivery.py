"""One client answer of one or more origin responses."""

import asyncio

import pytest

from aprp.media.errors import BadOrigin, ConditionFailed, OriginBroke, RangeNotSatisfiable
from aprp.semantics.answer import Asked
from aprp.semantics.conditions import Conditions
from aprp.upstream.errors import FirstByteTimeout, OriginClosed, OriginFailure
from tests.media.scripted import Reply, Script, Sink, asks, delivery, no_such_range, part, whole

DATA = bytes(range(256)) * 4
LARGE = bytes(range(256)) * 512  # 128 KiB


async def deliver(
    asked: Asked, *replies: Reply, fields: dict[str, str] | None = None
) -> tuple[Sink, Script]:
    """Deliver it all; every reply was asked for, and none beyond."""
    sink, script = Sink(), Script(*replies)
    await delivery(asked, script, sink, fields).run()
    assert len(script.asked) == len(replies)
    return sink, script


async def fail(
    kind: type[Exception], asked: Asked, *replies: Reply, match: str | None = None
) -> tuple[Sink, Script]:
    sink, script = Sink(), Script(*replies)
    with pytest.raises(kind, match=match):
        await delivery(asked, script, sink).run()
    assert len(script.asked) == len(replies)
    return sink, script


# What the origin is asked.


def test_the_question() -> None:
    sink, script = asyncio.run(deliver(asks("5-9", if_range='"a"'), part(DATA, 5, 9, ETag='"a"')))
    assert script.requests == [("GET", "/a?b")]
    assert script.asked == [
        {
            "Accept": "*/*",
            "Range": "bytes=5-9",
            "If-Range": '"a"',
            "Accept-Encoding": "identity",
        }
    ]
    assert sink.origins == ["http://origin.test"]


def test_the_question_without_a_range() -> None:
    fields = {"Accept-Encoding": "gzip"}
    _, script = asyncio.run(deliver(asks(if_range='"a"'), whole(DATA), fields=fields))
    assert script.asked == [{"Accept-Encoding": "gzip"}]
    assert fields == {"Accept-Encoding": "gzip"}


def test_ranges_are_asked_of_the_bytes_as_stored() -> None:
    fields = {"Accept-Encoding": "gzip, br"}
    _, script = asyncio.run(deliver(asks("5-9"), part(DATA, 5, 9), fields=fields))
    assert script.asked[0]["Accept-Encoding"] == "identity"
    assert fields == {"Accept-Encoding": "gzip, br"}


# One response is enough.


@pytest.mark.parametrize("told", [True, False])
def test_the_whole(told: bool) -> None:
    sink, script = asyncio.run(deliver(asks(), whole(DATA, told=told, ETag='"a"')))
    assert sink.body == DATA
    assert (sink.answer.status, sink.answer.reason) == (200, "Reason")
    assert sink.answer.length == (len(DATA) if told else None)
    assert sink.answer.range_text is None
    assert sink.answer.fields["ETag"] == '"a"'
    assert sink.answer.fields["Via"] == "1.1 proxy"
    assert script.aborted == []


@pytest.mark.parametrize(
    ("ranges", "expected", "content_range", "stops"),
    [
        ("0-", DATA, "bytes 0-1023/1024", False),
        ("0-1", DATA[:2], "bytes 0-1/1024", True),
        ("100-199", DATA[100:200], "bytes 100-199/1024", True),
        ("1000-", DATA[1000:], "bytes 1000-1023/1024", False),
        ("-24", DATA[1000:], "bytes 1000-1023/1024", False),
        ("5-5000", DATA[5:], "bytes 5-1023/1024", False),
    ],
)
def test_a_range_cut_out_of_the_whole(
    ranges: str, expected: bytes, content_range: str, stops: bool
) -> None:
    sink, script = asyncio.run(deliver(asks(ranges), whole(DATA)))
    assert sink.body == expected
    assert (sink.answer.status, sink.answer.reason) == (206, "Partial Content")
    assert sink.answer.length == len(expected)
    assert sink.answer.fields["Content-Range"] == sink.answer.range_text == content_range
    # The origin is read no further than to the last byte asked for.
    assert script.aborted == ([0] if stops else [])


@pytest.mark.parametrize(
    ("first", "last", "aborted"), [(100, 199, []), (100, 299, [0]), (90, 199, []), (0, 1023, [0])]
)
def test_a_range_that_the_origin_sends(first: int, last: int, aborted: list[int]) -> None:
    sink, script = asyncio.run(deliver(asks("100-199"), part(DATA, first, last)))
    assert sink.body == DATA[100:200]
    assert sink.answer.fields["Content-Range"] == "bytes 100-199/1024"
    assert sink.answer.fields.getlist("Content-Length") == ["100"]
    assert script.aborted == aborted


@pytest.mark.parametrize(
    ("asked", "reply", "kept"),
    [
        pytest.param(asks(), whole(DATA, Content_Digest="a"), True, id="the whole as it came"),
        pytest.param(
            asks("5-9"), part(DATA, 5, 9, Content_Digest="a"), True, id="a part as it came"
        ),
        pytest.param(
            asks("5-9"), whole(DATA, Content_Digest="a"), False, id="cut out of the whole"
        ),
        pytest.param(asks("5-9"), part(DATA, 0, 9, Content_Digest="a"), False, id="out of a part"),
        pytest.param(asks("5-6,9-"), whole(DATA, Content_Digest="a"), False, id="several"),
    ],
)
def test_a_digest_of_the_content_is_not_that_of_a_part(
    asked: Asked, reply: Reply, kept: bool
) -> None:
    # RFC 9530 section 2; a Repr-Digest is of the whole representation, always (section 3).
    told = Reply(reply.status, {**reply.fields, "Repr-Digest": "b"}, reply.body)
    sink, _ = asyncio.run(deliver(asked, told))
    assert sink.answer.fields.getlist("Content-Digest") == (["a"] if kept else [])
    assert sink.answer.fields["Repr-Digest"] == "b"


def test_head_of_a_range() -> None:
    sink, _ = asyncio.run(deliver(asks("100-199", method="HEAD"), whole(DATA)))
    assert (sink.answer.status, sink.answer.length, sink.body) == (206, 100, b"")
    assert sink.answer.fields["Content-Length"] == "100"


def test_a_date_is_added_where_the_origin_has_no_clock() -> None:
    sink, _ = asyncio.run(deliver(asks(), whole(DATA)))
    assert sink.answer.fields["Date"].endswith(" GMT")
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    sink, _ = asyncio.run(deliver(asks(), whole(DATA, Date=date)))
    assert sink.answer.fields.getlist("Date") == [date]


# Answers of the proxy's own.


def test_not_modified() -> None:
    conditions = Conditions.from_headers({"If-None-Match": '"a"'}.get)
    asked = Asked("GET", None, None, conditions)
    sink, script = asyncio.run(deliver(asked, whole(LARGE, ETag='"a"', Content_Type="a/b")))
    assert (sink.answer.status, sink.answer.length, sink.body) == (304, 0, b"")
    assert sink.answer.fields["ETag"] == '"a"'
    assert "Content-Type" not in sink.answer.fields
    assert "Content-Length" not in sink.answer.fields
    assert script.aborted == [0]


def test_a_condition_that_fails() -> None:
    conditions = Conditions.from_headers({"If-Match": '"b"'}.get)
    asked = Asked("GET", None, None, conditions)
    sink, _ = asyncio.run(fail(ConditionFailed, asked, whole(DATA, ETag='"a"'), match="If-Match"))
    assert not sink.answers


@pytest.mark.parametrize("reply", [whole(DATA), no_such_range(1024)])
def test_no_such_range(reply: Reply) -> None:
    sink, script = Sink(), Script(reply)
    with pytest.raises(RangeNotSatisfiable) as caught:
        asyncio.run(delivery(asks("1024-"), script, sink).run())
    assert caught.value.total == 1024
    assert not sink.answers


def test_an_answer_that_contradicts_the_question() -> None:
    sink, script = asyncio.run(fail(BadOrigin, asks("0-9"), part(DATA, 5, 9), match="asked for"))
    assert not sink.answers
    assert script.aborted == []


# A body that nobody wants is read where that costs less than a new connection.


@pytest.mark.parametrize(
    ("size", "aborted"), [(0, []), (65536, []), (65537, [0]), (128 * 1024, [0])]
)
def test_discarding(size: int, aborted: list[int]) -> None:
    data = LARGE[:size]
    sink, script = asyncio.run(fail(RangeNotSatisfiable, asks(f"{size}-"), whole(data, split=4096)))
    assert script.aborted == aborted
    assert sink.body == b""


def test_a_body_that_nobody_wants_may_break_off() -> None:
    broken = Reply(416, {"Content-Length": "9"}, [b"none"], OriginClosed("gone"))
    asyncio.run(fail(RangeNotSatisfiable, asks("5-"), broken))


def test_a_body_of_unknown_length_is_not_read_to_be_dropped() -> None:
    reply = Reply(416, {}, [b"none"])
    _, script = asyncio.run(fail(RangeNotSatisfiable, asks("5-"), reply))
    assert script.aborted == [0]


# If-Range that the origin got wrong, or a 416 that may have come before a condition.


@pytest.mark.parametrize(
    ("first", "aborted"),
    [
        pytest.param(part(DATA, 5, 9, ETag='"b"'), [], id="a small part of another version"),
        pytest.param(part(LARGE, 0, 99_999, ETag='"b"'), [0], id="a large one"),
        pytest.param(part(DATA, 5, 9), [], id="a part of who knows which"),
        pytest.param(no_such_range(1024), [], id="416"),
    ],
)
def test_the_whole_is_asked_for_where_the_first_answer_settles_nothing(
    first: Reply, aborted: list[int]
) -> None:
    ranges = "0-99999" if first.fields["Content-Range"].startswith("bytes 0-") else "5-9"
    sink, script = asyncio.run(
        deliver(asks(ranges, if_range='"a"'), first, whole(DATA, ETag='"b"'))
    )
    assert (sink.answer.status, sink.body) == (200, DATA)
    assert "Range" in script.asked[0]
    assert script.asked[1] == {"Accept": "*/*", "Accept-Encoding": "identity"}
    assert script.aborted == aborted


def test_the_range_is_cut_out_where_the_second_answer_fits() -> None:
    sink, script = asyncio.run(
        deliver(asks("5-9", if_range='"a"'), part(DATA, 5, 9), whole(DATA, ETag='"a"'))
    )
    assert (sink.answer.status, sink.body) == (206, DATA[5:10])
    assert script.aborted == [1]


def test_two_answers_that_settle_nothing() -> None:
    replies = part(DATA, 5, 9), part(DATA, 5, 9)
    sink, _ = asyncio.run(fail(BadOrigin, asks("5-9", if_range='"a"'), *replies))
    assert not sink.answers


# Origins that fail.


@pytest.mark.parametrize("error", [OriginClosed("x"), FirstByteTimeout("x")])
def test_a_failure_before_the_answer_is_told_as_it_is(error: OriginFailure) -> None:
    sink, script = Sink(), Script(Reply(0, error=error))
    with pytest.raises(type(error)) as caught:
        asyncio.run(delivery(asks("5-9"), script, sink).run())
    assert caught.value is error
    assert not sink.answers


@pytest.mark.parametrize("ranges", [None, "5-999", "5-9,20-999"])
def test_a_failure_in_the_middle_cuts_the_answer_short(ranges: str | None) -> None:
    reply = Reply(200, {"Content-Length": "1024"}, [DATA[:100]], OriginClosed("gone"))
    sink, _ = asyncio.run(fail(OriginBroke, asks(ranges), reply, match="gone"))
    assert sink.answer.length is not None
    assert 0 < len(sink.body) < sink.answer.length


@pytest.mark.parametrize("ranges", [None, "5-999"])
def test_a_body_that_is_too_short_without_a_failure(ranges: str | None) -> None:
    reply = Reply(200, {"Content-Length": "1024"}, [DATA[:900]])
    asyncio.run(fail(OriginBroke, asks(ranges), reply, match="missing"))
