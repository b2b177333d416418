"""Requests that are odd and unambiguous: who gets them, and what of them."""

from collections.abc import Iterator

import pytest

from tests.e2e.clients import send_raw
from tests.e2e.problems import check_problem
from tests.e2e.servers import StartProxy
from tests.e2e.smuggling import SMUGGLED, WAYS, Stage, stage
from tests.e2e.tunnels import FarEnd, far_end, forwarding
from tests.e2e.witness import Witness


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The proxy that all of these are sent to, and its origin."""
    with stage(tmp_path_factory.mktemp("proxy")) as started:
        yield started


@pytest.fixture
def other() -> Iterator[Witness]:
    """An origin that is not asked."""
    origin = Witness()
    yield origin
    origin.close()


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    "method", ["get", "Post", "pUT", "options", "head", "M-SEARCH", "!#$%&'*+"]
)
def test_methods_are_written_with_care(on_stage: Stage, method: str, name: str) -> None:
    # RFC 9110 section 9.1: they are case-sensitive, and none of these is one that is known here.
    way = on_stage.way(name)
    before = len(on_stage.origin.asked(way.path))
    form = f"{method} TARGET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
    (reply,) = send_raw(on_stage.proxy.port, way.fill(form))
    assert (reply.status, reply.body) == (200, f"{method} {way.path} 0".encode())
    (came,) = on_stage.origin.asked(way.path)[before:]
    assert came.method == method


@pytest.mark.parametrize("host", ["OTHER", "a.example", "", "[::1]:80"])
def test_an_absolute_target_wins_over_the_host(on_stage: Stage, other: Witness, host: str) -> None:
    # RFC 9112 section 3.2.2.
    host = host.replace("OTHER", f"127.0.0.1:{other.port}")
    for name in ("forward", "forward, cache"):
        way = on_stage.way(name)
        form = f"METHOD TARGET HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        (reply,) = send_raw(on_stage.proxy.port, way.fill(form))
        assert reply.status == 200
        (came,) = on_stage.origin.asked(way.path)
        assert came.all("Host") == came.all("X-Forwarded-Host") == [way.host]
    assert other.bytes_heard == 0


def test_an_absolute_target_where_nothing_is_forwarded(
    on_stage: Stage, other: Witness, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", on_stage.origin.url)
    way = on_stage.way("passthrough")
    form = f"METHOD {other.url}{way.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    (reply,) = send_raw(proxy.port, way.fill(form))
    assert reply.status == 200
    (came,) = on_stage.origin.asked(way.path)
    assert came.all("X-Forwarded-Host") == [f"127.0.0.1:{other.port}"]
    assert other.bytes_heard == 0


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("tail", ["#", "#a", "?a#b", "/../x", "/%2e%2e/x", "/%0d%0a", "/%zz", "/%"])
def test_a_target_that_no_origin_is_asked_for(on_stage: Stage, tail: str, name: str) -> None:
    way = on_stage.way(name)
    before = on_stage.origin.bytes_heard
    form = f"METHOD TARGET{tail} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
    (reply,) = send_raw(on_stage.proxy.port, way.fill(form))
    assert check_problem(reply, 400).startswith("Bad request target: ")
    assert on_stage.origin.bytes_heard == before


@pytest.mark.parametrize("name", ["cache", "forward, cache"])
def test_no_way_to_http_2_behind_the_proxy(on_stage: Stage, name: str) -> None:
    way, second = on_stage.way(name), on_stage.way("passthrough")
    form = (
        "STARTConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    )
    behind = second.fill("STARTConnection: close\r\n\r\n")
    replies = send_raw(on_stage.proxy.port, way.fill(form) + behind)
    assert [reply.status for reply in replies] == [200, 200]
    (came,) = on_stage.origin.asked(way.path)
    for field in ("Connection", "Upgrade", "HTTP2-Settings"):
        assert came.all(field) == []


@pytest.mark.parametrize("name", ["passthrough", "cache", "forward"])
def test_a_connection_names_a_field_of_the_clients(on_stage: Stage, name: str) -> None:
    # RFC 9110 section 7.6.1: it goes no further. What the proxy says of the client itself does.
    way = on_stage.way(name)
    form = (
        "STARTConnection: close, Cookie, X-Mine, X-Forwarded-For, Forwarded, Via, Host\r\n"
        "Cookie: a=b\r\nx-mine: 1\r\nX-Forwarded-For: 192.0.2.9\r\nX-Other: 2\r\n\r\n"
    )
    (reply,) = send_raw(on_stage.proxy.port, way.fill(form))
    assert reply.status == 200
    (came,) = on_stage.origin.asked(way.path)
    assert came.all("Cookie") == came.all("X-Mine") == came.all("Connection") == []
    assert came.all("X-Other") == ["2"]
    assert came.all("X-Forwarded-For") == ["127.0.0.1"]
    assert len(came.all("Via")) == len(came.all("Forwarded")) == len(came.all("Host")) == 1


@pytest.fixture
def end() -> Iterator[FarEnd]:
    """What a tunnel would lead to."""
    with far_end() as listening:
        yield listening


@pytest.mark.parametrize(
    "body",
    ["Content-Length: 5\r\n\r\nabcde", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"],
)
def test_connect_has_no_body(end: FarEnd, start_proxy: StartProxy, body: str) -> None:
    # RFC 9110 section 9.3.6: whoever reads one takes the tunnel's first bytes for it.
    proxy = forwarding(start_proxy, end.port)
    data = f"CONNECT {end.authority} HTTP/1.1\r\nHost: {end.authority}\r\n{body}{SMUGGLED}"
    (reply,) = send_raw(proxy.port, data.encode())
    assert reply.get("Connection") == "close"
    assert "CONNECT" in check_problem(reply, 400)
    assert end.connections == 0
