"""What /stats and /status tell of the counters, as data and as a page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aprp import __version__
from aprp.stats.counters import Count, Counters
from aprp.stats.report import Volume, report, status, to_html, uptime_text

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
    told = report(counted(), NOW, figures, target="http://media.example/films/", version="0.1.0")
    assert json.loads(example[1]) == told.to_json()


def test_the_document_names_each_field() -> None:
    text = DOCUMENT.read_text()

    def names(value: object, prefix: str = "") -> list[str]:
        if not isinstance(value, dict):
            return [prefix]
        return [n for key, v in value.items() for n in names(v, f"{prefix}.{key}".lstrip("."))]

    for name in names(report(Counters(), 0.0).to_json()):
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name


def test_the_document_says_what_each_count_is() -> None:
    text = DOCUMENT.read_text()
    assert [count.gloss for count in Count if f"| {count.gloss} |" not in text] == []


def test_the_version_is_the_programs() -> None:
    assert report(Counters(), 0.0).to_json()["version"] == __version__


def test_status() -> None:
    assert status(counted(), NOW) == {"counter": 48213, "uptime": 93784.5}


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


class Tags(HTMLParser):
    """Checks that each tag is closed in turn; keeps the attributes that could load something."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str | None] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.scripts += tag in ("script", "link", "img", "iframe")
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing() -> None:
    tags = Tags()
    page = to_html(report(counted(), NOW, figures))
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert tags.links == ["?format=json"]
    assert tags.scripts == 0
    assert "url(" not in page
    assert "@import" not in page
    assert page.startswith("<!DOCTYPE html>\n")
    for needed in (
        '<meta http-equiv="refresh" content="5">',
        '<meta name="viewport"',
        '<meta charset="utf-8">',
        "prefers-color-scheme: dark",
    ):
        assert needed in page


def test_the_page_shows_the_counters() -> None:
    page = to_html(report(counted(), NOW, figures))

    def shown(cell: str) -> str:
        return re.sub("<.*?>", "", cell)

    keys = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)
    assert {name: shown(value) for name, value in keys} == {
        "Uptime": "1 days, 02:03:04",
        "Requests": "48,213",
        "Active transfers": "17",
        "Workers": "2",
    }
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>((?:<td>.*?</td>)+)</tr>', page)
    assert [(n, [shown(c) for c in re.findall("<td>(.*?)</td>", cells)]) for n, cells in rows] == [
        ("bytes", ["5,368,709,632", "1,572,864"]),
        ("kB", ["5,242,880.50", "1,536.00"]),
        ("MB", ["5,120.00", "1.50"]),
        ("being sent", ["17"]),
        ("cut short by the client", ["903"]),
        ("cut short by the origin", ["3"]),
        ("hit ratio by bytes", ["75.0%"]),
        ("hits", ["40,100"]),
        ("partial hits", ["3,200"]),
        ("misses", ["310"]),
        ("passed on", ["21"]),
        ("stale", ["8"]),
        ("joined a fetch", ["905"]),
        ("MB from the cache", ["3,840.00"]),
        ("MB stored", ["3,072.00"]),
        ("MB at most", ["10,240.00"]),
        ("objects", ["120"]),
        ("slices stored", ["3,105"]),
        ("slices found wrong", ["1"]),
        ("extents removed for room", ["14"]),
        ("revalidations", ["64"]),
        ("fetches resumed", ["9"]),
        ("1xx", ["1"]),
        ("2xx", ["46,119"]),
        ("3xx", ["1,511"]),
        ("4xx", ["570"]),
        ("5xx", ["12"]),
        ("requests", ["47,900"]),
        ("connections opened", ["210"]),
        ("connections used again", ["47,690"]),
        ("connections that failed", ["4"]),
        ("answers not in time", ["5"]),
        ("turns to another origin", ["6"]),
        ("answers too long", ["7"]),
        ("answers refused", ["2"]),
        ("open", ["5"]),
        ("opened", ["1,207"]),
        ("MB up", ["3.00"]),
        ("MB down", ["2,048.00"]),
    ]
    assert '<data value="5368709632">' in page
    assert "<p>Storing</p>" in page


def told_of_the_cache(counters: Counters, problem: str | None = None) -> Any:
    return report(counters, NOW, lambda: figures(problem)).to_json()["cache"]


def test_why_nothing_is_stored() -> None:
    told = told_of_the_cache(counted(), "CACHE_DIR cannot be written: <read-only> file system")
    assert told["storing"] is False
    assert told["problem"] == "CACHE_DIR cannot be written: <read-only> file system"
    page = to_html(report(counted(), NOW, lambda: figures("a <full> disk")))
    assert "<p>Not storing: a &lt;full&gt; disk</p>" in page


def test_without_a_cache() -> None:
    told: Any = report(counted(), NOW).to_json()["cache"]
    assert told["storing"] is False
    assert "CACHE_DIR" in told["problem"]
    assert (told["used"]["bytes"], told["size"]["bytes"], told["objects"]) == (0, 0, 0)
    assert "<p>Not storing: off: CACHE_DIR is empty" in to_html(report(counted(), NOW))


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
    assert "<p>Requests go to UPSTREAM</p>" in to_html(report(Counters(), 0.0))
    switched = report(Counters(), 0.0, target="http://a.example/?<b>")
    assert switched.to_json()["target"] == "http://a.example/?<b>"
    assert "<p>Requests go to http://a.example/?&lt;b&gt;</p>" in to_html(switched)


def test_the_version_cannot_break_the_page() -> None:
    page = to_html(report(Counters(), 0.0, version="<script>$uptime"))
    assert "&lt;script&gt;$uptime" in page
    assert "<script" not in page
