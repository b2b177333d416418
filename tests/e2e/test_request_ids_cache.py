"""Ids and traces behind the cache: an answer's is its request's, a fill's that of who began it."""

import threading
from functools import partial

import pytest

from tests.e2e.caching import (
    SLICE,
    begin,
    cache_status,
    check_range,
    check_whole,
    get_range,
    get_whole,
    in_threads,
    small_file,
)
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy, StartProxy

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def named(name: str, **fields: str) -> dict[str, str]:
    """The fields of a request with an id."""
    return {"X-Request-ID": name, **fields}


def asked_by(file: File) -> list[str | None]:
    """The ids with which the origin was asked for a file."""
    return [request.get("X-Request-ID") for request in file.requests]


def test_what_is_stored_has_no_id(source: FaultOrigin, cached_proxy: Proxy) -> None:
    fields = ("Cache-Control: max-age=60", "X-Request-ID: origins")
    file = small_file(source, *fields)
    for name in ("one", "two", "three"):
        reply = get_whole(cached_proxy, file, **named(name))
        assert reply.all("X-Request-ID") == [name]
    assert "hit" in cache_status(reply)
    part = get_range(cached_proxy, file, 5, 10, **named("four"))
    assert part.all("X-Request-ID") == ["four"]
    head = cached_proxy.head(file.path, **named("five"))
    assert head.all("X-Request-ID") == ["five"]
    confirmed = cached_proxy.get(file.path, **named("six", **{"If-None-Match": '"v1"'}))
    assert (confirmed.status, confirmed.all("X-Request-ID")) == (304, ["six"])
    assert asked_by(file) == ["one"]


def test_each_fill_has_the_id_of_who_began_it(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(6 * SLICE)
    get_range(cached_proxy, file, 0, 10, **named("one", traceparent=PARENT, tracestate="a=1"))
    get_range(cached_proxy, file, 4 * SLICE, 4 * SLICE + 10, **named("two", traceparent=OTHER))
    get_range(cached_proxy, file, 2 * SLICE, 2 * SLICE + 10, **named("three"))
    # What is there already is nobody's fetch.
    get_range(cached_proxy, file, 5, 15, **named("four"))
    assert asked_by(file) == ["one", "two", "three"]
    traces = [(r.get("traceparent"), r.get("tracestate")) for r in file.requests]
    assert traces == [(PARENT, "a=1"), (OTHER, None), (None, None)]


def test_a_fill_that_is_taken_up_again_keeps_its_id(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(6 * SLICE)
    gate = threading.Event()
    file.plans += [Plan(hold=(SLICE, gate), cut=2 * SLICE)]
    with begin(cached_proxy, file, "X-Request-ID: one", f"traceparent: {PARENT}") as first:
        assert file.body().matches(0, first.read(SLICE))
        # A newer client, whose link is the one to ask with from now on.
        get_range(cached_proxy, file, 5 * SLICE, 5 * SLICE + 10, **named("two"))
        gate.set()
        rest = first.read(file.size - SLICE)
        assert len(rest) == file.size - SLICE and file.body().matches(SLICE, rest)
    ids = asked_by(file)
    assert len(ids) > 2 and (ids[0], ids[1]) == ("one", "two")
    assert set(ids[2:]) == {"one"}
    assert {r.get("traceparent") for r in file.requests if r.get("X-Request-ID") == "one"} == {
        PARENT
    }


def test_many_that_want_the_same_share_one_id(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(SLICE)
    file.delay = 1.0
    names = [f"job-{n}" for n in range(8)]

    def get(name: str) -> str | None:
        reply = cached_proxy.get(file.path, **named(name))
        check_whole(reply, file)
        return reply.get("X-Request-ID")

    given = in_threads([partial(get, name) for name in names])
    assert given == names
    (asked,) = asked_by(file)
    assert asked in names


def test_a_question_whether_it_is_valid_has_the_id_of_who_asks(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = small_file(source, "Cache-Control: max-age=0")
    get_whole(cached_proxy, file, **named("one"))
    reply = get_whole(cached_proxy, file, **named("two", traceparent=PARENT))
    assert reply.get("X-Request-ID") == "two"
    assert [served.status for served in file.served] == [200, 304]
    assert asked_by(file) == ["one", "two"]
    assert file.requests[1].get("traceparent") == PARENT


def test_a_question_in_the_background_has_the_id_of_who_caused_it(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    # RFC 5861 section 3.
    file = small_file(source, "Cache-Control: max-age=0, stale-while-revalidate=60")
    get_whole(cached_proxy, file, **named("one"))
    get_whole(cached_proxy, file, **named("two", traceparent=PARENT))
    file.wait_requests(2)
    assert asked_by(file) == ["one", "two"]
    assert file.requests[1].get("traceparent") == PARENT


@pytest.mark.parametrize("ranges", [True, False])
def test_after_a_restart_fills_have_ids(
    source: FaultOrigin, start_proxy: StartProxy, ranges: bool
) -> None:
    file = source.add(4 * SLICE)
    flags = ("--upstream", source.url, "--read-ahead", "0")
    first = start_proxy(*flags, cache=True)
    get_range(first, file, 0, 10, **named("one"))
    file.ranges = ranges
    directory = first.cache_dir
    assert first.stop() == 0
    second = start_proxy(*flags, cache=directory)
    reply = second.get(file.path, **named("two", Range=f"bytes={2 * SLICE}-{2 * SLICE + 9}"))
    check_range(reply, file, 2 * SLICE, 2 * SLICE + 10)
    assert asked_by(file)[0] == "one" and set(asked_by(file)[1:]) == {"two"}
