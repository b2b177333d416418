"""The dashboard's back end in the real program, with two workers."""

import json
import os
import signal
import time
from typing import Any

import pytest

from tests.e2e.caching import MIB, begin, get_range, get_whole
from tests.e2e.clients import Connection
from tests.e2e.events import (
    STRANGER,
    EventStream,
    act,
    cors_fields,
    held,
    one_object,
    request,
    start_pair,
)
from tests.e2e.fault_files import Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.problems import check_problem
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced


@pytest.fixture(scope="module")
def pair(shared_fault_origin: FaultOrigin, start_shared: StartProxy) -> Proxy:
    """A proxy with two workers and a cache; web pages of everybody may read what it serves."""
    return start_pair(start_shared, shared_fault_origin)


def test_a_transfer_of_another_worker_is_seen_with_its_progress(
    source: FaultOrigin, pair: Proxy
) -> None:
    size, so_far = 6 * MIB, 3 * MIB + 7
    file, go_on = held(source, size, so_far)
    one, other = pair.workers()
    with only(pair, one):
        client = begin(pair, file, "Range: bytes=0-")
    with only(pair, other):
        stream = EventStream(pair)
    with client, stream:
        assert stream.head.status == 200
        assert stream.head.get("Content-Type") == "text/event-stream; charset=utf-8"
        assert stream.head.get("Cache-Control") == "no-store"
        assert cors_fields(stream.head) == []
        assert len(client.read(so_far)) == so_far

        def shown(event: dict[str, Any]) -> bool:
            return any(
                each["target"] == file.path and each["sent"] == so_far
                for each in event["transfers"]["shown"]
            ) and bool(event["objects"])

        event = stream.until(shown)
        assert event["transfers"]["total"] == event["report"]["transfers"]["active"] == 1
        (transfer,) = event["transfers"]["shown"]
        assert transfer["client"] == "127.0.0.1"
        assert transfer["method"] == "GET"
        assert transfer["status"] == 206
        assert transfer["range"] == f"bytes=0-{size - 1}"
        assert (transfer["length"], transfer["worker"]) == (size, 0)
        assert [worker["pid"] for worker in event["workers"]] == [one, other]
        assert [worker["active"] for worker in event["workers"]] == [1, 0]
        assert all(worker["cpu_seconds"] > 0 for worker in event["workers"])
        (known,) = event["objects"]
        assert (known["name"], known["length"]) == (file.path, size)
        assert known["map"]["readers"] == [{"position": so_far, "stop": size}]
        assert {"begin": 0, "position": so_far, "stop": size} in known["map"]["fills"]
        assert known["map"]["present"] == [100, 100, 100, 1, 0, 0]
        # What is under way is no part of the heat before it has gone out.
        assert known["map"]["heat"][:3] == [1.0, 1.0, 1.0]
        go_on.set()
        assert len(client.read(size - so_far)) == size - so_far
        stream.until(lambda told: told["transfers"]["total"] == 0 and not told["objects"])
    assert one_object(pair, file.path)["map"]["present"] == [100] * 6


def test_slices_fill_in_and_heat_grows(source: FaultOrigin, pair: Proxy) -> None:
    file = source.add(4 * MIB - 100)
    get_range(pair, file, 2 * MIB, 3 * MIB)
    first = one_object(pair, file.path)
    assert first["map"]["heat"] == [0.0, 0.0, 1.0, 0.0]
    assert first["map"]["present"][2] == 100
    for worker in pair.workers():
        with only(pair, worker):
            get_whole(pair, file)
    told = one_object(pair, file.path)
    assert told["map"]["present"] == [100] * 4
    assert told["map"]["heat"] == [2.0, 2.0, 3.0, 2.0]
    assert told["present_bytes"] == file.size
    assert told["views"] == pytest.approx(2 + MIB / file.size, abs=1e-4)
    # HEAD, and what a browser fetches in advance, nobody has watched.
    assert pair.head(file.path).status == 200
    get_whole(pair, file, **{"Sec-Purpose": "prefetch"})
    assert one_object(pair, file.path)["map"] == told["map"]


