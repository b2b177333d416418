"""The dashboard's back end in the real program, with two workers."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.caching import MIB, begin, get_range, get_whole
from tests.e2e.clients import Connection, Reply
from tests.e2e.events import EventStream, act, objects, one_object, request
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.problems import check_problem
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced

STRANGER = "203.0.113.9"


@pytest.fixture(scope="module")
def pair(
    shared_fault_origin: FaultOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with two workers and a cache; web pages of everybody may read what it serves."""
    directory = tmp_path_factory.mktemp("proxy")
    flags = ("--upstream", shared_fault_origin.url, "--workers", "2", "--cors-origins", "*")
    with Proxy(directory, *flags, cache=True) as started:
        wait_until(lambda: len(started.workers()) == 2, "two workers run")
        yield started


def held(source: FaultOrigin, size: int, after: int) -> tuple[File, threading.Event]:
    """A file whose origin waits in the middle of the first answer."""
    file = source.add(size)
    go_on = threading.Event()
    file.plans.append(Plan(hold=(after, go_on)))
    return file, go_on


def cors_fields(reply: Reply) -> list[str]:
    return [name for name, _ in reply.fields if name.lower().startswith("access-control-")]


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


def test_an_operator_removes_what_he_names(source: FaultOrigin, pair: Proxy) -> None:
    gone, stays = source.add(MIB), source.add(MIB)
    for file in (gone, stays):
        for worker in pair.workers():
            with only(pair, worker):
                get_whole(pair, file)
    id = one_object(pair, gone.path)["id"]
    reply = act(pair, "purge", [id])
    assert (reply.status, json.loads(reply.body)) == (200, {"purged": 1})
    assert cors_fields(reply) == []
    assert objects(pair, search=gone.path)["total"] == 0
    # Every worker has heard of it, and nothing else is gone.
    asked = len(gone.served), len(stays.served)
    for worker in pair.workers():
        with only(pair, worker):
            get_whole(pair, gone)
            get_whole(pair, stays)
    assert (len(gone.served), len(stays.served)) == (asked[0] + 1, asked[1])
    assert json.loads(act(pair, "purge", [id]).body) == {"purged": 0}


def test_an_operator_has_a_file_fetched_whole(source: FaultOrigin, pair: Proxy) -> None:
    file = source.add(5 * MIB + 3)
    get_range(pair, file, 3 * MIB, 3 * MIB + 10)
    pair.wait_idle()
    before = one_object(pair, file.path)
    counted = pair.stats()
    go_on = threading.Event()
    file.always = Plan(hold=(MIB // 2, go_on))
    with EventStream(pair) as stream:
        reply = act(pair, "warm", [before["id"]])
        assert (reply.status, json.loads(reply.body)) == (202, {"warming": 1})
        # The fetch of what was asked for before may still be there.
        event = stream.until(
            lambda told: any(
                fill["begin"] == 0 for each in told["objects"] for fill in each["map"]["fills"]
            )
        )
        (known,) = event["objects"]
        assert known["name"] == file.path
        assert known["map"]["readers"] == []
        assert event["transfers"]["total"] == 0
        go_on.set()
        stream.until(lambda told: not told["objects"])
    after = one_object(pair, file.path)
    assert after["present_bytes"] == file.size
    assert after["map"]["present"] == [100] * 6
    assert after["map"]["heat"] == before["map"]["heat"]
    told = pair.stats()
    assert told["cache"]["bytes_from_cache"] == counted["cache"]["bytes_from_cache"]
    sent = told["bytes_to_clients"]["bytes"] - counted["bytes_to_clients"]["bytes"]
    assert sent < MIB
    # Every byte came once.
    assert file.sent == file.size
    asked = len(file.served)
    get_whole(pair, file)
    assert len(file.served) == asked
    via = file.served[-1].request.get("Via")
    assert via is not None and via.startswith("1.1 ")


@pytest.mark.parametrize("what", ["purge", "warm"])
@pytest.mark.parametrize(
    "fields",
    [
        {"X_CSRF_Token": ""},
        {"X_CSRF_Token": "1.0"},
        {"Origin": "http://elsewhere.test"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"X_Forwarded_For": STRANGER},
        # A name that somebody else's DNS has made to lead here.
        {"Host": "elsewhere.test"},
    ],
    ids=lambda fields: "-".join(f"{name}={value}" for name, value in fields.items()),
)
def test_nobody_else_removes_or_fetches(
    source: FaultOrigin, pair: Proxy, what: str, fields: dict[str, str]
) -> None:
    file = source.files.get("/kept/film.bin") or source.add(MIB, path="/kept/film.bin")
    get_range(pair, file, 0, 10)
    id = one_object(pair, file.path)["id"]
    reply = act(pair, what, [id], **fields)
    assert check_problem(reply, 403)
    assert cors_fields(reply) == []
    assert one_object(pair, file.path)["id"] == id


def test_the_page_itself_may(source: FaultOrigin, pair: Proxy) -> None:
    own = {"Origin": f"http://127.0.0.1:{pair.port}", "Sec_Fetch_Site": "same-origin"}
    assert act(pair, "purge", [], **own).status == 200
    assert act(pair, "warm", [], **own).status == 202
    host = f"localhost:{pair.port}"
    named = {"Host": host, "Origin": f"http://{host}"}
    assert act(pair, "purge", [], **named).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"ids": "a"}', b'{"ids": [1]}', b'{"ids": ["xyz"]}', b"\xff"],
    ids=["nothing", "no-ids", "list", "text", "number", "no-id", "bytes"],
)
def test_a_body_that_is_none(pair: Proxy, body: bytes) -> None:
    token = objects(pair)["admin"]["token"]
    reply = request(pair, "POST", "/stats/purge", body, X_CSRF_Token=token)
    assert check_problem(reply, 400)


