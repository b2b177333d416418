"""The player's page in Chromium: plays, shows where the bytes are, tries ranges, tells errors."""

import os
import re
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from aprp.semantics.signing import sign, signed_query
from tests.browser.screens import take_screens
from tests.browser.watching import Watch
from tests.e2e.content import CLIP, FILLING, film_with_far_index
from tests.e2e.programs import require, run
from tests.e2e.servers import Proxy

SAMPLE = CLIP.read_bytes()
ODD = "été 1?&.mp4"
KEY = "0123456789abcdef"

# Promises that are kept when the condition holds; Playwright waits for them.
UNTIL = "() => { const video = document.querySelector('video'); return video && (%s); }"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the origin serves."""
    root = tmp_path_factory.mktemp("media")
    (root / "sample.mp4").write_bytes(SAMPLE)
    (root / ODD).write_bytes(SAMPLE)
    (root / "broken.mp4").write_bytes(bytes(range(256)) * 4000)
    (root / "readme.txt").write_text("No film.\n")
    before, index = film_with_far_index()
    with (root / "far.mp4").open("wb") as film:
        film.write(before)
        film.seek(FILLING, os.SEEK_CUR)
        film.write(index)
    (root / "empty.mp4").touch()
    with wave.open(str(root / "tone.wav"), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes(b"\x00\x10\x00\xf0" * 40_000)
    return root


@pytest.fixture(scope="module")
def proxy(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with a cache and development settings."""
    flags = ("--media-dir", str(files), "--slice-size", "64K")
    settings = {"APRP_SETTINGS": "settings.development", "APRP_LOG_CONSOLE": "off"}
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, *flags, cache=True, **settings) as started:
        yield started


def ask(page: Page, **said: str) -> None:
    """Fill in the box and ask: header, query, path, or method."""
    for name in ("header", "query", "path"):
        page.fill(f"#by-{name}", said.get(name, ""))
    page.select_option("#method", said.get("method", "GET"))
    page.evaluate("document.getElementById('status').textContent = ''")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#status")).not_to_be_empty()


def shown_bytes(page: Page) -> bytes:
    """The bytes of the dump, read back from it."""
    lines = page.inner_text("#bytes").splitlines()
    return b"".join(bytes.fromhex(line[10:58]) for line in lines)


def status(page: Page) -> str:
    """What the box says of the answer's status."""
    return page.inner_text("#status")


def shared(page: Page) -> float:
    """How much of the cache's bar is filled, from 0 to 1."""
    width = page.eval_on_selector_all(
        "#cached .present", "all => all.reduce((sum, each) => sum + each.width.baseVal.value, 0)"
    )
    return float(width) / 1000


