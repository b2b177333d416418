"""What a page does that it should not: errors in the console, requests to other hosts."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Error, Page, Request


class Watch:
    """Looks at a page from the beginning; `check` fails on what went wrong.

    The host of a page is the one that the test goes to: all else is asked of the same.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        """The addresses that were asked, in turn."""
        self._wrong: list[str] = []
        self._expected: list[str] = []
        self._host = ""
        page.on("request", self._requested)
        page.on("console", self._told)
        page.on("pageerror", self._failed)

    def expect(self, pattern: str) -> None:
        """Let errors be that match: the test makes something fail on purpose."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail on what went wrong and was not expected."""
        wrong = [
            text for text in self._wrong if not any(re.search(p, text) for p in self._expected)
        ]
        assert wrong == [], "\n".join(wrong)

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("data", "blob"):
            return
        self.requests.append(request.url)
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._host = parts.netloc
        if parts.netloc != self._host or parts.hostname not in ("127.0.0.1", "localhost"):
            self._wrong.append(f"a request to another host: {request.url}")

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            self._wrong.append(f"in the console: {message.type}: {message.text} ({where})")

    def _failed(self, error: Error) -> None:
        self._wrong.append(f"not caught: {error.message}\n{error.stack}")
