"""The page of a directory in Chromium: of MEDIA_DIR, and of an nginx that lists its files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.screens import take_screens
from tests.e2e import servers
from tests.e2e.content import CLIP
from tests.e2e.servers import Proxy

PLAYS = "() => (document.querySelector('video') || {}).readyState > 0"
DEVELOPMENT = {"APRP_SETTINGS": "settings.development", "APRP_LOG_CONSOLE": "off"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of media and of other files."""
    root = tmp_path_factory.mktemp("media")
    clip = CLIP.read_bytes()
    for name in ("sample.mp4", "été 1?.mp4", "series/one.mp4", "series/two.mp4"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(clip)
    (root / "<b>notes.txt").write_text("Notes.\n")
    return root


@pytest.fixture(scope="module")
def proxy(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy of that directory, as it starts from a fresh clone."""
    flags = ("--media-dir", str(files))
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=True, **DEVELOPMENT) as started:
        yield started


@pytest.fixture(scope="module")
def before_nginx(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy before an nginx that lists that directory."""
    with (
        servers.nginx(files, tmp_path_factory.mktemp("nginx"), "autoindex on;") as url,
        Proxy(
            tmp_path_factory.mktemp("proxy"), "--upstream", url, cache=False, **DEVELOPMENT
        ) as started,
    ):
        yield started


def test_the_page_of_a_fresh_clone(proxy: Proxy, page: Page) -> None:
    page.goto(f"{proxy.url}/")
    page.wait_for_function(PLAYS)
    assert page.get_attribute("video", "src") == "sample.mp4"
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(5)
    # What no player is for leads to itself.
    notes = page.get_by_role("link", name="<b>notes.txt", exact=True)
    expect(notes).to_have_attribute("href", "%3Cb%3Enotes.txt")
    take_screens(page, "home")
    page.get_by_role("link", name="été 1?.mp4", exact=True).click()
    page.wait_for_function(PLAYS)
    assert page.inner_text("h1") == "été 1?.mp4"
    page.get_by_role("link", name="All files").click()
    page.get_by_role("link", name="series/one.mp4, the file itself").click()
    assert page.url == f"{proxy.url}/series/one.mp4"


def test_the_page_of_an_origin_s_listing(before_nginx: Proxy, page: Page) -> None:
    page.goto(f"{before_nginx.url}/")
    expect(page.locator("tbody tr")).to_have_count(4)
    assert page.get_by_role("link", name="<b>notes.txt").count() == 1
    take_screens(page, "home-origin")
    page.get_by_role("link", name="series/").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("/series/")
    page.get_by_role("link", name="two.mp4", exact=True).click()
    page.wait_for_function(PLAYS)
    assert page.url == f"{before_nginx.url}/play/series/two.mp4"
    expect(page.locator("#cache-text")).to_contain_text("switched off")
    page.go_back()
    page.get_by_role("link", name="Up").click()
    assert page.url == f"{before_nginx.url}/"
