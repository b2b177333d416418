"""`/?target_url=`: another upstream for what follows, for all clients and all workers."""

import json
import os
import signal
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.e2e.caching import cache_status
from tests.e2e.clients import Connection, Reply, curl
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.programs import wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced
from tests.peers import closed_port

ALLOWED = {"APRP_TARGET_URL_ALLOW": "127.0.0.1,*.invalid,localhost"}


@pytest.fixture(scope="module")
def shared_other() -> Iterator[ScriptedOrigin]:
    """The origin that tests take as `other`."""
    started = ScriptedOrigin()
    yield started
    started.close()


@pytest.fixture
def other(shared_other: ScriptedOrigin) -> Iterator[ScriptedOrigin]:
    """The target; `origin` is the upstream."""
    yield shared_other
    shared_other.check()


@pytest.fixture
def untouched() -> Iterator[ScriptedOrigin]:
    """A target whose paths nobody has yet."""
    started = ScriptedOrigin()
    yield started
    started.close()
    started.check()


@pytest.fixture(scope="module")
def shared_proxy(shared_origin: ScriptedOrigin, start_shared: StartProxy) -> Proxy:
    """The proxy that tests take as `proxy`."""
    return start_shared("--upstream", shared_origin.url, **ALLOWED)


@pytest.fixture
def proxy(shared_proxy: Proxy) -> Iterator[Proxy]:
    """A proxy before `origin` whose target may be switched; each test finds it at `origin`."""
    assert target(shared_proxy) is None
    yield shared_proxy
    switch(shared_proxy, "")


@pytest.fixture(scope="module")
def strict(shared_origin: ScriptedOrigin, start_shared: StartProxy) -> Proxy:
    """A proxy that lists names alone."""
    allowed = {"APRP_TARGET_URL_ALLOW": "*.example.org,localhost"}
    return start_shared("--upstream", shared_origin.url, **allowed)


def switch(proxy: Proxy, url: str, more: str = "", method: str = "GET") -> Reply:
    """Ask for `/?target_url=`, with more of a query behind it."""
    with Connection(proxy.port) as connection:
        connection.ask(f"/?target_url={quote(url, safe='')}{more}", method=method)
        return connection.read_reply(method)


def target(proxy: Proxy) -> str | None:
    """The target that /stats names."""
    told: str | None = proxy.stats()["target"]
    return told


def workers_of(proxy: Proxy) -> list[int]:
    """Both workers, when they are there."""
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    return proxy.workers()


