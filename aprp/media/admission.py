"""What is made of a response that may be stored: the bytes it brings, what is kept of its head."""

from aprp.cache.entry import Entry, new_id
from aprp.media.request import Request
from aprp.semantics.answer import declared_length
from aprp.semantics.conditions import ETag
from aprp.semantics.dates import parse_date
from aprp.semantics.headers import Fields, Pair
from aprp.semantics.ranges import ContentRange, RangeSpec, Span
from aprp.semantics.storing import storable_fields
from aprp.semantics.vary import vary_of
from aprp.upstream.head import ResponseHead

# Why a body of unknown length is stored only when it has come to its end.
NO_LENGTH = "no-length"


def place_of(head: ResponseHead, sent: RangeSpec | None) -> tuple[int, int, int] | str:
    """Which bytes the body holds, and the whole length; or why it cannot be told."""
    get = head.fields.get
    declared = declared_length(get)
    if head.status != 206:
        return NO_LENGTH if declared is None else (0, declared, declared)
    got = ContentRange.parse(get("Content-Range") or "")
    if sent is None or not isinstance(got, ContentRange) or got.total is None:
        return "bad-range"
    wanted = sent.select(got.total)
    if wanted is None or not got.start <= wanted.start < got.stop:
        return "bad-range"
    if declared is not None and declared != got.stop - got.start:
        return "bad-range"
    if (get("Content-Encoding") or "identity").lower() != "identity":
        return "bad-coding"
    return got.start, min(got.stop, wanted.stop), got.total


def combinable(head: ResponseHead, without_validator: bool) -> bool:
    """Whether parts of different answers may be combined (RFC 9111 section 3.4)."""
    get = head.fields.get
    etag = ETag.parse(get("ETag") or "")
    if etag is not None and not etag.weak:
        return True
    if (get("Content-Encoding") or "identity").lower() != "identity" or head.status not in (
        200,
        206,
    ):
        return False
    return parse_date(get("Last-Modified") or "") is not None or without_validator


def entry_of(
    request: Request,
    head: ResponseHead,
    length: int,
    sent: RangeSpec | None,
    times: tuple[float, float],
    joins: bool,
) -> Entry:
    """What is known of a response that is stored from now on.

    `sent` is the range that was asked for, `times` when it was sent and when the head came, `joins`
    whether parts may be combined.
    """
    get = head.fields.get
    vary = vary_of(get, request.get)
    assert vary is not None, "`storable` refuses Vary: *"
    pairs = storable_fields(head.fields.get_all(), get("Connection"))
    return Entry(
        id=new_id(),
        key=request.key,
        vary=vary,
        status=200 if head.status == 206 else head.status,
        reason="OK" if head.status == 206 else head.reason,
        fields=_of_whole(pairs, length),
        length=length,
        request_time=times[0],
        response_time=times[1],
        ranges=_does_ranges(head, sent, length),
        combinable=joins,
        complete=length == 0,
        target=request.target,
    )


def _does_ranges(head: ResponseHead, sent: RangeSpec | None, length: int) -> bool:
    if head.status == 206:
        return True
    if sent is not None and sent.select(length) != Span(0, length):
        # A 200 to a request for a part comes from an origin that has no ranges.
        return False
    return (head.fields.get("Accept-Ranges") or "").lower() != "none"


def whole_head(head: ResponseHead, length: int) -> ResponseHead:
    """The head of an answer as if it had brought the whole."""
    fields = Fields(_of_whole(head.fields.get_all(), length))
    status, reason = (200, "OK") if head.status == 206 else (head.status, head.reason)
    return ResponseHead(head.version, status, reason, fields, head.keep_alive)


def _of_whole(pairs: list[Pair], length: int) -> tuple[Pair, ...]:
    """The fields of a response with the whole, made of those of a part."""
    kept = [pair for pair in pairs if pair[0].lower() not in ("content-range", "content-length")]
    return (*kept, ("Content-Length", str(length)))
