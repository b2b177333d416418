"""Which bytes to ask an origin for: pure arithmetic on slices, windows and allowances.

A window is what one request to an origin covers. It begins and ends at the edge of a slice, or at
the end of the representation, so that what comes of it can be stored.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aprp.semantics.ranges import IntRange, RangeSpec, SuffixRange


@dataclass(frozen=True, slots=True)
class Grid:
    """The slices of a representation; `size` is that of a slice, in bytes."""

    size: int

    def floor(self, position: int) -> int:
        """The edge at or before a position."""
        return position - position % self.size

    def ceil(self, position: int) -> int:
        """The edge at or after a position."""
        return -(-position // self.size) * self.size


def opening_range(spec: RangeSpec, grid: Grid, window: int) -> RangeSpec:
    """The range to ask for when nothing is known of a file and a client asks for `spec`.

    It is aligned to slices where that can be done without the length: an open or a large range is
    cut after `window` bytes, a suffix is made long enough to begin in the slice before it.
    """
    if isinstance(spec, SuffixRange):
        return SuffixRange(spec.length + grid.size - 1) if spec.length else spec
    first = grid.floor(spec.first)
    stop = grid.ceil(first + max(window, grid.size))
    if spec.last is not None:
        stop = min(grid.ceil(spec.last + 1), max(stop, grid.ceil(spec.first + 1)))
    return IntRange(first, stop - 1)


def parallel_window(read_ahead: int, parallel: int, grid: Grid) -> int:
    """How large each of several windows is that are fetched at once ahead of a reader, in bytes."""
    return max(grid.ceil(read_ahead // max(parallel, 1)), grid.size)


def grown(window: int, most: int) -> int:
    """The next window of a reader that has read one to its end: twice as large, up to `most`."""
    return min(window * 2, max(most, window))


class Pace:
    """Whether several connections at once carry more than one: tries, compares, remembers.

    Fed with what arrived and whether the reader was kept waiting; all times in seconds of one
    clock. `count` is how many windows may be fetched at once now.
    """

    __slots__ = (
        "_alone_until",
        "_arrived",
        "_began",
        "_rate_before",
        "_settled",
        "_trying",
        "_worked",
        "count",
        "most",
    )

    # How long a rate is measured before it is believed, and how long one connection is kept to
    # after a second one was of no use.
    MEASURE = 0.4
    SETTLE = 0.25
    ALONE = 30.0
    WORTH = 1.15

    # Bytes a second beyond which one connection is no long line's, and the part of the time that
    # this process may have been busy: then it is not the line that is slow.
    FAST = 32 << 20
    BUSY = 0.5

    def __init__(self, most: int) -> None:
        """Begin with one; never go beyond `most`."""
        self.most = most
        self.count = 1
        self._began: float | None = None
        self._settled = 0.0
        self._arrived = 0
        self._rate_before = 0.0
        self._trying = False
        self._worked = 0.0
        self._alone_until = 0.0

    def rest(self) -> None:
        """The reader is not kept waiting: what arrives now says nothing of what could."""
        self._began = None

    def arrived(self, count: int, now: float, worked: Callable[[], float]) -> bool:
        """Note bytes for which a reader waited; True says that `count` has changed.

        worked: gives the seconds that this process has used a processor so far, or waited for one.
        """
        if self.most == 1:
            return False
        if self._began is None:
            self._began = max(now, self._settled)
            self._arrived = 0
            self._worked = worked()
            return False
        if now < self._began:
            return False
        self._arrived += count
        lasted = now - self._began
        if lasted < self.MEASURE:
            return False
        busy = (worked() - self._worked) / lasted > self.BUSY
        return self._judge(self._arrived / lasted, busy, now)

    def _judge(self, rate: float, busy: bool, now: float) -> bool:
        self._began = None
        if self._trying:
            self._trying = False
            if rate < self._rate_before * self.WORTH:
                self.count -= 1
                self._alone_until = now + self.ALONE
                return True
        if busy or rate > self.FAST or self.count >= self.most or now < self._alone_until:
            return False
        self._rate_before = rate
        self._trying = True
        self.count += 1
        # What the new connection carries at first is its slow start.
        self._settled = now + self.SETTLE
        return True
