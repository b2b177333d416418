"""The request as the library takes it."""

from collections.abc import Mapping

from aprp.media.context import Link
from aprp.media.request import Request
from aprp.semantics.answer import Asked
from aprp.semantics.conditions import Conditions
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import parse_header
from tests.media.sources import nobody, site_of

SITE = site_of(nobody)


def request(fields: dict[str, str], made: list[int]) -> Request:
    def make_fields() -> Mapping[str, str]:
        made.append(1)
        return {"Accept": "*/*"}

    conditions = Conditions.from_headers(fields.get)
    asked = Asked("GET", parse_header("bytes=5-9"), '"a"', conditions)
    return Request(SITE, asked, "/film.mp4?a", "key", Fields(fields.items()).get, make_fields)


def test_the_fields_for_an_origin_are_made_once_and_only_if_wanted() -> None:
    made: list[int] = []
    asked = request({"Cache-Control": "no-cache"}, made)
    assert asked.directives.no_cache
    assert made == []
    assert asked.fields == asked.fields == {"Accept": "*/*"}
    assert asked.link == Link(SITE, "/film.mp4?a", {"Accept": "*/*"})
    assert made == [1]


def test_the_marks_are_the_fields_that_name_it() -> None:
    marks = {"X-Request-ID": "a", "traceparent": "b", "tracestate": "c"}
    fields = {"Accept": "*/*", **marks}
    one = Request(SITE, Asked("GET", None, None, None), "/", "key", fields.get, lambda: fields)
    assert one.marks == marks == one.of_whole().marks


def test_the_directives_are_those_of_the_request() -> None:
    """RFC 9111 section 5.2.1."""
    directives = request({"Cache-Control": "only-if-cached, max-age=5"}, []).directives
    assert directives.only_if_cached
    assert directives.max_age == 5
    assert not directives.no_store
    assert not request({}, []).directives.no_store


def test_the_same_request_of_the_whole() -> None:
    one = request({"If-None-Match": '"b"', "Cache-Control": "no-store"}, [])
    whole = one.of_whole()
    assert whole.asked == Asked("GET", None, None, None)
    assert whole.source is SITE
    assert (whole.target, whole.key) == ("/film.mp4?a", "key")
    assert whole.get("cache-control") == "no-store"
    assert whole.directives.no_store
    assert whole.fields == {"Accept": "*/*"}
    # The first one is what it was.
    assert one.asked.ranges == parse_header("bytes=5-9")
    assert one.asked.if_range == '"a"'
