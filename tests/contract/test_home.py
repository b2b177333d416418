"""Directories for browsers: listings become a page, everything else stays as it is."""

import gzip
from pathlib import Path
from typing import ClassVar

from tornado.httpclient import HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError

from aprp.handlers.home import LARGEST
from aprp.upstream.errors import OriginClosed
from tests.contract.base import ContractCase, Options

LISTING = (Path(__file__).parents[1] / "semantics" / "listings" / "nginx.html").read_bytes()
JSON = (Path(__file__).parents[1] / "semantics" / "listings" / "nginx.json").read_bytes()
SITE = b"<!doctype html><title>Our films</title><h1>Our films</h1><a href='film.mp4'>One</a>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FILM = b'href="../play/films/a%20b%20%C3%A9%3F.mp4"'


class HomeTest(ContractCase):
    options: ClassVar[Options] = {"HOME_PAGE": True, "PLAYER": True}

    def answers(self, body: bytes, kind: str = "text/html", *more: tuple[str, str]) -> None:
        """Have the origin answer with this."""
        length = ("Content-Length", str(len(body)))
        self.origin.answer = (200, [("Content-Type", kind), length, *more], body)

    def is_page(self, response: HTTPResponse) -> None:
        """Check that it is the page of the listing."""
        self.assertEqual(response.code, 200)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(response.headers["Cache-Control"], "no-cache")
        self.assertEqual(response.headers["Vary"], "Accept")
        self.assertIn("default-src 'none'", response.headers["Content-Security-Policy"])
        for name in ("ETag", "Last-Modified", "Content-Encoding"):
            self.assertNotIn(name, response.headers)
        self.assertIn(FILM, response.body)
        self.assertIn(b'href="a%20b%20%C3%A9%3F.mp4"', response.body)
        self.assertIn(b'href="old/"', response.body)
        self.assertIn("a b é?.mp4".encode(), response.body)
        self.assertIn(b"572 KiB", response.body)

    def is_unchanged(self, response: HTTPResponse) -> None:
        """Check that it is what the origin said."""
        assert self.origin.answer is not None
        status, fields, body = self.origin.answer
        self.assertEqual((response.code, response.reason), (status, "Word"))
        self.assertEqual(response.body, body)
        for name, value in fields:
            self.assertEqual(response.headers[name], value)
        self.assertNotIn("Content-Security-Policy", response.headers)

    def test_a_listing(self) -> None:
        for body, kind in ((LISTING, "text/html"), (JSON, "application/json; charset=utf-8")):
            with self.subTest(kind=kind):
                self.answers(body, kind, ("ETag", '"v1"'))
                self.is_page(self.ask("/films/", BROWSER))

    def test_the_origin_is_asked_as_ever(self) -> None:
        self.answers(LISTING)
        given = {"Accept-Encoding": "gzip, br", "Cookie": "a=b"}
        self.is_page(self.ask("/films/?C=M;O=D", BROWSER | given))
        self.assertEqual(self.origin.request.url, "http://origin.test/films/?C=M;O=D")
        for name, value in (BROWSER | given).items():
            self.assertEqual(self.origin.request.headers[name], value)

    def test_a_listing_that_is_compressed(self) -> None:
        self.answers(gzip.compress(LISTING), "text/html", ("Content-Encoding", "gzip"))
        self.is_page(self.ask("/films/", BROWSER))

    def test_a_listing_of_unknown_length(self) -> None:
        self.origin.answer = 200, [("Content-Type", "text/html")], LISTING
        self.is_page(self.ask("/films/", BROWSER))

    def test_other_pages_stay_as_they_are(self) -> None:
        ruined = gzip.compress(LISTING)[:-20]
        bomb = gzip.compress(LISTING.replace(b"<pre>", b"<pre>" + b" " * LARGEST))
        for body, kind, *more in (
            (SITE, "text/html"),
            (b"", "text/html"),
            (b'{"films": []}', "application/json"),
            (b"\xff\xfe", "text/html"),
            (LISTING, "text/plain"),
            (LISTING, "text/html", ("Set-Cookie", "seen=1")),
            (LISTING, "text/html", ("Content-Encoding", "br")),
            (LISTING, "text/html", ("Content-Encoding", "gzip")),
            (ruined, "text/html", ("Content-Encoding", "gzip")),
            (bomb, "text/html", ("Content-Encoding", "gzip")),
            (LISTING.replace(b"<pre>", b"<p>Welcome</p><pre>"), "text/html"),
        ):
            with self.subTest(body=body[:40], kind=kind, more=more):
                self.answers(body, kind, *more, ("ETag", '"v1"'))
                self.is_unchanged(self.ask("/films/", BROWSER))

    def test_a_page_that_is_too_large(self) -> None:
        whole = LISTING.replace(b"<pre>", b"<pre>" + b" " * LARGEST)
        self.answers(whole)
        self.is_unchanged(self.ask("/films/", BROWSER))
        self.origin.answer = 200, [("Content-Type", "text/html")], whole
        self.is_unchanged(self.ask("/films/", BROWSER))

    def test_other_answers_stay_as_they_are(self) -> None:
        for status in (206, 301, 403, 404, 500):
            with self.subTest(status=status):
                length = ("Content-Length", str(len(LISTING)))
                fields = [("Content-Type", "text/html"), length]
                if status == 206:
                    total = len(LISTING)
                    fields.append(("Content-Range", f"bytes 0-{total - 1}/{total}"))
                self.origin.answer = status, fields, LISTING
                if status == 206:
                    response = self.ask("/films/", BROWSER | {"Range": "bytes=0-"})
                    self.assertEqual((response.code, response.body), (206, LISTING))
                else:
                    self.is_unchanged(self.ask("/films/", BROWSER))

    def test_a_condition_is_the_origin_s_to_answer(self) -> None:
        self.origin.answer = 304, [("ETag", '"v1"')], b""
        response = self.ask("/films/", BROWSER | {"If-None-Match": '"v1"'})
        self.assertEqual((response.code, response.headers["ETag"]), (304, '"v1"'))

    def test_others_than_browsers_get_the_listing_itself(self) -> None:
        self.answers(LISTING)
        for fields in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html;q=0.9"}):
            with self.subTest(fields=fields):
                self.is_unchanged(self.ask("/films/", fields))

    def test_a_head(self) -> None:
        self.answers(LISTING)
        response = self.ask("/films/", BROWSER, method="HEAD")
        self.assertEqual(response.headers["Content-Length"], str(len(LISTING)))
        self.assertNotIn("Content-Security-Policy", response.headers)

    def test_a_file_is_no_directory(self) -> None:
        self.answers(LISTING)
        self.is_unchanged(self.ask("/films/index.html", BROWSER))

    def test_an_origin_that_breaks_off(self) -> None:
        self.answers(LISTING)
        assert self.origin.answer is not None
        self.origin.answer = (*self.origin.answer[:2], LISTING[:100])
        self.origin.error = OriginClosed("Connection closed")
        with self.assertRaises(HTTPStreamClosedError):
            self.ask("/films/", BROWSER)

    def test_an_origin_that_fails(self) -> None:
        self.origin.answer, self.origin.error = (0, [], b""), OriginClosed("Connection closed")
        with self.assertLogs("aprp", "WARNING"):
            self.problem(self.ask("/films/", BROWSER), 502)


class NoPlayerTest(ContractCase):
    options: ClassVar[Options] = {"HOME_PAGE": True, "PLAYER": False, "ADMIN_PREFIX": "/own"}

    def test_files_lead_to_themselves(self) -> None:
        length = ("Content-Length", str(len(LISTING)))
        self.origin.answer = 200, [("Content-Type", "text/html"), length], LISTING
        body = self.ask("/films/", BROWSER).body
        self.assertIn(b'href="a%20b%20%C3%A9%3F.mp4"', body)
        self.assertIn(b'href="../own/stats"', body)
        self.assertNotIn(b"/play/", body)


class OffTest(ContractCase):
    def test_the_listing_is_as_the_origin_has_it(self) -> None:
        length = ("Content-Length", str(len(LISTING)))
        self.origin.answer = 200, [("Content-Type", "text/html"), length], LISTING
        response = self.ask("/films/", BROWSER)
        self.assertEqual(response.body, LISTING)
