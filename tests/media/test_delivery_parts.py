"""Several ranges in one answer, fetched together or one by one: RFC 9110 section 15.3.7.2."""

import asyncio
from typing import TypedDict

import pytest

from aprp.media.errors import BadOrigin, OriginBroke, RangeNotSatisfiable
from aprp.upstream.errors import ConnectFailed, OriginClosed
from tests.media.scripted import Reply, Script, Sink, asks, delivery, no_such_range, part, whole

DATA = bytes(range(256)) * 4
LARGE = bytes(range(256)) * 512
MONDAY = "Mon, 07 Nov 1994 08:49:37 GMT"
TUESDAY = "Tue, 08 Nov 1994 08:49:37 GMT"


class Told(TypedDict, total=False):
    """Fields that tell the version."""

    ETag: str
    Last_Modified: str
    Date: str


def deliver(ranges: str, *replies: Reply, method: str = "GET") -> tuple[Sink, Script]:
    async def run() -> tuple[Sink, Script]:
        sink, script = Sink(), Script(*replies)
        await delivery(asks(ranges, method=method), script, sink).run()
        assert len(script.asked) == len(replies)
        return sink, script

    return asyncio.run(run())


def broken(kind: type[Exception], ranges: str, *replies: Reply, match: str) -> Sink:
    """Deliver what cannot be delivered; gives what the client has got of it."""

    async def run() -> Sink:
        sink, script = Sink(), Script(*replies)
        with pytest.raises(kind, match=match):
            await delivery(asks(ranges), script, sink).run()
        assert len(script.asked) == len(replies)
        return sink

    return asyncio.run(run())


def expect(sink: Sink, *spans: tuple[int, int], data: bytes = DATA) -> None:
    """A multipart answer with these spans, first to last byte."""
    assert sink.answer.status == 206
    assert "Content-Range" not in sink.answer.fields
    assert sink.answer.length == len(sink.body)
    assert sink.answer.fields["Content-Length"] == str(len(sink.body))
    assert sink.parts() == [
        (f"bytes {first}-{last}/{len(data)}", data[first : last + 1]) for first, last in spans
    ]


def test_out_of_the_whole() -> None:
    sink, script = deliver("100-199,5-9,1000-", whole(DATA, Content_Type="video/mp4"))
    expect(sink, (5, 9), (100, 199), (1000, 1023))
    assert sink.body.count(b"Content-Type: video/mp4\r\n") == 3
    assert script.aborted == []
    assert script.asked[0]["Range"] == "bytes=100-199"


def test_no_further_than_the_last_part() -> None:
    sink, script = deliver("100-199,5-9", whole(DATA))
    expect(sink, (5, 9), (100, 199))
    assert script.aborted == [0]


def test_head_of_several() -> None:
    sink, _ = deliver("100-199,5-9", whole(DATA), method="HEAD")
    complete, _ = deliver("100-199,5-9", whole(DATA))
    assert sink.answer.length == len(complete.body)
    assert sink.body == b""


def test_one_by_one_in_the_order_asked() -> None:
    sink, script = deliver(
        "100-199,5-9,-24",
        part(DATA, 100, 199, ETag='"a"'),
        part(DATA, 5, 9, ETag='"a"'),
        part(DATA, 1000, 1023, ETag='"a"'),
    )
    expect(sink, (100, 199), (5, 9), (1000, 1023))
    assert [fields["Range"] for fields in script.asked] == [
        "bytes=100-199",
        "bytes=5-9",
        "bytes=1000-1023",
    ]
    assert script.aborted == []


def test_ranges_that_become_one() -> None:
    # The first answer holds only the first of them.
    sink, script = deliver("5-99,50-199", part(DATA, 5, 99), part(DATA, 5, 199))
    assert sink.body == DATA[5:200]
    assert sink.answer.fields["Content-Range"] == "bytes 5-199/1024"
    assert script.asked[1]["Range"] == "bytes=5-199"


@pytest.mark.parametrize(
    ("fields", "if_range"),
    [
        pytest.param({"ETag": '"a"'}, '"a"', id="13.1.5 a strong tag"),
        pytest.param({"ETag": 'W/"a"'}, None, id="13.1.5 no weak tag"),
        pytest.param({"Last_Modified": MONDAY, "Date": TUESDAY}, MONDAY, id="13.1.5 a date"),
        pytest.param({"Last_Modified": MONDAY, "Date": MONDAY}, None, id="8.8.2.2 no weak date"),
        pytest.param({"ETag": '"a"', "Last_Modified": MONDAY}, '"a"', id="13.1.5 tag over date"),
        pytest.param({}, None, id="13.1.5 nothing to go by"),
    ],
)
def test_further_parts_are_asked_of_the_same_version(fields: Told, if_range: str | None) -> None:
    sink, script = deliver(
        "0-9,20-29,40-49",
        *(part(DATA, first, first + 9, **fields) for first in (0, 20, 40)),
    )
    expect(sink, (0, 9), (20, 29), (40, 49))
    assert "If-Range" not in script.asked[0]
    assert [asked.get("If-Range") for asked in script.asked[1:]] == [if_range, if_range]


