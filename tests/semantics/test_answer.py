"""What a client gets, by what it asked and what the origin says: RFC 9110 sections 14 and 15.

A row of the table reads: what the client asks, what the origin answers, what the client gets.
"""

import pytest

from aprp.semantics.answer import (
    RELAY,
    Answer,
    Asked,
    AskWhole,
    Bad,
    NoSuchRange,
    Part,
    Parts,
    range_to_send,
)
from aprp.semantics.ranges import IntRange, Span, SuffixRange
from tests.semantics.asking import Origin, answer, asks, part, whole


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (asks(), None),
        (asks("0-"), IntRange(0, None)),
        (asks("5-9"), IntRange(5, 9)),
        (asks("-5"), SuffixRange(5)),
        (asks("7-8,0-1"), IntRange(7, 8)),
        (asks("0-1", if_range='"a"', if_none_match='"b"'), IntRange(0, 1)),
        (asks("0-1", method="HEAD"), None),
    ],
)
def test_range_to_send(asked: Asked, sent: object) -> None:
    assert range_to_send(asked) == sent


TABLE = [
    # The status follows from the client's request (section 15.3.1 and 15.3.7).
    ("no range, 200", asks(), whole(), RELAY),
    ("no range, length unknown", asks(), whole(None), RELAY),
    ("no range, coded", asks(), whole().with_(Content_Encoding="gzip"), RELAY),
    ("no range, an error", asks(), Origin(404), RELAY),
    ("no range, a redirection", asks(), Origin(302).with_(Location="/b"), RELAY),
    ("no range, 416 of the origin's own", asks(), Origin(416), RELAY),
    ("range, an error", asks("0-1"), Origin(404).with_(Content_Length="9"), RELAY),
    ("range, a redirection", asks("0-1"), Origin(301).with_(Location="/b"), RELAY),
    ("range, no content", asks("0-1"), Origin(204), RELAY),
    ("range, an origin's failure", asks("0-1"), Origin(503), RELAY),
    # An origin that has no ranges or ignores them (14.2): the proxy cuts.
    ("200 to bytes=0-", asks("0-"), whole(), Part(Span(0, 1000), 1000, 0)),
    ("200 to a probe", asks("0-1"), whole(), Part(Span(0, 2), 1000, 0)),
    ("200 to the middle", asks("5-9"), whole(), Part(Span(5, 10), 1000, 5)),
    ("200 to an open end", asks("990-"), whole(), Part(Span(990, 1000), 1000, 990)),
    ("200 to a suffix", asks("-10"), whole(), Part(Span(990, 1000), 1000, 990)),
    ("200 to a suffix longer than the file", asks("-5000"), whole(), Part(Span(0, 1000), 1000, 0)),
    ("200 to an end beyond the file", asks("990-5000"), whole(), Part(Span(990, 1000), 1000, 990)),
    ("200 to the last byte", asks("999-"), whole(), Part(Span(999, 1000), 1000, 999)),
    ("200 to the first byte beyond", asks("1000-"), whole(), NoSuchRange(1000)),
    ("200 to beyond the end", asks("5000-6000"), whole(), NoSuchRange(1000)),
    ("200 to bytes=-0", asks("-0"), whole(), NoSuchRange(1000)),
    (
        "200 with Accept-Ranges: none",
        asks("5-9"),
        whole().with_(Accept_Ranges="none"),
        Part(Span(5, 10), 1000, 5),
    ),
    # Content-Encoding (8.4, 14.2): the range would be one of the coded bytes.
    ("200 coded", asks("5-9"), whole().with_(Content_Encoding="gzip"), RELAY),
    (
        "200 coded by name only",
        asks("5-9"),
        whole().with_(Content_Encoding="Identity"),
        Part(Span(5, 10), 1000, 5),
    ),
    # An empty file: no first-pos lies in it, a suffix is satisfiable (14.1.2).
    ("empty, from the start", asks("0-"), whole(0), NoSuchRange(0)),
    ("empty, a probe", asks("0-1"), whole(0), NoSuchRange(0)),
    ("empty, a suffix", asks("-5"), whole(0), RELAY),
    ("empty, suffix of nothing", asks("-0"), whole(0), NoSuchRange(0)),
    ("empty, several", asks("0-1,-5"), whole(0), RELAY),
    ("empty, 416", asks("0-1"), Origin(416).with_(Content_Range="bytes */0"), NoSuchRange(0)),
    (
        "empty, 416 to a suffix",
        asks("-5"),
        Origin(416).with_(Content_Range="bytes */0"),
        AskWhole(),
    ),
    # Several ranges of a 200: one pass over the body, so in ascending order.
    ("200 to two", asks("0-1,5-9"), whole(), Parts((Span(0, 2), Span(5, 10)), 1000, "whole")),
    (
        "200 to two turned",
        asks("5-9,0-1"),
        whole(),
        Parts((Span(0, 2), Span(5, 10)), 1000, "whole"),
    ),
    ("200 to two overlapping", asks("0-5,3-9"), whole(), Part(Span(0, 10), 1000, 0)),
    ("200 to one of two", asks("5000-,5-9"), whole(), Part(Span(5, 10), 1000, 5)),
    ("200 to none of two", asks("5000-,6000-"), whole(), NoSuchRange(1000)),
    # A body whose length the head does not tell.
    ("unknown length, both ends", asks("5-9"), whole(None), Part(Span(5, 10), None, 5)),
    ("unknown length, open end", asks("5-"), whole(None), RELAY),
    ("unknown length, bytes=0-", asks("0-"), whole(None), RELAY),
    ("unknown length, suffix", asks("-5"), whole(None), RELAY),
    ("unknown length, several", asks("0-1,5-9"), whole(None), RELAY),
    ("unknown length, HEAD", asks("5-9", "HEAD"), whole(None), RELAY),
    # HEAD: the range is the parameter's or the path's; the header's is ignored (14.2).
    ("HEAD without a range", asks(method="HEAD"), whole(), RELAY),
    ("HEAD of a part", asks("5-9", "HEAD"), whole(), Part(Span(5, 10), 1000, 5)),
    ("HEAD beyond the end", asks("1000-", "HEAD"), whole(), NoSuchRange(1000)),
    (
        "HEAD of two parts",
        asks("0-1,5-9", "HEAD"),
        whole(),
        Parts((Span(0, 2), Span(5, 10)), 1000, "whole"),
    ),
    # A 206 to what was asked (15.3.7.1).
    ("206", asks("5-9"), part("5-9/1000", 5), Part(Span(5, 10), 1000, 0)),
    ("206 without Content-Length", asks("5-9"), part("5-9/1000"), Part(Span(5, 10), 1000, 0)),
    ("206 to bytes=0-", asks("0-"), part("0-999/1000", 1000), Part(Span(0, 1000), 1000, 0)),
    ("206 to a suffix", asks("-10"), part("990-999/1000"), Part(Span(990, 1000), 1000, 0)),
    ("206 to a long suffix", asks("-5000"), part("0-999/1000"), Part(Span(0, 1000), 1000, 0)),
    ("206 cut at the end", asks("990-5000"), part("990-999/1000"), Part(Span(990, 1000), 1000, 0)),
    # A server may send less (15.3.7), or more than was asked, as caches and slicers do.
    ("206 that stops early", asks("5-99"), part("5-9/1000"), Part(Span(5, 10), 1000, 0)),
    ("206 with more behind", asks("5-9"), part("5-99/1000"), Part(Span(5, 10), 1000, 0)),
    ("206 with more before", asks("5-9"), part("0-9/1000"), Part(Span(5, 10), 1000, 5)),
    ("206 with more around", asks("5-9"), part("0-999/1000", 1000), Part(Span(5, 10), 1000, 5)),
    ("206 with more, stops early", asks("5-99"), part("0-9/1000"), Part(Span(5, 10), 1000, 5)),
    (
        "206 with all for a suffix",
        asks("-10"),
        part("0-999/1000"),
        Part(Span(990, 1000), 1000, 990),
    ),
    # A total that is not known (14.4).
    ("206, total unknown", asks("5-9"), part("5-9/*"), Part(Span(5, 10), None, 0)),
    ("206, total unknown, open end", asks("5-"), part("5-99/*"), Part(Span(5, 100), None, 0)),
    ("206, total unknown, short", asks("5-99"), part("5-9/*"), Part(Span(5, 10), None, 0)),
    ("206, total unknown, more", asks("5-9"), part("0-99/*"), Part(Span(5, 10), None, 5)),
    ("206, total unknown, suffix", asks("-10"), part("990-999/*"), Part(Span(990, 1000), None, 0)),
    # 416 (15.5.17).
    ("416", asks("1000-"), Origin(416).with_(Content_Range="bytes */1000"), NoSuchRange(1000)),
    ("416 without a length", asks("1000-"), Origin(416), NoSuchRange(None)),
    (
        "416, length not readable",
        asks("9-"),
        Origin(416).with_(Content_Range="*/9"),
        NoSuchRange(None),
    ),
    (
        "416 to the first of two",
        asks("5000-,5-9"),
        Origin(416).with_(Content_Range="bytes */1000"),
        Parts((Span(5, 10),), 1000, "none"),
    ),
    (
        "416 to the first of three",
        asks("5000-,5-9,0-1"),
        Origin(416).with_(Content_Range="bytes */1000"),
        Parts((Span(5, 10), Span(0, 2)), 1000, "none"),
    ),
    (
        "416 to all of two",
        asks("5000-,6000-"),
        Origin(416).with_(Content_Range="bytes */1000"),
        NoSuchRange(1000),
    ),
    ("416 to the first of two, no length", asks("5000-,5-9"), Origin(416), AskWhole()),
    # Several ranges, asked for one by one.
    (
        "206 to the first of two",
        asks("0-1,5-9"),
        part("0-1/1000", 2),
        Parts((Span(0, 2), Span(5, 10)), 1000, "first"),
    ),
    (
        "206 to the first of two, turned",
        asks("5-9,0-1"),
        part("5-9/1000", 5),
        Parts((Span(5, 10), Span(0, 2)), 1000, "first"),
    ),
    ("206, the other is none", asks("5-9,5000-"), part("5-9/1000"), Part(Span(5, 10), 1000, 0)),
    ("206, the other is inside", asks("0-9,5-6"), part("0-9/1000"), Part(Span(0, 10), 1000, 0)),
    (
        "206, the other goes on",
        asks("0-5,3-9"),
        part("0-5/1000"),
        Parts((Span(0, 10),), 1000, "none"),
    ),
    (
        "206 that stops early, of two",
        asks("0-5,8-9"),
        part("0-3/1000"),
        Parts((Span(0, 6), Span(8, 10)), 1000, "none"),
    ),
    (
        "206 with more before, of two",
        asks("5-9,20-"),
        part("0-9/1000"),
        Parts((Span(5, 10), Span(20, 1000)), 1000, "none"),
    ),
]


