"""Conditions and directives of clients, answered from the cache (RFC 9110, RFC 9111)."""

from email.utils import formatdate

import pytest

from tests.e2e.caching import (
    SLICE,
    age,
    check_range,
    check_whole,
    get_range,
    get_whole,
    small_file,
)
from tests.e2e.content import LAST_MODIFIED, MODIFIED
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy

SIZE = 3 * SLICE + 5


def test_if_fields_are_answered_from_the_cache(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = small_file(source, "Cache-Control: max-age=60")
    get_whole(cached_proxy, file)
    get = cached_proxy.get
    for fields in (
        {"If-None-Match": '"v1"'},
        {"If-None-Match": 'W/"v1"'},
        {"If-None-Match": '"x", "v1"'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": LAST_MODIFIED},
        {"If-None-Match": '"v1"', "If-Modified-Since": formatdate(0, usegmt=True)},
        {"If-None-Match": '"v1"', "Range": "bytes=0-9"},
    ):
        reply = get(file.path, **fields)
        assert (reply.status, reply.body) == (304, b""), fields
        assert reply.get("ETag") == '"v1"'
        assert reply.get("Content-Length") in (None, str(file.size))
    for fields in (
        {"If-Match": '"v2"'},
        {"If-Match": 'W/"v1"'},
        {"If-Unmodified-Since": formatdate(MODIFIED - 1, usegmt=True)},
    ):
        assert get(file.path, **fields).status == 412, fields
    for fields in (
        {"If-None-Match": '"v2"'},
        {"If-None-Match": '"v2"', "If-Modified-Since": LAST_MODIFIED},
        {"If-Match": '"v1"'},
        {"If-Match": "*"},
        {"If-Unmodified-Since": LAST_MODIFIED},
        {"If-Modified-Since": formatdate(MODIFIED - 1, usegmt=True)},
        {"If-Range": '"v2"', "Range": "bytes=0-9"},
        {"If-Range": 'W/"v1"', "Range": "bytes=0-9"},
    ):
        check_whole(get(file.path, **fields), file)
    for value in ('"v1"', LAST_MODIFIED):
        check_range(get(file.path, **{"If-Range": value, "Range": "bytes=0-9"}), file, 0, 10)
    assert len(file.served) == 1


def test_a_conditional_question_about_what_is_not_there(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = small_file(source, "Cache-Control: max-age=60")
    reply = cached_proxy.get(file.path, **{"If-None-Match": '"v1"'})
    assert reply.status == 304
    check_whole(cached_proxy.get(file.path, **{"If-None-Match": '"other"'}), file)


@pytest.mark.parametrize("asked", ["no-cache", "max-age=0", "min-fresh=9999"])
def test_a_client_that_wants_it_fresh(source: FaultOrigin, cached_proxy: Proxy, asked: str) -> None:
    file = small_file(source, "Cache-Control: max-age=60")
    get_whole(cached_proxy, file)
    file.version = 2
    reply = cached_proxy.get(file.path, **{"Cache-Control": asked})
    check_whole(reply, file, version=2)


def test_a_client_that_may_have_it_stale(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = small_file(source, "Cache-Control: max-age=10", "Age: 20")
    get_whole(cached_proxy, file)
    reply = get_whole(cached_proxy, file, **{"Cache-Control": "max-stale=600"})
    assert len(file.served) == 1 and age(reply) >= 20


def test_a_client_that_asks_the_cache_only(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = small_file(source, "Cache-Control: max-age=60")
    fields = {"Cache-Control": "only-if-cached"}
    assert cached_proxy.get(file.path, **fields).status == 504
    assert not file.served
    get_whole(cached_proxy, file)
    get_whole(cached_proxy, file, **fields)
    assert len(file.served) == 1


def test_a_client_that_asks_the_cache_only_for_a_part(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(SIZE)
    get_range(cached_proxy, file, SLICE, 2 * SLICE)
    before = len(file.served)
    fields = {"Cache-Control": "only-if-cached"}
    get_range(cached_proxy, file, SLICE + 5, SLICE + 50, **fields)
    for asked in ({"Range": "bytes=0-9"}, {}):
        assert cached_proxy.get(file.path, **asked, **fields).status == 504
    assert len(file.served) == before
