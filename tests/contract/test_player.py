"""The door of the player's page: where it is, what it is sent with, what stays the origin's."""

import json
import re
from typing import Any, ClassVar

from tests.contract.base import FILM, ContractCase, Options


def data_of(body: bytes) -> dict[str, Any]:
    """What the page is told."""
    match = re.search(rb'<script type="application/json" id="data">(.*?)</script>', body)
    assert match is not None
    told: dict[str, Any] = json.loads(match[1])
    return told


class PlayerTest(ContractCase):
    options: ClassVar[Options] = {"PLAYER": True}

    def test_the_page_of_any_path(self) -> None:
        pages = set()
        for path in (
            "/play",
            "/play/",
            "/play/film.mp4",
            "/play/no/such/film.mp4?token=a&token=b",
            "/play/a%20b%C3%A9%3F.mp4",
            "/play//elsewhere.example/film.mp4",
            "/play/%",
        ):
            with self.subTest(path=path):
                response = self.ask(path)
                self.assertEqual(response.code, 200)
                self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
                self.assertEqual(response.headers["Cache-Control"], "no-cache")
                policy = response.headers["Content-Security-Policy"]
                self.assertTrue(policy.startswith("default-src 'none'; "))
                self.assertIn("media-src 'self'", policy)
                self.assertTrue(policy.endswith("; worker-src blob:"))
                self.assertNotIn("unsafe", policy)
                pages.add(response.body)
        # Nothing of the path is in it.
        self.assertEqual(len(pages), 1)
        self.assertEqual(self.origin.requests, [])

    def test_what_it_is_told(self) -> None:
        expected = {
            "play": "/play",
            "object": "/stats/object",
            "stats": "/stats",
            "home": False,
            "cache": False,
            "parameter": "range",
            "path": True,
            "signed": False,
        }
        self.assertEqual(data_of(self.ask("/play/film.mp4").body), expected)

    def test_head(self) -> None:
        whole = self.ask("/play/film.mp4")
        response = self.ask("/play/film.mp4", method="HEAD")
        self.assertEqual((response.code, response.body), (200, b""))
        self.assertEqual(response.headers["Content-Length"], str(len(whole.body)))

    def test_what_only_begins_like_it_is_the_origin_s(self) -> None:
        for path in ("/player", "/playlist.m3u8", "/a/play/film.mp4"):
            self.assertEqual(self.ask(path).body, FILM)

    def test_other_methods_are_the_origin_s(self) -> None:
        self.origin.answer = 201, [("Content-Length", "0")], b""
        response = self.fetch("/play/film.mp4", method="PUT", body=b"film")
        self.assertEqual(response.code, 201)
        self.assertEqual(self.origin.request.url, "http://origin.test/play/film.mp4")


class PrefixTest(ContractCase):
    options: ClassVar[Options] = {
        "PLAYER": True,
        "HOME_PAGE": True,
        "ADMIN_PREFIX": "/_aprp",
        "RANGE_PARAM": "",
        "RANGE_PATH": False,
        "SIGNED_URLS": True,
        "SIGNING_KEY": "0123456789abcdef",
    }

    def test_the_page_is_behind_the_prefix_and_needs_no_signature(self) -> None:
        told = data_of(self.ask("/_aprp/play/film.mp4").body)
        self.assertEqual((told["play"], told["object"]), ("/_aprp/play", "/_aprp/stats/object"))
        self.assertEqual((told["parameter"], told["path"]), ("", False))
        self.assertEqual((told["home"], told["signed"]), (True, True))
        self.problem(self.ask("/play/film.mp4"), 403)


class OffTest(ContractCase):
    def test_the_path_is_the_origin_s(self) -> None:
        self.assertEqual(self.ask("/play/film.mp4").body, FILM)
