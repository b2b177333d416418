"""The live page of /stats in a browser, and the proxy that it tells of."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.e2e.clients import fetch
from tests.e2e.fault_files import File
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy

MIB = 1 << 20
PREFIX = "/_aprp"


def start(source: FaultOrigin, directory: Path, *flags: str) -> Proxy:
    """Make a proxy with a cache, whose pages are below PREFIX; to be started with `with`."""
    # What is read ahead is fetched at once: no second fetch passes by the one that is held up.
    return Proxy(
        directory,
        *("--upstream", source.url, "--parallel-fetches", "1", *flags),
        cache=True,
        APRP_ADMIN_PREFIX=PREFIX,
    )


def stored(source: FaultOrigin, proxy: Proxy, name: str, *sizes: int) -> list[File]:
    """Files that are in the cache, whole."""
    files = []
    for size in sizes:
        file = source.add(size, name)
        assert len(fetch(proxy.url, file.path).body) == size
        files.append(file)
    return files


def open_page(page: Page, proxy: Proxy) -> None:
    """Go to the page, and wait until it is live."""
    answer = page.goto(f"{proxy.url}{PREFIX}/stats")
    assert answer is not None and answer.headers["content-security-policy"]
    expect(page.locator("#state")).to_have_text("live")


def row_of(page: Page, file: File) -> Locator:
    """The row of an object."""
    return page.locator("#objects tbody tr").filter(has_text=file.path)


def bar_of(page: Page, file: File) -> Locator:
    """The map of an object."""
    return row_of(page, file).get_by_role("img")
