"""How much is fetched: ahead of players, for seeks, and for those who leave."""

import contextlib
import itertools
import threading
import time

import pytest

from tests.e2e.caching import (
    MIB,
    SLICE,
    begin,
    cache_status,
    check_range,
    check_whole,
    get_range,
    get_whole,
    in_threads,
)
from tests.e2e.clients import Connection
from tests.e2e.fault_files import Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import anonymous_memory, socket_buffers, wait_until
from tests.e2e.servers import Proxy, StartProxy, only

READ_AHEAD = 8 * MIB
"""The default."""


@pytest.fixture
def usual(source: FaultOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy with an empty cache and settings as they come."""
    return start_proxy("--upstream", source.url, cache=True)


def taken(proxy: Proxy) -> int:
    """The bytes that the proxy has read from its origins."""
    told: int = proxy.stats()["bytes_from_origins"]["bytes"]
    return told


@pytest.mark.parametrize("read_ahead", [0, READ_AHEAD])
def test_little_is_fetched_that_nobody_reads(
    source: FaultOrigin, start_proxy: StartProxy, read_ahead: int
) -> None:
    proxy = start_proxy("--upstream", source.url, "--read-ahead", str(read_ahead), cache=True)
    file = source.add(512 * MIB)
    memory = anonymous_memory(proxy.pid)
    with begin(proxy, file, receive_buffer=65536) as connection:
        assert file.body().matches(0, connection.read(3 * MIB))
        # The client stops reading, and so does the proxy, as far as it may be ahead.
        seen: list[int] = []

        def still() -> bool:
            seen.append(taken(proxy))
            return len(seen) > 30 and len(set(seen[-30:])) == 1

        wait_until(still, "nothing more comes from the origin")
        given = proxy.stats()["bytes_to_clients"]["bytes"]
        assert 3 * MIB <= given <= 3 * MIB + socket_buffers()
        assert seen[-1] <= given + read_ahead + 2 * SLICE
        # What waits for the client are pages of the cache's files.
        assert anonymous_memory(proxy.pid) < memory + 4 * MIB
    told = proxy.wait_idle()
    file.wait_quiet()
    given = told["bytes_to_clients"]["bytes"]
    assert taken(proxy) <= given + read_ahead + 2 * SLICE
    # The origin has sent no more than the kernels hold.
    assert file.sent <= given + read_ahead + 2 * SLICE + socket_buffers()


def test_a_client_that_leaves_before_the_head(source: FaultOrigin, usual: Proxy) -> None:
    file = source.add(10 * MIB)
    file.plans.append(Plan(mute=True))
    with Connection(usual.port) as connection:
        connection.ask(file.path)
        file.wait_requests(1)
    left = time.monotonic()
    # Nobody waits for the answer any more.
    file.wait_quiet()
    assert time.monotonic() - left < 1.0
    assert usual.wait_idle()["transfers"]["aborted_by_clients"] == 1
    get_whole(usual, file)


def test_a_client_that_leaves_while_another_waits_for_the_head(
    source: FaultOrigin, usual: Proxy
) -> None:
    file = source.add(3 * SLICE)
    released = threading.Event()
    file.plans.append(Plan(wait=released))
    with Connection(usual.port) as second:
        with Connection(usual.port) as first:
            first.ask(file.path)
            file.wait_requests(1)
            second.ask(file.path)
            wait_until(lambda: usual.stats()["transfers"]["active"] == 2, "both wait")
        wait_until(lambda: usual.stats()["transfers"]["active"] == 1, "the first one is gone")
        released.set()
        check_whole(second.read_reply(), file)
    assert (len(file.served), file.sent) == (1, file.size)


def test_a_seek_away_leaves_little_behind(source: FaultOrigin, usual: Proxy) -> None:
    file = source.add(256 * MIB)
    for number in range(10):
        start = number * 25 * MIB
        with begin(usual, file, f"Range: bytes={start}-") as connection:
            assert file.body().matches(start, connection.read(MIB // 2))
    told = usual.wait_idle()
    file.wait_quiet()
    given = told["bytes_to_clients"]["bytes"]
    assert taken(usual) <= given + READ_AHEAD + 10 * 2 * SLICE


def test_a_far_seek_does_not_wait_for_what_runs(source: FaultOrigin, usual: Proxy) -> None:
    file = source.add(128 * MIB)
    released = threading.Event()
    file.plans.append(Plan(hold=(SLICE, released)))
    with begin(usual, file) as running:
        assert file.body().matches(0, running.read(SLICE))
        # The origin sends nothing more there; here it does, on other connections.
        with Connection(usual.port) as seeking:
            for start in (100 * MIB, 60 * MIB + 5, 127 * MIB):
                seeking.ask(file.path, f"Range: bytes={start}-{start + 99_999}")
                check_range(seeking.read_reply(), file, start, start + 100_000)
        assert not released.is_set() and not file.served[0].over
        first, *others = (served.request.connection for served in file.served)
        assert others and first not in others
        released.set()
        assert file.body().matches(SLICE, running.read(20 * MIB))


def test_a_seek_right_after_leaving_does_not_wait(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    # What the client left is fetched up to the edge of a slice, which takes as long as it takes.
    proxy = start_proxy("--upstream", source.url, "--parallel-fetches", "1", cache=True)
    file = source.add(128 * MIB)
    released = threading.Event()
    file.plans.append(Plan(hold=(SLICE + SLICE // 2, released)))
    with begin(proxy, file) as connection:
        assert file.body().matches(0, connection.read(SLICE + SLICE // 2))
    wait_until(lambda: proxy.stats()["transfers"]["active"] == 0, "the client is gone")
    assert not file.served[0].over
    for start in (100 * MIB, 5 * MIB):
        get_range(proxy, file, start, start + 1000)
    assert not file.served[0].over
    released.set()
    file.wait_quiet()
    assert taken(proxy) <= 6 * SLICE


def test_nothing_is_fetched_for_clients_of_another_worker_that_have_left(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", source.url, "--workers", "2", cache=True)
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    file = source.add(128 * MIB)
    read = 5 * SLICE + SLICE // 2
    released = threading.Event()
    file.plans.append(Plan(hold=(read, released)))
    with contextlib.ExitStack() as stack:
        connections = []
        for worker in proxy.workers():
            with only(proxy, worker):
                connection = stack.enter_context(Connection(proxy.port))
                connection.ask("/healthz")
                assert connection.read_reply().status == 200
            connections.append(connection)
        for connection in connections:
            connection.ask(file.path)
            assert connection.read_head().status == 200
        for connection in connections:
            assert file.body().matches(0, connection.read(read))
    wait_until(lambda: proxy.stats()["transfers"]["active"] == 0, "both are gone")
    assert len(file.served) == 1
    released.set()
    file.wait_quiet()
    assert taken(proxy) <= read + 2 * SLICE


def test_a_seek_behind_what_runs_and_near_waits_for_it(
    source: FaultOrigin, cached_proxy: Proxy
) -> None:
    # It would be asked for twice otherwise.
    file = source.add(4 * SLICE)
    released = threading.Event()
    file.plans.append(Plan(hold=(1000, released)))

    def ask(start: int) -> None:
        get_range(cached_proxy, file, start, SLICE)

    def release() -> None:
        file.wait_requests(1)
        wait_until(
            lambda: cached_proxy.stats()["transfers"]["active"] == 10, "all of them wait for it"
        )
        released.set()

    in_threads([*(lambda start=start: ask(start) for start in range(0, 10_000, 1000)), release])
    assert len(file.served) == 1
    assert file.sent == SLICE


def test_ahead_of_a_player_that_asks_for_piece_after_piece(
    source: FaultOrigin, usual: Proxy
) -> None:
    file = source.add(64 * MIB)
    place = 0
    while place < 6 * MIB:
        get_range(usual, file, place, place + 500_000)
        place += 500_000
    file.wait_quiet()
    # The play head is followed, as far as READ_AHEAD and no further.
    assert place + SLICE <= file.sent <= place + READ_AHEAD + 2 * SLICE
    before = len(file.served)
    hit = get_range(usual, file, place, place + 500_000)
    assert "hit" in cache_status(hit)
    assert len(file.served) <= before + 1


def test_nothing_is_read_ahead_of_a_single_range(source: FaultOrigin, usual: Proxy) -> None:
    file = source.add(64 * MIB)
    get_range(usual, file, 10 * MIB, 10 * MIB + 1000)
    file.wait_quiet()
    assert file.sent <= 2 * SLICE


@pytest.mark.parametrize("workers", ["1", "2"])
def test_small_ranges_do_not_take_more_than_they_ask_for(
    source: FaultOrigin, start_proxy: StartProxy, workers: str
) -> None:
    read_ahead = 2 * MIB
    flags = ("--workers", workers, "--read-ahead", str(read_ahead))
    proxy = start_proxy("--upstream", source.url, *flags, cache=True)
    file = source.add(500 * MIB)
    asked = 0
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(proxy.port)) for _ in range(8)]
        for number, connection in zip(range(200), itertools.cycle(connections), strict=False):
            start = number * 5 * MIB // 2 + 12345
            connection.ask(file.path, f"Range: bytes={start}-{start + 9}")
            check_range(connection.read_reply(), file, start, start + 10)
            asked += 10
    # And sixteen of them in one request.
    places = [400 * MIB + number * 5 * MIB for number in range(16)]
    spans = ",".join(f"{place}-{place + 9}" for place in places)
    reply = proxy.get(file.path, Range=f"bytes={spans}")
    assert reply.status == 206
    for place in places:
        assert file.body().read(place, place + 10) in reply.body
    asked += 160
    file.wait_quiet()
    assert file.sent <= asked + read_ahead + 2 * SLICE
