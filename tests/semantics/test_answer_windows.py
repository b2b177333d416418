"""What a client gets where more was asked of the origin than the client did, or less.

A proxy that stores what comes asks for aligned windows: they begin before the client's range, end
behind it or are cut off within it, and a suffix is asked for with some bytes more in front.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from aprp.semantics.ranges import IntRange, RangeSet, RangeSpec, Span, SuffixRange
from tests.semantics.asking import Origin, asks, part, whole
from tests.semantics.reference import Member, pieces, positions


def answer(asked: Asked, sent: RangeSpec | None, origin: Origin) -> Answer:
    return decide(asked, sent, origin.status, Fields(origin.fields).get)


def refused(length: int) -> Origin:
    """A 416 that tells the length (RFC 9110 section 15.5.17)."""
    return Origin(416).with_(Content_Range=f"bytes */{length}")


SLICE = IntRange(512, 1023)

TABLE = [
    # The window is wider than the range.
    ("inside", asks("600-609"), SLICE, part("512-1023/2000", 512), Part(Span(600, 610), 2000, 88)),
    ("its begin", asks("512-609"), SLICE, part("512-1023/2000"), Part(Span(512, 610), 2000, 0)),
    ("its end", asks("600-1023"), SLICE, part("512-1023/2000"), Part(Span(600, 1024), 2000, 88)),
    # The window ends within the range: a part of it (15.3.7).
    ("cut", asks("600-1999"), SLICE, part("512-1023/2000"), Part(Span(600, 1024), 2000, 88)),
    ("open, cut", asks("600-"), SLICE, part("512-1023/2000"), Part(Span(600, 1024), 2000, 88)),
    ("from 0, cut", asks("0-"), IntRange(0, 511), part("0-511/2000"), Part(Span(0, 512), 2000, 0)),
    # The file ends in the window (14.1.2).
    ("file ends", asks("600-"), SLICE, part("512-699/700"), Part(Span(600, 700), 700, 88)),
    ("range beyond", asks("600-9999"), SLICE, part("512-699/700"), Part(Span(600, 700), 700, 88)),
    ("last byte", asks("699-"), SLICE, part("512-699/700"), Part(Span(699, 700), 700, 187)),
    ("first byte beyond", asks("700-"), SLICE, part("512-699/700"), NoSuchRange(700)),
    ("all of it beyond", asks("800-900"), SLICE, part("512-699/700"), NoSuchRange(700)),
    ("the window beyond", asks("600-"), SLICE, refused(512), NoSuchRange(512)),
    ("an empty file", asks("5-"), IntRange(0, 511), refused(0), NoSuchRange(0)),
    ("beyond, no length", asks("600-"), SLICE, Origin(416), NoSuchRange(None)),
    # A suffix with more in front.
    (
        "suffix",
        asks("-10"),
        SuffixRange(521),
        part("479-999/1000"),
        Part(Span(990, 1000), 1000, 511),
    ),
    ("suffix, all", asks("-10"), SuffixRange(521), part("0-99/100"), Part(Span(90, 100), 100, 90)),
    ("long suffix", asks("-900"), SuffixRange(999), part("0-99/100"), Part(Span(0, 100), 100, 0)),
    ("suffix, empty", asks("-10"), SuffixRange(521), refused(0), AskWhole()),
    # The length is not told (14.4): bytes counted from the begin are clear, those from the end not.
    ("*", asks("600-609"), SLICE, part("512-1023/*"), Part(Span(600, 610), None, 88)),
    ("*, cut", asks("600-"), SLICE, part("512-1023/*"), Part(Span(600, 1024), None, 88)),
    ("*, ends", asks("600-999"), SLICE, part("512-699/*"), Part(Span(600, 700), None, 88)),
    ("*, suffix", asks("-10"), SuffixRange(521), part("479-999/*"), AskWhole()),
    # The origin sends more than the window, or stops before its end.
    ("more around", asks("600-609"), SLICE, part("0-1999/2000"), Part(Span(600, 610), 2000, 600)),
    ("fewer", asks("600-609"), SLICE, part("512-604/2000"), Part(Span(600, 605), 2000, 88)),
    (
        "the first only",
        asks("600-609"),
        SLICE,
        part("512-600/2000"),
        Part(Span(600, 601), 2000, 88),
    ),
    ("too few", asks("600-609"), SLICE, part("512-599/2000"), AskWhole()),
    ("too few, *", asks("600-609"), SLICE, part("512-599/*"), AskWhole()),
    # An origin without ranges: the window does not matter.
    ("200", asks("600-609"), SLICE, whole(2000), Part(Span(600, 610), 2000, 600)),
    ("200, open", asks("600-"), SLICE, whole(2000), Part(Span(600, 2000), 2000, 600)),
    ("200, suffix", asks("-10"), SuffixRange(521), whole(2000), Part(Span(1990, 2000), 2000, 1990)),
    ("200, no length", asks("600-609"), SLICE, whole(None), Part(Span(600, 610), None, 600)),
    ("200, beyond", asks("600-609"), SLICE, whole(600), NoSuchRange(600)),
    ("an error", asks("600-609"), SLICE, Origin(503), RELAY),
    # Several ranges: what came is of use if it begins with the first of them and has all of it.
    (
        "first of two",
        asks("512-519,0-1"),
        SLICE,
        part("512-1023/2000"),
        Parts((Span(512, 520), Span(0, 2)), 2000, "first"),
    ),
    (
        "first of two, inside",
        asks("600-609,0-1"),
        SLICE,
        part("512-1023/2000"),
        Parts((Span(600, 610), Span(0, 2)), 2000, "none"),
    ),
    (
        "first of two, cut",
        asks("512-1999,0-1"),
        SLICE,
        part("512-1023/2000"),
        Parts((Span(512, 2000), Span(0, 2)), 2000, "none"),
    ),
    ("first of two beyond", asks("800-,0-1"), SLICE, part("512-699/700"), AskWhole()),
]


@pytest.mark.parametrize(
    ("asked", "sent", "origin", "expected"), [pytest.param(*row[1:], id=row[0]) for row in TABLE]
)
def test_windows(asked: Asked, sent: RangeSpec, origin: Origin, expected: Answer) -> None:
    assert answer(asked, sent, origin) == expected


@pytest.mark.parametrize(
    ("asked", "sent", "origin", "reason"),
    [
        pytest.param(asks("600-609"), SLICE, part("513-1023/2000"), "was asked", id="too late"),
        pytest.param(
            asks("600-609"), SLICE, part("600-609/2000"), "was asked", id="not the window"
        ),
        pytest.param(asks("600-609"), SLICE, part("0-511/2000"), "was asked", id="another window"),
        pytest.param(asks("600-609"), SLICE, part("0-511/*"), "was asked", id="another, *"),
        pytest.param(asks("600-609"), SLICE, part("513-1023/*"), "was asked", id="too late, *"),
        pytest.param(asks("600-609"), SLICE, part("0-299/300"), "not satisfiable", id="beyond"),
        pytest.param(
            asks("600-609"), SLICE, part("512-1023/2000", 10), "Content-Length 10", id="8.6 length"
        ),
        pytest.param(asks("-10"), SuffixRange(521), part("990-999/1000"), "was asked", id="suffix"),
        pytest.param(asks("600-609"), SLICE, refused(2000), "refused", id="416 to a window inside"),
        pytest.param(
            asks("512-519,0-1"), SLICE, part("512-1023/*"), "the length", id="several, no length"
        ),
    ],
)
def test_an_answer_to_another_question(
    asked: Asked, sent: RangeSpec, origin: Origin, reason: str
) -> None:
    got = answer(asked, sent, origin)
    assert isinstance(got, Bad)
    assert reason in got.reason


TAGGED = part("512-1023/2000").with_(ETag='"a"')


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(
            asks("600-609", if_range='"a"'), Part(Span(600, 610), 2000, 88), id="13.1.5 holds"
        ),
        pytest.param(asks("600-609", if_range='"b"'), AskWhole(), id="13.1.5 does not hold"),
        # Conditions come before ranges (13.2.2).
        pytest.param(
            asks("9999-", if_none_match='"a"'), NotModified(), id="13.1.2, none of it in the window"
        ),
        pytest.param(
            asks("600-609", if_match='"b"'), PreconditionFailed("If-Match"), id="13.1.1 fails"
        ),
    ],
)
def test_conditions(asked: Asked, expected: Answer) -> None:
    assert answer(asked, SLICE, TAGGED) == expected


# An honest origin over random bytes.


@dataclass(frozen=True)
class Case:
    """A file, what a client asks of it (first to last, or a suffix), and what was asked instead."""

    data: bytes
    members: list[Member]
    sent: RangeSpec
    told: bool

    @property
    def asked(self) -> Asked:
        return Asked("GET", RangeSet(tuple(map(spec_of, self.members))), None, None)

    @property
    def mine(self) -> list[int]:
        """The positions that the first of the client's ranges selects."""
        return positions(self.members[0], len(self.data))


