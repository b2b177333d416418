"""Figures in words, as the scripts of the pages give them."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from aprp.pages import page as pages
from aprp.pages.sizes import size_text

ASSETS = Path(pages.__file__).with_name("assets")
MIB = 1 << 20

CASES: dict[str, dict[Any, str]] = {
    # 1 kB is 1024 bytes; three figures.
    "size": {
        0: "0 bytes",
        999: "999 bytes",
        1000: "0.98 kB",
        1024: "1 kB",
        1536: "1.50 kB",
        99.96 * 1024: "100 kB",
        8 * MIB: "8 MB",
        1_288_490_189: "1.20 GB",
        5 * 2**60: "5,120 PB",
    },
    "rate": {None: "–", 0: "0 bytes/s", 12.3 * MIB: "12.3 MB/s"},
    # A part is never told to be the whole.
    "share": {0: "0 %", 0.619: "61 %", 0.99999: "99 %", 1: "100 %"},
    "delay": {None: "–", 0: "0 s", 0.00034: "340 µs", 0.0042: "4.20 ms", 2: "2 s"},
    "duration": {0.5: "0 s", 59.9: "59 s", 187: "3:07", 7205: "2:00:05"},
    "ago": {
        0.1: "now",
        42: "42 s ago",
        200: "3 min ago",
        7300: "2 h ago",
        86400 * 12.5: "12 days ago",
    },
    "times": {0: "0×", 0.001: "<0.01×", 0.25: "0.25×", 12: "12×", 1234: "1,234×"},
    "name": {
        "/a%20b.mp4": "/a b.mp4",
        "/%E6%98%A0%e7%94%bb.mp4?a=%26": "/映画.mp4?a=%26",
        # What is a part of the path, what is encoded twice, what is not seen, what is no UTF-8.
        "/a%2Fb%2520%25": "/a%2Fb%2520%25",
        "/%0A%E2%80%AE4pm.mp4": "/%0A%E2%80%AE4pm.mp4",
        "/%FF%20": "/%FF%20",
        "/100%": "/100%",
    },
    "range": {"bytes=0-1023": "0 bytes to 1 kB", None: "all", "?": "?"},
}


SCRIPTS = ("format.js", "sizes.js", "player-bars.js")


@pytest.fixture
def scripted(page: Page) -> Page:
    """A page with nothing but the scripts."""
    scripts = "".join(f"<script>{(ASSETS / name).read_text()}</script>" for name in SCRIPTS)
    body = f"<!doctype html><meta charset=utf-8>{scripts}"
    page.route("**/*", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto("http://127.0.0.1:8000/")
    return page


def test_figures_in_words(scripted: Page) -> None:
    for kind, cases in CASES.items():
        told = scripted.evaluate(f"values => values.map(Format.{kind})", list(cases))
        assert told == list(cases.values()), kind


def test_sizes_are_those_of_the_program(scripted: Page) -> None:
    edges = [0, 0.4, 1023, 1023.6, 1536, 9.994 * MIB, 9.996 * MIB, 99.94 * MIB, 99.96 * MIB]
    counts = edges + [7 * 10**power for power in range(18)]
    assert scripted.evaluate("counts => counts.map(inBytes)", counts) == list(
        map(size_text, counts)
    )


def test_what_is_stored_is_not_covered_by_what_is_to_be_fetched(scripted: Page) -> None:
    fill = {"begin": 0, "position": 25, "stop": 100}
    stored_film = {
        "length": 100,
        "map": {"present": [100, 0, 100, 100], "fills": [fill], "readers": []},
    }
    drawn = scripted.evaluate("film => shapesOf(film, null)", stored_film)
    assert drawn == [
        ["wanted", 0.25, 1],
        ["present", 0, 0.25, 1],
        ["present", 0.5, 1, 1],
        ["coming", 0, 0.25],
    ]
