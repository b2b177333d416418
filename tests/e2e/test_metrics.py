"""/metrics and /stats.json of the real program: over several workers, and read by promtool."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from tests.e2e.clients import Connection
from tests.e2e.content import FILM, SIZE
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import PATIENCE, wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, serves
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced
from tests.e2e.tunnels import connect, far_end, forwarding, wait_tunnels
from tests.stats.promtool import check_metrics
from tests.stats.schema import complaints

FIRST, REQUEST, ORIGIN, SIZES = (
    "aprp_first_byte_duration_seconds",
    "aprp_request_duration_seconds",
    "aprp_origin_duration_seconds",
    "aprp_range_size_bytes",
)
# Seconds: a time that is measured, and how far the event loop's clock, which stands still during a
# turn of the loop, may be off.
LONG, TICK = 0.05, 0.01


def metrics(proxy: Proxy) -> dict[str, float]:
    """What is told, by name and label; without build information."""
    reply = proxy.get("/metrics")
    assert reply.status == 200
    found = {}
    for metric in families(reply.body.decode()):
        for sample in metric.samples:
            label = "".join(f",{value}" for value in sample.labels.values())
            found[f"{sample.name}{label}"] = sample.value
    return found


def wait_measured(proxy: Proxy, number: int) -> dict[str, float]:
    """Wait until so many requests are over: a client may see the last byte before that."""
    told: dict[str, float] = {}

    def measured() -> bool:
        told.update(metrics(proxy))
        return told[f"{REQUEST}_count"] == number

    wait_until(measured, f"{number} requests are measured")
    return told


@pytest.fixture
def pair(origin: ScriptedOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy with two workers before the scripted origin."""
    proxy = start_proxy("--upstream", origin.url, "--workers", "2")
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    return proxy


