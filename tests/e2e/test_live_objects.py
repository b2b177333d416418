"""The objects of the dashboard in the real program: a list of them, and what operators may do."""

import json
import threading

import pytest

from tests.e2e.caching import MIB, get_range, get_whole
from tests.e2e.clients import Connection
from tests.e2e.events import (
    STRANGER,
    EventStream,
    act,
    cors_fields,
    objects,
    one_object,
    request,
    start_pair,
)
from tests.e2e.fault_files import Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.problems import check_problem
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy, only


@pytest.fixture(scope="module")
def pair(shared_fault_origin: FaultOrigin, start_shared: StartProxy) -> Proxy:
    """A proxy with two workers and a cache; web pages of everybody may read what it serves."""
    return start_pair(start_shared, shared_fault_origin)


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


def test_no_other_page_may_read_what_has_the_token(pair: Proxy) -> None:
    origin = {"Origin": "http://elsewhere.test"}
    # What it serves, everybody's pages may read.
    assert cors_fields(request(pair, "GET", "/status", None, **origin))
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
        reply = request(pair, method, target, None, **fields)
        assert cors_fields(reply) == [], target
        if method == "OPTIONS" or target == "/stats/warm":
            assert reply.status == 405
    told = json.loads(request(pair, "GET", "/stats/objects", None, **origin).body)
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
