"""What /metrics tells: each count once, the formats, and that all of it is documented."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from aprp.stats.counters import Count, Counters
from aprp.stats.histograms import Histograms, Measure
from aprp.stats.metrics import SharedCollector, exposition
from aprp.stats.shared_sum import SharedSum, State
from tests.e2e.programs import require
from tests.stats.promtool import check_metrics

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/metrics.md"
NOW = 1000.0 + 93784.5
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text"


def counted() -> Counters:
    """Counters with another value in each count, over two workers."""
    counters = Counters(2, started=1000.0)
    for number, count in enumerate(Count):
        counters.attach(number % 2)
        counters.add(count, 1000 + number)
        counters.attach(1 - number % 2)
        counters.add(count, 1000)
    return counters


def measured() -> Histograms:
    """Histograms of two workers, with four observations each."""
    histograms = Histograms(2)
    for worker in range(2):
        histograms.attach(worker)
        for number, measure in enumerate(Measure):
            histograms.observe(measure, measure.bounds[number])
            histograms.observe(measure, measure.bounds[-1] * 2)
    return histograms


def figures() -> dict[str, Any]:
    return {"used": 3 * 1024**3, "size": 10 * 1024**3, "objects": 120, "dirty": 7, "problem": None}


def collector(told: Any = figures) -> SharedCollector:
    redis = SharedSum()
    redis.write_state(State.UP, NOW)
    return SharedCollector(counted(), measured(), NOW, told, redis.read(counted()), version="1.2.3")


def text(accept: str = "") -> str:
    return exposition(accept, collector())[0].decode()


def samples(metrics: Iterable[Metric]) -> dict[tuple[str, str], float]:
    """Values by name, and the label's value where there is one."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for metric in metrics
        for sample in metric.samples
        if metric.name not in ("aprp_build", "aprp_build_info")
    }


def test_each_count_is_told_once() -> None:
    told = list(samples(families(text())).values())
    counters = counted()
    assert [c.name for c in Count if told.count(counters.total(c)) != 1] == []


def test_gauges_and_counters() -> None:
    for metric in families(text()):
        if metric.type == "counter":
            assert all(sample.name.endswith("_total") for sample in metric.samples)
    kinds = {metric.name: metric.type for metric in families(text())}
    gauges = {name for name, kind in kinds.items() if kind == "gauge"}
    assert gauges == {
        "aprp_build_info",
        "aprp_workers",
        "aprp_uptime_seconds",
        "aprp_active_transfers",
        "aprp_tunnels_open",
        "aprp_cache_used_bytes",
        "aprp_cache_size_bytes",
        "aprp_cache_objects",
        "aprp_redis_up",
    }
    assert set(kinds.values()) == {"gauge", "counter", "histogram"}


def test_what_they_tell() -> None:
    told = samples(families(text()))
    counters = counted()
    assert told["aprp_workers", ""] == 2
    assert told["aprp_uptime_seconds", ""] == 93784.5
    assert told["aprp_cache_used_bytes", ""] == 3 * 1024**3
    assert told["aprp_cache_size_bytes", ""] == 10 * 1024**3
    assert told["aprp_cache_objects", ""] == 120
    assert told["aprp_redis_up", ""] == 1
    for (name, label), count in {
        ("aprp_requests_total", ""): Count.REQUESTS,
        ("aprp_responses_total", "5xx"): Count.RESPONSES_5XX,
        ("aprp_responses_total", "1xx"): Count.RESPONSES_1XX,
        ("aprp_clients_sent_bytes_total", ""): Count.BYTES_TO_CLIENTS,
        ("aprp_origins_received_bytes_total", ""): Count.BYTES_FROM_ORIGINS,
        ("aprp_cache_served_bytes_total", ""): Count.BYTES_FROM_CACHE,
        ("aprp_active_transfers", ""): Count.ACTIVE_TRANSFERS,
        ("aprp_cache_requests_total", "partial"): Count.CACHE_PARTIAL,
        ("aprp_cache_requests_total", "pass"): Count.CACHE_PASSES,
        ("aprp_tunnels_open", ""): Count.TUNNELS_OPEN,
        ("aprp_tunnel_bytes_total", "up"): Count.TUNNEL_BYTES_UP,
        ("aprp_tunnel_bytes_total", "down"): Count.TUNNEL_BYTES_DOWN,
    }.items():
        assert told[name, label] == counters.total(count), name


@pytest.mark.parametrize("accept", ["", f"{OPEN}; version=1.0.0"])
def test_histograms(accept: str) -> None:
    parse = open_families if accept else families
    told = {metric.name: metric for metric in parse(text(accept))}
    histograms = measured()
    for name, measure in {
        "aprp_request_duration_seconds": Measure.REQUEST_TIME,
        "aprp_first_byte_duration_seconds": Measure.FIRST_BYTE_TIME,
        "aprp_origin_duration_seconds": Measure.ORIGIN_TIME,
        "aprp_range_size_bytes": Measure.RANGE_SIZE,
    }.items():
        assert told[name].type == "histogram"
        read = histograms.read(measure)
        found = [s for s in told[name].samples if s.name == f"{name}_bucket"]
        assert [float(s.labels["le"]) for s in found] == [*measure.bounds, float("inf")]
        assert [s.value for s in found] == list(read.cumulative)
        values = {s.name: s.value for s in told[name].samples}
        assert values[f"{name}_count"] == read.count == 4
        assert values[f"{name}_sum"] == pytest.approx(read.sum)


