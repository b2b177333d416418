"""The harness between real servers: hits and misses are measured as such, or not at all."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import BenchError
from benchmarks.measure import Stage, empty_files, fill, measure, prime_memory, run, stage
from benchmarks.peers import PEERS, Peer
from benchmarks.scenarios import KIB, MIB, Scenario
from tests.e2e.programs import require

SIZE = 4 * MIB
BY_NAME = {peer.name: peer for peer in PEERS}
PASS = Scenario("pass", "ranges", "pass", 64 * KIB, 2, 2, 20, 20, "us/request")
HIT = Scenario("hit", "hits", "hit", 64 * KIB, 2, 2, 20, 20, "us/request")
MISS = Scenario("miss", "misses", "miss", SIZE, 1, 1, 3, 3, "s/GiB")


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require("nginx")
    with stage(tmp_path_factory.mktemp("disk"), SIZE) as made:
        yield made


@pytest.fixture(params=["nginx-cache", "varnish"])
def cache(request: pytest.FixtureRequest) -> Peer:
    peer = BY_NAME[request.param]
    if (missing := peer.missing()) is not None:
        pytest.skip(missing)
    return peer


def test_a_cache_that_is_filled_gives_hits_and_stores_its_misses(on: Stage, cache: Peer) -> None:
    with on.server(cache) as server:
        fill(on, server, HIT)
        hit = measure(on, server, cache, HIT, HIT.count, turn=1)
        assert (hit.requests, hit.bytes) == (20, 20 * 64 * KIB)
        assert (hit.origin_requests, hit.origin_bytes) == (0, 0)
        assert hit.cpu > 0
        miss = measure(on, server, cache, MISS, MISS.count, turn=1)
        assert (miss.requests, miss.bytes) == (3, 3 * SIZE)
        # nginx asks for slices of 1 MiB, Varnish for whole objects.
        assert miss.origin_requests == (12 if cache.slice_size else 3)
        assert miss.origin_bytes == 3 * SIZE


def test_nothing_that_passes_through_is_taken_for_a_hit(on: Stage) -> None:
    peer = BY_NAME["nginx"]
    with on.server(peer) as server:
        passed = measure(on, server, peer, PASS, PASS.count, turn=1)
        assert (passed.origin_requests, passed.origin_bytes) == (20, 20 * 64 * KIB)
        fill(on, server, HIT)
        with pytest.raises(BenchError, match="nginx, hits: not everything was a hit"):
            measure(on, server, peer, HIT, HIT.count, turn=1)


def test_a_miss_that_is_not_stored_is_none(on: Stage) -> None:
    peer = BY_NAME["nginx"]
    with (
        on.server(peer) as server,
        pytest.raises(BenchError, match="nginx, misses: not everything was a hit"),
    ):
        measure(on, server, peer, MISS, MISS.count, turn=1)


def test_a_hit_is_not_taken_for_passing_through(on: Stage) -> None:
    peer = BY_NAME["nginx-cache"]
    with on.server(peer) as server:
        fill(on, server, HIT)
        with pytest.raises(BenchError, match="not everything was passed through"):
            measure(on, server, peer, PASS, PASS.count, turn=1)


def test_a_cache_begins_empty_each_time(on: Stage) -> None:
    peer = BY_NAME["nginx-cache"]
    for _ in range(2):
        before = on.ledger.total()
        with on.server(peer) as server:
            fill(on, server, HIT)
        assert on.ledger.since(before, SIZE).bytes == SIZE


def test_a_run_without_any_work_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.measure.FILE_SIZE", SIZE)
    with pytest.raises(BenchError, match="none of these peers"):
        run([], [HIT], 1, True, tmp_path, lambda _: None)


def test_a_disk_without_room_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="GiB free"), stage(tmp_path, 1 << 60):
        pytest.fail("nothing has so much room")


def test_emptied_files_stay(tmp_path: Path) -> None:
    kept = tmp_path / "a" / "b"
    kept.parent.mkdir()
    kept.write_bytes(b"bytes")
    outside = tmp_path.with_name("outside")
    outside.write_bytes(b"bytes")
    (tmp_path / "link").symlink_to(outside)
    empty_files(tmp_path)
    assert kept.read_bytes() == b""
    assert outside.read_bytes() == b"bytes"


def test_a_peer_that_is_not_installed_says_what_to_install() -> None:
    absent = dataclasses.replace(BY_NAME["varnish"], program="aprp-bench-no-such-program")
    assert absent.missing() == ("aprp-bench-no-such-program is not installed (apt install varnish)")
    assert BY_NAME["aprp"].missing() is None


def test_each_peer_does_either_kind_of_work() -> None:
    assert {peer.name for peer in PEERS if peer.works("hit")} == {
        *("aprp-cache", "nginx-cache", "varnish")
    }
    for peer in PEERS:
        assert peer.works("miss") == peer.works("hit") != peer.works("pass")


@pytest.mark.parametrize("size", [0, 1, 10 * MIB, 1 << 62])
def test_memory_is_primed_within_what_is_free(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_AVPHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("benchmarks.measure.os.sysconf", pages.__getitem__)
    taken: list[int] = []

    class Noted(bytearray):
        def __init__(self, _: int, length: int) -> None:
            taken.append(length)
            super().__init__(length)

        def __enter__(self) -> "Noted":
            return self

        def __exit__(self, *_: object) -> None:
            assert all(self[:: os.sysconf("SC_PAGE_SIZE")])

    monkeypatch.setattr("benchmarks.measure.mmap.mmap", Noted)
    prime_memory(size)
    assert taken == [min(max(size, 4096), 500 * 4096)]
