"""Header fields of the answers: the origin's end-to-end fields, and what the proxy changes."""

from aprp.semantics.headers import Fields, add_via, end_to_end
from aprp.semantics.multipart import Framing
from aprp.semantics.ranges import Span
from aprp.upstream.head import ResponseHead

# They tell of the whole content and are wrong for a part of it (RFC 9530 section 2).
_OF_WHOLE_CONTENT = ("Content-Digest", "Content-MD5")


def relayed_fields(head: ResponseHead, via: str) -> Fields:
    """The origin's end-to-end fields as they are, with Via; ranges can always be had."""
    fields = Fields(end_to_end(head.fields.get_all(), head.fields.get("Connection")))
    fields["Via"] = add_via(fields.get("Via"), head.version, via)
    if head.status in (200, 206):
        fields["Accept-Ranges"] = "bytes"
    return fields


def span_fields(head: ResponseHead, via: str, span: Span, total: int | None) -> Fields:
    """The fields of a 206 with one span."""
    fields = _partial_fields(head, via)
    fields["Content-Range"] = span.to_content_range(total)
    fields["Content-Length"] = str(span.length)
    return fields


def parts_fields(head: ResponseHead, via: str, framing: Framing) -> Fields:
    """The fields of a multipart/byteranges 206; it has no Content-Range of its own."""
    fields = _partial_fields(head, via)
    fields.remove("Content-Range")
    fields["Content-Type"] = framing.media_type
    fields["Content-Length"] = str(framing.content_length)
    return fields


def not_modified_fields(head: ResponseHead, via: str) -> Fields:
    """The fields of a 304 that the proxy makes of a 200 or 206 (RFC 9110 section 15.4.5)."""
    fields = relayed_fields(head, via)
    for name, _ in fields.get_all():
        if name.lower().startswith("content-") and name.lower() != "content-location":
            fields.remove(name)
    return fields


def _partial_fields(head: ResponseHead, via: str) -> Fields:
    fields = relayed_fields(head, via)
    fields["Accept-Ranges"] = "bytes"
    if head.status == 200:
        for name in _OF_WHOLE_CONTENT:
            fields.remove(name)
    return fields
