"""What /metrics answers with: counters and histograms of all workers, for Prometheus.

The library's own metrics live in one process and are not used, nor is its default registry: what is
told here is read from the memory that all workers share. docs/metrics.md names each metric.
"""

import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from aprp import __version__
from aprp.semantics.accept import ranked
from aprp.stats.cache import Figures
from aprp.stats.counters import Count, Counters
from aprp.stats.histograms import Histograms, Measure
from aprp.stats.shared_sum import State, Sum


@dataclass(frozen=True, slots=True)
class _Family:
    """Counts that are told under one name, told apart by the values of a label if there is one."""

    name: str
    text: str
    counts: tuple[tuple[str, Count], ...]
    label: str = ""
    unit: str = ""


def _one(name: str, count: Count, unit: str = "") -> _Family:
    return _Family(name, count.gloss, (("", count),), unit=unit)


# Without the suffix that a counter's samples have, _total.
_FAMILIES: Final = (
    _one("aprp_requests", Count.REQUESTS),
    _Family(
        "aprp_responses",
        "answers begun, by the class of their status",
        (
            ("1xx", Count.RESPONSES_1XX),
            ("2xx", Count.RESPONSES_2XX),
            ("3xx", Count.RESPONSES_3XX),
            ("4xx", Count.RESPONSES_4XX),
            ("5xx", Count.RESPONSES_5XX),
        ),
        label="class",
    ),
    _one("aprp_clients_sent_bytes", Count.BYTES_TO_CLIENTS, "bytes"),
    _one("aprp_active_transfers", Count.ACTIVE_TRANSFERS),
    _one("aprp_client_aborts", Count.CLIENT_ABORTS),
    _one("aprp_origins_received_bytes", Count.BYTES_FROM_ORIGINS, "bytes"),
    _one("aprp_origin_requests", Count.ORIGIN_REQUESTS),
    _one("aprp_origin_connects", Count.ORIGIN_CONNECTS),
    _one("aprp_origin_reuses", Count.ORIGIN_REUSES),
    _one("aprp_origin_breaks", Count.ORIGIN_BREAKS),
    _one("aprp_origin_failures", Count.ORIGIN_FAILURES),
    _one("aprp_origin_timeouts", Count.ORIGIN_TIMEOUTS),
    _one("aprp_origin_failovers", Count.ORIGIN_FAILOVERS),
    _one("aprp_origin_surplus", Count.ORIGIN_SURPLUS),
    _one("aprp_origin_rejected", Count.ORIGIN_REJECTED),
    _Family(
        "aprp_cache_requests",
        "requests by what the cache did for them: all bytes stored (hit), some (partial), none "
        "(miss), or no part in it (pass)",
        (
            ("hit", Count.CACHE_HITS),
            ("partial", Count.CACHE_PARTIAL),
            ("miss", Count.CACHE_MISSES),
            ("pass", Count.CACHE_PASSES),
        ),
        label="result",
    ),
    _one("aprp_cache_stale", Count.CACHE_STALE),
    _one("aprp_cache_collapsed", Count.COLLAPSED),
    _one("aprp_cache_revalidations", Count.CACHE_REVALIDATIONS),
    _one("aprp_cache_resumes", Count.FILL_RESUMES),
    _one("aprp_cache_served_bytes", Count.BYTES_FROM_CACHE, "bytes"),
    _one("aprp_cache_evictions", Count.CACHE_EVICTIONS),
    _one("aprp_cache_slices_stored", Count.CACHE_SLICES_STORED),
    _one("aprp_cache_slices_wrong", Count.CACHE_SLICES_WRONG),
    _one("aprp_tunnels_open", Count.TUNNELS_OPEN),
    _one("aprp_tunnels_opened", Count.TUNNELS),
    _Family(
        "aprp_tunnel_bytes",
        "bytes carried in tunnels, from clients to origins (up) and back (down)",
        (("up", Count.TUNNEL_BYTES_UP), ("down", Count.TUNNEL_BYTES_DOWN)),
        label="direction",
        unit="bytes",
    ),
)

_OPEN: Final = "application/openmetrics-text"
_is_version: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}").fullmatch

