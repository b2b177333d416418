"""Quantiles of histograms, of all time and of the last minute. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
# A reading older than this says nothing of the last minute: nobody has looked meanwhile.
_OLD: Final = 75.0


def quantile(bounds: Sequence[float], counts: Sequence[int], q: float) -> float | None:
    """Estimate the value below which the part `q` (0 to 1) of all observations lies.

    `bounds` are the upper bounds of the buckets in ascending order, all above 0, `counts` the
    observations of each bucket alone, with one more for those above all bounds. Within a bucket
    they count as spread evenly, from 0 on in the first; of the last one its lower bound is given.
    None where nothing was observed.
    """
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(bounds)} bounds have {len(bounds) + 1} buckets, not {len(counts)}")
    rank = q * sum(counts)
    below = 0
    low = 0.0
    answer: float | None = None
    for high, count in zip(bounds, counts, strict=False):
        if count:
            answer = low + (high - low) * max(0.0, min(1.0, (rank - below) / count))
            if below + count >= rank:
                return answer
        below += count
        low = high
    return low if counts[-1] else answer


@dataclass(frozen=True, slots=True)
class Latency:
    """How many observations there were, and their quantiles in seconds (None: there were none)."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None

    @staticmethod
    def of(bounds: Sequence[float], counts: Sequence[int]) -> "Latency":
        """See `quantile`."""
        found = (quantile(bounds, counts, q) for q in (0.5, 0.95, 0.99))
        return Latency(sum(counts), *found)

    def to_json(self) -> dict[str, object]:
        """Give the object that /stats/events tells; microseconds are enough."""
        told: dict[str, object] = {"count": self.count}
        for name in ("p50", "p95", "p99"):
            value = getattr(self, name)
            told[name] = None if value is None else round(value, 6)
        return told


class Readings:
    """Readings of a histogram's counts, as far back as the last minute needs them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._readings: deque[tuple[float, tuple[int, ...]]] = deque()

    def minute(self, now: float, counts: tuple[int, ...]) -> tuple[int, ...]:
        """Add a reading, and give what has come since the one of a minute ago.

        `now` is of any clock in seconds that is never set back. Where nobody has looked for so
        long it is what has come since the first reading: nothing, at the first.
        """
        readings = self._readings
        readings.append((now, counts))
        while readings[0][0] < now - _OLD:
            readings.popleft()
        while len(readings) > 1 and readings[1][0] <= now - MINUTE:
            readings.popleft()
        return tuple(after - before for after, before in zip(counts, readings[0][1], strict=True))
