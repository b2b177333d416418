"""What a client gets, decided from what it asked and from the head of the origin's response.

The origin may ignore ranges, conditions and If-Range, or get them wrong; the client's answer
follows from the client's request alone (RFC 9110 sections 13 and 14). Nothing here does I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from aprp.semantics.conditions import (
    Conditions,
    NotModified,
    PreconditionFailed,
    Proceed,
    Validators,
    evaluate,
    if_range_matches,
)
from aprp.semantics.ranges import (
    ContentRange,
    IntRange,
    RangeSet,
    RangeSpec,
    Slices,
    Span,
    SuffixRange,
    Unsatisfiable,
    Unsatisfied,
    Whole,
)

Get: TypeAlias = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked: a GET or HEAD, the reconciled range, and its conditions."""

    method: str
    ranges: RangeSet | None
    if_range: str | None
    conditions: Conditions | None


@dataclass(frozen=True, slots=True)
class Relay:
    """Hand the response through: its status, its fields, its whole body."""


@dataclass(frozen=True, slots=True)
class Part:
    """206 with one span; it begins `skip` bytes into the origin's body."""

    span: Span
    total: int | None
    skip: int


@dataclass(frozen=True, slots=True)
class Parts:
    """206 multipart/byteranges.

    `source` says what the origin's body holds: "whole" file (the spans are in ascending order
    then), the "first" span, or "none" that is of use.
    """

    spans: tuple[Span, ...]
    total: int
    source: str


@dataclass(frozen=True, slots=True)
class NoSuchRange:
    """416; `total` is the length of the representation where it is known."""

    total: int | None


@dataclass(frozen=True, slots=True)
class AskWhole:
    """The origin's answer does not settle the matter; the same request without Range will."""


@dataclass(frozen=True, slots=True)
class Bad:
    """502: the origin's answer contradicts itself or the question."""

    reason: str


Answer: TypeAlias = (
    Relay | Part | Parts | NotModified | PreconditionFailed | NoSuchRange | AskWhole | Bad
)

RELAY = Relay()


def range_to_send(asked: Asked) -> RangeSpec | None:
    """The range to ask the origin for, None for the whole file.

    Of several ranges it is the first: its answer tells the length that the others need.
    """
    if asked.ranges is None or asked.method == "HEAD":
        return None
    return asked.ranges.specs[0]


def decide(asked: Asked, sent: RangeSpec | None, status: int, get: Get) -> Answer:
    """Decide what the client gets.

    `sent` is the range that this request asked the origin for; `status` and `get` (field value
    by name) are its answer.
    """
    if status == 200:
        return _of_whole(asked, get)
    if status == 206:
        return _of_partial(asked, sent, get)
    if status == 416 and asked.ranges is not None:
        return _of_unsatisfied(asked, sent, get)
    return RELAY


def _of_whole(asked: Asked, get: Get) -> Answer:
    ranges = asked.ranges
    if ranges is None and asked.conditions is None:
        return RELAY
    if asked.conditions is not None or asked.if_range is not None:
        validators = Validators.from_headers(get)
        if (ended := _ended_by_condition(asked, validators)) is not None:
            return ended
        if asked.if_range is not None and not if_range_matches(asked.if_range, validators):
            return RELAY
    if ranges is None:
        return RELAY
    if (get("Content-Encoding") or "identity").lower() != "identity":
        # Ranges of a coding that was not asked for would not fit those asked before or after.
        return RELAY
    length = declared_length(get)
    if length is None:
        return _of_unknown_length(asked, ranges)
    match ranges.resolve(length):
        case Whole():
            return RELAY
        case Unsatisfiable():
            return NoSuchRange(length)
        case Slices(spans):
            if len(spans) == 1:
                return Part(spans[0], length, spans[0].start)
            return Parts(tuple(sorted(spans, key=lambda span: span.start)), length, "whole")
        case never:
            assert_never(never)


def _ended_by_condition(
    asked: Asked, validators: Validators
) -> NotModified | PreconditionFailed | None:
    if asked.conditions is None:
        return None
    match evaluate(asked.method, asked.conditions, validators):
        case Proceed():
            return None
        case NotModified() | PreconditionFailed() as ended:
            return ended
        case never:
            assert_never(never)


def _of_unknown_length(asked: Asked, ranges: RangeSet) -> Answer:
    """Cut a range with both ends out of a stream whose length is not known; others cannot be."""
    spec = ranges.specs[0]
    if len(ranges.specs) > 1 or not isinstance(spec, IntRange) or spec.last is None:
        return RELAY
    if asked.method == "HEAD":
        return RELAY
    return Part(Span(spec.first, spec.last + 1), None, spec.first)


