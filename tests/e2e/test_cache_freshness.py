"""What is reused, what is asked about again, and what is not kept (RFC 9111)."""

from email.utils import formatdate

import pytest

from tests.e2e.caching import (
    SLICE,
    age,
    cache_status,
    check_whole,
    get_range,
    get_whole,
    small_file,
)
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy, StartProxy

SIZE = 3 * SLICE + 5

# What is reused, and what is not.

REUSED = {
    "max-age": ("Cache-Control: max-age=60",),
    "s-maxage before max-age": ("Cache-Control: max-age=0, s-maxage=60",),
    "Expires": (f"Expires: {formatdate(4_000_000_000, usegmt=True)}",),
    "max-age before Expires": ("Cache-Control: max-age=60", "Expires: 0"),
    "public": ("Cache-Control: public, max-age=60",),
    "an unknown directive": ('Cache-Control: max-age=60, studio="a, b", x=1',),
    "several lines": ("Cache-Control: public", "Cache-Control: max-age=60"),
    "a quoted number": ('Cache-Control: max-age="60"',),
    "a guess by Last-Modified": (),
    "an age within it": ("Cache-Control: max-age=60", "Age: 10"),
    "for caches like this one": ("Cache-Control: no-store", "CDN-Cache-Control: max-age=60"),
    "immutable": ("Cache-Control: max-age=60, immutable",),
    "a number beyond counting": ("Cache-Control: max-age=99999999999999999999",),
    "must-revalidate while fresh": ("Cache-Control: max-age=60, must-revalidate",),
}
CHECKED = {
    "no-cache": ("Cache-Control: no-cache",),
    "max-age=0": ("Cache-Control: max-age=0",),
    "s-maxage=0": ("Cache-Control: max-age=60, s-maxage=0",),
    "too old": ("Cache-Control: max-age=60", "Age: 61"),
    "Expires in the past": ("Expires: Thu, 01 Jan 1970 00:00:00 GMT",),
    "Expires malformed": ("Expires: 0",),
    "not for caches like this one": ("Cache-Control: max-age=60", "CDN-Cache-Control: no-cache"),
    "max-age twice, and they differ": ("Cache-Control: max-age=0, max-age=60",),
}
NOT_KEPT = {
    "no-store": ("Cache-Control: no-store",),
    "no-store beside others": ("Cache-Control: max-age=60, No-Store",),
    "private": ("Cache-Control: private, max-age=60",),
    "not to be kept by caches like this one": (
        "Cache-Control: max-age=60",
        "CDN-Cache-Control: no-store",
    ),
    "Vary: *": ("Cache-Control: max-age=60", "Vary: *"),
}


@pytest.mark.parametrize("case", REUSED)
def test_what_is_reused_without_asking(source: FaultOrigin, cached_proxy: Proxy, case: str) -> None:
    file = small_file(source, *REUSED[case])
    first = get_whole(cached_proxy, file)
    again = get_whole(cached_proxy, file)
    assert len(file.served) == 1
    assert "hit" in cache_status(again)
    assert age(again) >= (10 if case == "an age within it" else 0)
    assert "stored" in cache_status(first)


@pytest.mark.parametrize("case", CHECKED)
def test_what_is_reused_only_when_the_origin_says_so(
    source: FaultOrigin, cached_proxy: Proxy, case: str
) -> None:
    file = small_file(source, *CHECKED[case])
    get_whole(cached_proxy, file)
    again = get_whole(cached_proxy, file)
    assert "hit" not in cache_status(again)
    # One question, and no byte of the body a second time.
    assert len(file.served) == 2
    assert file.served[1].status == 304
    assert file.requests[1].get("If-None-Match") == '"v1"'
    assert file.sent == file.size
    file.version = 2
    check_whole(cached_proxy.get(file.path), file, version=2)