def test_a_body_that_is_too_large(pair: Proxy) -> None:
    token = objects(pair)["admin"]["token"]
    fields = {"X_CSRF_Token": token}
    reply = request(pair, "POST", "/stats/purge", bytes(70_000), **fields)
    assert check_problem(reply, 413)
    many = json.dumps({"ids": ["0" * 16] * 1001}).encode()
    reply = request(pair, "POST", "/stats/purge", many, **fields)
    assert "at most 1000" in check_problem(reply, 400)


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


def test_no_other_page_may_read_what_has_the_token(pair: Proxy) -> None:
    origin = {"Origin": "http://elsewhere.test"}
    # What it serves, everybody's pages may read.
    assert cors_fields(request(pair, "GET", "/status", **origin))
    for method, target in (
        ("GET", "/stats/objects"),
        ("GET", "/stats/objects?sort=wrong"),
        ("GET", "/stats/object?target=/nothing"),
        ("HEAD", "/stats/events"),
        ("POST", "/stats/purge"),
        ("OPTIONS", "/stats/purge"),
        ("OPTIONS", "/stats/objects"),
        ("GET", "/stats/warm"),
    ):
        fields = {**origin, "Access_Control_Request_Method": "POST"}
        reply = request(pair, method, target, **fields)
        assert cors_fields(reply) == [], target
        if method == "OPTIONS" or target == "/stats/warm":
            assert reply.status == 405
    told = json.loads(request(pair, "GET", "/stats/objects", **origin).body)
    assert told["admin"]["token"] is None


@pytest.mark.parametrize(
    "query",
    [
        "sort=age",
        "order=up",
        "limit=0",
        "limit=201",
        "limit=x",
        "offset=-1",
        "offset=1e3",
        "sort=name&sort=size",
        "page=2",
        f"search={'x' * 501}",
    ],
    ids=lambda query: query[:20],
)
def test_a_question_that_is_none(pair: Proxy, query: str) -> None:
    assert check_problem(request(pair, "GET", f"/stats/objects?{query}"), 400)


def test_objects_page_by_page(source: FaultOrigin, pair: Proxy) -> None:
    sizes = [3, 1, 2]
    for number, size in enumerate(sizes):
        file = source.add(size * 1000, path=f"/shelf/{number}.bin")
        get_whole(pair, file)
    wait_until(lambda: objects(pair, search="/shelf/")["total"] == 3, "all are in the index")
    told = objects(pair, search="/SHELF/", sort="size", order="desc", limit=2, offset=1)
    assert (told["total"], told["offset"]) == (3, 1)
    assert [found["length"] for found in told["objects"]] == [2000, 1000]
    assert objects(pair, search="/shelf/", offset=7)["objects"] == []


def test_a_search_as_people_type_it(source: FaultOrigin, pair: Proxy) -> None:
    file = source.add(100, path="/typed/%C3%9Cber.bin")
    get_whole(pair, file)
    wait_until(lambda: objects(pair, search="/typed/")["total"] == 1, "it is in the index")
    for search in ("\u00fcber", "%C3%BCber", "%25C3%259C"):
        with Connection(pair.port) as client:
            client.send(
                f"GET /stats/objects?search={search} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            )
            told = json.loads(client.read(int(client.read_head().get("Content-Length") or 0)))
        assert [found["name"] for found in told["objects"]] == [file.path], search


def test_one_object_by_its_path(source: FaultOrigin, pair: Proxy) -> None:
    file = source.add(MIB, path="/one/a film.bin".replace(" ", "%20"))
    get_whole(pair, file)
    for target in ("/one/a%2520film.bin", "/one/a%20film.bin", "/one/a%2520film.bin/0/9?range=0-9"):
        reply = request(pair, "GET", f"/stats/object?target={target}")
        assert reply.status == 200
        told = json.loads(reply.body)
        assert (told["name"], told["map"]["present"]) == (file.path, [100])
    assert check_problem(request(pair, "GET", "/stats/object?target=/one/none"), 404)
    for wrong in ("", "target=one", "target=", "name=/a"):
        assert check_problem(request(pair, "GET", f"/stats/object?{wrong}"), 400)


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