def _of_partial(asked: Asked, sent: RangeSpec | None, get: Get) -> Answer:
    ranges = asked.ranges
    if ranges is None or sent is None:
        return Bad("the origin answered 206 to a request without a range")
    got = ContentRange.parse(get("Content-Range") or "")
    if not isinstance(got, ContentRange):
        return Bad(f"the origin's 206 has no valid Content-Range: {get('Content-Range')!r}")
    declared = declared_length(get)
    if declared is not None and declared != got.stop - got.start:
        return Bad(f"the origin's 206 has Content-Length {declared} for {got.to_header()!r}")
    coding = get("Content-Encoding") or "identity"
    if coding.strip().lower() != "identity":
        # No coding was asked for: the places are those of other bytes than the file's.
        return Bad(f"the origin's 206 has the content coding {coding!r}, which was not asked for")
    if asked.conditions is not None or asked.if_range is not None:
        validators = Validators.from_headers(get)
        if (ended := _ended_by_condition(asked, validators)) is not None:
            return ended
        if asked.if_range is not None and not if_range_matches(asked.if_range, validators):
            return AskWhole()
    if got.total is None:
        return _of_partial_without_total(ranges, sent, got)
    wanted = sent.select(got.total)
    if wanted is None:
        return Bad(f"the origin answered {got.to_header()!r} where {sent} is not satisfiable")
    if got.start > wanted.start or min(got.stop, wanted.stop) <= wanted.start:
        return Bad(f"the origin was asked for bytes={sent} and sent {got.to_header()!r}")
    # More may have been asked for than the client did.
    mine = ranges.specs[0].select(got.total)
    if mine is None:
        return NoSuchRange(got.total) if len(ranges.specs) == 1 else AskWhole()
    if not got.start <= mine.start < got.stop:
        # What came ends before the client's first byte; that is no fault (section 15.3.7).
        return AskWhole()
    part = Part(Span(mine.start, min(got.stop, mine.stop)), got.total, mine.start - got.start)
    if len(ranges.specs) == 1:
        return part
    resolution = ranges.resolve(got.total)
    assert isinstance(resolution, Slices)
    spans = resolution.spans
    in_hand = part.span == spans[0] and part.skip == 0
    if len(spans) == 1:
        return part if in_hand else Parts(spans, got.total, "none")
    return Parts(spans, got.total, "first" if in_hand else "none")


def _of_partial_without_total(ranges: RangeSet, sent: RangeSpec, got: ContentRange) -> Answer:
    if len(ranges.specs) > 1:
        return Bad("the origin does not tell the length that several ranges need")
    mine = ranges.specs[0]
    if isinstance(sent, IntRange) and isinstance(mine, IntRange):
        if got.start > sent.first or got.stop <= sent.first:
            return Bad(f"the origin was asked for bytes={sent} and sent {got.to_header()!r}")
        if not got.start <= mine.first < got.stop:
            return AskWhole()
        stop = got.stop if mine.last is None else min(got.stop, mine.last + 1)
        return Part(Span(mine.first, stop), None, mine.first - got.start)
    if not isinstance(sent, SuffixRange) or mine != sent:
        return AskWhole()
    if got.stop - got.start > sent.length:
        return Bad(f"the origin was asked for bytes={sent} and sent {got.to_header()!r}")
    return Part(got.span, None, 0)


def _of_unsatisfied(asked: Asked, sent: RangeSpec | None, get: Get) -> Answer:
    assert asked.ranges is not None
    if sent is None:
        return Bad("the origin answered 416 to a request without a range")
    if asked.if_range is not None or asked.conditions is not None:
        # Conditions come before ranges (RFC 9110 section 13.2.1): whether this origin held to
        # that cannot be seen from a 416, which carries no validator.
        return AskWhole()
    told = ContentRange.parse(get("Content-Range") or "")
    if not isinstance(told, Unsatisfied):
        return NoSuchRange(None) if len(asked.ranges.specs) == 1 else AskWhole()
    resolution = asked.ranges.resolve(told.total)
    match resolution:
        case Unsatisfiable():
            return NoSuchRange(told.total)
        case Whole():
            return AskWhole()
        case Slices(spans):
            if len(asked.ranges.specs) == 1:
                return Bad(f"the origin refused bytes={sent} of a file of {told.total} bytes")
            return Parts(spans, told.total, "none")
        case never:
            assert_never(never)


def check_further_part(
    span: Span, total: int, known: Validators | None, status: int, get: Get
) -> int | Bad:
    """Check the answer to a request for one more span of a file known from an earlier answer.

    `known` are the validators of that answer, None where it had none to tell. Returns how many
    bytes of the body come before the span, or what is wrong: bytes of another version never
    follow those of the first.
    """
    if status not in (200, 206):
        return Bad(f"the origin answered {status} to a request for a further part")
    if known is not None and differ(known, Validators.from_headers(get)):
        return Bad("the file changed at the origin between two parts")
    if status == 200:
        if declared_length(get) != total:
            return Bad("the length changed at the origin between two parts")
        return span.start
    got = ContentRange.parse(get("Content-Range") or "")
    if not isinstance(got, ContentRange):
        return Bad(f"the origin's 206 has no valid Content-Range: {get('Content-Range')!r}")
    if got.total != total or got.start > span.start or got.stop < span.stop:
        return Bad(f"the origin sent {got.to_header()!r} for {span.to_content_range(total)!r}")
    return span.start - got.start


def differ(known: Validators, now: Validators) -> bool:
    """Whether two answers are surely of different versions.

    A 206 to If-Range may leave Last-Modified out (RFC 9110 section 15.3.7); the entity tag it
    must repeat. A weak one may stand for other bytes (8.8.1), and cannot be in If-Range: then
    Last-Modified has to be there, too.
    """
    if known.etag != now.etag:
        return True
    if known.etag is not None:
        return known.etag.weak and known.last_modified != now.last_modified
    return now.last_modified is not None and known.last_modified != now.last_modified


def declared_length(get: Get) -> int | None:
    """Give the value of Content-Length, None where there is none that can be read."""
    value = get("Content-Length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
