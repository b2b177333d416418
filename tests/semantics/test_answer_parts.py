"""Further parts, and the whole of it against a model: an honest origin over random bytes."""

from dataclasses import dataclass
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.answer import (
    Answer,
    Asked,
    AskWhole,
    Bad,
    NoSuchRange,
    Part,
    Parts,
    Relay,
    check_further_part,
    decide,
    range_to_send,
)
from aprp.semantics.conditions import NotModified, PreconditionFailed, Validators
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import IntRange, RangeSpec, Span, SuffixRange, parse_header
from tests.semantics.asking import Origin, part, whole
from tests.semantics.reference import Member, is_satisfiable, pieces, positions

MONDAY = "Mon, 07 Nov 1994 08:49:37 GMT"
TUESDAY = "Tue, 08 Nov 1994 08:49:37 GMT"
TAG = {"ETag": '"a"'}
TAG_AND_DATE = {"ETag": '"a"', "Last-Modified": MONDAY}
WEAK_AND_DATE = {"ETag": 'W/"a"', "Last-Modified": MONDAY}


def check(known: dict[str, str] | None, origin: Origin) -> int | Bad:
    """The answer to a request for bytes 5 to 9 of 1000."""
    before = None if known is None else Validators.from_headers(known.get)
    return check_further_part(Span(5, 10), 1000, before, origin.status, Fields(origin.fields).get)


@pytest.mark.parametrize(
    ("known", "origin", "skip"),
    [
        pytest.param({}, part("5-9/1000"), 0, id="15.3.7 as asked"),
        pytest.param({}, part("5-99/1000"), 0, id="15.3.7 more behind"),
        pytest.param({}, part("3-9/1000"), 2, id="15.3.7 more before"),
        pytest.param({}, whole(), 5, id="14.2 the whole"),
        pytest.param(TAG, part("5-9/1000").with_(ETag='"a"'), 0, id="15.3.7.3 same tag"),
        pytest.param(TAG, whole().with_(ETag='"a"'), 5, id="15.3.7.3 same tag, the whole"),
        pytest.param(
            WEAK_AND_DATE,
            part("5-9/1000").with_(ETag='W/"a"', Last_Modified=MONDAY),
            0,
            id="nothing strong to go by, all of it the same",
        ),
        pytest.param(
            {"Last-Modified": MONDAY},
            part("5-9/1000").with_(Last_Modified=MONDAY, Date=TUESDAY),
            0,
            id="15.3.7.3 same date",
        ),
        pytest.param(None, part("5-9/1000").with_(ETag='"a"'), 0, id="nothing known of a version"),
        pytest.param(
            TAG_AND_DATE, part("5-9/1000").with_(ETag='"a"'), 0, id="15.3.7 no Last-Modified"
        ),
        pytest.param(
            {"Last-Modified": MONDAY}, part("5-9/1000"), 0, id="15.3.7 no Last-Modified, to a date"
        ),
    ],
)
def test_a_further_part(known: dict[str, str] | None, origin: Origin, skip: int) -> None:
    assert check(known, origin) == skip


@pytest.mark.parametrize(
    ("known", "origin", "reason"),
    [
        pytest.param(TAG, part("5-9/1000").with_(ETag='"b"'), "changed", id="another tag"),
        pytest.param(TAG, part("5-9/1000").with_(ETag='W/"a"'), "changed", id="tag is weak now"),
        pytest.param(TAG, part("5-9/1000"), "changed", id="15.3.7 the tag is left out"),
        pytest.param({}, part("5-9/1000").with_(ETag='"a"'), "changed", id="a tag appears"),
        pytest.param(TAG, whole().with_(ETag='"b"'), "changed", id="another tag, the whole"),
        pytest.param(
            WEAK_AND_DATE,
            part("5-9/1000").with_(ETag='W/"a"', Last_Modified=TUESDAY),
            "changed",
            id="the weak tag is the same, the date another",
        ),
        pytest.param(
            {"Last-Modified": MONDAY},
            part("5-9/1000").with_(Last_Modified=TUESDAY),
            "changed",
            id="another date",
        ),
        pytest.param({}, part("5-9/999"), "sent", id="another total"),
        pytest.param({}, part("5-9/*"), "sent", id="the total is not told"),
        pytest.param({}, part("5-8/1000"), "sent", id="too short"),
        pytest.param({}, part("6-9/1000"), "sent", id="begins too late"),
        pytest.param({}, part("100-104/1000"), "sent", id="another place"),
        pytest.param({}, whole(999), "length changed", id="the whole, shorter"),
        pytest.param({}, whole(None), "length changed", id="the whole, length not told"),
        pytest.param({}, Origin(206), "206", id="no Content-Range"),
        pytest.param({}, part("*/1000"), "206", id="Content-Range of a 416"),
        *[
            pytest.param({}, Origin(status).with_(Content_Range="bytes 5-9/1000"), str(status))
            for status in (204, 304, 404, 412, 416, 500)
        ],
    ],
)
def test_a_further_part_that_does_not_fit(
    known: dict[str, str] | None, origin: Origin, reason: str
) -> None:
    got = check(known, origin)
    assert isinstance(got, Bad)
    assert reason in got.reason


# The model: an origin that tells the truth, however it likes to.


