"""The Content-Range field of an answer: what an origin says that it sends."""

import re
from dataclasses import dataclass
from typing import Final

from aprp.semantics.ranges.model import Span

# RFC 9110 section 14.4: range-unit SP ( first-pos "-" last-pos "/" ( length / "*" ) / "*/" length )
_match_content_range: Final = re.compile(
    r"[bB][yY][tT][eE][sS] "
    r"(?:([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)|\*/([0-9]{1,18}))"
).fullmatch


@dataclass(frozen=True, slots=True)
class Unsatisfied:
    """The Content-Range of a 416: no part is sent; the file has `total` bytes."""

    total: int

    def to_header(self) -> str:
        """Give the field value, the unit included (RFC 9110 section 15.5.17)."""
        return f"bytes */{self.total}"


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The Content-Range of a 206: `start` to `stop`, half-open, of `total` (None: unknown)."""

    start: int
    stop: int
    total: int | None

    @property
    def span(self) -> Span:
        """The bytes that are sent."""
        return Span(self.start, self.stop)

    def to_header(self) -> str:
        """Give the field value."""
        return self.span.to_content_range(self.total)

    @staticmethod
    def parse(value: str) -> "ContentRange | Unsatisfied | None":
        """Read a Content-Range value; None if it is of another unit, malformed or invalid.

        Invalid are a last position before the first, and one not below the total: a recipient
        must not put the bytes of such an answer together with others (RFC 9110 section 14.4).
        """
        if (match := _match_content_range(value)) is None:
            return None
        first, last, total, unsatisfied = match.groups()
        if unsatisfied is not None:
            return Unsatisfied(int(unsatisfied))
        start, stop = int(first), int(last) + 1
        length = None if total is None else int(total)
        if stop <= start or (length is not None and stop > length):
            return None
        return ContentRange(start, stop, length)
