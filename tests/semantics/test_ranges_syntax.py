"""Step one: reading the Range header and the range parameter."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.ranges import (
    ACCEPTED_FORMS,
    MAX_MEMBERS,
    IntRange,
    MalformedRange,
    RangeSet,
    SuffixRange,
    limit,
    parse_header,
    parse_parameter,
)
from tests.semantics import reference


def ranges(*specs: IntRange | SuffixRange) -> RangeSet:
    return RangeSet(specs)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("bytes=0-99", ranges(IntRange(0, 99)), id="14.1.1 int-range"),
        pytest.param("bytes=100-", ranges(IntRange(100, None)), id="14.1.1 int-range, no last-pos"),
        pytest.param("bytes=-500", ranges(SuffixRange(500)), id="14.1.1 suffix-range"),
        pytest.param("bytes=-0", ranges(SuffixRange(0)), id="14.1.1 suffix-length 0 is valid"),
        pytest.param("bytes=7-7", ranges(IntRange(7, 7)), id="14.1.1 last-pos equal to first-pos"),
        pytest.param("bytes=007-0099", ranges(IntRange(7, 99)), id="14.1.1 leading zeros"),
        pytest.param("BYTES=0-9", ranges(IntRange(0, 9)), id="14.1 unit in capitals"),
        pytest.param("ByTeS=0-9,-1", ranges(IntRange(0, 9), SuffixRange(1)), id="14.1 unit, mixed"),
        pytest.param(
            "bytes=0-0,-1", ranges(IntRange(0, 0), SuffixRange(1)), id="14.1.1 range-set of two"
        ),
        pytest.param(
            "bytes=5-6,0-1", ranges(IntRange(5, 6), IntRange(0, 1)), id="14.1.1 order is kept"
        ),
        pytest.param(
            "bytes=0-1\t, \t2-3",
            ranges(IntRange(0, 1), IntRange(2, 3)),
            id="5.6.1.2 blanks and tabs around a comma",
        ),
        pytest.param("bytes=,0-1", ranges(IntRange(0, 1)), id="5.6.1.2 first element empty"),
        pytest.param("bytes=0-1,", ranges(IntRange(0, 1)), id="5.6.1.2 last element empty"),
        pytest.param(
            "bytes=0-1, ,,2-3", ranges(IntRange(0, 1), IntRange(2, 3)), id="5.6.1.2 elements empty"
        ),
        pytest.param("bytes= 0-1", ranges(IntRange(0, 1)), id="14.1.1 erratum 7306, OWS after ="),
        pytest.param("  bytes=0-1\t", ranges(IntRange(0, 1)), id="5.5 blanks around the value"),
        pytest.param(
            "bytes=0-999999999999999999",
            ranges(IntRange(0, 10**18 - 1)),
            id="14.1.2 large numerals do not overflow",
        ),
    ],
)
def test_valid_headers(value: str, expected: RangeSet) -> None:
    assert parse_header(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("seconds=0-9", id="14.2 unknown unit"),
        pytest.param("byte=0-9", id="14.2 nearly the unit"),
        pytest.param("bytes2=0-9", id="14.2 more than the unit"),
        pytest.param("none=0-9", id="14.3 none is no unit of a range"),
        pytest.param("", id="14.1.1 empty"),
        pytest.param("bytes", id="14.1.1 unit alone"),
        pytest.param("0-99", id="14.1.1 no unit"),
        pytest.param("bytes 0-99", id="14.1.1 no equals sign"),
        pytest.param("bytes =0-99", id="14.1.1 blank before the equals sign"),
        pytest.param("=0-99", id="14.1.1 empty unit"),
        pytest.param("bytes=", id="5.6.1.2 at least one element"),
        pytest.param("bytes=,", id="5.6.1.2 only empty elements"),
        pytest.param("bytes=-", id="14.1.1 neither first-pos nor suffix-length"),
        pytest.param("bytes=5", id="14.1.1 no hyphen"),
        pytest.param("bytes=9-5", id="14.1.1 last-pos less than first-pos"),
        pytest.param("bytes=0-1,9-5", id="14.1.1 one int-range invalid, all invalid"),
        pytest.param("bytes=0-1,x", id="14.1.1 other-range makes all invalid"),
        pytest.param("bytes=1_0-", id="14.1.1 underscore"),
        pytest.param("bytes=+5-9", id="14.1.1 plus sign"),
        pytest.param("bytes=0-+9", id="14.1.1 plus sign in last-pos"),
        pytest.param("bytes=--5", id="14.1.1 two hyphens"),
        pytest.param("bytes=0--5", id="14.1.1 negative last-pos"),
        pytest.param("bytes=0-1junk", id="14.1.1 junk behind"),
        pytest.param("bytes=junk0-1", id="14.1.1 junk before"),
        pytest.param("bytes=0-1\n", id="14.1.1 line end behind"),
        pytest.param("bytes=0-1\x00", id="14.1.1 NUL behind"),
        pytest.param("bytes=0 -1", id="14.1.1 blank before the hyphen"),
        pytest.param("bytes=0- 1", id="14.1.1 blank behind the hyphen"),
        pytest.param("bytes=0-1 2-3", id="14.1.1 blank for a comma"),
        pytest.param("bytes=0-1;2-3", id="14.1.1 semicolon for a comma"),
        pytest.param("bytes=0x10-", id="14.1.1 hexadecimal"),
        pytest.param("bytes=1e3-", id="14.1.1 exponent"),
        pytest.param("bytes=0.5-1", id="14.1.1 decimal point"),
        pytest.param("bytes=٠-٩", id="14.1.1 Arabic digits"),
        pytest.param("bytes=０-９", id="14.1.1 full-width digits"),
        pytest.param("bytes=\u00b2-\u00b3", id="14.1.1 superscripts from Latin-1"),
        pytest.param("bytes=0-1\u00a0", id="5.6.3 no-break space is no blank"),
        pytest.param("byte\u017f=0-1", id="14.1 long s is no s"),
        pytest.param("bytes=0-1,bytes=2-3", id="14.2 two header lines joined"),
        pytest.param("bytes=*/1000", id="14.4 a Content-Range"),
        pytest.param("bytes=0-" + "9" * 19, id="14.1.2 nineteen digits"),
        pytest.param("bytes=" + "0" * 19 + "-", id="14.1.2 nineteen zeros"),
        pytest.param("bytes=-" + "9" * 5000, id="14.1.2 five thousand digits"),
        pytest.param("bytes=" + "0-0," * MAX_MEMBERS, id="17.15 too many members"),
        pytest.param("bytes=0-0" + "," * MAX_MEMBERS, id="17.15 too many empty elements"),
    ],
)
def test_invalid_headers_are_ignored(value: str) -> None:
    assert parse_header(value) is None


def test_most_members() -> None:
    parsed = parse_header("bytes=" + ",".join(["0-0"] * MAX_MEMBERS))
    assert parsed == ranges(*[IntRange(0, 0)] * MAX_MEMBERS)


@pytest.mark.parametrize(
    ("members", "max_ranges", "applies"),
    [
        pytest.param(1, 1, True, id="one of one"),
        pytest.param(16, 16, True, id="as many as allowed"),
        pytest.param(17, 16, False, id="one too many"),
        pytest.param(1000, 16, False, id="the same range a thousand times"),
    ],
)
def test_limit_counts_members_as_asked(members: int, max_ranges: int, applies: bool) -> None:
    parsed = ranges(*[IntRange(0, 9)] * members)
    assert limit(parsed, max_ranges) == (parsed if applies else None)


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("bytes=0-99", "bytes=0-99"),
        ("Bytes=0-99", "bytes=0-99"),
        ("0-99", "bytes=0-99"),
        ("100-", "bytes=100-"),
        ("-500", "bytes=-500"),
        ("-0", "bytes=-0"),
        ("0-0,-1", "bytes=0-0,-1"),
        ("0-0, 5-9 ,-1", "bytes=0-0,5-9,-1"),
    ],
)
def test_parameter(value: str, header: str) -> None:
    assert parse_parameter(value) == parse_header(header)


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        pytest.param("", "no range is given", id="empty"),
        pytest.param("bytes=", "no range is given", id="unit alone"),
        pytest.param(",,", "no range is given", id="commas alone"),
        pytest.param("seconds=0-9", "the unit 'seconds' is not known", id="unknown unit"),
        pytest.param("9-5", "in '9-5' the end is before the start", id="end before start"),
        pytest.param("0-1,9-5", "in '9-5' the end is before the start", id="second member wrong"),
        pytest.param("abc", "'abc' is not a range", id="letters"),
        pytest.param("50", "'50' is not a range", id="no hyphen"),
        pytest.param("1_0-", "'1_0-' is not a range", id="underscore"),
        pytest.param("--5", "'--5' is not a range", id="two hyphens"),
        pytest.param("0-1junk", "'0-1junk' is not a range", id="junk"),
        pytest.param(" 5-9", "' 5-9' is not a range", id="a plus sign, decoded"),
        pytest.param("bytes= 5-9", "' 5-9' is not a range", id="a plus sign behind the unit"),
        pytest.param("5-9 ", "'5-9 ' is not a range", id="blank behind"),
        pytest.param("0 -", "'0 -' is not a range", id="blank inside"),
        pytest.param("０-９", r"'\uff10-\uff19' is not a range", id="full-width digits"),
        pytest.param("=0-9", "'=0-9' is not a range", id="empty unit"),
        pytest.param("0-\r\nX: y", r"'0-\r\nX: y' is not a range", id="line end"),
        pytest.param("0-" + "9" * 19, "a number has more than 18 digits", id="too many digits"),
        pytest.param("0-0," * MAX_MEMBERS, "it has more than 4096 members", id="too many members"),
    ],
)
def test_malformed_parameter_names_the_cause(value: str, cause: str) -> None:
    with pytest.raises(MalformedRange) as caught:
        parse_parameter(value)
    message = str(caught.value)
    assert cause in message
    assert ACCEPTED_FORMS in message
    assert message.isascii() and message.isprintable()
    assert len(message) < 300


int_ranges = st.tuples(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1)).map(
    lambda pair: IntRange(min(pair), max(pair))
)
specs = st.one_of(
    int_ranges,
    st.integers(0, 10**18 - 1).map(lambda first: IntRange(first, None)),
    st.integers(0, 10**18 - 1).map(SuffixRange),
)
range_sets = st.lists(specs, min_size=1, max_size=20).map(lambda some: RangeSet(tuple(some)))


@given(range_sets)
def test_round_trip(asked: RangeSet) -> None:
    assert parse_header(asked.to_header()) == asked
    assert parse_parameter(asked.to_header()) == asked
    assert parse_parameter(asked.to_header().removeprefix("bytes=")) == asked


@given(range_sets, st.data())
def test_free_spelling_of_a_valid_header(asked: RangeSet, data: st.DataObject) -> None:
    blanks = st.text(" \t", max_size=3)
    commas = st.lists(blanks, min_size=1, max_size=3).map(",".join)
    unit = "".join(data.draw(st.sampled_from((c, c.upper()))) for c in "bytes")
    text = f"{unit}={data.draw(blanks)}"
    for index, spec in enumerate(asked.specs):
        comma = f"{data.draw(blanks)},{data.draw(commas)}" if index else ""
        text += f"{comma}{spec}"
    assert parse_header(text) == asked


MUTATIONS = "0123456789-,= \t_+*/.bytesBYTES\x00\r\n\u00b2\u00a0\uff10"


@st.composite
def mutated_headers(draw: st.DrawFn) -> str:
    """Draw a valid header in which some characters were put in, taken out or replaced."""
    text = draw(range_sets).to_header()[:80]
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(text)))
        width = draw(st.integers(0, 2))
        text = text[:place] + draw(st.text(MUTATIONS, max_size=2)) + text[place + width :]
    return text


@given(st.one_of(mutated_headers(), st.text(MUTATIONS, max_size=30), st.text()))
def test_mutated_headers_are_read_as_the_grammar_says(value: str) -> None:
    parsed = parse_header(value)
    assert (parsed is not None) == reference.is_valid_header(value.strip(" \t"))
    if parsed is not None:
        numbers = [int(digits) for digits in re.findall("[0-9]+", value)]
        again = [int(digits) for digits in re.findall("[0-9]+", parsed.to_header())]
        assert again == numbers


@given(st.one_of(mutated_headers(), st.text()))
def test_a_parameter_is_never_read_more_freely_than_a_header(value: str) -> None:
    try:
        parsed = parse_parameter(value)
    except MalformedRange:
        return
    with_unit = value if "=" in value else f"bytes={value}"
    assert parse_header(with_unit) == parsed


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("bytes=" + " " * 1_000_000 + "x", id="blanks"),
        pytest.param("bytes=" + "0-0, " * 1_000_000, id="members"),
        pytest.param("bytes=" + "9" * 1_000_000 + "-", id="digits"),
        pytest.param("bytes=0-0," + " \t" * 500_000 + ",", id="blanks in an element"),
        pytest.param("b" * 1_000_000, id="unit"),
        pytest.param("bytes=" + ("1" * 15 + "x") * 60_000, id="short numbers with junk"),
    ],
)
def test_work_is_linear(value: str) -> None:
    began = time.perf_counter()
    parse_header(value)
    with pytest.raises(MalformedRange):
        parse_parameter(value + "x")
    assert time.perf_counter() - began < 5, "quadratic work takes minutes here"
