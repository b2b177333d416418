"""Header fields of the answers: the origin's end-to-end fields, and what the proxy changes."""

from typing import Final

from aprp.semantics.headers import Fields, Pair, add_via, end_to_end
from aprp.semantics.multipart import Framing
from aprp.semantics.ranges import Span
from aprp.semantics.upgrades import offer
from aprp.upstream.head import ResponseHead

_RANGES: Final = ("Accept-Ranges", "bytes")
_REPLACED: Final = frozenset({"via", "accept-ranges"})
_REPLACED_IN_PART: Final = _REPLACED | {"content-range", "content-length"}
# These tell of the whole content and are wrong for a part of it (RFC 9530 section 2).
_CUT: Final = _REPLACED_IN_PART | {"content-digest", "content-md5"}


def relayed_fields(head: ResponseHead, via: str) -> Fields:
    """The origin's end-to-end fields as they are, with Via; ranges can always be had."""
    media = head.status in (200, 206)
    pairs = _kept(head, _REPLACED if media else frozenset({"via"}))
    if media:
        pairs.append(_RANGES)
    pairs += (*offer(head.status, head.fields.get("Upgrade")), _via(head, via))
    return Fields(pairs)


def span_fields(head: ResponseHead, via: str, span: Span, total: int | None) -> Fields:
    """The fields of a 206 with one span."""
    content_range = span.to_content_range(total)
    as_it_came = head.fields.get("Content-Range") == content_range
    pairs = _kept(head, _REPLACED_IN_PART if as_it_came else _CUT)
    pairs += (
        _RANGES,
        ("Content-Range", content_range),
        ("Content-Length", str(span.length)),
        _via(head, via),
    )
    return Fields(pairs)


def parts_fields(head: ResponseHead, via: str, framing: Framing) -> Fields:
    """The fields of a multipart/byteranges 206; it has no Content-Range of its own."""
    pairs = _kept(head, _CUT | {"content-type"})
    pairs += (
        _RANGES,
        ("Content-Type", framing.media_type),
        ("Content-Length", str(framing.content_length)),
        _via(head, via),
    )
    return Fields(pairs)


def not_modified_fields(head: ResponseHead, via: str) -> Fields:
    """The fields of a 304 that the proxy makes of a 200 or 206 (RFC 9110 section 15.4.5)."""
    return Fields(
        pair
        for pair in relayed_fields(head, via).get_all()
        if pair[0].lower() == "content-location" or not pair[0].lower().startswith("content-")
    )


def _kept(head: ResponseHead, replaced: frozenset[str]) -> list[Pair]:
    return end_to_end(head.fields.get_all(), head.fields.get("Connection"), replaced)


def _via(head: ResponseHead, name: str) -> Pair:
    return "Via", add_via(head.fields.get("Via"), head.version, name)
