"""Origins that break off behind the cache: the client sees a pause, and never two versions."""

import threading
from collections.abc import Iterator

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
)
from tests.e2e.clients import Connection, curl
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import Proxy, StartProxy

CUT_SHORT = (18, 56)
"""curl's exit codes for a body that is too short, and for a connection that was reset."""

SIZE = 6 * SLICE + 11
PLACE = 3 * SLICE + 1234
"""Where the origin breaks off: in the middle of a slice."""


@pytest.fixture(scope="module")
def patient(
    shared_fault_origin: FaultOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with a cache that takes up a broken transfer three times, and quickly."""
    flags = ("--upstream", shared_fault_origin.url, "--parallel-fetches", "1")
    quick = ("--retries", "3", "--retry-backoff", "1ms", "--idle-timeout", "300ms")
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, *quick, cache=True) as started:
        yield started


@pytest.fixture
def other() -> Iterator[FaultOrigin]:
    """A second origin."""
    origin = FaultOrigin()
    yield origin
    origin.go_away()
    origin.check()


BREAKS = {
    "closes": [Plan(cut=PLACE)],
    "resets": [Plan(reset=PLACE)],
    "falls silent": [Plan(stall=PLACE)],
    "closes, then refuses": [Plan(cut=PLACE), Plan(status="503 Busy"), Plan(status="500 Oh")],
    "closes, then hangs up": [Plan(cut=PLACE), Plan(hang_up=True)],
    "closes again and again": [Plan(cut=PLACE), *[Plan(cut=5000)] * 9],
    "closes before a byte": [Plan(cut=PLACE), Plan(cut=0), Plan(cut=0)],
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_transfer_goes_on_from_the_next_byte(
    source: FaultOrigin, patient: Proxy, how: str
) -> None:
    file = source.add(SIZE)
    file.plans.extend(BREAKS[how])
    reply = get_whole(patient, file)
    assert reply.get("Content-Length") == str(SIZE)
    file.wait_quiet()
    # Nothing was asked for twice, and no other version could have come.
    place = 0
    for served in file.served:
        if place:
            assert served.range is not None and served.range[0] == place
            assert served.request.get("If-Range") == '"v1"'
        place += served.sent if served.status in (200, 206) else 0
    assert file.sent >= SIZE and not file.plans
    before = len(file.served)
    assert "hit" in cache_status(get_whole(patient, file))
    assert len(file.served) == before


def test_a_range_that_breaks_off_goes_on(source: FaultOrigin, patient: Proxy) -> None:
    file = source.add(SIZE)
    file.plans.append(Plan(cut=1000))
    get_range(patient, file, 2 * SLICE + 5, 4 * SLICE)
    assert file.ranges_asked[1] is not None
    assert file.ranges_asked[1][0] == 2 * SLICE + 1000


def test_followers_see_no_break_either(source: FaultOrigin, patient: Proxy) -> None:
    file = source.add(SIZE)
    released = threading.Event()
    file.plans.append(Plan(hold=(SLICE, released), cut=PLACE))
    with begin(patient, file) as first, begin(patient, file) as second:
        for reader in (first, second):
            assert file.body().matches(0, reader.read(SLICE))
        released.set()
        for reader in (first, second):
            rest = reader.read(SIZE - SLICE)
            assert len(rest) == SIZE - SLICE and file.body().matches(SLICE, rest)
    assert len(file.served) == 2


def test_the_retries_come_to_an_end(source: FaultOrigin, patient: Proxy) -> None:
    file = source.add(SIZE)
    file.plans.append(Plan(cut=PLACE))
    file.always = Plan(status="503 Busy")
    got = curl(patient.url + file.path)
    assert got.exit_code in CUT_SHORT
    assert got.reply.get("Content-Length") == str(SIZE)
    assert len(got.reply.body) == PLACE and file.body().matches(0, got.reply.body)
    assert len(file.served) == 1 + 3
    # What has come is kept, and the rest is asked for when the origin is well again.
    file.always = Plan()
    get_whole(patient, file)
    assert file.sent < SIZE + SLICE


def test_the_count_of_retries_begins_anew_with_each_byte(
    source: FaultOrigin, patient: Proxy
) -> None:
    file = source.add(SIZE)
    file.plans.extend([Plan(cut=SLICE // 3)] * 15)
    get_whole(patient, file)
    assert not file.plans


def test_without_retries_nothing_is_taken_up_again(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", source.url, "--retries", "0", cache=True)
    file = source.add(SIZE)
    file.plans.append(Plan(cut=PLACE))
    got = curl(proxy.url + file.path)
    assert got.exit_code in CUT_SHORT and len(got.reply.body) == PLACE
    assert len(file.served) == 1


def test_the_next_origin_goes_on_where_one_broke_off(
    source: FaultOrigin, other: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--retries", "5", "--retry-backoff", "1ms", "--idle-timeout", "300ms")
    proxy = start_proxy("--upstream", f"{source.url},{other.url}", *flags, cache=True)
    faults: list[list[Plan]] = [
        [Plan(cut=PLACE), *[Plan(status="503 Busy")] * 9],
        [Plan(cut=PLACE), *[Plan(hang_up=True)] * 9],
        [Plan(stall=PLACE), *[Plan(stall=0)] * 9],
    ]
    for plans in faults:
        file = source.add(SIZE)
        file.plans.extend(plans)
        mirror = other.add(SIZE, path=file.path)
        get_whole(proxy, file)
        assert mirror.sent > 0
        assert mirror.ranges_asked[0] is not None and mirror.ranges_asked[0][0] >= PLACE
        assert mirror.requests[0].get("If-Range") == '"v1"'


def test_the_next_origin_is_asked_after_all_retries(
    source: FaultOrigin, other: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--retries", "3", "--retry-backoff", "1ms", "--parallel-fetches", "1")
    ahead = ("--read-ahead", str(2 * SLICE))
    proxy = start_proxy("--upstream", f"{source.url},{other.url}", *flags, *ahead, cache=True)
    # One that is well again within RETRIES is asked alone: the next may not even have the file.
    file = source.add(SIZE)
    file.plans.extend([Plan(cut=PLACE), Plan(status="503 Busy"), Plan(hang_up=True)])
    get_whole(proxy, file)
    assert not file.plans
    # One that is not is given up for this file, with all fetches that follow.
    file = source.add(SIZE)
    file.plans.append(Plan(cut=SLICE + 5))
    file.always = Plan(status="503 Busy")
    mirror = other.add(SIZE, path=file.path)
    get_range(proxy, file, 0, 2 * SLICE)
    get_range(proxy, file, 4 * SLICE, SIZE)
    assert len(file.served) == 1 + 3
    assert proxy.stats()["origins"]["failovers"] == 1
    assert mirror.requests[0].get("If-Range") == '"v1"'
    # Where that breaks off as well, the first has another chance.
    file = source.add(SIZE)
    file.plans.extend([Plan(cut=SLICE + 5), *[Plan(status="503 Busy")] * 3])
    mirror = other.add(SIZE, path=file.path)
    mirror.plans.append(Plan(cut=SLICE))
    mirror.always = Plan(status="503 Busy")
    get_whole(proxy, file)
    assert len(mirror.served) == 1 + 3
    # Where all break off, there is an end.
    file = source.add(SIZE)
    get_range(proxy, file, 0, SLICE)
    mirror = other.add(SIZE, path=file.path)
    file.always = mirror.always = Plan(status="503 Busy")
    missing = proxy.get(file.path, Range=f"bytes={4 * SLICE}-{5 * SLICE}")
    assert missing.status == 502
    assert (len(file.served), len(mirror.served)) == (1 + 4, 4)


def test_an_origin_that_goes_down_in_the_middle(
    other: FaultOrigin, source: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--retries", "5", "--retry-backoff", "1ms")
    proxy = start_proxy("--upstream", f"{other.url},{source.url}", *flags, cache=True)
    mirror = source.add(SIZE)
    file = other.add(SIZE, path=mirror.path)
    file.rate = 4 * MIB
    with begin(proxy, file) as reader:
        first = reader.read(SLICE)
        other.go_away()
        rest = reader.read(SIZE - SLICE)
    assert file.body().matches(0, first + rest) and len(rest) == SIZE - SLICE
    assert mirror.sent > 0
    other.come_back()


def test_two_origins_that_do_not_agree_are_never_mixed(
    source: FaultOrigin, other: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--retries", "2", "--retry-backoff", "1ms")
    proxy = start_proxy("--upstream", f"{source.url},{other.url}", *flags, cache=True)
    file = source.add(SIZE)
    file.plans.extend([Plan(cut=PLACE), *[Plan(status="503 Busy")] * 9])
    mirror = other.add(SIZE, path=file.path)
    mirror.version = 2
    got = curl(proxy.url + file.path)
    assert got.exit_code in CUT_SHORT
    assert file.body(1).matches(0, got.reply.body) and len(got.reply.body) >= PLACE - SLICE


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("dated", [True, False])
def test_a_file_that_changes_under_way_is_cut_short_and_never_mixed(
    source: FaultOrigin, patient: Proxy, ranges: bool, dated: bool
) -> None:
    file = source.add(SIZE)
    file.ranges, file.dated = ranges, dated
    file.plans.append(Plan(cut=PLACE, change=True))
    got = curl(patient.url + file.path)
    assert got.exit_code in CUT_SHORT
    assert got.reply.get("ETag") == '"v1"'
    assert len(got.reply.body) <= PLACE and file.body(1).matches(0, got.reply.body)
    # Whoever asks now gets the new one, all of it.
    check_whole(patient.get(file.path), file, version=2)
    before = file.sent
    again = patient.get(file.path)
    check_whole(again, file, version=2)
    assert again.get("ETag") == '"v2"' and file.sent == before


@pytest.mark.parametrize("etag", ["strong", "weak", "none"])
def test_a_change_between_two_ranges_of_a_file(
    source: FaultOrigin, patient: Proxy, etag: str
) -> None:
    file = source.add(SIZE)
    file.etag = etag  # type: ignore[assignment]
    get_range(patient, file, 0, SLICE)
    file.version = 2
    # The first slice is still fresh; what is missing shows that it is of another version.
    get_range(patient, file, 3 * SLICE, 4 * SLICE)
    get_range(patient, file, 0, SLICE)
    check_whole(patient.get(file.path), file, version=2)


def test_readers_of_the_old_version_keep_what_is_there(source: FaultOrigin, patient: Proxy) -> None:
    file = source.add(32 * MIB)
    stop = 6 * MIB
    get_range(patient, file, 0, stop)
    file.wait_quiet()
    with Connection(patient.port, receive_buffer=4096) as old:
        old.ask(file.path)
        assert old.read_head().get("ETag") == '"v1"'
        assert file.body(1).matches(0, old.read(1000))
        file.version = 2
        # A seek finds out; the running answer may go on with what there is, and no further.
        get_range(patient, file, 20 * MIB, 21 * MIB)
        body = old.read_all()
    assert len(body) < file.size - 1000
    assert file.body(1).matches(1000, body)


def test_a_link_that_runs_out_is_replaced_by_the_newest_clients(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--cache-key-ignore", "token", "--retry-backoff", "1ms", "--parallel-fetches", "1")
    proxy = start_proxy("--upstream", source.url, *flags, cache=True)
    file = source.add(SIZE)
    released = threading.Event()
    file.plans.append(Plan(hold=(SLICE, released), cut=PLACE))
    with Connection(proxy.port) as first:
        first.ask(f"{file.path}?token=old")
        assert first.read_head().status == 200
        first.read(SLICE)
        with Connection(proxy.port) as second:
            second.ask(f"{file.path}?token=new", "Range: bytes=0-99")
            check_range(second.read_reply(), file, 0, 100)
        file.run_out.add("token=old")
        released.set()
        rest = first.read(SIZE - SLICE)
    assert len(rest) == SIZE - SLICE and file.body().matches(SLICE, rest)
    assert file.served[0].request.target.endswith("?token=old")
    assert file.served[-1].request.target.endswith("?token=new")
    assert get_signed(proxy, file, "third") == SIZE


def get_signed(proxy: Proxy, file: File, token: str) -> int:
    """Read a file by a link of its own; the length of what came."""
    before = len(file.served)
    reply = proxy.get(f"{file.path}?token={token}")
    check_whole(reply, file)
    assert len(file.served) == before
    return len(reply.body)


@pytest.mark.parametrize("fresh", [True, False])
def test_with_every_origin_down_what_is_cached_is_served(
    other: FaultOrigin, start_proxy: StartProxy, fresh: bool
) -> None:
    flags = ("--retries", "1", "--retry-backoff", "1ms", "--origin-retry-after", "0")
    proxy = start_proxy("--upstream", other.url, "--read-ahead", "0", *flags, cache=True)
    whole, part = other.add(3 * SLICE), other.add(SIZE)
    for file in (whole, part):
        file.fields = ("Cache-Control: max-age=3600" if fresh else "Cache-Control: max-age=0",)
    get_whole(proxy, whole)
    get_range(proxy, part, SLICE, 3 * SLICE)
    other.go_away()
    reply = get_whole(proxy, whole)
    assert ("hit" in cache_status(reply)) == fresh
    get_range(proxy, part, SLICE + 5, 3 * SLICE - 5)
    missing = proxy.get(part.path, Range=f"bytes={4 * SLICE}-{5 * SLICE}")
    assert missing.status in (502, 504)
    got = curl(proxy.url + part.path)
    assert got.exit_code in CUT_SHORT or got.reply.status in (502, 504)
    assert proxy.get("/never-seen").status in (502, 504)
    # It is well again, and nothing is lost.
    other.come_back()
    get_whole(proxy, part)
    get_whole(proxy, whole)