@pytest.mark.parametrize(
    ("asked", "origin", "expected"), [pytest.param(*row[1:], id=row[0]) for row in TABLE]
)
def test_ranges(asked: Asked, origin: Origin, expected: Answer) -> None:
    assert answer(asked, origin) == expected


@pytest.mark.parametrize(
    ("asked", "origin", "reason"),
    [
        pytest.param(asks(), part("0-9/1000"), "without a range", id="15.3.7 unasked 206"),
        pytest.param(asks("5-9", "HEAD"), part("5-9/10"), "without a range", id="206 to HEAD"),
        pytest.param(asks("5-9"), Origin(206), "no valid", id="14.4 no Content-Range"),
        pytest.param(
            asks("5-9"),
            Origin(206).with_(Content_Type="multipart/byteranges; boundary=b"),
            "no valid",
            id="15.3.7.2 several parts for one",
        ),
        pytest.param(
            asks("5-9"),
            Origin(206).with_(Content_Range="multipart/byteranges"),
            "no valid",
            id="14.4 Content-Type in the place of Content-Range",
        ),
        pytest.param(asks("5-9"), part("*/1000"), "no valid", id="15.5.17 value of a 416"),
        pytest.param(asks("5-9"), part("9-5/1000"), "no valid", id="14.4 last before first"),
        pytest.param(asks("5-9"), part("5-9/9"), "no valid", id="14.4 beyond the length"),
        pytest.param(asks("5-9"), part("5-9/1000", 4), "Content-Length 4", id="8.6 too short"),
        pytest.param(asks("5-9"), part("5-9/1000", 1000), "Content-Length 1000", id="8.6 too long"),
        pytest.param(
            asks("5-9"),
            part("5-9/1000").with_(Content_Encoding="gzip"),
            "content coding 'gzip'",
            id="12.5.3 a coding although identity was asked for",
        ),
        pytest.param(asks("5-9"), part("6-9/1000"), "was asked for", id="begins too late"),
        pytest.param(asks("5-9"), part("0-4/1000"), "was asked for", id="ends before it"),
        pytest.param(asks("5-9"), part("10-20/1000"), "was asked for", id="begins after it"),
        pytest.param(asks("0-"), part("5-999/1000"), "was asked for", id="not from the start"),
        pytest.param(asks("-10"), part("995-999/1000"), "was asked for", id="end of a suffix"),
        pytest.param(asks("-10"), part("0-9/1000"), "was asked for", id="start for a suffix"),
        pytest.param(asks("5000-"), part("0-999/1000"), "not satisfiable", id="for none"),
        pytest.param(asks("-0"), part("0-999/1000"), "not satisfiable", id="for no suffix"),
        pytest.param(asks("5-9"), part("6-9/*"), "was asked for", id="late, total unknown"),
        pytest.param(asks("5-9"), part("0-4/*"), "was asked for", id="early, total unknown"),
        pytest.param(asks("-5"), part("0-9/*"), "was asked for", id="long suffix, unknown"),
        pytest.param(asks("0-1,5-9"), part("0-1/*"), "the length", id="several, total unknown"),
        pytest.param(
            asks("5-9"),
            Origin(416).with_(Content_Range="bytes */1000"),
            "refused",
            id="15.5.17 416 to a range inside",
        ),
        pytest.param(asks("5-9", "HEAD"), Origin(416), "without a range", id="416 to HEAD"),
    ],
)
def test_origins_that_contradict_themselves(asked: Asked, origin: Origin, reason: str) -> None:
    got = answer(asked, origin)
    assert isinstance(got, Bad)
    assert reason in got.reason
