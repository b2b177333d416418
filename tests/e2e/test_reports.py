"""What the proxy tells of itself: /stats, /status, /healthz, the access log."""

import json
import re
import socket
from datetime import UTC, datetime, timedelta

import pytest

import aprp
from tests.e2e.clients import Connection, send_raw
from tests.e2e.content import FILM, SIZE
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, ScriptedOrigin, head, serves
from tests.e2e.servers import Proxy, StartProxy


@pytest.fixture
def fresh(origin: ScriptedOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy that has not been asked for anything."""
    return start_proxy("--upstream", origin.url)


@pytest.fixture
def shared(origin: ScriptedOrigin, scripted_proxy: Proxy) -> Proxy:
    """A proxy that may have been asked for much; nothing is under way."""
    scripted_proxy.wait_idle()
    return scripted_proxy


def test_the_first_look_at_the_counters(fresh: Proxy) -> None:
    told = fresh.stats()
    assert told["version"] == aprp.__version__
    assert told["workers"] == 1
    assert told["requests"] == 1
    assert set(told["responses"].values()) == {0}
    assert told["bytes_to_clients"] == {"bytes": 0, "kB": 0.0, "MB": 0.0}
    assert told["transfers"] == {"active": 0, "aborted_by_clients": 0, "broken_by_origins": 0}
    assert set(told["origins"].values()) == {0}
    assert 0 <= told["uptime"]["seconds"] < PATIENCE
    assert re.fullmatch(r"0 days, 00:00:\d\d", told["uptime"]["text"])


def test_counters_count(origin: ScriptedOrigin, fresh: Proxy) -> None:
    path = origin.plays(serves(FILM, 'ETag: "1"'))
    assert fresh.get(path).status == 200
    assert fresh.get(path, Range="bytes=0-1023").status == 206
    assert fresh.get(path, **{"If-None-Match": '"1"'}).status == 304
    assert fresh.get(f"{path}?range=x").status == 400
    assert fresh.head(path).status == 200
    assert len(send_raw(fresh.port, b"nonsense\r\n\r\n")) == 1
    before = fresh.stats()
    problems = 0
    for line in fresh.access_lines():
        problems += line["sent"] if line["status"] == 400 else 0
    assert before["requests"] == 7
    assert before["responses"] == {"1xx": 0, "2xx": 3, "3xx": 1, "4xx": 2, "5xx": 0}
    assert before["bytes_to_clients"]["bytes"] == SIZE + 1024 + problems
    volume = before["bytes_to_clients"]
    assert volume["kB"] == pytest.approx(volume["bytes"] / 1024, abs=0.001)
    assert volume["MB"] == pytest.approx(volume["bytes"] / 1024**2, abs=0.001)
    assert before["origins"]["requests"] == 4
    assert before["origins"]["connects"] + before["origins"]["reuses"] == 4


def test_what_is_under_way_is_counted_as_active(origin: ScriptedOrigin, shared: Proxy) -> None:
    def script(peer: Peer) -> None:
        peer.send(head("200 OK", "Content-Length: 10") + b"12345")
        peer.wait_broken()

    path = origin.plays(script)
    before = shared.stats()["transfers"]["aborted_by_clients"]
    connections = [Connection(shared.port) for _ in range(3)]
    for connection in connections:
        connection.ask(path)
        assert connection.read_head().status == 200
    assert shared.stats()["transfers"]["active"] == 3
    for connection in connections:
        connection.close()
    told = shared.wait_idle()
    assert told["transfers"]["active"] == 0
    assert told["transfers"]["aborted_by_clients"] == before + 3


@pytest.mark.parametrize(
    ("target", "accept", "html"),
    [
        ("/stats", "text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("/stats", "application/json", False),
        ("/stats", "*/*", False),
        ("/stats", "text/html;q=0.5, application/json", False),
        ("/stats", "", False),
        ("/stats?format=html", "application/json", True),
        ("/stats?format=json", "text/html", False),
    ],
)
def test_stats_by_accept_and_by_parameter(
    shared: Proxy, target: str, accept: str, html: bool
) -> None:
    number = shared.stats()["requests"] + 1
    reply = shared.get(target, Accept=accept)
    assert reply.status == 200
    assert reply.get("Cache-Control") == "no-store"
    assert "Accept" in (reply.get("Vary") or "")
    if html:
        assert reply.get("Content-Type") == "text/html; charset=utf-8"
        text = reply.body.decode()
        assert "<!doctype html>" in text.lower()
        # Whole in itself, and the units are there.
        assert not re.search(r'(?:src|href)="?(?:https?:)?//', text)
        assert all(unit in text for unit in (">bytes<", ">kB<", ">MB<"))
        assert f'<data value="{number}">{number:,}</data>' in text
    else:
        assert reply.get("Content-Type") == "application/json"
        assert json.loads(reply.body)["requests"] == number


def test_a_format_that_is_not_known(shared: Proxy) -> None:
    reply = shared.get("/stats?format=xml")
    assert (reply.status, reply.get("Content-Type")) == (400, "application/problem+json")


def test_the_short_status(shared: Proxy) -> None:
    before = shared.stats()["requests"]
    for number in range(before + 1, before + 4):
        told = json.loads(shared.get("/status").body)
        assert told == {"counter": number, "uptime": told["uptime"]}
        assert isinstance(told["uptime"], float)


def test_health(shared: Proxy) -> None:
    reply = shared.get("/healthz")
    assert (reply.status, json.loads(reply.body)) == (200, {"status": "ok"})


@pytest.mark.parametrize("page", ["/stats", "/status", "/healthz"])
def test_own_pages_for_head(shared: Proxy, page: str) -> None:
    reply = shared.head(page)
    length = reply.get("Content-Length")
    assert reply.status == 200 and length is not None and int(length) > 10
    assert reply.body == b""


def test_an_origin_with_such_pages_itself(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM), "stats")
    base = path.removesuffix("/stats")
    proxy = start_proxy("--upstream", f"{origin.url}{base}", "--admin-prefix", "/_aprp")
    assert proxy.get("/stats").body == FILM
    assert json.loads(proxy.get("/_aprp/stats").body)["requests"] == 2
    assert proxy.get("/_aprp/healthz").status == 200
    assert json.loads(proxy.get("/_aprp/status").body)["counter"] == 4


def test_one_access_line_for_each_request(origin: ScriptedOrigin, fresh: Proxy) -> None:
    path = origin.plays(serves(FILM))
    begun = datetime.now(UTC)
    fields = {"Referer": "http://a.example/é".encode().decode("latin-1"), "User-Agent": "x\ty"}
    fresh.get(f"{path}?token=1&range=5-9", **fields)
    fresh.head(path)
    fresh.get("/nothing.bin")
    fresh.get(path, Range="bytes=0-9,100-109")
    fresh.get(path, Range="bytes=9999999-")
    fresh.get("/stats")
    fresh.wait_access_line("/stats")
    lines = fresh.access_lines()
    told = [(line["method"], line["target"], line["status"], line["range"]) for line in lines]
    assert told == [
        ("GET", f"{path}?token=1&range=5-9", 206, f"bytes 5-9/{SIZE}"),
        ("HEAD", path, 200, None),
        ("GET", "/nothing.bin", 404, None),
        ("GET", path, 206, f"bytes 0-9/{SIZE} and 1 more"),
        ("GET", path, 416, None),
        ("GET", "/stats", 200, None),
    ]
    first = lines[0]
    assert first["client"] == "127.0.0.1" and first["version"] == "HTTP/1.1"
    assert (first["sent"], first["origin"], first["end"]) == (5, origin.url, None)
    assert 0 <= first["first_byte"] <= first["total"] < PATIENCE
    assert first["user_agent"] == "x\ty"
    assert abs(datetime.fromisoformat(first["time"]) - begun) < timedelta(seconds=PATIENCE)
    assert (lines[1]["sent"], lines[1]["first_byte"]) == (0, None)
    assert (lines[5]["origin"], lines[5]["pid"]) == (None, fresh.pid)


def test_a_target_cannot_break_out_of_its_line(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, APRP_LOG_FORMAT="text")
    target = '/a"b\\c%22\x9b[31m\xe2\x80\xa8'
    assert proxy.get(target).status in (400, 404)
    assert proxy.get("/status").status == 200
    *_, line, last = [line for line in proxy.log().split("\n") if line]
    assert "/status" in last
    assert line.isascii() and line.isprintable()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO \[\d+\] 127\.0\.0\.1 +40\d GET  \S+ range=- "
        r"sent=\d+ first=(?:-|\d+\.\d{3}) total=\d+\.\d{3} origin=\S+ id=[0-9a-f]{24}",
        line,
    )


def test_the_combined_format(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM))
    proxy = start_proxy("--upstream", origin.url, APRP_LOG_FORMAT="combined")
    proxy.get(f"{path}/0/9", Referer="http://a.example/", **{"User-Agent": 'play"er'})
    proxy.get("/status")
    assert re.fullmatch(
        rf'127\.0\.0\.1 - - \[[^]]+\] "GET {path}/0/9 HTTP/1\.1" 206 10 '
        r'"http://a\.example/" "play\\"er"',
        proxy.log().splitlines()[0],
    )


def test_connections_without_a_request_leave_no_line(fresh: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", fresh.port)) as client:
        client.sendall(b"GET / HT")
    assert fresh.stats()["requests"] == 1
    assert [line["target"] for line in fresh.access_lines()] in ([], ["/stats?format=json"])


def test_no_access_log(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--no-access-log")
    assert proxy.get("/status").status == 200
    assert proxy.log() == ""


def test_lines_that_wait_are_written_in_time_and_at_the_stop(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    path = origin.plays(serves(FILM))
    soon = start_proxy("--upstream", origin.url, APRP_LOG_DELAY="50ms")
    assert soon.get(path).body == FILM
    assert soon.wait_access_line(path)["sent"] == SIZE
    late = start_proxy("--upstream", origin.url, "--workers", "2", APRP_LOG_DELAY="1h")
    for _ in range(5):
        assert late.get(path, Range="bytes=0-9").body == FILM[:10]
    assert late.stop() == 0
    assert [line["sent"] for line in late.access_lines()] == [10] * 5
