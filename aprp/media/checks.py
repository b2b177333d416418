"""What an origin's answer must be to go on with a version of which some bytes are there."""

from aprp.semantics.answer import declared_length, differ
from aprp.semantics.cache_control import response_directives
from aprp.semantics.conditions import Validators
from aprp.semantics.ranges import ContentRange
from aprp.upstream.errors import OriginClosed
from aprp.upstream.head import ResponseHead


class Changed(Exception):
    """The origin has another version now: nothing of it may follow what is there.

    Bytes of this one that are missing cannot be had any more.
    """


class Refused(Exception):
    """The origin's answer contradicts itself or the question; the text says how (502)."""


class Denied(Refused):
    """The origin has another answer to this client, such as 302 or 403, and no bytes."""


# Answers that say "not now": the same question may be put again.
_PASSING = frozenset({408, 421, 425, 429})
_GONE = frozenset({404, 410, 416})


def check_continuation(
    known: Validators, length: int, position: int, head: ResponseHead, coding: str | None
) -> tuple[int, int]:
    """Check the answer to a request for the bytes from `position` on of a known version.

    `coding` is the version's Content-Encoding: its bytes are those of that coding. Returns which
    bytes the body holds, as the first and the one after the last. Raises Changed, Refused, or
    OriginClosed for an answer that is worth another try.
    """
    if head.status >= 500 or head.status in _PASSING:
        raise OriginClosed(f"the origin answered {head.status} {head.reason}")
    get = head.fields.get
    directives = response_directives(get)
    if head.status in _GONE or directives.no_store or directives.private:
        raise Changed
    if head.status not in (200, 206):
        raise Denied(f"the origin answered {head.status} to a request for a further part")
    told = get("Content-Encoding")
    if head.status == 200:
        if (
            _coding(told) != _coding(coding)
            or declared_length(get) != length
            or differ(known, Validators.from_headers(get))
        ):
            raise Changed
        return 0, length
    # To If-Range it may be left out (RFC 9110 section 15.3.7).
    if told is not None and _coding(told) != _coding(coding):
        raise Refused(f"the origin's 206 has the content coding {told!r}, not that of the rest")
    got = ContentRange.parse(get("Content-Range") or "")
    if not isinstance(got, ContentRange):
        raise Refused(f"the origin's 206 has no valid Content-Range: {get('Content-Range')!r}")
    declared = get("Content-Length")
    if declared is not None and declared != str(got.stop - got.start):
        raise Refused(f"the origin's 206 has Content-Length {declared} for {got.to_header()!r}")
    if got.start > position or got.stop <= position:
        raise Refused(f"the origin was asked for byte {position} on and sent {got.to_header()!r}")
    if got.stop > length or got.total not in (None, length):
        raise Changed
    if differ(known, Validators.from_headers(get)):
        raise Changed
    return got.start, got.stop


def _coding(value: str | None) -> str:
    return (value or "identity").strip().lower()
