"""What the origin is asked, by what the client asks."""

from typing import ClassVar

from aprp.upstream.errors import ConnectFailed, ConnectTimeout
from tests.contract.base import FILM, MONDAY, ContractCase, Options

WAYS = [
    # path, Range field, the URL asked, the Range field asked
    ("/film.mp4", None, "/film.mp4", None),
    ("/film.mp4", "bytes=0-99", "/film.mp4", "bytes=0-99"),
    ("/film.mp4", "bytes=0-", "/film.mp4", "bytes=0-"),
    ("/film.mp4", "bytes=-500", "/film.mp4", "bytes=-500"),
    ("/film.mp4", "BYTES=007-9", "/film.mp4", "bytes=7-9"),
    ("/film.mp4?range=0-99", None, "/film.mp4", "bytes=0-99"),
    ("/film.mp4?range=bytes=0-99", None, "/film.mp4", "bytes=0-99"),
    ("/film.mp4?range=bytes%3D0-99", None, "/film.mp4", "bytes=0-99"),
    ("/film.mp4?range=100-", None, "/film.mp4", "bytes=100-"),
    ("/film.mp4?range=-500", None, "/film.mp4", "bytes=-500"),
    ("/film.mp4/0/99", None, "/film.mp4", "bytes=0-99"),
    ("/film.mp4/100/", None, "/film.mp4", "bytes=100-"),
    ("/a/b/film.mp4/0/99", None, "/a/b/film.mp4", "bytes=0-99"),
    ("/film.mp4/0/99?range=0-99", "bytes=0-99", "/film.mp4", "bytes=0-99"),
    ("/film.mp4/00/099?range=bytes%3D0-99", "Bytes=0-0099", "/film.mp4", "bytes=0-99"),
    # What is no range of the proxy's is the origin's.
    ("/film.mp4/100", None, "/film.mp4/100", None),
    ("/film.mp4/0/x", None, "/film.mp4/0/x", None),
    ("/a//0/99", None, "/a//0/99", None),
    ("/film.mp4/", None, "/film.mp4/", None),
    ("/film.mp4?a=1&range=0-99&b=%202&c", None, "/film.mp4?a=1&b=%202&c", "bytes=0-99"),
    ("/film.mp4?token=a%2Fb+c==&x", None, "/film.mp4?token=a%2Fb+c==&x", None),
    ("/film.mp4?ranges=0-99", None, "/film.mp4?ranges=0-99", None),
    ("/film.mp4/0/99?t=5", None, "/film.mp4?t=5", "bytes=0-99"),
    ("/%E4%B8%AD%20a.mp4/0/99", None, "/%E4%B8%AD%20a.mp4", "bytes=0-99"),
    ("/a%2Fb/c;d=e@f", None, "/a%2Fb/c;d=e@f", None),
    # A Range field that cannot be read, or of another unit, is as if it were not there (14.2).
    ("/film.mp4", "items=0-99", "/film.mp4", None),
    ("/film.mp4", "bytes=9-5", "/film.mp4", None),
    ("/film.mp4", "bytes=1_0-", "/film.mp4", None),
    ("/film.mp4?range=0-99", "items=0-5", "/film.mp4", "bytes=0-99"),
    # Of several the first: its answer tells the length. Too many are none.
    ("/film.mp4", "bytes=5-9,0-1", "/film.mp4", "bytes=5-9"),
    ("/film.mp4", "bytes=" + ",".join(["0-1"] * 17), "/film.mp4", None),
]