# The unit is a name's last word.
_HISTOGRAMS: Final = (
    ("aprp_request_duration_seconds", Measure.REQUEST_TIME, "seconds"),
    ("aprp_first_byte_duration_seconds", Measure.FIRST_BYTE_TIME, "seconds"),
    ("aprp_origin_duration_seconds", Measure.ORIGIN_TIME, "seconds"),
    ("aprp_range_size_bytes", Measure.RANGE_SIZE, "bytes"),
)


class SharedCollector(Collector):
    """Reads what all workers keep together, each time that it is asked."""

    def __init__(
        self,
        counters: Counters,
        histograms: Histograms,
        now: float,
        figures: Figures | None = None,
        redis: Sum | None = None,
        *,
        version: str = __version__,
    ) -> None:
        """`now` is of the clock of `Counters.started`; `figures`, if any, are the cache's.

        `redis` is what all machines have counted, if they are added up.
        """
        self._counters = counters
        self._histograms = histograms
        self._now = now
        self._figures = figures
        self._redis = redis
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Give all metrics."""
        told = {"version": self._version, "python": platform.python_version()}
        yield InfoMetricFamily("aprp_build", "what runs here; always 1", value=told)
        yield from self._gauges()
        for family in _FAMILIES:
            yield self._counted(family)
        for name, measure, unit in _HISTOGRAMS:
            yield self._measured(name, measure, unit)

    def _gauges(self) -> Iterator[Metric]:
        # What only the process that is asked knows is not told: another may answer next time.
        cache = {} if self._figures is None else self._figures()
        for name, text, value, unit in (
            ("aprp_workers", "processes that serve", self._counters.workers, ""),
            (
                "aprp_uptime_seconds",
                "seconds since the program started",
                self._counters.uptime(self._now),
                "seconds",
            ),
            (
                "aprp_cache_used_bytes",
                "bytes that the cache takes on the disk",
                cache.get("used", 0),
                "bytes",
            ),
            (
                "aprp_cache_size_bytes",
                "the most that the cache may take on the disk (CACHE_SIZE); 0 where it is off",
                cache.get("size", 0),
                "bytes",
            ),
            (
                "aprp_cache_objects",
                "responses stored, whole or in part",
                cache.get("objects", 0),
                "",
            ),
        ):
            yield GaugeMetricFamily(name, text, value, unit=unit)
        if self._redis is not None:
            yield GaugeMetricFamily(
                "aprp_redis_up",
                "whether Redis answers, so that the counters of all machines are added up; only "
                "where REDIS_URL is set",
                self._redis.state is State.UP,
            )

    def _counted(self, family: _Family) -> Metric:
        gauge = any(count.gauge for _, count in family.counts)
        labels = [family.label] if family.label else []
        made = GaugeMetricFamily if gauge else CounterMetricFamily
        metric = made(family.name, family.text, labels=labels, unit=family.unit)
        for value, count in family.counts:
            metric.add_metric([value] if labels else [], self._counters.total(count))
        return metric

    def _measured(self, name: str, measure: Measure, unit: str) -> Metric:
        read = self._histograms.read(measure)
        bounds = (*map(floatToGoString, read.bounds), "+Inf")
        buckets = list(zip(bounds, read.cumulative, strict=True))
        metric = HistogramMetricFamily(name, measure.gloss, unit=unit)
        metric.add_metric([], buckets, read.sum)
        return metric


def exposition(accept: str, collector: Collector) -> tuple[bytes, str]:
    """Give the text of all metrics and its media type, in the format that a scraper would rather.

    `accept` is the field of its request: Prometheus's text format or OpenMetrics.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    encode, content_type = _format(accept)
    return encode(registry), content_type


def _format(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    # The library knows the formats and their versions, but not weights; and a version that is none
    # makes it fail.
    for member in filter(_has_good_version, ranked(accept)):
        kind = member.partition(";")[0].strip()
        if kind in (_OPEN, "text/plain", "text/*", "*/*"):
            chosen = choose_encoder(member)
            # It gives another where it has not the version of this one.
            if kind != _OPEN or chosen[1].startswith(_OPEN):
                return chosen
    return choose_encoder("")


def _has_good_version(member: str) -> bool:
    for parameter in member.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "version" and not _is_version(value.strip()):
            return False
    return True
