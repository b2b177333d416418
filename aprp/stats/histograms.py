"""Histograms that all workers keep together, in memory shared between them.

One row a worker, as in `aprp.stats.counters`: a worker writes its own row only, nothing is locked,
and what somebody reads is summed over all rows. A worker that takes the place of one that died goes
on in the same row.
"""

import enum
import mmap
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB
_GIB: Final = 1024 * _MIB

_WAITS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
# A film is one request that lasts as long as the film.
_WHOLES: Final = (*_WAITS, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_SIZES: Final = (
    *(1.0, _KIB, 4 * _KIB, 16 * _KIB, 64 * _KIB, 256 * _KIB),
    *(_MIB, 4 * _MIB, 16 * _MIB, 64 * _MIB, 256 * _MIB, _GIB, 4 * _GIB),
)


class Measure(enum.IntEnum):
    """What is measured. `gloss` says what one observation is.

    `bounds` are the upper bounds of the buckets, each bound in the bucket below it, in seconds for
    times and in bytes for sizes; what is larger than the last has a bucket of its own.
    """

    gloss: str
    bounds: tuple[float, ...]

    def __new__(cls, gloss: str, bounds: tuple[float, ...]) -> "Measure":
        """Number the members in the order in which they stand."""
        member = int.__new__(cls, len(cls.__members__))
        member._value_ = len(cls.__members__)
        member.gloss = gloss
        member.bounds = tuple(map(float, bounds))
        return member

    REQUEST_TIME = (
        "seconds from a request's head to the end of its answer; "
        "without tunnels, the proxy's own pages and what it refused",
        _WHOLES,
    )
    FIRST_BYTE_TIME = (
        "seconds from a request's head to the first byte of its answer's body; "
        "of the same requests",
        _WAITS,
    )
    ORIGIN_TIME = "seconds from a request sent whole to an origin to the head of its answer", _WAITS
    RANGE_SIZE = "bytes of the body sent of an answer 206", _SIZES


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram at one moment, summed over the workers."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    """Observations of each bucket alone; the last is of those above all bounds."""
    sum: float
    """Of all values observed."""

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)

    @property
    def cumulative(self) -> tuple[int, ...]:
        """Observations up to each bound, and all of them."""
        return tuple(accumulate(self.counts))


_WORD: Final = 8
_BUCKETS: Final = sum(len(measure.bounds) + 1 for measure in Measure)
# A row is the buckets of all measures and then their sums. It begins at a multiple of 64 bytes, so
# that workers do not share a cache line.
_ROW: Final = -(-(_BUCKETS + len(Measure)) // 8) * 8


class _Row:
    """One worker's part of the memory: `counts` and bounds by measure, and the sums."""

    __slots__ = ("buckets", "sums")

    def __init__(self, integers: memoryview, floats: "memoryview[float]", begin: int) -> None:
        self.buckets: list[tuple[tuple[float, ...], memoryview]] = []
        place = begin
        for measure in Measure:
            end = place + len(measure.bounds) + 1
            self.buckets.append((measure.bounds, integers[place:end]))
            place = end
        self.sums = floats[place : place + len(Measure)]


class Histograms:
    """Rows of histograms, one a worker; make it before the fork and hand it to those who measure.

    A row is not safe for several threads: observe from the event loop's thread only. A worker that
    is killed between the two stores of an observation leaves that one out of the sum.
    """

    def __init__(self, workers: int = 1) -> None:
        """Begin empty; until `attach` is called, the row of worker 0 is written.

        workers: number of rows, at least 1.
        """
        if workers < 1:
            raise ValueError(f"at least one worker is needed, not {workers}")
        memory = memoryview(mmap.mmap(-1, workers * _ROW * _WORD))
        integers, floats = memory.cast("q"), memory.cast("d")
        self._rows = [_Row(integers, floats, worker * _ROW) for worker in range(workers)]
        self.attach(0)

    def attach(self, worker: int) -> None:
        """Write the row of this worker (0 to workers - 1) from now on; called after the fork."""
        if not 0 <= worker < len(self._rows):
            raise ValueError(f"there is no worker {worker}: they are 0 to {len(self._rows) - 1}")
        self._buckets = self._rows[worker].buckets
        self._sums = self._rows[worker].sums

    def observe(self, measure: Measure, value: float) -> None:
        """Add one observation, in the measure's unit, 0 or more."""
        bounds, counts = self._buckets[measure]
        counts[bisect_left(bounds, value)] += 1
        self._sums[measure] += value

    def read(self, measure: Measure) -> Distribution:
        """Sum one measure over all workers."""
        columns = zip(*(row.buckets[measure][1] for row in self._rows), strict=True)
        total = sum(row.sums[measure] for row in self._rows)
        return Distribution(measure.bounds, tuple(map(sum, columns)), total)
