"""A byte crosses the network once: fills, and the readers that follow them."""

import contextlib
import itertools
import os
import threading
import time

import pytest

from tests.e2e.caching import (
    MIB,
    SLICE,
    begin,
    cache_status,
    check_aligned,
    check_range,
    get_range,
    get_whole,
)
from tests.e2e.clients import Connection
from tests.e2e.crowd import play
from tests.e2e.fault_files import Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy, only

# The film of the two hundred players.
_CROWD_SIZE = (200 if os.environ.get("APRP_LONG") == "1" else 100) * MIB


_numbers = itertools.count()


@pytest.fixture
def usual(source: FaultOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy with an empty cache and settings as they come."""
    return start_proxy("--upstream", source.url, cache=True)


def test_what_was_read_is_not_asked_for_again(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(5 * SLICE + 3)
    first = get_whole(cached_proxy, file)
    assert cache_status(first)["fwd"] in ("uri-miss", "miss")
    before = len(file.served)
    assert file.sent == file.size
    again = get_whole(cached_proxy, file)
    assert "hit" in cache_status(again)
    for start, stop in ((0, 1), (5, file.size), (SLICE - 1, SLICE + 1), (3_000_000, 3_000_009)):
        assert "hit" in cache_status(get_range(cached_proxy, file, start, stop))
    tail = cached_proxy.get(file.path, Range="bytes=-7")
    check_range(tail, file, file.size - 7, file.size)
    several = cached_proxy.get(file.path, Range="bytes=0-9,4000000-4000099")
    assert several.status == 206
    assert file.body().read(4_000_000, 4_000_100) in several.body
    head = cached_proxy.head(file.path)
    assert (head.status, head.get("Content-Length")) == (200, str(file.size))
    beyond = cached_proxy.get(file.path, Range=f"bytes={file.size}-")
    assert (beyond.status, beyond.get("Content-Range")) == (416, f"bytes */{file.size}")
    assert len(file.served) == before


def test_what_the_origin_said_of_the_file_is_said_again(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(1000)
    file.fields = ("Cache-Control: max-age=3600", "Content-Type: video/mp4", "X-Studio: north")
    first, again = get_whole(cached_proxy, file), get_whole(cached_proxy, file)
    assert len(file.served) == 1
    for name in ("ETag", "Last-Modified", "Content-Type", "X-Studio", "Date", "Cache-Control"):
        assert again.get(name) == first.get(name) is not None, name
    assert again.get("Accept-Ranges") == "bytes"


@pytest.mark.parametrize(
    "asked", ["bytes=2097162-3145717", f"bytes={2 * SLICE}-{3 * SLICE - 1}", "bytes=2097153-"]
)
def test_what_is_asked_of_the_origin_begins_and_ends_with_slices(
    source: FaultOrigin, cached_proxy: Proxy, asked: str
) -> None:
    file = source.add(5 * SLICE + 99)
    reply = cached_proxy.get(file.path, Range=asked)
    first, _, last = asked.removeprefix("bytes=").partition("-")
    check_range(reply, file, int(first), int(last) + 1 if last else file.size)
    check_aligned(file)
    assert file.ranges_asked[0] == (2 * SLICE, 3 * SLICE)
    assert file.sent == (SLICE if last else file.size - 2 * SLICE)


def test_only_missing_slices_are_asked_for(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(9 * SLICE + 5)
    get_range(cached_proxy, file, 2 * SLICE + 10, 3 * SLICE - 10)
    assert file.ranges_asked == [(2 * SLICE, 3 * SLICE)]
    assert file.sent == SLICE
    get_range(cached_proxy, file, 5 * SLICE + 10, 7 * SLICE - 10)
    assert file.sent == 3 * SLICE
    # Parts of it are there: what lies between and around them is not.
    get_whole(cached_proxy, file)
    file.wait_quiet()
    assert file.sent == file.size
    check_aligned(file)
    taken = sorted(span for span in file.ranges_asked if span is not None)
    assert [start for start, _ in taken[1:]] == [stop for _, stop in taken[:-1]]


def test_few_requests_for_a_long_read(source: FaultOrigin, usual: Proxy) -> None:
    file = source.add(64 * MIB)
    get_whole(usual, file)
    # Windows of READ_AHEAD that grow.
    assert len(file.served) <= 8
    check_aligned(file)
    assert file.sent == file.size


def test_bytes_come_to_the_reader_as_they_come_from_the_origin(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(3 * SLICE)
    released = threading.Event()
    file.plans.append(Plan(hold=(100_000, released)))
    with begin(cached_proxy, file) as connection:
        # Not a slice has come.
        assert file.body().matches(0, connection.read(100_000))
        released.set()
        rest = connection.read(file.size - 100_000)
    assert file.body().matches(100_000, rest) and len(rest) == file.size - 100_000


def test_a_reader_that_comes_later_follows_from_its_place(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(4 * SLICE)
    released = threading.Event()
    file.plans.append(Plan(hold=(SLICE - 1000, released)))
    with begin(cached_proxy, file) as first, Connection(cached_proxy.port) as second:
        first.read(SLICE - 1000)
        second.ask(file.path, f"Range: bytes=5-{SLICE + 99}")
        assert second.read_head().status == 206
        # What is there of the slice, although the slice is not whole.
        assert file.body().matches(5, second.read(SLICE - 1005))
        released.set()
        assert file.body().matches(SLICE - 1000, second.read(1100))
        assert file.body().matches(SLICE - 1000, first.read(3 * SLICE + 1000))
    assert file.sent == file.size


@pytest.mark.parametrize("workers", ["1", "2", "4"])
def test_many_readers_of_a_cold_file_cause_one_fetch(
    source: FaultOrigin, start_proxy: StartProxy, workers: str
) -> None:
    proxy = start_proxy("--upstream", source.url, "--workers", workers, cache=True)
    file = source.add(24 * MIB + 17)
    play(proxy.port, file.path, file.body(), [(0, file.size)] * 16)
    file.wait_quiet()
    assert file.size <= file.sent <= 1.02 * file.size, proxy.warnings()
    before = len(file.served)
    play(proxy.port, file.path, file.body(), [(0, file.size)] * 2)
    assert len(file.served) == before


@pytest.mark.parametrize("workers", ["1", "2"])
def test_many_players_that_seek_in_a_cold_file(
    source: FaultOrigin, start_proxy: StartProxy, workers: str
) -> None:
    proxy = start_proxy("--upstream", source.url, "--workers", workers, cache=True)
    file = source.add(48 * MIB + 17)
    seeks = [(number * 6 * MIB + 12345, file.size) for number in range(8)]
    play(proxy.port, file.path, file.body(), seeks * 3)
    file.wait_quiet()
    # A fill that meets what another one has fetched ends there, or up to two slices later.
    assert file.sent <= file.size + 2 * SLICE * len(seeks), proxy.warnings()


def test_two_hundred_players_of_one_cold_file(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, "--workers", "2", cache=True)
    file = source.add(_CROWD_SIZE)
    play(proxy.port, file.path, file.body(), [(0, file.size)] * 200, skips=16)
    file.wait_quiet()
    assert file.size <= file.sent <= 1.02 * file.size, proxy.warnings()


def served_by(proxy: Proxy, connection: Connection) -> int:
    """The process id of the worker that serves a connection."""
    target = f"/status?{next(_numbers)}"
    connection.ask(target)
    assert connection.read_reply().status == 200
    pid: int = proxy.wait_access_line(target)["pid"]
    return pid


def test_a_reader_in_another_worker_that_rests_does_not_end_a_fill(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--upstream", source.url, "--workers", "2", "--parallel-fetches", "1")
    proxy = start_proxy(*flags, cache=True)
    file = source.add(48 * MIB)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Connection(proxy.port, 65536))
        second, worker = first, served_by(proxy, first)
        while second is first or served_by(proxy, second) == worker:
            second = stack.enter_context(Connection(proxy.port, 65536))
        first.ask(file.path)
        assert first.read_head().status == 200
        assert file.body().matches(0, first.read(SLICE))
        # It reads on what the other worker fetches, and leaves that one's own reader far behind.
        second.ask(file.path)
        assert second.read_head().status == 200
        assert file.body().matches(0, second.read(16 * MIB))
        # Then its client has enough to show for a while.
        time.sleep(2.5)
        assert file.body().matches(16 * MIB, second.read(32 * MIB))
        assert file.body().matches(SLICE, first.read(47 * MIB))
    assert [served.status for served in file.served] == [200]
    assert file.sent == file.size


def test_the_slowest_reader_does_not_slow_down_the_others(
    source: FaultOrigin, usual: Proxy
) -> None:
    file = source.add(64 * MIB)
    with begin(usual, file, receive_buffer=4096) as slow:
        assert file.body().matches(0, slow.read(1000))
        # To the end, while the first one takes nothing.
        get_whole(usual, file)
        assert file.sent == file.size
        assert file.body().matches(1000, slow.read(8 * MIB))
    assert file.sent == file.size


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_that_leaves_does_not_end_what_others_follow(
    source: FaultOrigin, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", source.url, "--workers", workers, "--parallel-fetches", "1")
    proxy = start_proxy(*flags, cache=True)
    file = source.add(6 * SLICE)
    released = threading.Event()
    file.plans.append(Plan(hold=(SLICE + 1000, released)))
    with contextlib.ExitStack() as stack:
        others = []
        with begin(proxy, file) as first:
            first.read(1000)
            for _ in range(4):
                others.append(stack.enter_context(begin(proxy, file)))
            for other in others:
                assert file.body().matches(0, other.read(SLICE + 1000))
        wait_until(lambda: proxy.stats()["transfers"]["active"] == 4, "the first one is gone")
        assert len(file.served) == 1
        released.set()
        for other in others:
            assert file.body().matches(SLICE + 1000, other.read(5 * SLICE - 1000))
    file.wait_quiet()
    assert file.sent == file.size


def test_workers_share_what_is_stored(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, "--workers", "2", cache=True)
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    file = source.add(3 * SLICE + 1)
    first, second = proxy.workers()
    with only(proxy, first):
        get_whole(proxy, file)
    before = len(file.served)
    with only(proxy, second):
        assert "hit" in cache_status(get_whole(proxy, file))
    assert {line["pid"] for line in proxy.access_lines()} == {first, second}
    assert len(file.served) == before


def test_several_ranges_of_a_cold_file(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(12 * SLICE)
    spans = [(100, SLICE + 100), (4 * SLICE, 5 * SLICE), (9 * SLICE - 5, 10 * SLICE)]
    asked = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    for _ in range(2):
        reply = cached_proxy.get(file.path, Range=f"bytes={asked}")
        assert reply.status == 206
        assert (reply.get("Content-Type") or "").startswith("multipart/byteranges; boundary=")
        for start, stop in spans:
            place = f"Content-Range: bytes {start}-{stop - 1}/{file.size}\r\n\r\n"
            _, found, rest = reply.body.partition(place.encode())
            assert found and file.body().matches(start, rest[: stop - start])
    file.wait_quiet()
    # The slices of the ranges, once.
    assert file.sent == (2 + 1 + 2) * SLICE


def test_the_counters_of_the_cache(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, "--read-ahead", "0", cache=True)
    file, never = source.add(4 * SLICE), source.add(1000)
    never.fields = ("Cache-Control: no-store",)
    get_range(proxy, file, 0, 2 * SLICE)
    get_range(proxy, file, 0, SLICE)
    get_whole(proxy, file)
    get_whole(proxy, file)
    get_whole(proxy, never)
    # What is in the directory is counted now and then.
    wait_until(lambda: proxy.stats()["cache"]["objects"] == 1, "the file is counted")
    everything = proxy.stats()
    told = everything["cache"]
    assert told["storing"]
    asked = told["requests"]
    assert (asked["hits"], asked["partial_hits"], asked["misses"]) == (2, 1, 1)
    assert (asked["passes"], asked["stale"]) == (1, 0)
    # Half of the whole was there when it was asked for first.
    assert told["bytes_from_cache"]["bytes"] == SLICE + 2 * SLICE + 4 * SLICE
    given = everything["bytes_to_clients"]["bytes"]
    assert 11 * SLICE + 1000 <= given < 12 * SLICE
    assert told["hit_ratio"] == pytest.approx(7 * SLICE / given, abs=0.0001)
    assert 4 * SLICE <= told["used"]["bytes"] <= 4 * SLICE + MIB
    assert told["used"]["bytes"] <= told["size"]["bytes"]


def test_several_stored_ranges_are_a_hit_whatever_lies_between(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    file = source.add(12 * SLICE)
    get_range(cached_proxy, file, 0, SLICE)
    get_range(cached_proxy, file, 10 * SLICE, 11 * SLICE)
    several = f"bytes=5-9,{10 * SLICE + 5}-{10 * SLICE + 9}"
    for wish in ({}, {"Cache-Control": "only-if-cached"}):
        reply = cached_proxy.get(file.path, Range=several, **wish)
        assert reply.status == 206
        assert "hit" in cache_status(reply)
    apart = f"bytes=5-9,{5 * SLICE}-{5 * SLICE + 9}"
    refused = cached_proxy.get(file.path, Range=apart, **{"Cache-Control": "only-if-cached"})
    assert refused.status == 504
    assert "fwd" in cache_status(cached_proxy.get(file.path, Range=apart))
