"""What an origin may answer to a request for more of a file: RFC 9110 sections 14.4 and 15.3.7.

The file has 1000 bytes, of which those from 300 on are asked for.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.media.checks import Changed, Refused, check_continuation
from aprp.semantics.conditions import Validators
from aprp.semantics.headers import Fields
from aprp.upstream.errors import OriginClosed
from aprp.upstream.head import ResponseHead

MONDAY = "Mon, 07 Nov 1994 08:49:37 GMT"
TUESDAY = "Tue, 08 Nov 1994 08:49:37 GMT"

Lines = dict[str, str]
TAG: Lines = {"ETag": '"a"'}
TAG_AND_DATE: Lines = {"ETag": '"a"', "Last-Modified": MONDAY}
WEAK_AND_DATE: Lines = {"ETag": 'W/"a"', "Last-Modified": MONDAY}
DATE: Lines = {"Last-Modified": MONDAY}


def head(status: int, fields: Lines) -> ResponseHead:
    return ResponseHead("HTTP/1.1", status, "Reason", Fields(fields.items()), True)


def part(content_range: str, length: int | None = None, **fields: str) -> ResponseHead:
    """A 206 of the same version, `length` as in Content-Length."""
    told = {"Content-Range": f"bytes {content_range}"}
    if length is not None:
        told["Content-Length"] = str(length)
    return head(206, TAG | told | named(fields))


def whole(length: int | None = 1000, **fields: str) -> ResponseHead:
    """A 200 of the same version."""
    told = {} if length is None else {"Content-Length": str(length)}
    return head(200, TAG | told | named(fields))


def named(fields: Lines) -> Lines:
    return {name.replace("_", "-"): value for name, value in fields.items()}


def check(
    answer: ResponseHead, known: Lines | None = None, coding: str | None = None
) -> tuple[int, int]:
    """See the answer as the rest of the version; `coding` is its Content-Encoding."""
    validators = Validators.from_headers((TAG if known is None else known).get)
    return check_continuation(validators, 1000, 300, answer, coding)


# What goes on with the file


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        pytest.param(part("300-999/1000", 700), (300, 1000), id="15.3.7 as asked"),
        pytest.param(part("300-999/1000"), (300, 1000), id="8.6 no Content-Length"),
        pytest.param(part("300-399/1000", 100), (300, 400), id="15.3.7 fewer"),
        pytest.param(part("300-300/1000", 1), (300, 301), id="15.3.7 one byte"),
        pytest.param(part("256-999/1000", 744), (256, 1000), id="more before"),
        pytest.param(part("0-999/1000", 1000), (0, 1000), id="all of it"),
        pytest.param(part("0-300/1000", 301), (0, 301), id="more before, and one byte"),
        pytest.param(part("300-999/*", 700), (300, 1000), id="14.4 length not told"),
        pytest.param(part("300-999/1000", Content_Encoding="identity"), (300, 1000), id="12.5.3"),
        pytest.param(
            head(206, TAG | {"Content-Range": "BYTES 300-999/1000"}), (300, 1000), id="14"
        ),
        pytest.param(whole(), (0, 1000), id="14.2 no ranges"),
        pytest.param(whole(Accept_Ranges="none"), (0, 1000), id="14.3 no ranges, as it says"),
    ],
)
def test_it_goes_on(answer: ResponseHead, holds: tuple[int, int]) -> None:
    assert check(answer) == holds


# Another version


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(part("300-1199/1200", 900), id="14.4 longer"),
        pytest.param(part("300-899/900", 600), id="14.4 shorter"),
        pytest.param(part("300-1199/*", 900), id="14.4 beyond the length, which is not told"),
        pytest.param(part("300-999/1000", ETag='"b"'), id="15.3.7 another tag"),
        pytest.param(part("300-999/1000", ETag='W/"a"'), id="8.8.3.2 the tag has become weak"),
        pytest.param(part("300-999/1000", ETag="a"), id="8.8.3 a tag without marks is none"),
        pytest.param(head(206, {"Content-Range": "bytes 300-999/1000"}), id="15.3.7 no tag"),
        pytest.param(part("300-999/*", ETag='"b"'), id="another tag, length not told"),
        pytest.param(part("256-999/1000", ETag='"b"'), id="another tag, more before"),
        pytest.param(whole(ETag='"b"'), id="13.1.5 another tag"),
        pytest.param(whole(1200), id="13.1.5 longer"),
        pytest.param(whole(900), id="13.1.5 shorter"),
        pytest.param(whole(0), id="13.1.5 empty"),
        pytest.param(whole(None), id="8.6 length not told"),
        pytest.param(whole(Content_Encoding="gzip"), id="8.4 coded now"),
        pytest.param(head(200, {"Content-Length": "1000"}), id="no tag"),
        pytest.param(head(404, {}), id="15.5.5"),
        pytest.param(head(410, {}), id="15.5.11"),
        pytest.param(head(416, {"Content-Range": "bytes */200"}), id="15.5.17 shorter"),
    ],
)
def test_it_has_changed(answer: ResponseHead) -> None:
    with pytest.raises(Changed):
        check(answer)


# Answers that contradict the question, or themselves


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(part("301-999/1000", 699), "byte 300 on", id="begins too late"),
        pytest.param(part("600-999/1000", 400), "byte 300 on", id="begins far too late"),
        pytest.param(part("0-299/1000", 300), "byte 300 on", id="ends before it"),
        pytest.param(part("0-0/1000", 1), "byte 300 on", id="the first byte"),
        pytest.param(part("300-999/1000", 699), "Content-Length 699", id="8.6 too short"),
        pytest.param(part("300-999/1000", 1000), "Content-Length 1000", id="8.6 that of the whole"),
        pytest.param(head(206, TAG), "no valid Content-Range", id="14.4 none"),
        pytest.param(
            head(206, TAG | {"Content-Type": "multipart/byteranges; boundary=b"}),
            "no valid Content-Range",
            id="15.3.7.2 several parts",
        ),
        pytest.param(part("*/1000"), "no valid Content-Range", id="15.5.17 that of a 416"),
        pytest.param(part("999-300/1000"), "no valid Content-Range", id="14.4 last before first"),
        pytest.param(part("300-1000/1000"), "no valid Content-Range", id="14.4 beyond the length"),
        pytest.param(part("300-/1000"), "no valid Content-Range", id="14.4 no last"),
        pytest.param(part("300-999"), "no valid Content-Range", id="14.4 no length"),
        pytest.param(
            head(206, TAG | {"Content-Range": "seconds 300-999/1000"}),
            "no valid Content-Range",
            id="14.4 another unit",
        ),
        pytest.param(
            head(206, TAG | {"Content-Range": "300-999/1000"}),
            "no valid Content-Range",
            id="14.4 no unit",
        ),
        pytest.param(
            part("300-999/1000", Content_Encoding="gzip"), "content coding", id="8.4 a coded part"
        ),
        pytest.param(head(204, TAG), "204", id="15.3.5"),
        pytest.param(head(302, {"Location": "/b"}), "302", id="15.4.3"),
        pytest.param(head(304, TAG), "304", id="15.4.5 nothing was asked for it"),
        pytest.param(head(403, {}), "403", id="15.5.4"),
    ],
)
def test_it_is_refused(answer: ResponseHead, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check(answer)


@pytest.mark.parametrize("status", [408, 421, 425, 429, 500, 502, 503, 504, 599])
def test_it_is_worth_another_try(status: int) -> None:
    with pytest.raises(OriginClosed, match=str(status)):
        check(head(status, {"Content-Length": "1000"}))


# Validators


@pytest.mark.parametrize(
    ("known", "told", "same"),
    [
        pytest.param(TAG_AND_DATE, TAG, True, id="15.3.7 the tag alone, to If-Range"),
        pytest.param(TAG_AND_DATE, {"ETag": '"a"', "Last-Modified": TUESDAY}, True, id="8.8.1"),
        pytest.param(TAG_AND_DATE, DATE, False, id="15.3.7 the date alone"),
        pytest.param(DATE, DATE, True, id="same date"),
        pytest.param(DATE, {"Last-Modified": TUESDAY}, False, id="another date"),
        pytest.param(DATE, {}, True, id="15.3.7 none, to If-Range with the date"),
        # A weak tag may stand for other bytes (8.8.1): the date has to say it, and be there, since
        # no If-Range allowed leaving it out.
        pytest.param(WEAK_AND_DATE, WEAK_AND_DATE, True, id="weak, same date"),
        pytest.param(
            WEAK_AND_DATE,
            {"ETag": 'W/"a"', "Last-Modified": TUESDAY},
            False,
            id="weak, another date",
        ),
        pytest.param(WEAK_AND_DATE, {"ETag": 'W/"a"'}, False, id="15.3.7.3 weak, no date"),
        pytest.param(
            WEAK_AND_DATE, {"ETag": 'W/"b"', "Last-Modified": MONDAY}, False, id="another weak one"
        ),
        pytest.param(
            WEAK_AND_DATE, {"ETag": '"a"', "Last-Modified": MONDAY}, False, id="weak, then strong"
        ),
        # CACHE_WITHOUT_VALIDATOR: the length alone.
        pytest.param({}, {}, True, id="nothing, nothing"),
        pytest.param({}, TAG, False, id="nothing, then a tag"),
    ],
)
def test_validators(known: Lines, told: Lines, same: bool) -> None:
    of_part = {"Content-Range": "bytes 300-999/1000", "Content-Length": "700"}
    if same:
        assert check(head(206, told | of_part), known) == (300, 1000)
    else:
        with pytest.raises(Changed):
            check(head(206, told | of_part), known)


# A version that is coded itself: its bytes are those of the coding (RFC 9110 section 8.4)


def test_the_rest_of_a_coded_version() -> None:
    rest = part("300-999/1000", 700, Content_Encoding="gzip")
    assert check(rest, coding="gzip") == (300, 1000)
    assert check(rest, coding="GZip") == (300, 1000)
    assert check(whole(Content_Encoding="gzip"), coding="gzip") == (0, 1000)
    # To If-Range it may be left out (section 15.3.7); the tag is that of the coded one (8.8.3.3).
    assert check(part("300-999/1000", 700), coding="gzip") == (300, 1000)


def test_another_coding_than_that_of_the_version() -> None:
    with pytest.raises(Refused, match="coding"):
        check(part("300-999/1000", Content_Encoding="br"), coding="gzip")
    with pytest.raises(Changed):
        check(whole(Content_Encoding="br"), coding="gzip")
    with pytest.raises(Changed):
        check(whole(), coding="gzip")


# Whatever an origin says


@given(
    position=st.integers(0, 999),
    status=st.sampled_from([200, 206]),
    first=st.integers(0, 1200),
    last=st.integers(0, 1200),
    total=st.none() | st.sampled_from([1000, 999, 1001]),
    length=st.none() | st.integers(0, 1200),
)
def test_what_is_taken_has_the_next_byte_and_none_beyond_the_end(
    position: int, status: int, first: int, last: int, total: int | None, length: int | None
) -> None:
    fields = TAG | {"Content-Range": f"bytes {first}-{last}/{'*' if total is None else total}"}
    if length is not None:
        fields["Content-Length"] = str(length)
    validators = Validators.from_headers(TAG.get)
    try:
        begins, stop = check_continuation(validators, 1000, position, head(status, fields), None)
    except (Changed, Refused):
        return
    assert 0 <= begins <= position < stop <= 1000
    if status == 206:
        assert (begins, stop) == (first, last + 1)
    if length is not None:
        assert stop - begins == length
