"""What is stale: asked about once, refreshed, replaced, or served where origins fail."""

import contextlib
import threading

import pytest

from tests.e2e.caching import (
    SLICE,
    cache_status,
    check_range,
    check_whole,
    get_range,
    get_whole,
    in_threads,
    small_file,
)
from tests.e2e.clients import Connection
from tests.e2e.fault_files import Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy

SIZE = 3 * SLICE + 5


def test_an_object_of_many_slices_is_asked_about_once(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(20 * SLICE)
    file.fields = ("Cache-Control: max-age=0",)
    get_whole(cached_proxy, file)
    before = len(file.served)
    get_whole(cached_proxy, file)
    get_range(cached_proxy, file, 5, 7 * SLICE)
    assert [served.status for served in file.served[before:]] == [304, 304]
    assert file.sent == file.size


def test_many_clients_of_a_stale_object_cause_one_question(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(SLICE)
    file.fields = ("Cache-Control: max-age=0",)
    get_whole(cached_proxy, file)
    # The line is so long that all have come before the answer does.
    file.delay = 1.0
    in_threads([lambda: get_whole(cached_proxy, file)] * 12)
    assert len(file.served) == 2
    assert file.sent == file.size


@pytest.mark.parametrize(
    ("freshness", "again"),
    [
        ("max-age=60", False),
        ("max-age=0", False),
        ("no-cache", True),
        ("max-age=0, must-revalidate", True),
    ],
)
def test_who_comes_while_the_origin_is_asked(
    source: FaultOrigin, start_proxy: StartProxy, freshness: str, again: bool
) -> None:
    # RFC 9111 section 4: what a client has written may not be in an answer that others wait for.
    proxy = start_proxy("--upstream", source.url, cache=True)
    file = small_file(source, f"Cache-Control: {freshness}")
    released = threading.Event()
    file.plans.append(Plan(wait=released))
    first, *others = (Connection(proxy.port) for _ in range(4))
    with contextlib.ExitStack() as stack:
        for connection in (first, *others):
            stack.enter_context(connection)
        first.ask(file.path)
        file.wait_requests(1)
        for connection in others:
            connection.ask(file.path)
        wait_until(
            lambda: proxy.stats()["cache"]["requests"]["collapsed"] == len(others), "all wait"
        )
        released.set()
        for connection in (first, *others):
            check_whole(connection.read_reply(), file)
    statuses = [served.status for served in file.served]
    # Those who ask again share an answer where they are quick enough.
    assert statuses[0] == 200 and {*statuses[1:]} == ({304} if again else set()), statuses
    assert file.sent == file.size


def test_a_304_brings_new_fields(source: FaultOrigin, cached_proxy: Proxy) -> None:
    # RFC 9111 section 3.2.
    file = small_file(source, "Cache-Control: max-age=0", "X-Take: 1", "X-Old: 1")
    get_whole(cached_proxy, file)
    file.fields = ("Cache-Control: max-age=60", "X-Take: 2")
    second, third = get_whole(cached_proxy, file), get_whole(cached_proxy, file)
    assert [served.status for served in file.served] == [200, 304]
    for reply in (second, third):
        assert (reply.get("X-Take"), reply.get("X-Old")) == ("2", "1")
        assert reply.get("Content-Length") == str(file.size)
    assert "hit" in cache_status(third)


def test_a_part_of_a_stale_object_is_asked_about_and_completed(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(SIZE)
    file.fields = ("Cache-Control: max-age=0",)
    get_range(cached_proxy, file, 0, 2 * SLICE)
    get_range(cached_proxy, file, 5, 2 * SLICE - 5)
    assert file.sent == 2 * SLICE
    get_whole(cached_proxy, file)
    assert file.sent == file.size


@pytest.mark.parametrize("ranges", [True, False])
def test_a_stale_object_that_changed(
    source: FaultOrigin, cached_proxy: Proxy, ranges: bool
) -> None:
    file = source.add(SIZE)
    file.ranges, file.fields = ranges, ("Cache-Control: max-age=0",)
    get_whole(cached_proxy, file)
    file.version = 2
    reply = cached_proxy.get(file.path, Range=f"bytes={SLICE}-{SLICE + 99}")
    check_range(reply, file, SLICE, SLICE + 100, version=2)
    check_whole(cached_proxy.get(file.path), file, version=2)
    # No byte of the second version came twice.
    file.wait_quiet()
    assert file.sent <= 2 * file.size


def test_stale_while_it_is_asked_again(source: FaultOrigin, cached_proxy: Proxy) -> None:
    # RFC 5861 section 3.
    file = small_file(source, "Cache-Control: max-age=0, stale-while-revalidate=60")
    get_whole(cached_proxy, file)
    released = threading.Event()
    file.version = 2
    # The answer takes its time, and nobody waits for it.
    file.plans.append(Plan(wait=released))
    for _ in range(3):
        check_whole(cached_proxy.get(file.path), file, version=1)
    file.wait_requests(2)
    assert len(file.served) == 2
    file.fields = ("Cache-Control: max-age=60",)
    released.set()
    file.wait_quiet()
    check_whole(cached_proxy.get(file.path), file, version=2)


FAILURES = {
    "503": Plan(status="503 Busy"),
    "500": Plan(status="500 Oh"),
    "no answer": Plan(hang_up=True),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    ("fields", "stale"),
    [
        ("max-age=0, stale-if-error=60", True),
        ("max-age=0", True),
        ("max-age=0, stale-if-error=0", False),
        ("max-age=0, must-revalidate", False),
        ("no-cache", False),
        ("s-maxage=0", False),
    ],
)
def test_stale_where_the_origin_fails(
    source: FaultOrigin, cached_proxy: Proxy, failure: str, fields: str, stale: bool
) -> None:
    # RFC 5861 section 4; STALE_IF_ERROR is a day where the origin does not say.
    file = small_file(source, f"Cache-Control: {fields}")
    get_whole(cached_proxy, file)
    file.always = FAILURES[failure]
    reply = cached_proxy.get(file.path)
    if stale:
        check_whole(reply, file)
        assert cache_status(reply)["fwd"] == "stale"
        get_range(cached_proxy, file, 5, 50)
    else:
        assert reply.status in (500, 502, 503, 504)
    file.always = Plan()
    file.version = 2
    check_whole(cached_proxy.get(file.path), file, version=2)


def test_stale_is_not_served_where_that_is_switched_off(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--stale-if-error", "0", "--retries", "0")
    proxy = start_proxy("--upstream", source.url, *flags, cache=True)
    file = small_file(source, "Cache-Control: max-age=0")
    get_whole(proxy, file)
    file.always = Plan(status="503 Busy")
    assert proxy.get(file.path).status in (502, 503, 504)
