"""Pages behind the development proxy: what has changed is shown without a click."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import dev_proxy
from tests.e2e.dev_proxy import Dev

BACKEND = str(Path(dev_proxy.__file__).with_name("dev_pages.py"))

# Seconds from the write of a file to what it says on the screen, at most.
SOON = 1.5

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
<script nonce="NONCE" src="/{script}.js" defer></script></head>
<body><h1>{text}</h1><p></p></body></html>"""
SCRIPT = "document.querySelector('p').textContent = '{text}'"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="8"/>'


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    directory = tmp_path_factory.mktemp("site")
    for name in ("plain", "scripted", "strict", "styled"):
        (directory / f"{name}.html").write_text(PAGE.format(script=name, text="one"))
        script = directory / f"{name}.js"
        script.write_text(SCRIPT.format(text="one"))
        os.utime(script, (0, 0))
    (directory / "style.css").write_text("h1 { color: red }")
    (directory / "picture.svg").write_text(PICTURE.format(width=8))
    with Dev(directory, command=(sys.executable, "-I", "-S", BACKEND, "{port}")) as started:
        yield started


def heading(page: Page, text: str) -> None:
    """Wait until the page says so."""
    expect(page.locator("h1")).to_have_text(text)


def change(dev: Dev, page: Page, name: str, text: str) -> None:
    """Write a file once the page has all that it loads: a restart breaks off what is under way."""
    page.wait_for_load_state()
    dev.write(name, text)


def test_a_changed_page_is_shown_soon_and_without_a_click(dev: Dev, page: Page) -> None:
    page.goto(f"{dev.url}/plain.html")
    heading(page, "one")
    took = []
    for text in ("two", "three", "four"):
        page.wait_for_load_state()
        begun = time.monotonic()
        dev.write("plain.html", PAGE.format(script="plain", text=text))
        heading(page, text)
        took.append(time.monotonic() - begun)
    # Others are at work on this machine, too.
    assert min(took) < SOON, took


def test_a_changed_script_is_not_taken_from_the_browsers_cache(dev: Dev, page: Page) -> None:
    # A file that has not changed for long stays fresh for long where nothing is said of it.
    page.goto(f"{dev.url}/scripted.html")
    expect(page.locator("p")).to_have_text("one")
    for text in ("two", "three"):
        change(dev, page, "scripted.js", SCRIPT.format(text=text))
        expect(page.locator("p")).to_have_text(text)


def test_styles_and_images_are_renewed_in_place(dev: Dev, page: Page) -> None:
    page.goto(f"{dev.url}/styled.html")
    page.evaluate("""() => {
        window.before = "this load"
        document.body.append(Object.assign(new Image(), {src: "/picture.svg"}))
    }""")
    expect(page.locator("h1")).to_have_css("color", "rgb(255, 0, 0)")
    change(dev, page, "style.css", "h1 { color: rgb(0, 0, 255) }")
    expect(page.locator("h1")).to_have_css("color", "rgb(0, 0, 255)")
    change(dev, page, "picture.svg", PICTURE.format(width=30))
    page.wait_for_function("document.images[0].naturalWidth == 30")
    assert page.evaluate("window.before") == "this load"


def test_a_page_with_a_strict_policy_is_renewed_without_complaints(dev: Dev, page: Page) -> None:
    page.goto(f"{dev.url}/strict/strict.html")
    expect(page.locator("p")).to_have_text("one")
    change(dev, page, "strict.html", PAGE.format(script="strict", text="two"))
    heading(page, "two")
    page.evaluate("window.before = 'this load'")
    change(dev, page, "style.css", "h1 { color: rgb(0, 128, 0) }")
    expect(page.locator("h1")).to_have_css("color", "rgb(0, 128, 0)")
    assert page.evaluate("window.before") == "this load"


def test_the_script_leaves_the_options_of_another_alone(dev: Dev, page: Page) -> None:
    page.goto(f"{dev.url}/plain.html")
    page.wait_for_function("window.LiveReload && window.LiveReload.connector.protocol == 7")
    assert page.evaluate("'LiveReloadOptions' in window") is False