def spec_of(member: Member) -> RangeSpec:
    first, last = member
    if first is None:
        assert last is not None
        return SuffixRange(last)
    return IntRange(first, last)


def member_of(spec: RangeSpec) -> Member:
    return (None, spec.length) if isinstance(spec, SuffixRange) else (spec.first, spec.last)


numbers = st.integers(0, 40)
int_ranges = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
open_ranges = numbers.map(lambda first: (first, None))
suffixes = numbers.map(lambda length: (None, length))


@st.composite
def windows(draw: st.DrawFn, members: st.SearchStrategy[list[Member]]) -> Case:
    """A window begins at or before the first range and has its first byte at least."""
    data = draw(st.binary(max_size=40))
    asked = draw(members)
    first, last = asked[0]
    sent: RangeSpec
    if first is None:
        assert last is not None
        sent = SuffixRange(last + draw(st.integers(0, 12)) if last else 0)
    else:
        begin = draw(st.integers(0, first))
        end = draw(st.none() | st.integers(first, first + 40))
        sent = IntRange(begin, end)
    return Case(data, asked, sent, draw(st.booleans()))


def honest(case: Case, more: int = 0, fewer: int = 0) -> tuple[Origin, bytes]:
    """What is answered to the window, `more` bytes around it or `fewer` at its end."""
    length = len(case.data)
    chosen = positions(member_of(case.sent), length)
    if not chosen:
        return refused(length), b""
    start = max(chosen[0] - more, 0)
    stop = max(min(chosen[-1] + 1 + more, length) - fewer, chosen[0] + 1)
    total = length if case.told else "*"
    return part(f"{start}-{stop - 1}/{total}", stop - start), case.data[start:stop]


