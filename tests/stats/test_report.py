"""What /stats and /status tell of the counters, as data and as a page."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aprp import __version__
from aprp.stats.counters import Count, Counters
from aprp.stats.machines import COUNTED
from aprp.stats.report import report, status, uptime_text
from aprp.stats.shared_sum import State, Sum
from aprp.stats.units import Volume

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/stats.md"


def counted() -> Counters:
    """Counters with another value in each count, over two workers."""
    counters = Counters(2, started=1000.0)
    values = {
        Count.REQUESTS: 48213,
        Count.RESPONSES_1XX: 1,
        Count.RESPONSES_2XX: 46119,
        Count.RESPONSES_3XX: 1511,
        Count.RESPONSES_4XX: 570,
        Count.RESPONSES_5XX: 12,
        Count.BYTES_TO_CLIENTS: 5 * 1024**3 + 512,
        Count.BYTES_FROM_ORIGINS: 3 * 1024**2 // 2,
        Count.ACTIVE_TRANSFERS: 17,
        Count.CLIENT_ABORTS: 903,
        Count.ORIGIN_BREAKS: 3,
        Count.ORIGIN_REQUESTS: 47900,
        Count.ORIGIN_CONNECTS: 210,
        Count.ORIGIN_REUSES: 47690,
        Count.ORIGIN_FAILURES: 4,
        Count.ORIGIN_TIMEOUTS: 5,
        Count.ORIGIN_FAILOVERS: 6,
        Count.ORIGIN_SURPLUS: 7,
        Count.ORIGIN_REJECTED: 2,
        Count.CACHE_HITS: 40100,
        Count.CACHE_PARTIAL: 3200,
        Count.CACHE_MISSES: 310,
        Count.CACHE_PASSES: 21,
        Count.CACHE_STALE: 8,
        Count.COLLAPSED: 905,
        Count.CACHE_REVALIDATIONS: 64,
        Count.FILL_RESUMES: 9,
        # Three quarters of what clients got.
        Count.BYTES_FROM_CACHE: 15 * 1024**3 // 4 + 384,
        Count.CACHE_EVICTIONS: 14,
        Count.CACHE_SLICES_STORED: 3105,
        Count.CACHE_SLICES_WRONG: 1,
        Count.TUNNELS_OPEN: 5,
        Count.TUNNELS: 1207,
        Count.TUNNEL_BYTES_UP: 3 * 1024**2,
        Count.TUNNEL_BYTES_DOWN: 2 * 1024**3,
    }
    assert set(values) == set(Count)
    for count, value in values.items():
        counters.attach(0)
        counters.add(count, value - 1)
        counters.attach(1)
        counters.add(count)
    return counters


NOW = 1000.0 + 93784.5


def summed() -> Sum:
    """What two machines with these counters have counted; Redis is down since a while."""
    totals = {name: 2 * counted().total(count) for name, count in COUNTED.items()}
    return Sum(State.DOWN, datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp(), 2, totals)


def figures(problem: str | None = None) -> dict[str, Any]:
    """What the cache tells of its directory."""
    return {
        "used": 3 * 1024**3,
        "size": 10 * 1024**3,
        "objects": 120,
        "dirty": 1024**2,
        "problem": problem,
    }


def test_the_document_shows_what_is_told() -> None:
    """The example in docs/stats.md is the report of these counters."""
    example = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example
    target = "http://media.example/films/"
    told = report(counted(), NOW, figures, target=target, redis=summed(), version="0.1.0")
    assert json.loads(example[1]) == told.to_json()


def test_the_document_names_each_field() -> None:
    text = DOCUMENT.read_text()

    def names(value: object, prefix: str = "") -> list[str]:
        if not isinstance(value, dict):
            return [prefix]
        return [n for key, v in value.items() for n in names(v, f"{prefix}.{key}".lstrip("."))]

    without = report(Counters(), 0.0).to_json()
    full = report(Counters(), 0.0, redis=summed()).to_json()
    for name in names(without) + names(full):
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name


def test_the_document_says_what_each_count_is() -> None:
    text = DOCUMENT.read_text()
    assert [count.gloss for count in Count if f"| {count.gloss} |" not in text] == []


def test_the_version_is_the_programs() -> None:
    assert report(Counters(), 0.0).to_json()["version"] == __version__


def test_status() -> None:
    assert status(counted(), NOW) == {"counter": 48213, "uptime": 93784.5}
    assert status(counted(), NOW, summed()) == {
        "counter": 48213,
        "uptime": 93784.5,
        "sum": {"counter": 96426, "machines": 2},
        "redis": "redis: down since 2026-01-31T12:00:00Z",
    }


def test_without_redis() -> None:
    assert report(counted(), NOW).to_json()["redis"] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 days, 00:00:00"),
        (0.999, "0 days, 00:00:00"),
        (59, "0 days, 00:00:59"),
        (61, "0 days, 00:01:01"),
        (3600, "0 days, 01:00:00"),
        (86399.9, "0 days, 23:59:59"),
        (86400, "1 days, 00:00:00"),
        (93784.5, "1 days, 02:03:04"),
        (1000 * 86400 + 1, "1000 days, 00:00:01"),
    ],
)
def test_uptime_text(seconds: float, text: str) -> None:
    assert uptime_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "kb", "mb"),
    [
        (0, 0, 0),
        (1, 0.001, 0),
        (512, 0.5, 0),
        (1024, 1, 0.001),
        (1024**2, 1024, 1),
        (5 * 1024**2 // 2, 2560, 2.5),
        (10**15, 976562500000, 953674316.406),
    ],
)
def test_units(count: int, kb: float, mb: float) -> None:
    """1 kB is 1024 bytes, 1 MB is 1024 kB."""
    assert Volume(count).to_json() == {"bytes": count, "kB": kb, "MB": mb}


def told_of_the_cache(counters: Counters, problem: str | None = None) -> Any:
    return report(counters, NOW, lambda: figures(problem)).to_json()["cache"]


def test_why_nothing_is_stored() -> None:
    told = told_of_the_cache(counted(), "CACHE_DIR cannot be written: <read-only> file system")
    assert told["storing"] is False
    assert told["problem"] == "CACHE_DIR cannot be written: <read-only> file system"


def test_without_a_cache() -> None:
    told: Any = report(counted(), NOW).to_json()["cache"]
    assert told["storing"] is False
    assert "CACHE_DIR" in told["problem"]
    assert (told["used"]["bytes"], told["size"]["bytes"], told["objects"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("stored", "given", "ratio"),
    [
        (0, 0, 0.0),
        (0, 10, 0.0),
        (1, 3, 0.3333),
        (10, 10, 1.0),
        # Counted one after the other: a reader may come between the two.
        (11, 10, 1.0),
    ],
)
def test_hit_ratio(stored: int, given: int, ratio: float) -> None:
    counters = Counters()
    counters.add(Count.BYTES_FROM_CACHE, stored)
    counters.add(Count.BYTES_TO_CLIENTS, given)
    assert told_of_the_cache(counters)["hit_ratio"] == ratio


def test_the_target() -> None:
    assert report(Counters(), 0.0).to_json()["target"] is None
    switched = report(Counters(), 0.0, target="http://a.example/?<b>")
    assert switched.to_json()["target"] == "http://a.example/?<b>"