@dataclass(frozen=True)
class Model:
    """A file at an origin. `ranges`: it honours Range; `tells`: it tells lengths; `pad`: it sends
    up to so many bytes more on either side than it was asked for."""

    data: bytes
    ranges: bool
    tells: bool
    pad: int

    def ask(self, spec: RangeSpec | None) -> tuple[int, Fields, bytes]:
        length = len(self.data)
        if spec is None or not self.ranges:
            fields = [("Content-Length", str(length))] if self.tells else []
            return 200, Fields([*fields, ("ETag", '"a"')]), self.data
        chosen = positions(_member(spec), length)
        if not chosen:
            return 416, Fields([("Content-Range", f"bytes */{length}")] if self.tells else []), b""
        # A suffix of a file of unknown length has no place but its own.
        pad = self.pad if self.tells or isinstance(spec, IntRange) else 0
        first, last = max(chosen[0] - pad, 0), min(chosen[-1] + pad, length - 1)
        total = str(length) if self.tells else "*"
        fields = [("Content-Range", f"bytes {first}-{last}/{total}"), ("ETag", '"a"')]
        return 206, Fields(fields), self.data[first : last + 1]


def _member(spec: RangeSpec) -> Member:
    return (None, spec.length) if isinstance(spec, SuffixRange) else (spec.first, spec.last)


def _deliver(asked: Asked, origin: Model) -> tuple[int | str, list[tuple[int, bytes]]]:
    """Status and (offset, bytes) of each part, as a client gets them that trusts `decide`."""
    sent = range_to_send(asked)
    status, fields, body = origin.ask(sent)
    got: Answer = decide(asked, sent, status, fields.get)
    if isinstance(got, AskWhole):
        status, fields, body = origin.ask(None)
        got = decide(asked, None, status, fields.get)
    match got:
        case Relay():
            return status, [(0, body)]
        case Part(span, total, skip):
            assert total in (len(origin.data), None)
            return 206, [(span.start, body[skip : skip + span.length])]
        case Parts(spans, total, source):
            assert total == len(origin.data)
            held = {"whole": len(spans), "first": 1, "none": 0}[source]
            known = Validators.from_headers(fields.get) if status != 416 else None
            parts = []
            for index, span in enumerate(spans):
                skip = 0 if source == "first" else span.start
                if index >= held:
                    status, fields, body = origin.ask(IntRange(span.start, span.stop - 1))
                    further = check_further_part(span, total, known, status, fields.get)
                    assert isinstance(further, int)
                    skip = further
                parts.append((span.start, body[skip : skip + span.length]))
            return 206, parts
        case NoSuchRange(total):
            assert total in (len(origin.data), None)
            return 416, []
        case Bad() | AskWhole() | NotModified() | PreconditionFailed():
            return "refused", []
        case never:
            assert_never(never)


number = st.integers(0, 40)
members = st.one_of(
    st.tuples(number, number).map(lambda pair: (min(pair), max(pair))),
    st.tuples(number, st.none()),
    st.tuples(st.none(), number),
)
files = st.binary(max_size=32)


def _asked(chosen: list[Member]) -> Asked:
    said = ("-".join("" if n is None else str(n) for n in member) for member in chosen)
    return Asked("GET", parse_header("bytes=" + ",".join(said)), None, None)


@given(files, st.lists(members, min_size=1, max_size=5), st.booleans(), st.integers(0, 9))
def test_any_ranges_are_what_slicing_gives(
    data: bytes, chosen: list[Member], ranges: bool, pad: int
) -> None:
    status, parts = _deliver(_asked(chosen), Model(data, ranges, True, pad))
    expected = pieces(chosen, data)
    if not is_satisfiable(chosen, len(data)):
        assert (status, parts) == (416, [])
    elif not expected:
        assert (status, parts) == (200, [(0, data)])
    else:
        # One pass over a whole file cannot turn back: the parts come as they stand in it.
        assert (status, parts) == (206, expected if ranges else sorted(expected))


@given(files, members, st.booleans(), st.integers(0, 9))
def test_one_range_of_a_file_whose_length_nobody_tells(
    data: bytes, member: Member, ranges: bool, pad: int
) -> None:
    status, parts = _deliver(_asked([member]), Model(data, ranges, False, pad))
    if ranges:
        expected = pieces([member], data)
        assert (status, parts) == ((206, expected) if expected else (416, []))
    elif None in member:
        assert (status, parts) == (200, [(0, data)])
    else:
        first, last = member
        assert first is not None and last is not None
        assert (status, parts) == (206, [(first, data[first : last + 1])])


@given(files, st.lists(members, min_size=2, max_size=5), st.booleans())
def test_several_ranges_of_a_file_whose_length_nobody_tells(
    data: bytes, chosen: list[Member], ranges: bool
) -> None:
    status, parts = _deliver(_asked(chosen), Model(data, ranges, False, 0))
    if not ranges or not positions(chosen[0], len(data)):
        assert (status, parts) == (200, [(0, data)])
    else:
        assert (status, parts) == ("refused", [])


@given(files, st.booleans())
def test_no_range_is_the_whole(data: bytes, ranges: bool) -> None:
    assert _deliver(Asked("GET", None, None, None), Model(data, ranges, True, 0)) == (
        200,
        [(0, data)],
    )
