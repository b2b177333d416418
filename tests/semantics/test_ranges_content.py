"""Content-Range, read and written (RFC 9110 sections 14.4 and 15.5.17)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.ranges import ContentRange, Span, Unsatisfied


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            "bytes 0-99/1000", ContentRange(0, 100, 1000), id="14.4 complete length known"
        ),
        pytest.param("bytes 42-1233/1234", ContentRange(42, 1234, 1234), id="14.4 up to the end"),
        pytest.param("bytes 42-1233/*", ContentRange(42, 1234, None), id="14.4 length unknown"),
        pytest.param("bytes 0-0/1", ContentRange(0, 1, 1), id="14.4 one byte of one"),
        pytest.param("bytes */1234", Unsatisfied(1234), id="14.4 unsatisfied-range"),
        pytest.param("bytes */0", Unsatisfied(0), id="15.5.17 an empty file"),
        pytest.param("BYTES 0-99/1000", ContentRange(0, 100, 1000), id="14.1 unit in capitals"),
        pytest.param("Bytes */9", Unsatisfied(9), id="14.1 unit in mixed case"),
    ],
)
def test_valid(value: str, expected: ContentRange | Unsatisfied) -> None:
    parsed = ContentRange.parse(value)
    assert parsed == expected
    assert parsed is not None
    assert parsed.to_header() == "bytes" + value[5:]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("bytes 9-5/10", id="14.4 last-pos less than first-pos"),
        pytest.param("bytes 5-4/10", id="14.4 no bytes"),
        pytest.param("bytes 0-10/10", id="14.4 last-pos equal to the length"),
        pytest.param("bytes 0-99/10", id="14.4 last-pos beyond the length"),
        pytest.param("bytes 0-0/0", id="14.4 a byte of an empty file"),
        pytest.param("items 0-9/10", id="14.4 unit not understood"),
        pytest.param("*/1000", id="14.4 no unit"),
        pytest.param("0-9/10", id="14.4 no unit, a range"),
        pytest.param("bytes */*", id="14.4 nothing known"),
        pytest.param("bytes=0-9/10", id="14.4 equals sign"),
        pytest.param("bytes  0-9/10", id="14.4 two blanks"),
        pytest.param("bytes: 0-9/10", id="14.4 colon"),
        pytest.param("bytes 0-9", id="14.4 no length"),
        pytest.param("bytes 0-/10", id="14.4 no last-pos"),
        pytest.param("bytes -9/10", id="14.4 no first-pos"),
        pytest.param("bytes 0-9/", id="14.4 empty length"),
        pytest.param("bytes 0-9/1_0", id="14.4 underscore"),
        pytest.param("bytes +0-9/10", id="14.4 plus sign"),
        pytest.param("bytes 0-９/10", id="14.4 full-width digit"),
        pytest.param("bytes 0-9/10\n", id="14.4 line end"),
        pytest.param("bytes 0-9/10, bytes 0-9/10", id="14.4 twice"),
        pytest.param("bytes 0-9/" + "9" * 19, id="14.4 nineteen digits"),
        pytest.param("multipart/byteranges", id="14.4 a Content-Type"),
        pytest.param("", id="14.4 empty"),
    ],
)
def test_invalid(value: str) -> None:
    assert ContentRange.parse(value) is None


@given(st.integers(0, 10**17), st.integers(1, 10**17), st.one_of(st.none(), st.integers(0, 10**17)))
def test_round_trip(start: int, length: int, more: int | None) -> None:
    stop = start + length
    total = None if more is None else stop + more
    parsed = ContentRange.parse(Span(start, stop).to_content_range(total))
    assert parsed == ContentRange(start, stop, total)
    assert isinstance(parsed, ContentRange) and parsed.span == Span(start, stop)


@given(
    st.from_regex(r"(bytes|BYTES|b) ?(\*|[0-9]{1,3}-[0-9]{0,3})/(\*|[0-9]{0,3})", fullmatch=True)
)
def test_what_is_read_is_written_alike(value: str) -> None:
    parsed = ContentRange.parse(value)
    if parsed is not None:
        assert ContentRange.parse(parsed.to_header()) == parsed