def has_right_bytes(case: Case, got: Part, body: bytes) -> bool:
    """Whether what is cut out of the body are the bytes that the client asked for first."""
    wanted = case.data[case.mine[0] : case.mine[-1] + 1]
    cut = body[got.skip :][: got.span.length]
    return (
        len(cut) > 0
        and got.span.start == case.mine[0]
        and got.span.stop <= len(case.data)
        and wanted.startswith(cut)
        and cut == case.data[got.span.start :][: got.span.length]
    )


one: st.SearchStrategy[Member] = st.one_of(int_ranges, open_ranges, suffixes)
few = st.lists(one, min_size=2, max_size=4)


@given(windows(one.map(lambda member: [member])))
def test_one_range_of_an_honest_origin(case: Case) -> None:
    origin, body = honest(case)
    got = answer(case.asked, case.sent, origin)
    if not case.mine:
        empty_suffix = not case.data and case.members[0][0] is None and case.members[0] != (None, 0)
        if empty_suffix or (origin.status == 206 and not case.told):
            assert got == AskWhole()
        else:
            assert got == NoSuchRange(len(case.data))
    elif (
        not case.told
        and isinstance(case.sent, SuffixRange)
        and case.sent != spec_of(case.members[0])
    ):
        assert got == AskWhole()
    else:
        assert isinstance(got, Part)
        assert has_right_bytes(case, got, body)
        # As much of what came as the client wants.
        came = set(positions(member_of(case.sent), len(case.data)))
        assert got.span.length == len(came & set(case.mine))
        assert got.total == (len(case.data) if case.told else None)


@given(
    windows(one.map(lambda member: [member])),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_an_origin_that_sends_more_or_fewer(case: Case, more: int, fewer: int) -> None:
    """RFC 9110 section 15.3.7: which part it is, its Content-Range alone tells."""
    origin, body = honest(case, more, fewer)
    got = answer(case.asked, case.sent, origin)
    if isinstance(got, Part) and not case.told and isinstance(case.sent, SuffixRange):
        # Where the end is, nobody has told: the bytes are at least those that are named.
        assert body[got.skip :] == case.data[got.span.start : got.span.stop]
    elif isinstance(got, Part):
        assert case.mine
        assert has_right_bytes(case, got, body)
    elif case.told:
        assert not isinstance(got, Bad), "every byte that was sent is right"


@given(windows(few))
def test_several_ranges_of_an_honest_origin(case: Case) -> None:
    origin, body = honest(case)
    got = answer(case.asked, case.sent, origin)
    wanted = pieces(case.members, case.data)
    if isinstance(got, Parts):
        assert [(s.start, case.data[s.start : s.stop]) for s in got.spans] == wanted
        assert got.total == len(case.data)
        assert got.source in ("first", "none")
        if got.source == "first":
            assert body.startswith(wanted[0][1])
    elif isinstance(got, Part):
        assert [(got.span.start, body[: got.span.length])] == wanted
        assert got.skip == 0
    elif isinstance(got, NoSuchRange):
        assert wanted == []
    elif isinstance(got, Bad):
        assert origin.status == 206
        assert not case.told
    else:
        # Not where the first range can be seen to be there.
        assert got == AskWhole()
        assert not case.mine