def test_the_origin_sends_the_whole_for_a_further_part() -> None:
    sink, script = deliver("100-199,5-9", part(DATA, 100, 199), whole(DATA))
    expect(sink, (100, 199), (5, 9))
    assert script.aborted == [1]


def test_the_origin_sends_more_than_each_part() -> None:
    sink, script = deliver(
        "100-199,5-9", *(part(DATA, *at) for at in ((90, 209), (90, 209), (0, 9)))
    )
    expect(sink, (100, 199), (5, 9))
    # The first answer could not be cut before it was known that there are more.
    assert script.aborted == [1]


def test_a_large_first_answer_that_does_not_help_is_not_read() -> None:
    sink, script = deliver("0-99999,50-199", part(LARGE, 0, 70_000), part(LARGE, 0, 99_999))
    assert sink.body == LARGE[:100_000]
    assert script.aborted == [0]


def test_the_first_does_not_exist() -> None:
    sink, script = deliver(
        "5000-,5-9,100-199",
        no_such_range(1024),
        part(DATA, 5, 9, ETag='"a"'),
        part(DATA, 100, 199, ETag='"a"'),
    )
    expect(sink, (5, 9), (100, 199))
    assert [fields["Range"] for fields in script.asked] == [
        "bytes=5000-",
        "bytes=5-9",
        "bytes=100-199",
    ]
    assert script.aborted == []


def test_only_one_exists() -> None:
    sink, _ = deliver("5000-,5-9", no_such_range(1024), part(DATA, 5, 9))
    assert sink.body == DATA[5:10]
    assert sink.answer.fields["Content-Range"] == "bytes 5-9/1024"


def test_none_exists() -> None:
    sink = broken(RangeNotSatisfiable, "5000-,6000-", no_such_range(1024), match="1024")
    assert not sink.answers


# What goes wrong between two parts: never bytes of another version, nor bytes out of place.

COMPLETE, _ = deliver("100-199,5-9", part(DATA, 100, 199), part(DATA, 5, 9))
FIRST = part(DATA, 100, 199, ETag='"a"')


def _without_boundary(sink: Sink) -> bytes:
    boundary = sink.answer.fields["Content-Type"].partition("boundary=")[2]
    return sink.body.replace(boundary.encode(), b"BOUNDARY")


@pytest.mark.parametrize(
    ("replies", "match"),
    [
        pytest.param([FIRST, part(DATA, 5, 9, ETag='"b"')], "changed", id="another tag"),
        pytest.param([FIRST, part(DATA, 5, 9)], "changed", id="no tag any more"),
        pytest.param([FIRST, whole(DATA, ETag='"b"')], "changed", id="the whole of another"),
        pytest.param([FIRST, part(LARGE, 5, 9, ETag='"a"')], "sent", id="another length"),
        pytest.param([FIRST, part(DATA, 6, 9, ETag='"a"')], "sent", id="not all of it"),
        pytest.param([FIRST, no_such_range(5)], "answered", id="it is gone"),
        pytest.param([FIRST, Reply(404)], "answered", id="the file is gone"),
        pytest.param([FIRST, Reply(412)], "answered", id="a condition fails now"),
        pytest.param(
            [FIRST, Reply(206, part(DATA, 5, 9, ETag='"a"').fields, [DATA[5:8]])],
            "part 2 is incomplete",
            id="the second is short",
        ),
        pytest.param(
            [
                FIRST,
                Reply(206, part(DATA, 5, 9, ETag='"a"').fields, [DATA[5:8]], OriginClosed("x")),
            ],
            "x",
            id="the second breaks off",
        ),
        pytest.param(
            [FIRST, Reply(0, error=ConnectFailed("refused"))], "refused", id="unreachable"
        ),
        pytest.param(
            [Reply(206, {"Content-Range": "bytes 100-199/1024"}, [DATA[100:150]])],
            "first answer is incomplete",
            id="the first is short",
        ),
        pytest.param(
            [Reply(200, {"Content-Length": "1024"}, [DATA[:6]])], "incomplete", id="whole, short"
        ),
    ],
)
def test_the_answer_is_cut_short(replies: list[Reply], match: str) -> None:
    sink = broken(OriginBroke, "100-199,5-9", *replies, match=match)
    assert sink.answer.length is not None
    assert 0 < len(sink.body) < sink.answer.length
    if replies[0].status == 206:
        assert _without_boundary(COMPLETE).startswith(_without_boundary(sink))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(Reply(404), BadOrigin, id="the file is gone"),
        pytest.param(part(DATA, 6, 9), BadOrigin, id="not all of it"),
        pytest.param(part(LARGE, 5, 9), BadOrigin, id="another length than the 416 told"),
    ],
)
def test_a_failure_before_the_first_part_is_an_answer(reply: Reply, kind: type[Exception]) -> None:
    sink = broken(kind, "5000-,5-9,20-29", no_such_range(1024), reply, match="origin")
    assert not sink.answers


def test_a_request_for_the_first_part_that_fails_is_told_as_it_is() -> None:
    refused = Reply(0, error=ConnectFailed("refused"))
    sink = broken(ConnectFailed, "5000-,5-9,20-29", no_such_range(1024), refused, match="refused")
    assert not sink.answers