def test_events_come_each_second_and_count_nothing_but_a_request(
    source: FaultOrigin, pair: Proxy
) -> None:
    before = pair.wait_idle()
    ended = len(pair.access_lines())
    with EventStream(pair) as stream:
        events = [stream.next() for _ in range(3)]
    # Its line is written when its worker has seen the end.
    wait_until(lambda: len(pair.access_lines()) > ended, "the stream is over")
    line = pair.access_lines()[-1]
    assert (line["target"], line["status"], line["end"]) == ("/stats/events", 200, None)
    times = [event["time"] for event in events if event is not None]
    assert times[1] - times[0] == pytest.approx(1.0, abs=0.5)
    for event in events:
        assert event is not None
        assert event["report"]["requests"] == before["requests"] + 1
        assert event["report"]["transfers"]["active"] == 0
        assert event["transfers"] == {"total": 0, "shown": []}
        assert event["objects"] == []
        assert event["latency"]["minute"].keys() == {"count", "p50", "p95", "p99"}
    after = pair.stats()
    # What came between is the answer that `before` was read from.
    sent = after["bytes_to_clients"]["bytes"] - before["bytes_to_clients"]["bytes"]
    assert sent == len(json.dumps(before, indent=2)) + 1
    assert after["requests"] == before["requests"] + 2
    assert after["transfers"]["aborted_by_clients"] == before["transfers"]["aborted_by_clients"]


def test_who_is_no_operator_sees_less(source: FaultOrigin, pair: Proxy) -> None:
    file, go_on = held(source, 2 * MIB, MIB)
    client = Connection(pair.port)
    client.ask(f"{file.path}?key=secret")
    with client, EventStream(pair, f"X-Forwarded-For: {STRANGER}") as stream:
        assert client.read_head().status == 200
        event = stream.until(lambda told: told["objects"] and told["transfers"]["shown"])
        (transfer,) = event["transfers"]["shown"]
        assert (transfer["client"], transfer["target"]) == (None, f"{file.path}?…")
        assert event["objects"][0]["name"] == f"{file.path}?…"
        go_on.set()
        assert len(client.read(2 * MIB)) == 2 * MIB
    reply = request(pair, "GET", "/stats/objects?search=secret", X_Forwarded_For=STRANGER)
    told = json.loads(reply.body)
    assert told["admin"]["allowed"] is False
    assert told["admin"]["token"] is None
    assert "ADMIN_ALLOW" in told["admin"]["why"]
    assert "secret" not in reply.body.decode()


def test_the_last_stream_too_many_is_told(pair: Proxy) -> None:
    (worker, _) = pair.workers()
    with only(pair, worker):
        streams = [EventStream(pair) for _ in range(32)]
        assert all(stream.head.status == 200 for stream in streams)
        reply = request(pair, "GET", "/stats/events")
        assert "32" in check_problem(reply, 503)
        assert reply.get("Retry-After") == "5"
        for stream in streams:
            stream.connection.close()
        wait_until(lambda: len(pair.access_lines()) >= 33, "all have left")


def test_what_a_killed_worker_had_under_way_is_gone(source: FaultOrigin, pair: Proxy) -> None:
    pair.expect_faults()
    file, go_on = held(source, 2 * MIB, MIB)
    victim, other = pair.workers()
    with only(pair, victim):
        client = begin(pair, file)
    with only(pair, other):
        stream = EventStream(pair)
    with client, stream:
        stream.until(lambda told: told["transfers"]["total"] == 1)
        os.kill(victim, signal.SIGKILL)
        wait_replaced(pair, victim)
        event = stream.until(
            lambda told: (
                told["transfers"]["total"] == 0
                and victim not in [worker["pid"] for worker in told["workers"]]
            )
        )
        assert sorted(worker["pid"] for worker in event["workers"]) == sorted(pair.workers())
        go_on.set()


def test_a_stop_does_not_wait_for_who_looks(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, cache=True, APRP_DRAIN_TIMEOUT="60")
    # Nor for what an operator has fetched.
    file = source.add(4 * MIB)
    get_range(proxy, file, 0, 10)
    file.always = Plan(stall=100)
    assert act(proxy, "warm", [one_object(proxy, file.path)["id"]]).status == 202
    file.wait_requests(2)
    with EventStream(proxy) as stream, EventStream(proxy) as deaf:
        assert stream.next() is not None
        assert deaf.head.status == 200
        begun = time.monotonic()
        proxy.signal(signal.SIGTERM)
        while stream.next() is not None:
            pass
        assert proxy.wait() == 0
        assert time.monotonic() - begun < 10


def test_without_a_cache_there_is_nothing_to_show(
    source: FaultOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", source.url, "--admin-prefix", "/_aprp")
    with EventStream(proxy, prefix="/_aprp", version="1.0") as stream:
        assert stream.head.get("Transfer-Encoding") is None
        event = stream.next()
        assert event is not None and event["objects"] == []
        assert event["report"]["cache"]["storing"] is False
    told = json.loads(request(proxy, "GET", "/_aprp/stats/objects").body)
    assert (told["total"], told["objects"]) == (0, [])
    assert request(proxy, "GET", "/_aprp/stats/object?target=/a").status == 404
