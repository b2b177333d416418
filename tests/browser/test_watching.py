"""The tests of pages see what pages should not do."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.screens import PHONE, assert_fits, set_look
from tests.browser.watching import Watch


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watch]:
    """A page that nobody checks at the end."""
    context = browser.new_context()
    yield Watch(context.new_page())
    context.close()


def show(page: Page, body: str) -> None:
    """Open a page; other addresses answer with an empty script, whatever their host."""

    def answer(route: Route) -> None:
        if route.request.is_navigation_request():
            route.fulfill(body=f"<!doctype html>{body}", content_type="text/html")
        else:
            route.fulfill(body="", content_type="text/javascript")

    page.route("**/*", answer)
    page.goto("http://127.0.0.1:8000/page")


@pytest.mark.parametrize(
    "body",
    [
        "<p>Nothing</p>",
        '<script src="/own.js"></script>',
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAAC">',
        "<script>console.log('hello')</script>",
    ],
    ids=["nothing", "own", "data", "log"],
)
def test_what_is_allowed(watched: Watch, body: str) -> None:
    show(watched.page, body)
    watched.check()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('<script src="http://127.0.0.1:8001/a.js"></script>', "another host"),
        ('<script src="http://cdn.example/a.js"></script>', "another host"),
        ("<script>console.error('broken')</script>", "console: error: broken"),
        ("<script>missing()</script>", "missing is not defined"),
    ],
    ids=["port", "host", "console", "thrown"],
)
def test_what_is_seen(watched: Watch, body: str, told: str) -> None:
    show(watched.page, body)
    with pytest.raises(AssertionError, match=told):
        watched.check()
    watched.expect(told)
    watched.check()


def test_a_page_that_is_too_wide(page: Page) -> None:
    show(page, '<meta name="viewport" content="width=device-width"><table><tr><td>wide</td></tr>')
    set_look(page, size=PHONE)
    assert_fits(page)
    page.evaluate("document.querySelector('table').style.width = '400px'")
    with pytest.raises(AssertionError, match="TABLE"):
        assert_fits(page)
