"""Step two: a range set meets a length. Expectations come from slicing `bytes`."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.ranges import (
    IntRange,
    RangeSet,
    Slices,
    Span,
    SuffixRange,
    Unsatisfiable,
    Whole,
    parse_header,
)
from tests.semantics import reference

DATA = bytes(range(100))
TEN_THOUSAND = bytes(i % 251 for i in range(10_000))


def answer(header: str, data: bytes) -> list[bytes] | str:
    """Give the parts that are sent, or the name of the resolution that is none."""
    ranges = parse_header(header)
    assert ranges is not None
    resolution = ranges.resolve(len(data))
    if isinstance(resolution, Slices):
        return [data[span.start : span.stop] for span in resolution.spans]
    return type(resolution).__name__


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        pytest.param("bytes=0-499", [TEN_THOUSAND[:500]], id="14.1.2 first 500 bytes"),
        pytest.param("bytes=500-999", [TEN_THOUSAND[500:1000]], id="14.1.2 second 500 bytes"),
        pytest.param("bytes=-500", [TEN_THOUSAND[-500:]], id="14.1.2 final 500 bytes"),
        pytest.param("bytes=9500-", [TEN_THOUSAND[9500:]], id="14.1.2 final 500, open end"),
        pytest.param(
            "bytes=0-0,-1",
            [TEN_THOUSAND[:1], TEN_THOUSAND[-1:]],
            id="14.1.2 first and last byte only",
        ),
        pytest.param(
            "bytes=500-600,601-999",
            [TEN_THOUSAND[500:601], TEN_THOUSAND[601:1000]],
            id="14.1.2 valid spelling of the second 500, touching",
        ),
        pytest.param(
            "bytes=500-700,601-999",
            [TEN_THOUSAND[500:1000]],
            id="14.1.2 valid spelling of the second 500, overlapping",
        ),
        pytest.param(
            "bytes= 0-999, 4500-5499, -1000",
            [TEN_THOUSAND[:1000], TEN_THOUSAND[4500:5500], TEN_THOUSAND[-1000:]],
            id="14.1.2 first, middle and last 1000 bytes",
        ),
    ],
)
def test_examples_of_the_rfc(header: str, parts: list[bytes]) -> None:
    assert answer(header, TEN_THOUSAND) == parts


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("bytes=0-", [DATA], id="14.2 bytes=0- is a range, not the whole"),
        pytest.param("bytes=0-1", [DATA[:2]], id="14.2 a player's probe gets two bytes"),
        pytest.param("bytes=99-99", [DATA[99:]], id="14.1.2 the last byte"),
        pytest.param("bytes=90-100", [DATA[90:]], id="14.1.2 last-pos equal to the length"),
        pytest.param("bytes=90-5000", [DATA[90:]], id="14.1.2 last-pos beyond the end"),
        pytest.param("bytes=0-999999999999999999", [DATA], id="14.1.2 eighteen digits"),
        pytest.param("bytes=100-", "Unsatisfiable", id="14.1.2 first-pos equal to the length"),
        pytest.param("bytes=100-200", "Unsatisfiable", id="14.1.2 first-pos beyond the end"),
        pytest.param("bytes=-100", [DATA], id="14.1.2 suffix as long as the file"),
        pytest.param("bytes=-101", [DATA], id="14.1.2 suffix longer than the file"),
        pytest.param("bytes=-99", [DATA[1:]], id="14.1.2 suffix one shorter than the file"),
        pytest.param("bytes=-0", "Unsatisfiable", id="14.1.2 suffix of no bytes"),
        pytest.param("bytes=-00", "Unsatisfiable", id="14.1.2 suffix of no bytes, two digits"),
        pytest.param("bytes=-0,5-5", [DATA[5:6]], id="14.1.2 one member satisfiable"),
        pytest.param("bytes=200-,300-400,-0", "Unsatisfiable", id="14.1.2 no member satisfiable"),
        pytest.param("bytes=200-,0-9", [DATA[:10]], id="15.3.7.2 unsatisfiable members left out"),
        pytest.param(
            "bytes=50-59,0-9", [DATA[50:60], DATA[:10]], id="15.3.7.2 parts in the order asked"
        ),
        pytest.param(
            "bytes=80-89,0-9,85-95,5-20",
            [DATA[80:96], DATA[:21]],
            id="15.3.7.2 merged parts stand where their first member stood",
        ),
        pytest.param(
            "bytes=40-49,0-9,5-45",
            [DATA[:50]],
            id="15.3.7.2 a member that bridges two others",
        ),
        pytest.param(
            "bytes=10-20,30-35,5-12",
            [DATA[5:21], DATA[30:36]],
            id="15.3.7.2 a part stands where its first member stood, not its lowest",
        ),
        pytest.param("bytes=0-9,10-19", [DATA[:10], DATA[10:20]], id="15.3.7.2 touching members"),
        pytest.param("bytes=0-10,10-19", [DATA[:20]], id="15.3.7.2 one byte in common"),
        pytest.param("bytes=0-99,20-29", [DATA], id="15.3.7.2 one inside the other"),
        pytest.param("bytes=0-50,-60", [DATA], id="15.3.7.2 suffix overlaps"),
        pytest.param("bytes=" + "0-,-100," * 50, [DATA], id="17.15 the whole a hundred times"),
    ],
)
def test_rules(header: str, expected: list[bytes] | str) -> None:
    assert answer(header, DATA) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("bytes=0-", "Unsatisfiable", id="14.1.2 no first-pos is below 0"),
        pytest.param("bytes=0-0", "Unsatisfiable", id="14.1.2 not even the first byte"),
        pytest.param("bytes=-0", "Unsatisfiable", id="14.1.2 suffix of no bytes"),
        pytest.param("bytes=-5", "Whole", id="14.1.2 a suffix is satisfiable, by no byte"),
        pytest.param("bytes=0-,-5", "Whole", id="14.1.2 one satisfiable suffix is enough"),
    ],
)
def test_an_empty_file(header: str, expected: str) -> None:
    assert answer(header, b"") == expected


def as_range_set(members: list[reference.Member]) -> RangeSet:
    return RangeSet(
        tuple(
            SuffixRange(last or 0) if first is None else IntRange(first, last)
            for first, last in members
        )
    )


def members_near(top: int) -> st.SearchStrategy[list[reference.Member]]:
    position = st.integers(0, top)
    closed = st.tuples(position, position).map(lambda pair: (min(pair), max(pair)))
    short = st.tuples(position, st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair)))
    opened = position.map(lambda first: (first, None))
    suffix = position.map(lambda length: (None, length))
    return st.lists(st.one_of(short, closed, opened, suffix), min_size=1, max_size=8)


@given(members_near(40), st.integers(0, 30))
def test_resolution_is_what_slicing_gives(members: list[reference.Member], length: int) -> None:
    data = bytes(range(length))
    resolution = as_range_set(members).resolve(length)
    expected = reference.pieces(members, data)
    if isinstance(resolution, Slices):
        got = [(span.start, data[span.start : span.stop]) for span in resolution.spans]
        assert got == expected
        assert sum(span.length for span in resolution.spans) <= length
    else:
        assert expected == []
        satisfiable = reference.is_satisfiable(members, length)
        assert isinstance(resolution, Whole if satisfiable else Unsatisfiable)


@given(members_near(10**18 - 1), st.integers(0, 10**18))
def test_large_files(members: list[reference.Member], length: int) -> None:
    resolution = as_range_set(members).resolve(length)
    if isinstance(resolution, Slices):
        ordered = sorted(resolution.spans, key=lambda span: span.start)
        assert all(0 <= span.start < span.stop <= length for span in ordered)
        assert all(a.stop <= b.start for a, b in pairwise(ordered))


def test_merging_a_hostile_list_is_not_quadratic() -> None:
    ranges = RangeSet(tuple(IntRange(i, i + 2) for i in range(200_000, 0, -1)))
    began = time.perf_counter()
    assert ranges.resolve(10**6) == Slices((Span(1, 200_003),))
    assert time.perf_counter() - began < 10, "quadratic work takes minutes here"


def test_equal_ranges_are_one_key() -> None:
    assert parse_header("bytes=0-99") == parse_header("BYTES=000-0099")
    assert len({parse_header("bytes=0-99"), parse_header("bytes= ,0-99,")}) == 1
    assert parse_header("bytes=0-1,5-6") != parse_header("bytes=5-6,0-1")
    assert parse_header("bytes=5-") != parse_header("bytes=-5")


@pytest.mark.parametrize(
    ("span", "total", "value"),
    [
        pytest.param(Span(0, 100), 1000, "bytes 0-99/1000", id="14.4 total known"),
        pytest.param(Span(0, 100), None, "bytes 0-99/*", id="14.4 total unknown"),
        pytest.param(Span(999, 1000), 1000, "bytes 999-999/1000", id="14.4 one byte"),
    ],
)
def test_content_range_of_a_span(span: Span, total: int | None, value: str) -> None:
    assert span.to_content_range(total) == value
    assert span.length == span.stop - span.start
