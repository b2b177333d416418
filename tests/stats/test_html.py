"""The page of /stats as it is without scripts, and the marks that the scripts go by."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

from aprp.pages.page import Page
from aprp.stats.counters import Counters
from aprp.stats.html import to_page
from aprp.stats.report import Report, report
from tests.stats.test_report import NOW, counted, figures


class Tags(HTMLParser):
    """Checks that each tag is closed in turn; keeps the attributes that could load something."""

    VOID = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.inside += [tag] if tag in ("script", "style", "img", "iframe") else []
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shown(cell: str) -> str:
    return re.sub("<.*?>", "", cell)


def rows_of(page: Page) -> list[tuple[str, list[str]]]:
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>((?:<td[^>]*>.*?</td>)+)</tr>', page.html)
    return [
        (name, [shown(cell) for cell in re.findall("<td[^>]*>(.*?)</td>", cells)])
        for name, cells in rows
    ]


def test_the_page_is_whole_and_loads_nothing() -> None:
    tags = Tags()
    page = to_page(report(counted(), NOW, figures)).html
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert [each for each in tags.links if not each.startswith("data:")] == ["?format=json"]
    assert set(tags.inside) == {"script", "style"}
    assert "url(" not in page
    assert "@import" not in page
    assert page.startswith("<!DOCTYPE html>\n")
    for needed in (
        '<noscript><meta http-equiv="refresh" content="5"></noscript>',
        '<meta name="viewport"',
        '<meta charset="utf-8">',
        "prefers-color-scheme: dark",
    ):
        assert needed in page


def test_the_page_shows_the_counters() -> None:
    page = to_page(report(counted(), NOW, figures))
    keys = re.findall(r"<dt>(.*?)</dt><dd data-of.*?>(.*?)</dd>", page.html)
    assert {name: shown(value) for name, value in keys} == {
        "Uptime": "1 days, 02:03:04",
        "Requests": "48,213",
        "Active transfers": "17",
        "Workers": "2",
        "Hit ratio by bytes": "75.0%",
    }
    assert rows_of(page) == [
        ("bytes", ["5,368,709,632", "1,572,864"]),
        ("kB", ["5,242,880.50", "1,536.00"]),
        ("MB", ["5,120.00", "1.50"]),
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
        ("extents removed for room", ["14"]),
        ("revalidations", ["64"]),
        ("fetches resumed", ["9"]),
        ("1xx", ["1"]),
        ("2xx", ["46,119"]),
        ("3xx", ["1,511"]),
        ("4xx", ["570"]),
        ("5xx", ["12"]),
        ("cut short by the client", ["903"]),
        ("cut short by the origin", ["3"]),
        ("connections to origins that failed", ["4"]),
        ("answers of origins not in time", ["5"]),
        ("turns to another origin", ["6"]),
        ("answers of origins too long", ["7"]),
        ("answers of origins refused", ["2"]),
        ("stored slices found wrong", ["1"]),
        ("requests", ["47,900"]),
        ("connections opened", ["210"]),
        ("connections used again", ["47,690"]),
        ("open", ["5"]),
        ("opened", ["1,207"]),
        ("MB up", ["3.00"]),
        ("MB down", ["2,048.00"]),
    ]
    assert '<data value="5368709632">' in page.html
    assert ">Storing</p>" in page.html
    assert 'max="10737418240" value="3221225472"></progress>' in page.html


def test_each_figure_says_which_member_it_shows() -> None:
    """The scripts put the same member of a newer report into the same cell."""
    told: Any = report(counted(), NOW, figures).to_json()
    page = to_page(report(counted(), NOW, figures)).html
    marked = re.findall(r'data-of="(.*?)" data-as="(\w+)".*?>(.*?)</(?:dd|td)>', page)
    assert len(marked) == 46
    for path, kind, cell in marked:
        value = told
        for name in path.split("."):
            value = value[name]
        given = cell if kind == "text" else re.findall(r'<data value="(.*?)">', cell)[0]
        assert (given == value) if kind == "text" else float(given) == value, path


def test_errors_that_have_happened_stand_out() -> None:
    def marked(told: Report) -> int:
        return len(re.findall(r'<td [^>]*class="some"', to_page(told).html))

    assert marked(report(Counters(), 0.0)) == 0
    assert marked(report(counted(), NOW)) == 8


def test_why_nothing_is_stored() -> None:
    page = to_page(report(counted(), NOW, lambda: figures("a <full> disk"))).html
    assert ">Not storing: a &lt;full&gt; disk</p>" in page
    without = to_page(report(counted(), NOW)).html
    assert ">Not storing: off: CACHE_DIR is empty" in without
    assert 'max="1" value="0"></progress>' in without


def test_the_target() -> None:
    assert ">Requests go to UPSTREAM</p>" in to_page(report(Counters(), 0.0)).html
    switched = report(Counters(), 0.0, target="http://a.example/?<b>")
    assert ">Requests go to http://a.example/?&lt;b&gt;</p>" in to_page(switched).html


def test_the_version_cannot_break_the_page() -> None:
    page = to_page(report(Counters(), 0.0, version="<script>$uptime<!-- part: keys -->")).html
    assert "&lt;script&gt;$uptime&lt;!-- part: keys --&gt;" in page
    assert "<script>$uptime" not in page


def test_the_sum_of_all_machines() -> None:
    told: dict[str, Any] = report(counted(), NOW, figures).to_json()
    told["redis"] = {
        "state": "down",
        "since": "2026-03-01T12:00:00Z",
        "text": "redis: down since <2026>",
        "machines": 3,
        "sum": {"requests": 90001, "bytes_to_clients": 2**40, "bytes_from_cache": 7},
    }
    page = to_page(cast(Report, SimpleNamespace(to_json=lambda: told)))
    assert 'class="notice bad">redis: down since &lt;2026&gt;</p>' in page.html
    assert rows_of(page)[-3:] == [
        ("requests", ["48,213", "90,001"]),
        ("bytes to clients", ["5,368,709,632", "1,099,511,627,776"]),
        ("bytes from the cache", ["4,026,532,224", "7"]),
    ]
    assert "All machines" not in to_page(report(Counters(), 0.0)).html
