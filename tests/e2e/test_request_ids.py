"""X-Request-ID in and out: at the origin, in answers, in error answers, in the log."""

import json
import re

import pytest

from tests.e2e.clients import Connection, Reply, send_raw
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import FORWARDS, FarEnd
from tests.e2e.uploads import message
from tests.peers import closed_port

OWN = re.compile("[0-9a-f]{24}")


def id_of(reply: Reply) -> str:
    """The id in an answer, which is there once."""
    value = reply.get("X-Request-ID")
    assert value is not None, reply.fields
    return value


def at_origin(origin: ScriptedOrigin, path: str) -> list[str | None]:
    """The ids with which the origin was asked, once in each request."""
    return [request.get("X-Request-ID") for request in origin.asked(path)]


def test_an_id_is_taken_over(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    assert id_of(scripted_proxy.get(path, **{"x-request-id": "job-17"})) == "job-17"
    assert at_origin(origin, path) == ["job-17"]
    assert scripted_proxy.wait_access_line(path)["request_id"] == "job-17"


def test_where_there_is_none_one_is_made(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(serves(FILM))
    ids = [id_of(scripted_proxy.get(f"{path}?{n}")) for n in range(5)]
    assert len(set(ids)) == 5 and all(map(OWN.fullmatch, ids))
    assert at_origin(origin, path) == ids
    assert [scripted_proxy.wait_access_line(f"{path}?{n}")["request_id"] for n in range(5)] == ids


@pytest.mark.parametrize("given", ["a b", "x" * 129, 'a"b', "<b>", "a,b"])
def test_an_id_that_is_no_good_is_replaced(
    origin: ScriptedOrigin, scripted_proxy: Proxy, given: str
) -> None:
    path = origin.plays(serves(FILM))
    own = id_of(scripted_proxy.get(path, **{"X-Request-ID": given}))
    assert OWN.fullmatch(own)
    assert at_origin(origin, path) == [own]


@pytest.mark.parametrize(
    ("believed", "trusted", "taken"),
    [
        ("nobody", "127.0.0.0/8", False),
        ("trusted", "127.0.0.0/8", True),
        ("trusted", "192.0.2.0/24", False),
        ("everybody", "192.0.2.0/24", True),
    ],
)
def test_whom_it_is_believed(
    origin: ScriptedOrigin, start_proxy: StartProxy, believed: str, trusted: str, taken: bool
) -> None:
    path = origin.plays(serves(FILM))
    flags = ("--request-id-from", believed, "--trusted-proxies", trusted)
    proxy = start_proxy("--upstream", origin.url, *flags)
    given = id_of(proxy.get(path, **{"X-Request-ID": "job-17"}))
    assert at_origin(origin, path) == [given]
    assert (given == "job-17") is taken and (taken or OWN.fullmatch(given))


def test_the_origins_own_id_is_replaced(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    lines = ("X-Request-ID: origins", "x-request-id: again")
    path = origin.plays(serves(FILM, *lines))
    for fields in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=0-9,50-60"}):
        given = {"X-Request-ID": "job-17", **fields}
        assert id_of(scripted_proxy.get(path, **given)) == "job-17"
    assert id_of(scripted_proxy.head(path, **{"X-Request-ID": "job-17"})) == "job-17"


@pytest.mark.parametrize("page", ["/stats", "/status", "/healthz"])
def test_own_pages_have_one(scripted_proxy: Proxy, page: str) -> None:
    assert id_of(scripted_proxy.get(page, **{"X-Request-ID": "job-17"})) == "job-17"


def test_other_methods_have_one(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    path = origin.plays(says(answer("201 Created", b"made", "X-Request-ID: origins")))
    with Connection(scripted_proxy.port) as connection:
        connection.send(message("POST", path, b"x", "X-Request-ID: job-17"))
        assert id_of(connection.read_reply("POST")) == "job-17"
        connection.ask("*", "X-Request-ID: job-18", method="OPTIONS")
        assert id_of(connection.read_reply("OPTIONS")) == "job-18"
    assert at_origin(origin, path) == ["job-17"]


def test_an_interim_answer_has_no_id_of_the_origin(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    early = head("103 Early Hints", "Link: </a>", "X-Request-ID: origins")
    path = origin.plays(says(early + answer("200 OK", b"x")))
    reply = scripted_proxy.get(path, **{"X-Request-ID": "job-17"})
    assert id_of(reply) == "job-17"
    (interim,) = reply.interim
    assert interim.get("Link") == "</a>" and interim.get("X-Request-ID") is None


# Errors.


def test_an_error_names_the_request_in_answer_and_log(start_proxy: StartProxy) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    proxy = start_proxy("--upstream", url)
    reply = proxy.get("/a.mp4", **{"X-Request-ID": "job-17"})
    check_problem(reply, 502)
    assert id_of(reply) == json.loads(reply.body)["request_id"] == "job-17"
    (warning,) = proxy.warnings()
    assert warning["request_id"] == "job-17" and "ConnectFailed" in warning["message"]
    assert proxy.wait_access_line("/a.mp4")["request_id"] == "job-17"
    own = proxy.get("/b.mp4")
    assert OWN.fullmatch(id_of(own)) and json.loads(own.body)["request_id"] == id_of(own)
    assert proxy.warnings()[1]["request_id"] == id_of(own)


def test_an_error_in_the_text_log(start_proxy: StartProxy) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    proxy = start_proxy("--upstream", url, APRP_LOG_FORMAT="text")
    proxy.get("/a.mp4", **{"X-Request-ID": "job-17"})
    warning, line = proxy.log().splitlines()
    assert " WARNING " in warning and warning.endswith(") id=job-17")
    assert " INFO " in line and line.endswith(" id=job-17")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /a.mp4/9/0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"nothing that is HTTP\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
    ],
)
def test_refusals_have_one(scripted_proxy: Proxy, request_: bytes, status: int) -> None:
    (reply,) = send_raw(scripted_proxy.port, request_)
    check_problem(reply, status)
    assert OWN.fullmatch(id_of(reply))
    assert json.loads(reply.body)["request_id"] == id_of(reply)


# What becomes a tunnel.


def test_an_upgrade_has_one(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    def script(peer: Peer) -> None:
        lines = ("Connection: Upgrade", "Upgrade: chat", "X-Request-ID: origins")
        peer.send(head("101 Switching Protocols", *lines))
        peer.close()

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        upgrade = ("Connection: Upgrade", "Upgrade: chat", "X-Request-ID: job-17")
        connection.ask(path, *upgrade)
        reply = connection.read_head()
        assert reply.status == 101 and id_of(reply) == "job-17"
    assert at_origin(origin, path) == ["job-17"]


def test_connect_has_one(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    far = FarEnd()
    try:
        ports = {"APRP_CONNECT_PORTS": str(far.port)}
        proxy = start_proxy("--upstream", origin.url, **FORWARDS, **ports)
        with Connection(proxy.port) as connection:
            connection.ask(far.authority, "X-Request-ID: job-17", method="CONNECT")
            reply = connection.read_head()
            assert reply.status == 200 and id_of(reply) == "job-17"
    finally:
        far.close()
    assert proxy.wait_access_line(far.authority)["request_id"] == "job-17"
