"""What the client gets, by what it asks, from an origin with ranges and from one without."""

import email.parser
import email.policy
from typing import ClassVar

from tornado.httpclient import HTTPResponse
from tornado.simple_httpclient import HTTPStreamClosedError

from aprp.upstream.errors import FirstByteTimeout, OriginClosed, Overloaded
from tests.contract.base import FILM, MONDAY, SUNDAY, ContractCase, Options

RANGES = [
    # path, Range field, first byte, last byte
    ("/film.mp4", "bytes=0-", 0, 1023),
    ("/film.mp4", "bytes=0-1", 0, 1),
    ("/film.mp4", "bytes=100-199", 100, 199),
    ("/film.mp4", "bytes=1000-", 1000, 1023),
    ("/film.mp4", "bytes=1000-5000", 1000, 1023),
    ("/film.mp4", "bytes=-24", 1000, 1023),
    ("/film.mp4", "bytes=-5000", 0, 1023),
    ("/film.mp4", "bytes=0-5,3-9", 0, 9),
    ("/film.mp4", "bytes=5-9,5000-", 5, 9),
    ("/film.mp4?range=100-199", None, 100, 199),
    ("/film.mp4?range=bytes=100-199", "bytes=0100-199", 100, 199),
    ("/film.mp4/100/199", None, 100, 199),
    ("/film.mp4/1000/", None, 1000, 1023),
]


