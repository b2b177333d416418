"""The proxy's own pages, other methods, and players on other sites."""

import html.parser
import json
from typing import ClassVar

from aprp import __version__
from aprp.stats.counters import Count
from tests.contract.base import FILM, ContractCase, Options


class Texts(html.parser.HTMLParser):
    """Keeps the texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class PagesTest(ContractCase):
    def test_status(self) -> None:
        self.ask("/film.mp4")
        response = self.ask("/status")
        self.assertEqual(response.headers["Content-Type"], "application/json")
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        told = json.loads(response.body)
        self.assertEqual(told.keys(), {"counter", "uptime"})
        # The request for the page counts too.
        self.assertEqual(told["counter"], 2)
        self.assertGreater(told["uptime"], 0)

    def test_stats_as_json(self) -> None:
        self.ask("/film.mp4")
        self.ask("/film.mp4/0/99")
        self.ask("/film.mp4/5000/")
        response = self.ask("/stats")
        self.assertEqual(response.headers["Content-Type"], "application/json")
        self.assertEqual(response.headers["Vary"], "Accept")
        told = json.loads(response.body)
        self.assertEqual(told["version"], __version__)
        self.assertEqual(told["requests"], 4)
        self.assertEqual(told["responses"], {"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 0})
        self.assertEqual(told["origins"]["requests"], 3)
        self.assertEqual(told["transfers"]["active"], 0)
        problem = told["bytes_to_clients"]["bytes"] - len(FILM) - 100
        self.assertGreater(problem, 0)
        self.assertEqual(told["bytes_to_clients"].keys(), {"bytes", "kB", "MB"})
        kilobytes = told["bytes_to_clients"]["bytes"] / 1024
        self.assertAlmostEqual(told["bytes_to_clients"]["kB"], kilobytes, places=3)
        self.assertAlmostEqual(told["bytes_to_clients"]["MB"], kilobytes / 1024, places=3)

    def test_stats_by_accept_and_by_format(self) -> None:
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        for path, accept, is_page in (
            ("/stats", None, False),
            ("/stats", "*/*", False),
            ("/stats", "application/json", False),
            ("/stats", browser, True),
            ("/stats?format=json", browser, False),
            ("/stats?format=html", "application/json", True),
            ("/stats?format=json&format=html", None, True),
        ):
            with self.subTest(path=path, accept=accept):
                response = self.ask(path, {"Accept": accept} if accept else None)
                self.assertEqual(response.code, 200)
                page = "text/html; charset=utf-8"
                self.assertEqual(
                    response.headers["Content-Type"], page if is_page else "application/json"
                )
                self.assertEqual(response.body.startswith(b"<!"), is_page)

    def test_the_page_can_be_read(self) -> None:
        parser = Texts()
        parser.feed(self.ask("/stats?format=html").body.decode())
        words = " ".join(" ".join(parser.texts).split())
        for expected in ("bytes", "kB", "MB", "2xx", "5xx", __version__):
            self.assertIn(expected, words)

    def test_an_unknown_format(self) -> None:
        self.assertIn("xml", self.problem(self.ask("/stats?format=xml"), 400)["detail"])

    def test_healthz(self) -> None:
        response = self.ask("/healthz")
        self.assertEqual((response.code, json.loads(response.body)), (200, {"status": "ok"}))
        self.app.draining = True
        response = self.ask("/healthz")
        self.problem(response, 503)
        self.assertIn("Retry-After", response.headers)
        self.assertEqual(response.headers["Connection"], "close")

    def test_pages_are_not_asked_of_the_origin(self) -> None:
        for path in ("/stats", "/status", "/healthz", "/stats?format=html"):
            for method in ("GET", "HEAD"):
                response = self.ask(path, {"Range": "bytes=0-1"}, method)
                self.assertEqual(response.code, 200)
                self.assertEqual(bool(response.body), method == "GET")
                self.assertGreater(int(response.headers["Content-Length"]), 2)
        self.assertEqual(self.origin.requests, [])
        self.ask("/stats/film.mp4")
        self.ask("/status/")
        self.assertEqual(len(self.origin.requests), 2)

    def test_other_methods_of_own_pages(self) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "BREW"):
            with self.subTest(method=method):
                response = self.ask("/stats", method=method)
                self.assertIn(method, self.problem(response, 405)["detail"])
                self.assertEqual(response.headers["Allow"], "GET, HEAD")
        self.assertEqual(self.origin.requests, [])

    def test_other_methods_are_handed_on(self) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "BREW"):
            with self.subTest(method=method):
                response = self.ask("/film.mp4/0/9?range=0-9&a=%20", method=method)
                self.assertEqual(response.code, 200)
                request = self.origin.requests[-1]
                self.assertEqual(request.method, method)
                # Ranges are for GET and HEAD; what looks like one is the origin's own.
                self.assertTrue(request.url.endswith("/film.mp4/0/9?range=0-9&a=%20"))

    def test_trace_is_not_handed_on(self) -> None:
        """RFC 9110 section 9.3.8: it would tell a client what fields a proxy adds."""
        response = self.ask("/film.mp4", method="TRACE")
        self.problem(response, 405)
        self.assertNotIn("TRACE", response.headers["Allow"])
        self.assertEqual(self.origin.requests, [])

    def test_options_that_go_no_further(self) -> None:
        for fields in ({"Max-Forwards": "0"}, {"max-forwards": " 0 "}):
            response = self.ask("/film.mp4", fields, "OPTIONS")
            self.assertEqual((response.code, response.body), (204, b""))
            self.assertIn("GET, HEAD, POST", response.headers["Allow"])
            self.assertNotIn("Access-Control-Allow-Origin", response.headers)
            self.assertNotIn("Content-Length", response.headers)
        self.assertEqual(self.origin.requests, [])

    def test_options_that_go_further_have_one_hop_less(self) -> None:
        self.ask("/film.mp4", {"Max-Forwards": "7"}, "OPTIONS")
        self.assertEqual(self.origin.requests[-1].headers["Max-Forwards"], "6")
        self.ask("/film.mp4", {"Max-Forwards": "many"}, "OPTIONS")
        self.assertEqual(self.origin.requests[-1].headers["Max-Forwards"], "many")

    def test_every_request_is_counted_and_none_stays(self) -> None:
        for path in ("/film.mp4", "/film.mp4/0/9", "/film.mp4/9/0", "/status", "/a%00"):
            self.ask(path)
        counters = self.app.counters
        self.assertEqual(counters.total(Count.REQUESTS), 5)
        self.assertEqual(counters.total(Count.ACTIVE_TRANSFERS), 0)
        self.assertEqual(self.app.exchanges, set())


class PrefixTest(ContractCase):
    options: ClassVar[Options] = {"ADMIN_PREFIX": "/_aprp"}

    def test_pages_move(self) -> None:
        self.assertEqual(self.ask("/_aprp/healthz").code, 200)
        self.assertEqual(self.origin.requests, [])
        self.assertEqual(self.ask("/healthz").body, FILM)
        self.assertEqual(self.origin.request.url, "http://origin.test/healthz")


PLAYER = "https://player.example"
PREFLIGHT = {
    "Origin": PLAYER,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "range, x-own",
}


def listed(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")}


class OtherSitesTest(ContractCase):
    options: ClassVar[Options] = {"CORS_ORIGINS": [PLAYER]}

    def test_preflight(self) -> None:
        response = self.ask("/film.mp4", PREFLIGHT, "OPTIONS")
        self.assertEqual((response.code, response.body), (204, b""))
        headers = response.headers
        self.assertEqual(headers["Access-Control-Allow-Origin"], PLAYER)
        self.assertEqual(
            listed(headers["Access-Control-Allow-Methods"]), {"get", "head", "options"}
        )
        self.assertLessEqual(
            {"range", "if-range", "x-own"}, listed(headers["Access-Control-Allow-Headers"])
        )
        self.assertGreater(int(headers["Access-Control-Max-Age"]), 0)
        self.assertEqual(self.origin.requests, [])

    def test_preflight_of_another_site(self) -> None:
        response = self.ask("/film.mp4", {**PREFLIGHT, "Origin": "https://evil.test"}, "OPTIONS")
        self.assertEqual(response.code, 204)
        self.assertNotIn("Access-Control-Allow-Origin", response.headers)
        self.assertNotIn("Access-Control-Allow-Headers", response.headers)

    def test_answers(self) -> None:
        for path, code in (
            ("/film.mp4", 200),
            ("/film.mp4/0/9", 206),
            ("/film.mp4/9/0", 400),
            ("/stats", 200),
        ):
            with self.subTest(path=path):
                headers = self.ask(path, {"Origin": PLAYER}).headers
                self.assertEqual(headers["Access-Control-Allow-Origin"], PLAYER)
                self.assertLessEqual(
                    {"content-range", "content-length", "accept-ranges", "etag"},
                    listed(headers["Access-Control-Expose-Headers"]),
                )
                self.assertIn("origin", listed(headers["Vary"]))
                self.assertEqual(self.ask(path).code, code)

    def test_others_are_told_nothing(self) -> None:
        for given in ({}, {"Origin": "https://evil.test"}, {"Origin": "null"}):
            with self.subTest(given=given):
                headers = self.ask("/film.mp4", given).headers
                self.assertNotIn("Access-Control-Allow-Origin", headers)
                self.assertIn("origin", listed(headers["Vary"]))

    def test_the_origins_own_policy_gives_way(self) -> None:
        fields = [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Content-Length", "4"),
        ]
        self.origin.answer = 200, fields, b"film"
        headers = self.ask("/film.mp4", {"Origin": PLAYER}).headers
        self.assertEqual(headers.get_list("Access-Control-Allow-Origin"), [PLAYER])
        self.assertNotIn("Access-Control-Allow-Credentials", headers)


class AllSitesTest(ContractCase):
    options: ClassVar[Options] = {"CORS_ORIGINS": ["*"]}

    def test_all(self) -> None:
        response = self.ask("/film.mp4", PREFLIGHT, "OPTIONS")
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "*")
        for given in ({}, {"Origin": PLAYER}):
            headers = self.ask("/film.mp4", given).headers
            self.assertEqual(headers["Access-Control-Allow-Origin"], "*")
            self.assertNotIn("Vary", headers)
