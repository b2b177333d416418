"""The framing of several ranges in one answer: multipart/byteranges (RFC 9110 section 14.6)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aprp.semantics.ranges import Span

# RFC 2046 section 5.1.1, less the characters that a parameter has to quote and those that some
# clients take for more than themselves.
_is_boundary: Final = re.compile(r"[0-9A-Za-z_.\-]{1,70}").fullmatch
_has_line_end: Final = re.compile(r"[\r\n\x00]").search


@dataclass(frozen=True, slots=True)
class Framing:
    """What stands around the spans of a representation of `total` bytes in a multipart answer.

    The body is, for each span i in turn, `part_head(i)` and the bytes of the span, and then
    `tail()`. `content_type` is that of the representation; None means that it has none, and the
    parts have none then. The boundary must not occur in the bytes: the caller makes it of
    randomness enough. Raises ValueError for a boundary that is not of 1 to 70 ASCII letters,
    digits, "_", "-" and ".", for no spans, and for a line end in the content type.
    """

    boundary: str
    content_type: str | None
    spans: Sequence[Span]
    total: int | None

    def __post_init__(self) -> None:
        """Refuse what would break the framing."""
        if not _is_boundary(self.boundary):
            raise ValueError(f"not a boundary: {self.boundary!r}")
        if not self.spans:
            raise ValueError("a multipart answer needs a span")
        if self.content_type is not None and _has_line_end(self.content_type):
            raise ValueError(f"not a content type: {self.content_type!r}")

    def part_head(self, index: int) -> bytes:
        """Give what stands before the bytes of span `index`, the line end before it included."""
        lines = [f"--{self.boundary}" if index == 0 else f"\r\n--{self.boundary}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        lines.append(f"Content-Range: {self.spans[index].to_content_range(self.total)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def tail(self) -> bytes:
        """Give what stands after the bytes of the last span."""
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")

    @property
    def content_length(self) -> int:
        """The length of the whole body in bytes; each asking counts all parts."""
        parts = (len(self.part_head(i)) + span.length for i, span in enumerate(self.spans))
        return sum(parts) + len(self.tail())

    @property
    def media_type(self) -> str:
        """The Content-Type of the answer; the answer itself has no Content-Range."""
        return f"multipart/byteranges; boundary={self.boundary}"
