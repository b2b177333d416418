"""The application on Tornado's own HTTPServer, with the fetch of its client mocked."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from unittest import mock

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.testing import AsyncHTTPTestCase

from aprp.app import make_app
from aprp.application import Application
from aprp.upstream.client import OriginClient
from aprp.upstream.errors import Aborted
from aprp.upstream.request import OriginRequest
from settings.base import Settings

FILM = bytes(range(256)) * 4
SUNDAY = "Sun, 06 Nov 1994 08:49:37 GMT"
MONDAY = "Mon, 07 Nov 1994 08:49:37 GMT"
TUESDAY = "Tue, 08 Nov 1994 08:49:37 GMT"
_PIECE = 100

Answer = tuple[int, list[tuple[str, str]], bytes]
Options = Mapping[str, Any]


class MockedOrigin:
    """Answers what the application's client is told to fetch, and keeps the requests.

    By default it holds FILM under every name, and honours single ranges if `ranges` is on.
    `answer` or `error`, where set, is what it answers instead, the error behind the body.
    """

    def __init__(self) -> None:
        self.requests: list[OriginRequest] = []
        self.running: list[mock.Mock] = []
        self.ranges = True
        self.length_told = True
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.unreachable: dict[str, Exception] = {}
        self.fields = [("ETag", '"v1"'), ("Last-Modified", MONDAY), ("Date", TUESDAY)]

    def fetch(
        self, request: OriginRequest, raise_error: bool = True, **kwargs: Any
    ) -> "asyncio.Future[HTTPResponse]":
        """What takes the place of `AsyncHTTPClient.fetch`."""
        assert not raise_error
        assert not kwargs
        self.requests.append(request)
        request.running = running = mock.Mock()
        self.running.append(running)
        return asyncio.ensure_future(self._respond(request, running))

    @property
    def request(self) -> OriginRequest:
        """The one request."""
        (only,) = self.requests
        return only

    @property
    def ranges_asked(self) -> list[str | None]:
        """The Range field of each request."""
        return [request.headers.get("Range") for request in self.requests]

    async def _respond(self, request: OriginRequest, running: mock.Mock) -> HTTPResponse:
        for start, error in self.unreachable.items():
            if request.url.startswith(start):
                raise error
        status, fields, body = self.answer or self._file(request.headers.get("Range"))
        if status:
            assert request.header_callback is not None
            for line in (
                f"HTTP/1.1 {status} Word",
                *(f"{name}: {value}" for name, value in fields),
                "",
            ):
                request.header_callback(f"{line}\r\n")
            await self._stream(request, running, b"" if request.method == "HEAD" else body)
        if self.error is not None:
            raise self.error
        return HTTPResponse(request, status, HTTPHeaders())

    async def _stream(self, request: OriginRequest, running: mock.Mock, body: bytes) -> None:
        """Hand the body on by turns as bytes and as memoryviews; both may come."""
        take: Any = request.streaming_callback
        for number, start in enumerate(range(0, len(body), _PIECE)):
            piece = body[start : start + _PIECE]
            waiting = take(memoryview(piece) if number % 2 else piece)
            if waiting is not None:
                await waiting
            if running.abort.called:
                raise Aborted("given up")

    def _file(self, asked: str | None) -> Answer:
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
        if not self.ranges or match is None:
            length = [("Content-Length", str(len(FILM)))] if self.length_told else []
            return 200, [("Content-Type", "video/mp4"), *length, *self.fields], FILM
        first = int(match[1]) if match[1] else max(len(FILM) - int(match[2]), 0)
        last = int(match[2]) if match[1] and match[2] else len(FILM) - 1
        body = FILM[first : last + 1]
        if not body:
            return 416, [("Content-Range", f"bytes */{len(FILM)}"), ("Content-Length", "0")], b""
        content_range = f"bytes {first}-{first + len(body) - 1}/{len(FILM)}"
        told = [("Content-Range", content_range), ("Content-Length", str(len(body)))]
        return 206, [("Content-Type", "video/mp4"), *told, *self.fields], body


class ContractCase(AsyncHTTPTestCase):
    """A proxy in front of a mocked origin; `options` are settings."""

    options: ClassVar[Options] = {}

    def setUp(self) -> None:
        self.origin = MockedOrigin()
        patcher = mock.patch.object(OriginClient, "fetch", side_effect=self.origin.fetch)
        self.fetched = patcher.start()
        self.addCleanup(patcher.stop)
        super().setUp()

    def tearDown(self) -> None:
        self.io_loop.run_sync(self.app.close)
        super().tearDown()

    @property
    def app(self) -> Application:
        """The application."""
        assert isinstance(self._app, Application)
        return self._app

    def get_app(self) -> Any:
        given = {
            "UPSTREAM": ["http://origin.test"],
            "LOG_FILE": None,
            "CACHE_SIZE": 0,
            **self.options,
        }
        return make_app(Settings(**given))

    def get_http_client(self) -> AsyncHTTPClient:
        return SimpleAsyncHTTPClient(force_instance=True)

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> HTTPResponse:
        """Ask the proxy; no field goes out but those given, Host and Connection."""
        return self.fetch(
            path,
            method=method,
            headers={"User-Agent": "tests", **(headers or {})},
            follow_redirects=False,
            decompress_response=False,
            allow_nonstandard_methods=True,
        )

    def problem(self, response: HTTPResponse, status: int) -> dict[str, Any]:
        """The problem object of an error answer."""
        self.assertEqual(response.code, status)
        self.assertEqual(response.headers["Content-Type"], "application/problem+json")
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        problem: dict[str, Any] = json.loads(response.body)
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["title"], response.reason)
        self.assertNotIn("Traceback", problem["detail"])
        return problem