class AnswersTest(ContractCase):
    def parts(self, response: HTTPResponse) -> list[tuple[str, bytes]]:
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
        message = parser.parsebytes(head + response.body)
        self.assertEqual(message.get_content_type(), "multipart/byteranges")
        self.assertEqual(message.defects, [])
        found: list[tuple[str, bytes]] = []
        for part in message.iter_parts():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append((part["Content-Range"], payload))
        return found

    def test_the_whole(self) -> None:
        for ranges in (True, False):
            self.origin.ranges = ranges
            response = self.ask("/film.mp4")
            self.assertEqual((response.code, response.reason), (200, "Word"))
            self.assertEqual(response.body, FILM)
            self.assertEqual(response.headers["Content-Length"], "1024")
            self.assertEqual(response.headers["Accept-Ranges"], "bytes")
            self.assertEqual(response.headers["ETag"], '"v1"')
            self.assertEqual(response.headers["Via"], "1.1 aprp")
            self.assertNotIn("Content-Range", response.headers)

    def test_a_range(self) -> None:
        for ranges in (True, False):
            self.origin.ranges = ranges
            for path, given, first, last in RANGES:
                with self.subTest(path=path, range=given, origin=ranges):
                    response = self.ask(path, {"Range": given} if given else None)
                    self.assertEqual((response.code, response.reason), (206, "Partial Content"))
                    self.assertEqual(response.body, FILM[first : last + 1])
                    content_range = f"bytes {first}-{last}/1024"
                    self.assertEqual(response.headers["Content-Range"], content_range)
                    self.assertEqual(response.headers["Content-Length"], str(last + 1 - first))
                    self.assertEqual(response.headers["Content-Type"], "video/mp4")
                    self.assertEqual(response.headers["ETag"], '"v1"')
                    self.assertEqual(response.headers["Accept-Ranges"], "bytes")

    def test_several_ranges(self) -> None:
        for ranges in (True, False):
            self.origin.ranges = ranges
            response = self.ask("/film.mp4", {"Range": "bytes=0-1,100-199,-24"})
            self.assertEqual(response.code, 206)
            self.assertNotIn("Content-Range", response.headers)
            self.assertEqual(response.headers["Content-Length"], str(len(response.body)))
            self.assertEqual(
                self.parts(response),
                [
                    ("bytes 0-1/1024", FILM[:2]),
                    ("bytes 100-199/1024", FILM[100:200]),
                    ("bytes 1000-1023/1024", FILM[1000:]),
                ],
            )

    def test_the_boundary_is_new_each_time(self) -> None:
        types = {
            self.ask("/film.mp4", {"Range": "bytes=0-1,5-6"}).headers["Content-Type"]
            for _ in range(5)
        }
        self.assertEqual(len(types), 5)

    def test_head(self) -> None:
        for path, code, length in (("/film.mp4", 200, "1024"), ("/film.mp4/5/9", 206, "5")):
            with self.subTest(path=path):
                response = self.ask(path, {"Range": "bytes=0-1"}, "HEAD")
                self.assertEqual((response.code, response.body), (code, b""))
                self.assertEqual(response.headers["Content-Length"], length)

    def test_no_such_range(self) -> None:
        for ranges in (True, False):
            self.origin.ranges = ranges
            for path in ("/film.mp4/1024/", "/film.mp4?range=5000-6000", "/film.mp4?range=-0"):
                with self.subTest(path=path, origin=ranges):
                    response = self.ask(path)
                    problem = self.problem(response, 416)
                    self.assertEqual(response.headers["Content-Range"], "bytes */1024")
                    self.assertEqual(problem["length"], 1024)

    def test_ranges_that_disagree(self) -> None:
        response = self.ask("/film.mp4/0/9?range=0-8", {"Range": "bytes=0-7"})
        problem = self.problem(response, 416)
        self.assertEqual(
            problem["ranges"], {"path": "/0/9", "?range=": "0-8", "Range header": "bytes=0-7"}
        )
        for said in ("/0/9", "0-8", "bytes=0-7"):
            self.assertIn(said, problem["detail"])

    def test_a_malformed_range(self) -> None:
        problem = self.problem(self.ask("/film.mp4?range=a-b"), 400)
        self.assertIn("'a-b'", problem["detail"])
        self.assertIn("bytes=0-99", problem["detail"])

    def test_conditions_that_the_origin_ignores(self) -> None:
        for headers, code in (
            ({"If-None-Match": '"v1"'}, 304),
            ({"If-None-Match": '"v2"'}, 200),
            ({"If-Modified-Since": MONDAY}, 304),
            ({"If-Modified-Since": SUNDAY}, 200),
            ({"If-None-Match": '"v1"', "Range": "bytes=0-9"}, 304),
            ({"If-None-Match": '"v2"', "Range": "bytes=0-9"}, 206),
            ({"If-None-Match": '"v1"', "Range": "bytes=5000-"}, 304),
            ({"Range": "bytes=0-9", "If-Range": '"v1"'}, 206),
            ({"Range": "bytes=0-9", "If-Range": '"v2"'}, 200),
            ({"Range": "bytes=0-9", "If-Range": 'W/"v1"'}, 200),
            ({"Range": "bytes=0-9", "If-Range": MONDAY}, 206),
            ({"Range": "bytes=0-9", "If-Range": SUNDAY}, 200),
            ({"Range": "bytes=5000-", "If-Range": '"v2"'}, 200),
        ):
            for ranges in (True, False):
                self.origin.ranges = ranges
                with self.subTest(headers=headers, origin=ranges):
                    response = self.ask("/film.mp4", headers)
                    self.assertEqual(response.code, code)
                    body = {200: FILM, 206: FILM[:10], 304: b""}[code]
                    self.assertEqual(response.body, body)
                    self.assertEqual(response.headers["ETag"], '"v1"')

    def test_a_condition_that_fails(self) -> None:
        problem = self.problem(self.ask("/film.mp4", {"If-Match": '"v2"'}), 412)
        self.assertIn("If-Match", problem["detail"])

    def test_other_answers_pass_as_they_are(self) -> None:
        for status, fields, body in (
            (404, [("Content-Type", "text/plain"), ("Content-Length", "4")], b"none"),
            (301, [("Location", "/other"), ("Content-Length", "0")], b""),
            (503, [("Retry-After", "9"), ("Content-Length", "1")], b"x"),
            (304, [("ETag", '"v1"')], b""),
            (204, [], b""),
        ):
            for headers in ({}, {"Range": "bytes=0-1"}):
                with self.subTest(status=status, headers=headers):
                    self.origin.answer = status, fields, body
                    response = self.ask("/film.mp4", headers)
                    self.assertEqual((response.code, response.reason), (status, "Word"))
                    self.assertEqual(response.body, body)
                    for name, value in fields:
                        self.assertEqual(response.headers[name], value)
                    self.assertNotIn("Accept-Ranges", response.headers)

    def test_fields_of_the_origin(self) -> None:
        fields = [
            *(("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Via", "1.1 cache")),
            *(("X-Own", "\xe4"), ("Accept-Ranges", "none"), ("Content-Length", "4")),
            *(("Connection", "X-Hop, close"), ("X-Hop", "1"), ("Keep-Alive", "5")),
            *(("Server", "origin/1"), ("Access-Control-Allow-Origin", "https://a.test")),
        ]
        self.origin.answer = 200, fields, b"film"
        headers = self.ask("/film.mp4").headers
        self.assertEqual(headers.get_list("Set-Cookie"), ["a=1", "b=2"])
        self.assertEqual(headers["Via"], "1.1 cache, 1.1 aprp")
        self.assertEqual(headers["X-Own"], "\xe4")
        self.assertEqual(headers["Accept-Ranges"], "bytes")
        self.assertEqual(headers["Server"], "origin/1")
        self.assertEqual(headers["Access-Control-Allow-Origin"], "https://a.test")
        # That of the proxy's own connection: the client asked for it.
        self.assertEqual(headers["Connection"], "close")
        for name in ("X-Hop", "Keep-Alive"):
            self.assertNotIn(name, headers)

    def test_a_stream_without_a_length(self) -> None:
        self.origin.ranges = self.origin.length_told = False
        response = self.ask("/film.mp4")
        self.assertEqual((response.code, response.body), (200, FILM))
        self.assertNotIn("Content-Length", response.headers)
        response = self.ask("/film.mp4/5/9")
        self.assertEqual((response.code, response.body), (206, FILM[5:10]))
        self.assertEqual(response.headers["Content-Range"], "bytes 5-9/*")
        response = self.ask("/film.mp4/2000/3000")
        self.problem(response, 416)
        self.assertEqual(response.headers["Content-Range"], "bytes */1024")

    def test_no_more_is_read_than_was_asked_for(self) -> None:
        self.origin.ranges = False
        self.ask("/film.mp4/5/9")
        (running,) = self.origin.running
        running.abort.assert_called_once_with()

    # What goes wrong.

    def test_an_origin_that_fails(self) -> None:
        for kind, status in ((OriginClosed, 502), (FirstByteTimeout, 504), (Overloaded, 503)):
            with self.subTest(error=kind.__name__):
                self.origin.answer, self.origin.error = (0, [], b""), kind("the reason")
                with self.assertLogs("aprp", "WARNING") as logged:
                    response = self.ask("/film.mp4")
                problem = self.problem(response, status)
                self.assertNotIn("cause", problem)
                self.assertNotIn(b"origin.test", response.body)
                self.assertIn(f"{kind.__name__}: the reason", logged.output[0])

    def test_an_origin_that_sends_another_range(self) -> None:
        self.origin.answer = 206, [("Content-Range", "bytes 5-9/1024")], FILM[5:10]
        with self.assertLogs("aprp", "WARNING") as logged:
            self.problem(self.ask("/film.mp4/0/9"), 502)
        self.assertIn("bytes 5-9/1024", logged.output[0])
        with self.assertLogs("aprp", "WARNING"):
            self.problem(self.ask("/film.mp4"), 502)

    def test_an_origin_that_breaks_off_makes_a_short_answer(self) -> None:
        for length in ([("Content-Length", "2048")], []):
            for path in ("/film.mp4", "/film.mp4?range=0-99999"):
                with self.subTest(length=length, path=path):
                    self.origin.answer = 200, length, FILM
                    self.origin.error = OriginClosed("Connection closed")
                    with self.assertRaises(HTTPStreamClosedError):
                        self.ask(path)

    def test_a_bug_is_told_to_the_log_only(self) -> None:
        self.origin.answer, self.origin.error = (0, [], b""), ZeroDivisionError("secret")
        with self.assertLogs("aprp", "ERROR") as logged:
            response = self.ask("/film.mp4")
        self.problem(response, 500)
        self.assertNotIn(b"secret", response.body)
        self.assertNotIn(b"ZeroDivision", response.body)
        self.assertIn("Traceback", logged.output[0])


class DebugTest(ContractCase):
    options: ClassVar[Options] = {"DEBUG": True}

    def test_causes_are_told(self) -> None:
        self.origin.answer, self.origin.error = (0, [], b""), OriginClosed("Connection closed")
        with self.assertLogs("aprp", "WARNING"):
            problem = self.problem(self.ask("/film.mp4"), 502)
        self.assertEqual(problem["cause"], "http://origin.test: OriginClosed: Connection closed")
