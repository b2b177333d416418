"""Ranges as values: what was asked (`RangeSet`) and what that means for a length (`Resolution`).

The two steps stay apart: a `RangeSet` knows no length, `RangeSet.resolve` gives it one.
Inside, a piece of a file is half-open (`Span`); last positions are inclusive only at the edge.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes the span holds."""
        return self.stop - self.start

    def to_content_range(self, total: int | None) -> str:
        """Give the Content-Range value (RFC 9110 section 14.4); `total` None is written "*"."""
        return f"bytes {self.start}-{self.stop - 1}/{'*' if total is None else total}"


@dataclass(frozen=True, slots=True)
class IntRange:
    """From byte `first` to byte `last`, inclusive; `last` None is the end of the file."""

    first: int
    last: int | None

    def select(self, length: int) -> Span | None:
        """Give the bytes meant in a file of `length` bytes, None for none of them."""
        first, last = self.first, self.last
        if first >= length:
            return None
        return Span(first, length if last is None or last >= length else last + 1)

    def __str__(self) -> str:
        """Give the range-spec as it stands in a Range header."""
        return f"{self.first}-" if self.last is None else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class SuffixRange:
    """The last `length` bytes of the file."""

    length: int

    def select(self, length: int) -> Span | None:
        """Give the bytes meant in a file of `length` bytes, None for none of them."""
        if self.length == 0 or length == 0:
            return None
        return Span(max(length - self.length, 0), length)

    def __str__(self) -> str:
        """Give the range-spec as it stands in a Range header."""
        return f"-{self.length}"


RangeSpec: TypeAlias = IntRange | SuffixRange


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole representation is the answer, as if no range had been asked (200)."""


@dataclass(frozen=True, slots=True)
class Slices:
    """These spans are the answer (206): at least one, none empty, none overlapping another."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """No byte of the representation was asked for (416)."""


Resolution: TypeAlias = Whole | Slices | Unsatisfiable

_WHOLE = Whole()
_UNSATISFIABLE = Unsatisfiable()


@dataclass(frozen=True, slots=True)
class RangeSet:
    """The ranges of one request in the order asked; two that are equal ask the same."""

    specs: tuple[RangeSpec, ...]

    def to_header(self) -> str:
        """Give the value of a Range header that asks for this set."""
        return "bytes=" + ",".join(map(str, self.specs))

    def resolve(self, length: int) -> Resolution:
        """Say which bytes of a representation of `length` bytes are asked for.

        RFC 9110 section 14.1.2: a last position beyond the end means the end, a suffix longer
        than the file means all of it, and members that select nothing are left out as long as
        another one selects something. Overlapping spans become one; spans that only touch stay
        apart; what is left stands in the order in which it was first asked for (15.3.7.2).

        `Whole` comes back only for an empty representation of which a suffix is asked: the set
        is satisfiable, yet there is no byte that a Content-Range could describe.
        """
        if len(self.specs) == 1:
            if (span := self.specs[0].select(length)) is not None:
                return Slices((span,))
        elif spans := [span for spec in self.specs if (span := spec.select(length)) is not None]:
            return Slices(_merge(spans))
        # A suffix that is not zero fails to select a byte only where the file is empty.
        if any(isinstance(s, SuffixRange) and s.length for s in self.specs):
            return _WHOLE
        return _UNSATISFIABLE


def _merge(spans: list[Span]) -> tuple[Span, ...]:
    """Join spans that share a byte; sorting dominates, so a hostile list costs n log n."""
    groups: list[tuple[int, int, int]] = []  # (place of the earliest member, start, stop)
    place = reach = start = -1
    for index in sorted(range(len(spans)), key=lambda i: spans[i].start):
        span = spans[index]
        if span.start < reach:
            place, reach = min(place, index), max(reach, span.stop)
            groups[-1] = (place, start, reach)
        else:
            place, start, reach = index, span.start, span.stop
            groups.append((place, start, reach))
    groups.sort()
    return tuple(Span(start, stop) for _, start, stop in groups)
