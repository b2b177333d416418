"""Conditions before ranges: RFC 9110 section 13.2.2, for origins that evaluate them and others."""

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
    decide,
)
from aprp.semantics.conditions import NotModified, PreconditionFailed
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import Span
from tests.semantics.asking import Origin, answer, asks, part, whole

SUNDAY = "Sun, 06 Nov 1994 08:49:37 GMT"
MONDAY = "Mon, 07 Nov 1994 08:49:37 GMT"
TUESDAY = "Tue, 08 Nov 1994 08:49:37 GMT"

TAGGED = whole().with_(ETag='"a"')
WEAK = whole().with_(ETag='W/"a"')
DATED = whole().with_(Last_Modified=MONDAY, Date=TUESDAY)
TAGGED_PART = part("5-9/1000", 5).with_(ETag='"a"')
WEAK_PART = part("5-9/1000", 5).with_(ETag='W/"a"')
DATED_PART = part("5-9/1000", 5).with_(Last_Modified=MONDAY, Date=TUESDAY)
REFUSED = Origin(416).with_(Content_Range="bytes */1000")

CUT = Part(Span(5, 10), 1000, 5)
FITS = Part(Span(5, 10), 1000, 0)

TABLE = [
    # An origin that evaluates conditions has the word.
    ("304 of the origin", asks(if_none_match='"a"'), Origin(304), RELAY),
    ("304 of the origin to a range", asks("5-9", if_none_match='"a"'), Origin(304), RELAY),
    ("412 of the origin", asks("5-9", if_match='"b"'), Origin(412), RELAY),
    # One that does not: 13.2.2, steps 1 to 4, without a range.
    ("If-Match holds", asks(if_match='"b", "a"'), TAGGED, RELAY),
    ("If-Match fails", asks(if_match='"b"'), TAGGED, PreconditionFailed("If-Match")),
    ("If-Match is strong", asks(if_match='W/"a"'), WEAK, PreconditionFailed("If-Match")),
    ("If-Match: *", asks(if_match="*"), whole(), RELAY),
    ("If-Unmodified-Since holds", asks(if_unmodified_since=MONDAY), DATED, RELAY),
    (
        "If-Unmodified-Since fails",
        asks(if_unmodified_since=SUNDAY),
        DATED,
        PreconditionFailed("If-Unmodified-Since"),
    ),
    ("If-None-Match, the same", asks(if_none_match='"a"'), TAGGED, NotModified()),
    ("If-None-Match, another", asks(if_none_match='"b"'), TAGGED, RELAY),
    ("If-None-Match is weak", asks(if_none_match='"a"'), WEAK, NotModified()),
    ("If-None-Match: *", asks(if_none_match="*"), whole(), NotModified()),
    ("If-Modified-Since, older", asks(if_modified_since=MONDAY), DATED, NotModified()),
    ("If-Modified-Since, newer", asks(if_modified_since=SUNDAY), DATED, RELAY),
    ("If-Modified-Since, unknown", asks(if_modified_since=MONDAY), TAGGED, RELAY),
    ("HEAD, the same", asks(method="HEAD", if_none_match='"a"'), TAGGED, NotModified()),
    (
        "HEAD, If-Match fails",
        asks(method="HEAD", if_match='"b"'),
        TAGGED,
        PreconditionFailed("If-Match"),
    ),
    ("conditions of an error", asks(if_none_match="*"), Origin(404), RELAY),
    # With a range: conditions first (13.2.2 step 5 comes last).
    ("range, the same, 200", asks("5-9", if_none_match='"a"'), TAGGED, NotModified()),
    ("range, the same, 206", asks("5-9", if_none_match='"a"'), TAGGED_PART, NotModified()),
    ("range, another, 200", asks("5-9", if_none_match='"b"'), TAGGED, CUT),
    ("range, another, 206", asks("5-9", if_none_match='"b"'), TAGGED_PART, FITS),
    (
        "range, If-Match fails, 200",
        asks("5-9", if_match='"b"'),
        TAGGED,
        PreconditionFailed("If-Match"),
    ),
    (
        "range, If-Match fails, 206",
        asks("5-9", if_match='"b"'),
        TAGGED_PART,
        PreconditionFailed("If-Match"),
    ),
    ("range, If-Match holds, 206", asks("5-9", if_match='"a"'), TAGGED_PART, FITS),
    ("range, older, 206", asks("5-9", if_modified_since=MONDAY), DATED_PART, NotModified()),
    (
        "range, newer, 206",
        asks("5-9", if_unmodified_since=SUNDAY),
        DATED_PART,
        PreconditionFailed("If-Unmodified-Since"),
    ),
    ("several, the same, 200", asks("0-1,5-9", if_none_match='"a"'), TAGGED, NotModified()),
    ("no such range, the same, 200", asks("5000-", if_none_match='"a"'), TAGGED, NotModified()),
    (
        "no such range, If-Match fails",
        asks("5000-", if_match='"b"'),
        TAGGED,
        PreconditionFailed("If-Match"),
    ),
    ("no such range, another, 200", asks("5000-", if_none_match='"b"'), TAGGED, NoSuchRange(1000)),
    # A 416 has no validators: what the conditions would have said is not known.
    ("416 and If-None-Match", asks("5000-", if_none_match='"a"'), REFUSED, AskWhole()),
    ("416 and If-Range", asks("5000-", if_range='"a"'), REFUSED, AskWhole()),
    ("416 without a length and If-Range", asks("5000-", if_range='"a"'), Origin(416), AskWhole()),
    ("416 inside and If-Range", asks("5-9", if_range='"a"'), REFUSED, AskWhole()),
    # If-Range (13.1.5) with an origin that ignores ranges.
    ("If-Range, strong", asks("5-9", if_range='"a"'), TAGGED, CUT),
    ("If-Range, another", asks("5-9", if_range='"b"'), TAGGED, RELAY),
    ("If-Range, both weak", asks("5-9", if_range='W/"a"'), WEAK, RELAY),
    ("If-Range, weak to strong", asks("5-9", if_range='W/"a"'), TAGGED, RELAY),
    ("If-Range, strong to weak", asks("5-9", if_range='"a"'), WEAK, RELAY),
    ("If-Range, a list", asks("5-9", if_range='"a", "b"'), TAGGED, RELAY),
    ("If-Range, no quotation marks", asks("5-9", if_range="a"), TAGGED, RELAY),
    ("If-Range: *", asks("5-9", if_range="*"), TAGGED, RELAY),
    ("If-Range, no ETag", asks("5-9", if_range='"a"'), DATED, RELAY),
    ("If-Range, the date", asks("5-9", if_range=MONDAY), DATED, CUT),
    ("If-Range, an earlier date", asks("5-9", if_range=SUNDAY), DATED, RELAY),
    ("If-Range, a later date", asks("5-9", if_range=TUESDAY), DATED, RELAY),
    (
        "If-Range, a date and no Date",
        asks("5-9", if_range=MONDAY),
        whole().with_(Last_Modified=MONDAY),
        RELAY,
    ),
    (
        "If-Range, a date within its second",
        asks("5-9", if_range=MONDAY),
        whole().with_(Last_Modified=MONDAY, Date=MONDAY),
        RELAY,
    ),
    ("If-Range, a date to a tag", asks("5-9", if_range=MONDAY), TAGGED, RELAY),
    ("If-Range, no validators", asks("5-9", if_range='"a"'), whole(), RELAY),
    (
        "If-Range, several",
        asks("0-1,5-9", if_range='"a"'),
        TAGGED,
        Parts((Span(0, 2), Span(5, 10)), 1000, "whole"),
    ),
    ("If-Range, several, another", asks("0-1,5-9", if_range='"b"'), TAGGED, RELAY),
    ("If-Range, no such range", asks("5000-", if_range='"a"'), TAGGED, NoSuchRange(1000)),
    ("If-Range, another, no such range", asks("5000-", if_range='"b"'), TAGGED, RELAY),
    (
        "If-Range, unknown length",
        asks("5-9", if_range='"a"'),
        whole(None).with_(ETag='"a"'),
        Part(Span(5, 10), None, 5),
    ),
    ("If-Range without a range", asks(if_range='"b"'), TAGGED, RELAY),
    ("If-Range, HEAD", asks("5-9", "HEAD", if_range='"a"'), TAGGED, CUT),
    ("If-Range, HEAD, another", asks("5-9", "HEAD", if_range='"b"'), TAGGED, RELAY),
    # If-Range with an origin that sends the range: was it right to?
    ("If-Range, strong, 206", asks("5-9", if_range='"a"'), TAGGED_PART, FITS),
    ("If-Range, another, 206", asks("5-9", if_range='"b"'), TAGGED_PART, AskWhole()),
    ("If-Range, weak, 206", asks("5-9", if_range='W/"a"'), WEAK_PART, AskWhole()),
    ("If-Range, the date, 206", asks("5-9", if_range=MONDAY), DATED_PART, FITS),
    ("If-Range, a later date, 206", asks("5-9", if_range=TUESDAY), DATED_PART, AskWhole()),
    ("If-Range, no validators, 206", asks("5-9", if_range='"a"'), part("5-9/1000", 5), AskWhole()),
    ("If-Range, another, of several", asks("5-9,0-1", if_range='"b"'), TAGGED_PART, AskWhole()),
    (
        "If-Range, strong, of several",
        asks("5-9,0-1", if_range='"a"'),
        TAGGED_PART,
        Parts((Span(5, 10), Span(0, 2)), 1000, "first"),
    ),
    # Both kinds: If-Range is step 5.
    (
        "the same, If-Range another",
        asks("5-9", if_range='"b"', if_none_match='"a"'),
        TAGGED,
        NotModified(),
    ),
    (
        "the same, If-Range another, 206",
        asks("5-9", if_range='"b"', if_none_match='"a"'),
        TAGGED_PART,
        NotModified(),
    ),
    (
        "If-Match holds, If-Range another",
        asks("5-9", if_range='"b"', if_match='"a"'),
        TAGGED,
        RELAY,
    ),
    ("both hold", asks("5-9", if_range='"a"', if_match='"a"'), TAGGED_PART, FITS),
]