def test_the_build() -> None:
    (build,) = [m for m in families(text()) if m.name == "aprp_build_info"]
    (sample,) = build.samples
    assert sample.value == 1
    assert sample.labels["version"] == "1.2.3"
    assert re.fullmatch(r"3\.\d+\.\S+", sample.labels["python"])


def test_without_a_cache() -> None:
    told = samples(families(exposition("", collector(None))[0].decode()))
    assert told["aprp_cache_size_bytes", ""] == told["aprp_cache_used_bytes", ""] == 0


def test_redis_is_told_where_it_is_used() -> None:
    without = SharedCollector(Counters(), Histograms(), NOW)
    assert "redis" not in exposition("", without)[0].decode()
    down = SharedCollector(Counters(), Histograms(), NOW, redis=SharedSum().read(Counters()))
    assert samples(families(exposition("", down)[0].decode()))["aprp_redis_up", ""] == 0


def test_what_only_one_worker_knows_is_not_told() -> None:
    assert 7.0 not in samples(families(text())).values()
    assert "dirty" not in text()
    # Nothing of the library's own: memory, files and collections of one process.
    names = {metric.name for metric in families(text())}
    assert all(name.startswith("aprp_") for name in names)
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("aprp")]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8"),
        (OPEN, f"{OPEN}; version=1.0.0; charset=utf-8"),
        (f"{OPEN};version=1.0.0", f"{OPEN}; version=1.0.0; charset=utf-8"),
        # There was a draft of that version; nobody has to know it.
        (f"{OPEN};version=0.0.1", PLAIN),
        # As Prometheus 2.42 asks.
        (
            f"{OPEN};version=1.0.0,{OPEN};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
            "*/*;q=0.1",
            f"{OPEN}; version=1.0.0; charset=utf-8",
        ),
        # What is wanted more comes first, what is refused never (RFC 9110 section 12.5.1).
        (f"{OPEN};version=1.0.0;q=0.2, text/plain;version=1.0.0;q=0.3", "text/plain; version=1"),
        (f"{OPEN};version=1.0.0;q=0, */*", PLAIN),
        (f"{OPEN};version=1.0.0;q=0.2, text/plain;q=0.3", PLAIN),
        (f"{OPEN};version=1.0.0;q=0.2, text/*;q=0.3", PLAIN),
        (f"{OPEN};version=0.0.1, {OPEN};version=1.0.0;q=0.2", f"{OPEN}; version=1.0.0"),
        # A version that is none.
        (f"{OPEN};version=new", PLAIN),
        ("text/plain;version=", PLAIN),
        (f"text/plain;version={'9' * 5000}", PLAIN),
        ("text/plain;version=1.²", PLAIN),
        (f"{OPEN};version=1.0.0;version=x", PLAIN),
    ],
)
def test_formats(accept: str, content_type: str) -> None:
    body, told = exposition(accept, collector())
    assert told.startswith(content_type)
    assert body.endswith(b"# EOF\n") == told.startswith(OPEN)
    parse = open_families if told.startswith(OPEN) else families
    # OpenMetrics names a family of counters without its suffix.
    assert samples(parse(body.decode())) == samples(families(text()))


_WORD = st.sampled_from(
    ["text/plain", OPEN, ";", ",", "version=", "1", ".", "0", "q=", "escaping=", "allow-utf-8", " "]
)


@given(st.lists(_WORD | st.text(max_size=3), max_size=12).map("".join))
def test_any_accept_gets_a_format(accept: str) -> None:
    empty = SharedCollector(Counters(), Histograms(), NOW)
    body, told = exposition(accept, empty)
    assert told.startswith(("text/plain; version=", f"{OPEN}; version="))
    assert told.isascii() and told.isprintable()
    assert b"aprp_build_info" in body


def test_names_are_clean() -> None:
    """As the conventions of Prometheus have it, checked by its own program."""
    require("promtool")
    assert check_metrics(text()) == ""


def test_unclean_names_are_seen() -> None:
    require("promtool")
    assert "no help text" in check_metrics("# TYPE a_total counter\na_total 1\n")
    assert "_total" in check_metrics("# HELP a b\n# TYPE a counter\na 1\n")


def test_the_document_says_what_each_metric_is() -> None:
    rows = re.findall(r"^\| `(aprp_\w+)` \| (\w+) \| (.*) \| (.*) \|$", DOCUMENT.read_text(), re.M)
    told = []
    for metric in families(text()):
        labels = sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        told.append(
            (name, metric.type, ", ".join(f"`{label}`" for label in labels), metric.documentation)
        )
    assert [(name, kind, labels, words) for name, kind, labels, words in rows] == told