def test_there_and_back(proxy: Proxy, origin: ScriptedOrigin, other: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    there = other.plays(serves(FILM[::-1]), "other.bin")
    assert target(proxy) is None
    assert proxy.get(path).body == FILM
    assert proxy.get(there).status == 404

    before = len(other.requests)
    assert switch(proxy, other.url).status == 404
    # It answers with the target's own first page.
    (request,) = other.requests[before:]
    assert (request.method, request.target) == ("GET", "/")
    assert request.get("Host") == f"127.0.0.1:{other.port}"
    assert target(proxy) == other.url
    assert proxy.get(there).body == FILM[::-1]
    for suffix in ("/5/9", "?range=5-9"):
        assert proxy.get(there + suffix).body == FILM[::-1][5:10]
    assert proxy.get(there, Range="bytes=5-9").body == FILM[::-1][5:10]

    before = len(origin.requests)
    switch(proxy, "")
    assert origin.requests[before].target == "/"
    assert target(proxy) is None
    assert proxy.get(path).body == FILM


def test_as_a_user_types_it(proxy: Proxy, origin: ScriptedOrigin, other: ScriptedOrigin) -> None:
    before = len(other.requests)
    got = curl(f"{proxy.url}/?target_url={other.url}")
    assert got.exit_code == 0, got.errors
    assert [request.target for request in other.requests[before:]] == ["/"]
    page = proxy.get("/stats?format=html").body.decode()
    assert f"Requests go to {other.url}<" in page
    assert curl(f"{proxy.url}/?target_url=").exit_code == 0
    assert "Requests go to UPSTREAM<" in proxy.get("/stats?format=html").body.decode()


def test_all_workers_follow(
    origin: ScriptedOrigin, other: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--workers", "2", **ALLOWED)
    path = other.plays(serves(FILM), "other.bin")
    workers = workers_of(proxy)
    for url, status, told in ((other.url, 200, other.url), ("", 404, None)) * 2:
        with only(proxy, workers[0]):
            switch(proxy, url)
        for worker in workers:
            with only(proxy, worker):
                assert target(proxy) == told
                assert proxy.get(path).status == status


def test_a_worker_that_comes_later_follows(
    origin: ScriptedOrigin, other: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--workers", "2", **ALLOWED)
    proxy.expect_faults()
    path = other.plays(serves(FILM), "other.bin")
    switch(proxy, other.url)
    for victim in workers_of(proxy):
        os.kill(victim, signal.SIGKILL)
        wait_replaced(proxy, victim)
    for worker in workers_of(proxy):
        with only(proxy, worker):
            assert proxy.get(path).body == FILM


def test_a_restart_forgets(
    origin: ScriptedOrigin, other: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, **ALLOWED)
    switch(proxy, other.url)
    assert target(proxy) == other.url
    assert proxy.stop() == 0
    again = start_proxy("--upstream", origin.url, **ALLOWED)
    assert target(again) is None


def test_a_base_path(proxy: Proxy, other: ScriptedOrigin) -> None:
    path = other.plays(serves(FILM), "films/other.bin")
    base = path.removesuffix("other.bin")
    for url in (other.url + base, (other.url + base).rstrip("/")):
        before = len(other.requests)
        switch(proxy, url)
        assert other.requests[before].target == base
        assert proxy.get("/other.bin").body == FILM
        assert proxy.get("/other.bin/0/9?a=1").body == FILM[:10]
        assert other.requests[-1].target == f"{path}?a=1"
        assert target(proxy) == url


def test_the_parameter_goes_no_further_and_the_rest_does(
    proxy: Proxy, other: ScriptedOrigin
) -> None:
    for query, asked in (
        ("?target_url={}", "/"),
        ("?a=%20&target_url={}&b=c&&d", "/?a=%20&b=c&&d"),
        ("?%74arget_url={}&a", "/?a"),
        ("?target_url={}&target_url={}", "/"),
        ("?target_url={}&range=0-9&xtarget_url=b", "/?xtarget_url=b"),
    ):
        for method in ("GET", "HEAD"):
            before = len(other.requests)
            with Connection(proxy.port) as connection:
                text = query.replace("{}", quote(other.url, safe=""))
                connection.ask("/" + text, method=method)
                connection.read_reply(method)
            (request,) = other.requests[before:]
            assert (request.method, request.target) == (method, asked)


def test_it_is_the_first_page_alone(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM), "first.bin")
    assert proxy.get(f"{path}?target_url=http://localhost:1").body == FILM
    assert origin.asked(path)[0].target == f"{path}?target_url=http://localhost:1"
    assert target(proxy) is None


def test_redirects_and_cookies_of_the_target_are_the_proxys(
    proxy: Proxy, other: ScriptedOrigin
) -> None:
    def redirects(peer: Peer) -> None:
        base = peer.request.target.removesuffix("/other.bin")
        fields = (
            f"Location: {other.url}{base}/there?a=1",
            f"Content-Location: {other.url}/outside",
            f"Set-Cookie: a=b; Path={base}/x; Domain=127.0.0.1",
        )
        peer.send(answer("302 Found", b"", *fields))

    path = other.plays(redirects, "films/other.bin")
    base = path.removesuffix("/other.bin")
    switch(proxy, other.url)
    reply = proxy.get(path)
    assert reply.get("Location") == f"http://media.example{base}/there?a=1"
    assert reply.get("Content-Location") == "http://media.example/outside"
    assert reply.get("Set-Cookie") == f"a=b; Path={base}/x"
    switch(proxy, other.url + base)
    reply = proxy.get("/other.bin")
    assert reply.get("Location") == "http://media.example/there?a=1"
    # There is nothing of it behind the proxy.
    assert reply.get("Content-Location") == f"{other.url}/outside"
    assert reply.get("Set-Cookie") == "a=b; Path=/x"


def test_targets_do_not_share_what_is_stored(
    origin: ScriptedOrigin, untouched: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True, **ALLOWED)
    fresh = "Cache-Control: max-age=3600"
    path = origin.plays(serves(FILM, fresh))
    while (same := untouched.plays(serves(FILM[::-1], fresh))) != path:
        assert len(same) <= len(path)
    proxy.get(path)
    wait_until(lambda: "hit" in cache_status(proxy.get(path)), "the film is stored")
    switch(proxy, untouched.url)
    assert proxy.get(path).body == FILM[::-1]
    switch(proxy, "")
    reply = proxy.get(path)
    assert (reply.body, "hit" in cache_status(reply)) == (FILM, True)


# What is refused leaves all as it is.


def refused(proxy: Proxy, url: str, status: int) -> str:
    """Switch where that is not possible; what is said about it."""
    before = target(proxy)
    detail = check_problem(switch(proxy, url), status)
    assert target(proxy) == before
    return detail


@pytest.mark.parametrize("url", ["http://python.org", "", "nonsense"])
def test_it_is_off_as_it_comes(scripted_proxy: Proxy, origin: ScriptedOrigin, url: str) -> None:
    before = len(origin.requests)
    assert "TARGET_URL_ALLOW" in refused(scripted_proxy, url, 403)
    assert len(origin.requests) == before


@pytest.mark.parametrize("host", ["10.0.0.1", "[::1]", "127.0.0.2", "0.0.0.0"])
def test_an_address_that_is_not_listed(proxy: Proxy, other: ScriptedOrigin, host: str) -> None:
    switch(proxy, other.url)
    assert "TARGET_URL_ALLOW" in refused(proxy, f"http://{host}:8000/", 403)


@pytest.mark.parametrize("host", ["python.org", "invalid", "a.localhost", "example.org"])
def test_a_name_that_is_not_listed(strict: Proxy, host: str) -> None:
    assert "TARGET_URL_ALLOW" in refused(strict, f"http://{host}:8000/", 403)


@pytest.mark.parametrize("allowed", ["*", "*,10.0.0.0/8", "192.0.2.0/24"])
def test_a_name_that_leads_to_loopback(
    origin: ScriptedOrigin, other: ScriptedOrigin, start_proxy: StartProxy, allowed: str
) -> None:
    # What it leads to is known when it has been looked up, and that is done first.
    proxy = start_proxy("--upstream", origin.url, APRP_TARGET_URL_ALLOW=allowed)
    before = len(other.requests)
    assert "TARGET_URL_ALLOW" in refused(proxy, f"http://localhost:{other.port}", 403)
    assert len(other.requests) == before


@pytest.mark.parametrize(
    "url",
    [
        "python.org",
        "/films/",
        "ftp://127.0.0.1/",
        "http://",
        "http:///films",
        "http://user@127.0.0.1/",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1/?a=1",
        "http://127.0.0.1/#a",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://[::1/",
        "http://127.1/",
        "http://127.0.0.1/a/../b",
        "http://127.0.0.1/%0d%0a",
        "http://127.0.\r\n0.1/",
        "http://127.0.0.1/a\tb",
        "http://127.0.0.1/%zz",
        "x" * 5000,
    ],
)
def test_what_is_no_target(proxy: Proxy, url: str) -> None:
    detail = refused(proxy, url, 400)
    assert "target_url" in detail and "http or https URL" in detail


def test_a_target_too_long(proxy: Proxy) -> None:
    assert "bytes" in refused(proxy, f"http://127.0.0.1:1/{'x' * 5000}", 400)


def test_a_path_cannot_smuggle(proxy: Proxy, other: ScriptedOrigin) -> None:
    before = len(other.requests)
    refused(proxy, f"{other.url}/a HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /b", 400)
    assert len(other.requests) == before
    switch(proxy, f"{other.url}/a HTTP/1.1")
    (request,) = other.requests[before:]
    assert request.target == "/a%20HTTP/1.1/"


def test_two_targets_at_once(proxy: Proxy, other: ScriptedOrigin) -> None:
    detail = check_problem(proxy.get(f"/?target_url={other.url}&target_url=http://localhost"), 400)
    assert "more than once" in detail
    assert target(proxy) is None


def test_the_proxy_itself_is_a_loop(proxy: Proxy, other: ScriptedOrigin) -> None:
    switch(proxy, other.url)
    for host in ("127.0.0.1", "localhost", "LOCALHOST."):
        assert "back to this proxy" in refused(proxy, f"http://{host}:{proxy.port}/x", 508)


def test_a_target_that_is_not_there(proxy: Proxy, origin: ScriptedOrigin) -> None:
    # It may be there a moment later.
    url = f"http://127.0.0.1:{closed_port()}"
    check_problem(switch(proxy, url), 502)
    assert target(proxy) == url
    path = origin.plays(serves(FILM))
    check_problem(proxy.get(path), 502)
    switch(proxy, "")
    assert proxy.get(path).body == FILM


def test_a_name_without_an_address(proxy: Proxy, other: ScriptedOrigin) -> None:
    switch(proxy, other.url)
    # RFC 6761 section 6.4: such a name never has one.
    assert "no address" in refused(proxy, "http://nowhere.invalid/", 502)


def test_other_methods_follow_and_do_not_switch(proxy: Proxy, other: ScriptedOrigin) -> None:
    path = other.plays(says(head("204 No Content")))
    assert switch(proxy, other.url, method="POST").status == 404
    assert target(proxy) is None
    switch(proxy, other.url)
    with Connection(proxy.port) as connection:
        connection.ask(path, method="DELETE")
        assert connection.read_reply().status == 204


def test_the_log_tells_who_switched(proxy: Proxy, other: ScriptedOrigin) -> None:
    before = len(proxy.log())
    switch(proxy, other.url)
    lines = [json.loads(line) for line in proxy.log()[before:].splitlines()]
    (line,) = [line for line in lines if "target is" in line.get("message", "")]
    assert other.url in line["message"] and "127.0.0.1" in line["message"]