@pytest.mark.parametrize("case", NOT_KEPT)
def test_what_is_not_kept(source: FaultOrigin, cached_proxy: Proxy, case: str) -> None:
    file = small_file(source, *NOT_KEPT[case])
    for number in (1, 2, 3):
        get_whole(cached_proxy, file)
        assert len(file.served) == number
        assert file.served[-1].status == 200
    get_range(cached_proxy, file, 5, 500)
    assert len(file.served) == 4
    assert all(request.get("If-None-Match") is None for request in file.requests)


def test_without_freshness_and_without_a_date_the_origin_is_asked(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = small_file(source)
    file.dated = False
    get_whole(cached_proxy, file)
    get_whole(cached_proxy, file)
    assert [served.status for served in file.served] == [200, 304]


def test_without_anything_to_go_by_it_is_fetched_again(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = small_file(source)
    file.dated, file.etag = False, "none"
    get_whole(cached_proxy, file)
    file.version = 2
    check_whole(cached_proxy.get(file.path), file, version=2)


def test_heuristics_can_be_switched_off(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, "--heuristic-max", "0", cache=True)
    file = small_file(source)
    get_whole(proxy, file)
    get_whole(proxy, file)
    assert [served.status for served in file.served] == [200, 304]


def test_a_cookie_is_for_its_client(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    # No rule of RFC 9111; but a guess at freshness must not give one client's session to others.
    proxy = start_proxy("--upstream", origin.url, cache=True)
    path = origin.plays(serves(b"page", 'ETag: "1"', "Set-Cookie: id=1"))
    for number in (1, 2):
        assert proxy.get(path).get("Set-Cookie") == "id=1"
        assert len(origin.asked(path)) == number


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ((), False),
        (("Cache-Control: max-age=60",), False),
        (("Cache-Control: max-age=60, public",), True),
        (("Cache-Control: s-maxage=60",), True),
        (("Cache-Control: max-age=60, must-revalidate",), True),
    ],
)
def test_answers_to_those_who_identified_themselves(
    source: FaultOrigin, cached_proxy: Proxy, fields: tuple[str, ...], kept: bool
) -> None:
    # RFC 9111 section 3.5.
    file = small_file(source, *fields)
    for _ in range(2):
        get_whole(cached_proxy, file, Authorization="Basic eDp5")
    assert len(file.served) == (1 if kept else 2)
    if not kept:
        # Nor is it for anybody else.
        get_whole(cached_proxy, file)
        assert len(file.served) == 3


# What an answer tells.


def test_an_answer_says_what_happened(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(SIZE)
    file.fields = ("Cache-Control: max-age=60", 'Cache-Status: "far"; hit; ttl=5', "Via: 1.1 far")
    first = get_range(cached_proxy, file, 0, SLICE)
    assert cache_status(first)["fwd"] in ("miss", "uri-miss")
    hit = get_range(cached_proxy, file, 0, SLICE)
    assert "hit" in cache_status(hit) and 50 <= int(cache_status(hit)["ttl"]) <= 60
    assert 0 <= age(hit) < 20
    for reply in (first, hit):
        assert reply.get("Via") == "1.1 far, 1.1 aprp"
        value = reply.get("Cache-Status")
        assert value is not None and value.startswith('"far"; hit; ttl=5, ')
    assert file.requests[0].get("Via") == "1.1 aprp"


def test_the_age_adds_up(source: FaultOrigin, cached_proxy: Proxy) -> None:
    # RFC 9111 section 4.2.3.
    file = small_file(source, "Cache-Control: max-age=6000", "Age: 100")
    assert age(get_whole(cached_proxy, file)) in range(100, 120)
    assert age(get_whole(cached_proxy, file)) in range(100, 120)


def test_what_was_fresh_becomes_stale(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = small_file(source, "Cache-Control: max-age=2", "Age: 1")
    get_whole(cached_proxy, file)
    get_whole(cached_proxy, file)
    assert len(file.served) == 1

    def asked_again() -> bool:
        get_whole(cached_proxy, file)
        return len(file.served) > 1

    wait_until(asked_again, "the origin is asked whether it is still valid")
    assert file.served[1].status == 304