def test_plays_seeks_and_plays_on(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/sample.mp4")
    expect(page).to_have_title("sample.mp4 – aprp")
    page.wait_for_function(UNTIL % "video.readyState > 0")
    page.evaluate("document.querySelector('video').muted = true")
    page.keyboard.press("k")
    page.wait_for_function(UNTIL % "!video.paused && video.currentTime > 0.2")
    position = page.get_by_role("slider", name="Position")
    position.fill("750")
    page.wait_for_function(
        UNTIL % "!video.seeking && !video.paused && video.currentTime > 0.75 * video.duration + 0.3"
    )
    assert page.evaluate("document.querySelector('video').videoWidth") == 640
    expect(page.get_by_text("100 % of 572 KiB is in the cache")).to_be_visible()
    assert shared(page) == pytest.approx(1)
    expect(page.get_by_role("img", name=re.compile("Browser This browser holds"))).to_be_visible()
    page.keyboard.press(" ")
    page.wait_for_function(UNTIL % "video.paused")
    page.get_by_role("button", name="first 100 bytes").click()
    expect(page.locator("#status")).to_have_text("206 Partial Content")
    take_screens(page, "player")


def test_what_was_not_asked_for_is_not_in_the_cache(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/far.mp4")
    page.wait_for_function(UNTIL % "video.readyState > 1")
    parts = page.locator("#parts button")
    expect(parts).to_have_count(2)
    # The film's beginning and its index; what lies between would be most of it.
    assert 0 < shared(page) < 0.5
    told = re.match("bytes ([0-9]+) to ([0-9]+)", parts.last.get_attribute("title") or "")
    assert told is not None
    before, index = film_with_far_index()
    assert FILLING / 2 < int(told[1]) <= len(before) + FILLING
    assert int(told[2]) + 1 == len(before) + FILLING + len(index)
    parts.last.click()
    page.wait_for_function(UNTIL % "!video.seeking && video.currentTime > 0.5 * video.duration")


def test_the_time_line_follows_the_film(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/sample.mp4")
    page.wait_for_function(UNTIL % "video.readyState > 0")
    page.get_by_role("slider", name="Position").press("End")
    page.wait_for_function(UNTIL % "video.currentTime === video.duration")
    page.keyboard.press("2")
    page.wait_for_function("() => document.getElementById('position').value === '200'")
    told = page.get_attribute("#position", "aria-valuetext")
    assert told == "0:12 of 1:00"
    page.click("#cached", position={"x": 1, "y": 5})
    page.wait_for_function(UNTIL % "video.currentTime < 1")


def test_keys(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/sample.mp4")
    page.wait_for_function(UNTIL % "video.readyState > 0")
    for key, place in (("5", 30), ("l", 40), ("j", 30), ("ArrowRight", 35), ("ArrowLeft", 30)):
        page.keyboard.press(key)
        page.wait_for_function(UNTIL % f"Math.abs(video.currentTime - {place}) < 0.1")
    page.keyboard.press("m")
    assert page.evaluate("document.querySelector('video').muted")
    # In a field they are letters.
    page.focus("#by-query")
    page.keyboard.press("0")
    assert page.input_value("#by-query") == "0"
    assert page.evaluate("document.querySelector('video').currentTime") > 29


def test_ranges_in_three_ways(proxy: Proxy, page: Page, tmp_path: Path) -> None:
    page.goto(f"{proxy.url}/play/sample.mp4")
    for said, first, last in (
        ({"header": "bytes=0-99"}, 0, 99),
        ({"query": "100-199"}, 100, 199),
        ({"path": "200/299"}, 200, 299),
        ({"header": "bytes=-100"}, len(SAMPLE) - 100, len(SAMPLE) - 1),
        ({"header": "bytes=5-9", "query": "5-9", "path": "5/9"}, 5, 9),
    ):
        ask(page, **said)
        assert status(page) == "206 Partial Content"
        told = f"Content-Range: bytes {first}-{last}/{len(SAMPLE)}"
        fields = page.inner_text("#fields").splitlines()
        assert told in fields
        # Spelt as the fields are, not as the browser gives their names.
        assert any(field.startswith("X-Request-ID: ") for field in fields)
        assert shown_bytes(page) == SAMPLE[first : last + 1]
        assert page.inner_text("#bytes").startswith(f"{first:08x}  ")
        # The command does the same.
        done = run(require("sh"), "-c", page.inner_text("#curl"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "part").read_bytes() == SAMPLE[first : last + 1]


def test_no_more_than_a_little_is_read(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/broken.mp4")
    ask(page)
    assert status(page) == "200 OK"
    assert shown_bytes(page) == (bytes(range(256)) * 2)
    assert "and more follow" in page.inner_text("#bytes-title")
    ask(page, method="HEAD", path="0/9")
    assert status(page) == "206 Partial Content"
    assert page.locator("#bytes").is_hidden()


def test_ranges_that_disagree_and_ranges_that_are_none(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/sample.mp4")
    ask(page, header="bytes=0-99", query="100-199")
    assert status(page) == "416 Range Not Satisfiable"
    for word in ("disagree", "100-199", "bytes=0-99"):
        assert word in page.inner_text("#meaning")
    assert "Content-Type: application/problem+json" in page.inner_text("#fields")
    ask(page, query="x")
    assert status(page) == "400 Bad Request"
    ask(page, header="bytes=999999999-")
    assert status(page) == "416 Range Not Satisfiable"
    assert f"{len(SAMPLE)} bytes" in page.inner_text("#meaning")


def test_an_audio_file(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/tone.wav")
    page.wait_for_function("() => (document.querySelector('audio') || {}).duration === 10")
    assert page.locator("video").count() == 0
    page.keyboard.press("9")
    page.wait_for_function("() => document.querySelector('audio').currentTime === 9")
    expect(page.get_by_role("button", name=re.compile("Play from 0:00"))).to_be_visible()
    take_screens(page, "player-audio")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing.mp4", "404 Not Found: There is no such file at the origin."),
        ("broken.mp4", "The browser cannot play it"),
        ("readme.txt", "This is text/plain"),
        ("empty.mp4", "The file is empty"),
    ],
)
def test_what_cannot_be_played(proxy: Proxy, page: Page, path: str, words: str) -> None:
    page.goto(f"{proxy.url}/play/{path}")
    expect(page.get_by_role("alert")).to_contain_text(words)
    if path == "broken.mp4":
        take_screens(page, "player-broken")


def test_the_address_stays_as_it_is(proxy: Proxy, watch: Watch) -> None:
    address = f"/{quote(ODD)}?token=a%2Fb&token=&x"
    watch.page.goto(f"{proxy.url}/play{address}")
    watch.page.wait_for_function(UNTIL % "video.readyState > 0")
    assert watch.page.inner_text("h1") == ODD
    assert watch.page.evaluate("document.querySelector('video').currentSrc") == proxy.url + address
    ask(watch.page, path="0/9", query="0-9")
    path, _, query = address.partition("?")
    assert f"{proxy.url}{path}/0/9?{query}&range=0-9" in watch.requests
    assert shown_bytes(watch.page) == SAMPLE[:10]
    line = watch.page.inner_text("#curl")
    assert line.endswith(f"'{proxy.url}{path}/0/9?{query}&range=0-9'")


def test_a_path_that_looks_like_a_host(proxy: Proxy, page: Page) -> None:
    # No request to that host goes out: the fixture would fail.
    page.goto(f"{proxy.url}/play//films.example/film.mp4")
    expect(page.get_by_role("alert")).to_contain_text(re.compile("40[034]"))


def test_without_a_path_it_asks_for_one(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/play/")
    page.get_by_label("Path of a file").fill("sample.mp4")
    page.get_by_role("button", name="Open").click()
    page.wait_for_function(UNTIL % "video.readyState > 0")
    assert page.url == f"{proxy.url}/play/sample.mp4"


def test_signed_links_are_handed_on(
    files: Path, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("proxy")
    signing = {"APRP_SIGNED_URLS": "on", "APRP_SIGNING_KEY": KEY, "APRP_PLAYER": "on"}
    flags = ("--upstream", "embedded", "--media-dir", str(files))
    with Proxy(directory, *flags, cache=True, **signing) as proxy:
        expires = int(time.time()) + 600
        query = signed_query("", expires, sign("/sample.mp4", expires, KEY))
        page.goto(f"{proxy.url}/play/sample.mp4?{query}")
        page.wait_for_function(UNTIL % "video.readyState > 0")
        ask(page, path="0/9")
        assert status(page) == "206 Partial Content"
        expect(page.locator("#cache-text")).to_contain_text("is in the cache")
        page.goto(f"{proxy.url}/play/sample.mp4")
        expect(page.get_by_role("alert")).to_contain_text("403 Forbidden: The link is not signed")
