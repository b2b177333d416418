"""multipart/byteranges (RFC 9110 section 14.6), read back with the standard library."""

import email.parser
import email.policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.multipart import Framing
from aprp.semantics.ranges import ContentRange, IntRange, RangeSet, Slices, Span

DATA = bytes(range(256)) * 4


def body(framing: Framing, data: bytes) -> bytes:
    parts = [
        framing.part_head(i) + data[span.start : span.stop] for i, span in enumerate(framing.spans)
    ]
    return b"".join(parts) + framing.tail()


def parsed(framing: Framing, data: bytes) -> list[Any]:
    head = f"Content-Type: {framing.media_type}\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(head + body(framing, data))
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.defects
    return list(message.iter_parts())


def test_the_bytes_on_the_wire() -> None:
    framing = Framing("THIS_STRING_SEPARATES", "video/mp4", [Span(0, 5), Span(9, 10)], 1024)
    assert framing.media_type == "multipart/byteranges; boundary=THIS_STRING_SEPARATES"
    assert body(framing, b"0123456789") == (
        b"--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: video/mp4\r\n"
        b"Content-Range: bytes 0-4/1024\r\n"
        b"\r\n"
        b"01234\r\n"
        b"--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: video/mp4\r\n"
        b"Content-Range: bytes 9-9/1024\r\n"
        b"\r\n"
        b"9\r\n"
        b"--THIS_STRING_SEPARATES--\r\n"
    )


def test_no_content_type_in_the_parts_of_a_file_that_has_none() -> None:
    framing = Framing("b", None, [Span(0, 5)], 10)
    assert framing.part_head(0) == b"--b\r\nContent-Range: bytes 0-4/10\r\n\r\n"


def test_a_length_that_is_not_known() -> None:
    framing = Framing("b", None, [Span(0, 5)], None)
    assert b"Content-Range: bytes 0-4/*\r\n" in framing.part_head(0)


spans = st.lists(st.integers(0, 1023), min_size=2, max_size=20, unique=True).map(
    lambda edges: [
        Span(a, b) for a, b in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)
    ]
)


@given(st.data(), spans, st.sampled_from([None, "video/mp4", 'text/plain; charset="utf-8"']))
def test_the_standard_library_reads_it_back(
    data: st.DataObject, some: list[Span], content_type: str | None
) -> None:
    order = data.draw(st.permutations(some))
    framing = Framing("Zx9_-.b", content_type, order, len(DATA))
    assert framing.content_length == len(body(framing, DATA))
    parts = parsed(framing, DATA)
    assert len(parts) == len(order)
    for part, span in zip(parts, order, strict=True):
        assert part.get("Content-Type") == content_type
        assert ContentRange.parse(str(part["Content-Range"])) == ContentRange(
            span.start, span.stop, len(DATA)
        )
        assert part.get_payload(decode=True) == DATA[span.start : span.stop]


def test_a_resolved_range_set_frames_no_byte_twice() -> None:
    asked = RangeSet((IntRange(0, 99), IntRange(50, 149), IntRange(1000, None)))
    resolution = asked.resolve(len(DATA))
    assert isinstance(resolution, Slices)
    framing = Framing("b", None, resolution.spans, len(DATA))
    overhead = sum(len(framing.part_head(i)) for i in range(2)) + len(framing.tail())
    assert framing.content_length == overhead + 150 + 24


@pytest.mark.parametrize(
    "boundary",
    ["", "a" * 71, "a b", "a\r\nb", 'a"b', "a;b", "a,b", "a'b", "\xe4", "a b ", "\uff10"],
)
def test_boundaries_that_would_need_quotes_are_refused(boundary: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        Framing(boundary, None, [Span(0, 1)], 10)


@pytest.mark.parametrize("content_type", ["a/b\r\nX: y", "a/b\n", "a/b\x00"])
def test_a_content_type_with_a_line_end_is_refused(content_type: str) -> None:
    with pytest.raises(ValueError, match="content type"):
        Framing("b", content_type, [Span(0, 1)], 10)


def test_no_spans_are_refused() -> None:
    with pytest.raises(ValueError, match="span"):
        Framing("b", None, [], 10)