@pytest.fixture(scope="module")
def used_pair(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The same, for tests that do not mind what others have asked of it."""
    flags = ("--upstream", shared_origin.url, "--workers", "2")
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags) as started:
        wait_until(lambda: len(started.workers()) == 2, "two workers run")
        yield started


def test_sums_over_all_workers(origin: ScriptedOrigin, pair: Proxy) -> None:
    path = origin.plays(serves(FILM))
    sizes = (1, 1000, 5000)
    for worker in pair.workers():
        with only(pair, worker):
            for size in sizes:
                assert pair.get(path, Range=f"bytes=0-{size - 1}").body == FILM[:size]
            assert pair.get(path).body == FILM
            assert pair.head(path, Range="bytes=0-1").status == 200
            # Refused, so that no origin is asked.
            assert pair.get(f"{path}?range=bad").status == 400
    for worker in pair.workers():
        with only(pair, worker):
            told = wait_measured(pair, 12)
        assert told["aprp_workers"] == 2
        assert told[f"{SIZES}_count"] == 2 * len(sizes)
        assert told[f"{SIZES}_sum"] == 2 * sum(sizes)
        assert [told[f"{SIZES}_bucket,{le}"] for le in ("1.0", "1024.0", "4096.0", "16384.0")] == [
            2,
            4,
            4,
            6,
        ]
        assert told[f"{ORIGIN}_count"] == told["aprp_origin_requests_total"] == 10
        # HEAD has no body.
        assert told[f"{FIRST}_count"] == 10
        assert told["aprp_responses_total,4xx"] == 2
        assert told["aprp_origins_received_bytes_total"] == 2 * (sum(sizes) + SIZE)
        assert 0 < told[f"{FIRST}_sum"] <= told[f"{REQUEST}_sum"]


def test_what_a_killed_worker_measured_stays(origin: ScriptedOrigin, pair: Proxy) -> None:
    path = origin.plays(serves(FILM))

    def stalls(peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {SIZE}") + FILM[:1000])
        peer.wait_broken()

    stalling = origin.plays(stalls)
    victim, _ = pair.workers()
    with only(pair, victim):
        for _ in range(3):
            assert pair.get(path, Range="bytes=0-99").status == 206
        lost = Connection(pair.port)
        lost.ask(stalling)
        assert lost.read_head().status == 200
        before = wait_measured(pair, 3)
        assert before["aprp_active_transfers"] == 1
    os.kill(victim, signal.SIGKILL)
    wait_replaced(pair, victim)
    lost.close()
    for worker in pair.workers():
        with only(pair, worker):
            assert pair.get(path, Range="bytes=0-99").status == 206
    told = wait_measured(pair, 5)
    assert told["aprp_active_transfers"] == 0
    assert told["aprp_workers"] == 2
    assert (told[f"{SIZES}_count"], told[f"{SIZES}_sum"]) == (5, 500)
    assert told[f"{ORIGIN}_count"] == before[f"{ORIGIN}_count"] + 2
    # Counters never go back.
    for name, value in before.items():
        if name.endswith(("_total", "_count", "_sum")) or "_bucket," in name:
            assert told[name] >= value, name


def test_the_times(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url)
    asked, speak, go_on = threading.Event(), threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        asked.set()
        assert speak.wait(PATIENCE)
        peer.send(head("200 OK", "Content-Length: 10"))
        peer.send(b"12345")
        assert go_on.wait(PATIENCE)
        peer.send(b"67890")

    path = origin.plays(script)
    begun = time.monotonic()
    with Connection(proxy.port) as connection:
        connection.ask(path)
        assert asked.wait(PATIENCE)
        came = time.monotonic()
        # The origin's time.
        time.sleep(LONG)
        spoke = time.monotonic()
        speak.set()
        assert connection.read_head().status == 200
        assert connection.read(5) == b"12345"
        heard = time.monotonic()
        time.sleep(LONG)
        went_on = time.monotonic()
        go_on.set()
        assert connection.read(5) == b"67890"
        told = wait_measured(proxy, 1)
    over = time.monotonic()
    assert spoke - came - TICK <= told[f"{ORIGIN}_sum"] <= heard - begun + TICK
    assert spoke - came - TICK <= told[f"{FIRST}_sum"] <= heard - begun + TICK
    assert told[f"{ORIGIN}_sum"] <= told[f"{FIRST}_sum"] + TICK
    both = (spoke - came) + (went_on - heard)
    assert both - TICK <= told[f"{REQUEST}_sum"] <= over - begun + TICK
    assert told[f"{ORIGIN}_bucket,+Inf"] == told[f"{FIRST}_count"] == 1


def test_a_range_that_broke_off_counts_with_what_was_sent(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url)

    def breaks(peer: Peer) -> None:
        place = f"Content-Range: bytes 0-999/{SIZE}"
        peer.send(head("206 Partial Content", place, "Content-Length: 1000") + FILM[:300])
        peer.close()

    path = origin.plays(breaks)
    with Connection(proxy.port) as connection:
        connection.ask(path, "Range: bytes=0-999")
        assert connection.read_head().status == 206
        assert connection.read_all() == FILM[:300]
    told = wait_measured(proxy, 1)
    assert (told[f"{SIZES}_count"], told[f"{SIZES}_sum"]) == (1, 300)
    assert told["aprp_origin_breaks_total"] == 1


def test_tunnels_are_told_and_no_request_lasts_as_long(start_proxy: StartProxy) -> None:
    with far_end() as end:
        proxy = forwarding(start_proxy, end.port)
        with connect(proxy, end.authority) as client:
            far = end.accept()
            wait_tunnels(proxy, 1)
            assert metrics(proxy)["aprp_tunnels_open"] == 1
            far.sendall(b"down")
            assert client.read(4) == b"down"
        far.close()
        wait_tunnels(proxy, 0)
        told = metrics(proxy)
        assert (told["aprp_tunnels_open"], told["aprp_tunnels_opened_total"]) == (0, 1)
        assert told["aprp_tunnel_bytes_total,down"] == 4
        assert told[f"{REQUEST}_count"] == 0


def test_the_cache(source: FaultOrigin, start_proxy: StartProxy) -> None:
    file = source.add(3 << 20)
    flags = ("--upstream", source.url, "--read-ahead", "0", "--cache-size", "64M")
    proxy = start_proxy(*flags, cache=True)
    for _ in range(2):
        assert len(proxy.get(file.path).body) == 3 << 20
    wait_until(lambda: metrics(proxy)["aprp_cache_objects"] == 1, "one object is stored")
    told = metrics(proxy)
    assert told["aprp_cache_size_bytes"] == 64 << 20
    assert 3 << 20 <= told["aprp_cache_used_bytes"] <= 4 << 20
    assert told["aprp_cache_requests_total,miss"] == told["aprp_cache_requests_total,hit"] == 1
    assert told["aprp_cache_served_bytes_total"] == 3 << 20
    assert complaints(json.loads(proxy.get("/stats.json").body)) == []


def test_promtool_finds_nothing_to_say(origin: ScriptedOrigin, used_pair: Proxy) -> None:
    path = origin.plays(serves(FILM))
    for _ in range(5):
        assert used_pair.get(path, Range="bytes=0-99").status == 206
    assert check_metrics(used_pair.get("/metrics").body.decode()) == ""


def test_stats_json_keeps_to_its_schema(origin: ScriptedOrigin, used_pair: Proxy) -> None:
    path = origin.plays(lambda peer: peer.send(answer("404 Not Found", b"no")))
    before = json.loads(used_pair.get("/stats.json").body)
    assert complaints(before) == []
    assert used_pair.get(path).status == 404
    told = json.loads(used_pair.get("/stats.json").body)
    assert complaints(told) == []
    assert told["responses"]["4xx"] == before["responses"]["4xx"] + 1


def test_pages_behind_the_prefix(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM), "metrics")
    base = path.removesuffix("/metrics")
    proxy = start_proxy("--upstream", f"{origin.url}{base}", "--admin-prefix", "/_aprp")
    assert proxy.get("/metrics").body == FILM
    assert proxy.get("/_aprp/metrics").body.startswith(b"# HELP aprp_build_info")
    assert complaints(json.loads(proxy.get("/_aprp/stats.json").body)) == []
