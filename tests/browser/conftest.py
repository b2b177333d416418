"""A real browser: Debian's Chromium, driven through Playwright's synchronous interface.

While Playwright is at work its event loop runs in this thread, and no other could be started: it
is started for a module and stopped with it, for the sake of tests of other modules in this process.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.screens import DESKTOP
from tests.browser.watching import Watch
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import environment, require

# Ten seconds: a busy machine; none of the pages needs one.
_PATIENCE = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of a module."""
    chromium = require("chromium")
    arguments = [
        "--no-proxy-server",
        "--disable-gpu",
        "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
    ]
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium, args=arguments, env=dict(environment())
        )
        try:
            yield started
        finally:
            started.close()


@pytest.fixture
def watch(browser: Browser) -> Iterator[Watch]:
    """What `page` does; for tests in which something fails on purpose."""
    width, height = DESKTOP
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="en-GB", reduced_motion="reduce"
    )
    try:
        context.set_default_timeout(_PATIENCE)
        watching = Watch(context.new_page())
        yield watching
        watching.check()
    finally:
        context.close()


@pytest.fixture
def page(watch: Watch) -> Page:
    """A page in a context of its own; errors and requests to other hosts make the test fail."""
    return watch.page


@pytest.fixture(scope="module")
def source() -> Iterator[FaultOrigin]:
    """An origin of large files and planned faults; one of its own makes the module fail."""
    origin = FaultOrigin()
    yield origin
    origin.go_away()
    origin.check()
