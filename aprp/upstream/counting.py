"""What the client of origins does, counted and measured."""

from aprp.stats.counters import Count, Counters
from aprp.stats.histograms import Histograms, Measure
from aprp.upstream.client import OriginEvents


class CountedEvents(OriginEvents):
    """Counts and measures what the client does."""

    def __init__(self, counters: Counters, histograms: Histograms) -> None:
        self._counters = counters
        self._histograms = histograms

    def connected(self) -> None:
        """See OriginEvents."""
        self._counters.add(Count.ORIGIN_CONNECTS)

    def reused(self) -> None:
        """See OriginEvents."""
        self._counters.add(Count.ORIGIN_REUSES)

    def received(self, count: int) -> None:
        """See OriginEvents."""
        self._counters.add(Count.BYTES_FROM_ORIGINS, count)

    def answered(self, seconds: float) -> None:
        """See OriginEvents."""
        self._histograms.observe(Measure.ORIGIN_TIME, seconds)