class QuestionsTest(ContractCase):
    def test_url_and_range(self) -> None:
        for path, given, url, asked in WAYS:
            with self.subTest(path=path, range=given):
                self.origin.requests.clear()
                response = self.ask(path, {"Range": given} if given else None)
                self.assertEqual(response.code, 206 if asked else 200)
                first = self.origin.requests[0]
                self.assertEqual(first.url, f"http://origin.test{url}")
                self.assertEqual(first.method, "GET")
                self.assertEqual(first.headers.get("Range"), asked)

    def test_the_fetch_is_streamed_without_a_limit_on_the_whole(self) -> None:
        self.ask("/film.mp4")
        request = self.origin.request
        self.assertEqual(request.request_timeout, 0)
        self.assertFalse(request.follow_redirects)
        self.assertFalse(request.decompress_response)
        self.assertIsNotNone(request.streaming_callback)
        self.assertEqual(request.connect_timeout, 5.0)
        self.assertEqual((request.first_byte_timeout, request.idle_timeout), (30.0, 30.0))
        self.fetched.assert_called_once_with(request, raise_error=False)

    def test_a_head_is_asked_as_one_and_its_range_field_ignored(self) -> None:
        for path in ("/film.mp4", "/film.mp4?range=0-99", "/film.mp4/0/99"):
            with self.subTest(path=path):
                self.origin.requests.clear()
                response = self.ask(path, {"Range": "bytes=5-9"}, "HEAD")
                self.assertEqual(response.code, 200 if path == "/film.mp4" else 206)
                self.assertEqual(self.origin.request.method, "HEAD")
                self.assertEqual(self.origin.ranges_asked, [None])

    def test_fields_of_the_client_pass(self) -> None:
        sent = {
            "If-None-Match": '"x", W/"y"',
            "If-Modified-Since": MONDAY,
            "If-Match": "*",
            "If-Unmodified-Since": MONDAY,
            "Authorization": "Basic YTpi",
            "Cookie": "a=b; c=d",
            "Accept": "video/*",
            "Accept-Encoding": "gzip",
            "Cache-Control": "no-cache",
            "Referer": "https://player.test/",
            "X-Playback-Session-Id": "5",
        }
        self.ask("/film.mp4", sent)
        asked = self.origin.request.headers
        self.assertEqual({name: asked.get(name) for name in sent}, sent)
        self.assertEqual(asked["User-Agent"], "tests")
        self.assertEqual(next(iter(asked)), "Host")

    def test_if_range_goes_with_a_range_only(self) -> None:
        self.ask("/film.mp4", {"Range": "bytes=0-9", "If-Range": '"v1"'})
        self.ask("/film.mp4?range=0-9", {"If-Range": '"v1"'})
        self.ask("/film.mp4", {"If-Range": '"v1"'})
        self.assertEqual(
            [request.headers.get("If-Range") for request in self.origin.requests],
            ['"v1"', '"v1"', None],
        )

    def test_a_range_is_one_of_the_bytes_as_stored(self) -> None:
        self.ask("/film.mp4", {"Range": "bytes=0-9", "Accept-Encoding": "gzip"})
        self.assertEqual(self.origin.request.headers["Accept-Encoding"], "identity")

    def test_fields_for_the_proxy_alone_do_not_pass(self) -> None:
        self.ask(
            "/film.mp4",
            {
                "Connection": "close, X-Secret",
                "X-Secret": "a",
                "Keep-Alive": "5",
                "Proxy-Authorization": "Basic YTpi",
                "Proxy-Connection": "keep-alive",
                "TE": "trailers",
                "Upgrade": "h2c",
                "Expect": "x",
            },
        )
        asked = self.origin.request.headers
        for name in (
            *("Connection", "X-Secret", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection"),
            *("TE", "Upgrade", "Expect", "Range", "Content-Length", "Transfer-Encoding"),
        ):
            self.assertNotIn(name, asked)

    def test_who_asked(self) -> None:
        forged = {
            "X-Forwarded-For": "1.2.3.4",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.test",
            "Forwarded": "for=1.2.3.4",
            "Via": "1.0 front",
            "Host": "films.test:8000",
        }
        self.ask("/film.mp4", forged)
        asked = self.origin.request.headers
        self.assertEqual(asked["Host"], "origin.test")
        self.assertEqual(asked["Via"], "1.0 front, 1.1 aprp")
        self.assertEqual(asked["X-Forwarded-For"], "127.0.0.1")
        self.assertEqual(asked["X-Forwarded-Proto"], "http")
        self.assertEqual(asked["X-Forwarded-Host"], "films.test:8000")
        self.assertEqual(asked["Forwarded"], 'for=127.0.0.1;host="films.test:8000";proto=http')

    def test_nothing_is_asked_for_what_is_refused(self) -> None:
        for path, status in (
            ("/film.mp4?range=9-5", 400),
            ("/film.mp4?range=items=0-5", 400),
            ("/film.mp4?range=", 400),
            ("/film.mp4?range=0-5&range=0-6", 400),
            ("/film.mp4/9/5", 400),
            ("/film.mp4/0/9?range=0-8", 416),
            ("/../etc/passwd", 400),
            ("/a/%2e%2e/b", 400),
            ("/a/..%2fb", 400),
            ("/a%0d%0aX:y", 400),
            ("/a%00", 400),
            ("/a%zz", 400),
        ):
            # Faults of clients are no concern of the operator's.
            with self.subTest(path=path), self.assertNoLogs("aprp", "WARNING"):
                self.problem(self.ask(path), status)
        self.assertEqual(self.origin.requests, [])

    def test_further_ranges_are_asked_of_the_same_version(self) -> None:
        self.ask("/film.mp4", {"Range": "bytes=5-9,0-1,-2"})
        self.assertEqual(self.origin.ranges_asked, ["bytes=5-9", "bytes=0-1", "bytes=1022-1023"])
        conditions = [request.headers.get("If-Range") for request in self.origin.requests]
        self.assertEqual(conditions, [None, '"v1"', '"v1"'])


class SwitchedOffTest(ContractCase):
    options: ClassVar[Options] = {
        "RANGE_PARAM": "",
        "RANGE_PATH": False,
        "VIA_NAME": "front",
        "MAX_RANGES": 1,
    }

    def test_path_and_query_are_the_origins(self) -> None:
        self.ask("/film.mp4/0/99?range=5-9")
        self.assertEqual(self.origin.request.url, "http://origin.test/film.mp4/0/99?range=5-9")
        self.assertEqual(self.origin.ranges_asked, [None])
        self.assertEqual(self.origin.request.headers["Via"], "1.1 front")

    def test_the_field_still_counts(self) -> None:
        self.assertEqual(self.ask("/film.mp4", {"Range": "bytes=0-1"}).body, FILM[:2])
        self.assertEqual(self.ask("/film.mp4", {"Range": "bytes=0-1,5-6"}).body, FILM)


class NamedParameterTest(ContractCase):
    options: ClassVar[Options] = {
        "UPSTREAM": ["http://origin.test:9000/films/"],
        "RANGE_PARAM": "bytes",
        "TRUSTED_PROXIES": ["127.0.0.0/8", "::1"],
    }

    def test_another_name_and_a_base_path(self) -> None:
        self.ask("/a.mp4?bytes=5-9&range=1-2")
        self.assertEqual(self.origin.request.url, "http://origin.test:9000/films/a.mp4?range=1-2")
        self.assertEqual(self.origin.request.headers["Host"], "origin.test:9000")
        self.assertEqual(self.origin.ranges_asked, ["bytes=5-9"])

    def test_a_trusted_proxy_is_believed(self) -> None:
        self.ask("/a.mp4", {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"})
        asked = self.origin.request.headers
        self.assertEqual(asked["X-Forwarded-For"], "1.2.3.4, 127.0.0.1")
        self.assertEqual(asked["X-Forwarded-Proto"], "https")


class SeveralOriginsTest(ContractCase):
    options: ClassVar[Options] = {
        "UPSTREAM": ["http://one.test", "http://two.test", "http://three.test"]
    }

    def test_the_first_that_can_be_reached(self) -> None:
        self.origin.unreachable = {
            "http://one.test": ConnectFailed("refused"),
            "http://two.test": ConnectTimeout("slow"),
        }
        self.assertEqual(self.ask("/film.mp4").body, FILM)
        # Those that failed come last for a while.
        self.assertEqual(self.ask("/film.mp4").body, FILM)
        hosts = [request.headers["Host"] for request in self.origin.requests]
        self.assertEqual(hosts, ["one.test", "two.test", "three.test", "three.test"])
        urls = {request.url.partition(".test")[2] for request in self.origin.requests}
        self.assertEqual(urls, {"/film.mp4"})

    def test_none_can_be_reached(self) -> None:
        self.origin.unreachable = {"http://": ConnectFailed("refused")}
        with self.assertLogs("aprp", "WARNING") as logged:
            self.problem(self.ask("/film.mp4"), 502)
        self.assertEqual(len(self.origin.requests), 3)
        self.assertIn("three.test", logged.output[0])