@pytest.mark.parametrize(
    ("asked", "origin", "expected"), [pytest.param(*row[1:], id=row[0]) for row in TABLE]
)
def test_conditions(asked: Asked, origin: Origin, expected: Answer) -> None:
    assert answer(asked, origin) == expected


@pytest.mark.parametrize(
    ("asked", "origin", "expected"),
    [
        pytest.param(asks("5-9", if_range='"a"'), TAGGED, CUT, id="the range applies"),
        pytest.param(asks("5-9", if_range='"b"'), TAGGED, RELAY, id="the range does not apply"),
        pytest.param(asks("5000-", if_range='"a"'), TAGGED, NoSuchRange(1000), id="no such range"),
        pytest.param(asks("5-9", if_none_match='"a"'), TAGGED, NotModified(), id="the same"),
        pytest.param(asks("5-9", if_range='"a"'), Origin(404), RELAY, id="gone meanwhile"),
    ],
)
def test_the_second_question_settles_it(asked: Asked, origin: Origin, expected: Answer) -> None:
    # After AskWhole the origin is asked without a range.
    assert decide(asked, None, origin.status, Fields(origin.fields).get) == expected


@pytest.mark.parametrize("origin", [TAGGED_PART, REFUSED, Origin(416)])
def test_an_origin_that_answers_the_whole_with_a_part(origin: Origin) -> None:
    asked = asks("5-9", if_range='"a"')
    got = decide(asked, None, origin.status, Fields(origin.fields).get)
    assert isinstance(got, Bad)
    assert "without a range" in got.reason
