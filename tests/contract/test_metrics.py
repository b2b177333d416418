"""/metrics and /stats.json: the pages, and what is measured of each kind of request."""

import json
from typing import ClassVar

from aprp.stats.histograms import Measure
from tests.contract.base import FILM, ContractCase, Options

OPEN = "application/openmetrics-text"


class MetricsTest(ContractCase):
    def counts(self) -> dict[Measure, tuple[int, float]]:
        """The number of observations, and the sum of sizes (times have none that is known)."""
        histograms = self.app.histograms
        found = {}
        for measure in (Measure.REQUEST_TIME, Measure.FIRST_BYTE_TIME, Measure.RANGE_SIZE):
            read = histograms.read(measure)
            found[measure] = (read.count, read.sum if measure is Measure.RANGE_SIZE else 0)
        return found

    def test_the_page(self) -> None:
        self.ask("/film.mp4")
        response = self.ask("/metrics")
        self.assertEqual(response.code, 200)
        self.assertEqual(
            response.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8"
        )
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        self.assertEqual(response.headers["Vary"], "Accept")
        lines = response.body.decode().splitlines()
        # This request is counted too, and is not answered yet.
        self.assertIn("aprp_requests_total 2.0", lines)
        self.assertIn('aprp_responses_total{class="2xx"} 1.0', lines)
        self.assertIn(f"aprp_clients_sent_bytes_total {float(len(FILM))}", lines)
        self.assertIn("aprp_request_duration_seconds_count 1.0", lines)
        self.assertIn("aprp_workers 1.0", lines)

    def test_the_formats(self) -> None:
        for accept, content_type in (
            (OPEN, f"{OPEN}; version=1.0.0"),
            (f"{OPEN};version=1.0.0;q=0.4, text/plain;q=0.5", "text/plain; version=0.0.4"),
            ("text/html", "text/plain; version=0.0.4"),
            (f"{OPEN}; version=none", "text/plain; version=0.0.4"),
        ):
            with self.subTest(accept=accept):
                response = self.ask("/metrics", {"Accept": accept})
                self.assertEqual(response.code, 200)
                told = response.headers["Content-Type"]
                self.assertTrue(told.startswith(content_type), told)
                self.assertEqual(response.body.endswith(b"# EOF\n"), OPEN in content_type)

    def test_head_and_other_methods(self) -> None:
        for path in ("/metrics", "/stats.json"):
            response = self.ask(path, method="HEAD")
            self.assertEqual((response.code, response.body), (200, b""))
            self.assertGreater(int(response.headers["Content-Length"]), 100)
            self.problem(self.ask(path, method="POST"), 405)
        self.assertEqual(self.origin.requests, [])

    def test_stats_json(self) -> None:
        self.ask("/film.mp4")
        browser = {"Accept": "text/html"}
        response = self.ask("/stats.json", browser)
        self.assertEqual(response.headers["Content-Type"], "application/json")
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        told = json.loads(response.body)
        other = json.loads(self.ask("/stats?format=json", browser).body)
        self.assertEqual((told["requests"], other["requests"]), (2, 3))
        self.assertEqual(told.keys(), other.keys())

    def test_requests_are_measured(self) -> None:
        self.ask("/film.mp4")
        self.ask("/film.mp4", {"Range": "bytes=10-19"})
        self.ask("/film.mp4/100/")
        self.assertEqual(
            self.counts(),
            {
                Measure.REQUEST_TIME: (3, 0),
                Measure.FIRST_BYTE_TIME: (3, 0),
                Measure.RANGE_SIZE: (2, 10 + len(FILM) - 100),
            },
        )

    def test_what_has_no_body_has_no_first_byte(self) -> None:
        self.ask("/film.mp4", method="HEAD")
        self.ask("/film.mp4/0/9", method="HEAD")
        self.ask("/film.mp4", {"If-None-Match": '"v1"'})
        self.assertEqual(
            self.counts(),
            {
                Measure.REQUEST_TIME: (3, 0),
                Measure.FIRST_BYTE_TIME: (0, 0),
                Measure.RANGE_SIZE: (0, 0),
            },
        )

    def test_own_pages_are_not_measured(self) -> None:
        for path in ("/metrics", "/stats", "/stats.json", "/status", "/healthz"):
            self.ask(path)
            self.ask(path, method="POST")
        self.assertEqual(set(self.counts().values()), {(0, 0)})


class PrefixTest(ContractCase):
    options: ClassVar[Options] = {"ADMIN_PREFIX": "/_aprp"}

    def test_pages_move(self) -> None:
        for page, start in (("/metrics", b"# HELP aprp_"), ("/stats.json", b'{\n  "version"')):
            response = self.ask(f"/_aprp{page}")
            self.assertEqual(response.code, 200)
            self.assertTrue(response.body.startswith(start), response.body[:50])
            self.assertEqual(self.origin.requests, [])
            self.assertEqual(self.ask(page).body, FILM)
            self.assertEqual(self.origin.requests.pop().url, f"http://origin.test{page}")
