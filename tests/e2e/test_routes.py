"""ROUTES: several sites behind one proxy, by path and by host."""

import json
import threading
from pathlib import Path

import pytest

from tests.e2e.clients import Connection
from tests.e2e.problems import check_problem
from tests.e2e.routes import ask, start
from tests.e2e.scripted import Peer, ScriptedOrigin, answer
from tests.e2e.servers import Proxy, StartProxy, refused_start
from tests.e2e.uploads import echoes
from tests.peers import closed_port


@pytest.fixture(scope="module")
def shared_routed(shared_sites: dict[str, ScriptedOrigin], start_shared: StartProxy) -> Proxy:
    """The proxy that tests take as `routed`."""
    url = {name: origin.url for name, origin in shared_sites.items()}
    routes = {
        "/films/": f"{url['media']}/",
        "/films/deep/": f"{url['deep']}/a/b/",
        "/kept/": url["media"],
        "/bare": f"{url['deep']}/base",
        "img.example.org/": f"{url['img']}/",
        "img.example.org/films/": f"{url['img']}/f/",
        "*.example.org/thumbs/": url["img"],
    }
    return start(start_shared, url["default"], routes)


@pytest.fixture
def routed(shared_routed: Proxy, sites: dict[str, ScriptedOrigin]) -> Proxy:
    """A proxy before all of `sites`, each of which is checked."""
    assert sites
    return shared_routed


@pytest.mark.parametrize(
    ("host", "target", "body"),
    [
        ("any.test", "/x", "default /x"),
        ("any.test", "/films", "default /films"),
        ("any.test", "/filmstrip/x", "default /filmstrip/x"),
        ("any.test", "/films/", "media /"),
        ("any.test", "/films/x?a=1", "media /x?a=1"),
        # The longest prefix wins, on the edges of segments.
        ("any.test", "/films/deep/x", "deep /a/b/x"),
        ("any.test", "/films/deeper/x", "media /deeper/x"),
        ("any.test", "/films/deep", "media /deep"),
        # An upstream without a path keeps all of it.
        ("any.test", "/kept/x", "media /kept/x"),
        ("any.test", "/bare", "deep /base"),
        ("any.test", "/bare?a", "deep /base?a"),
        ("any.test", "/bare/x", "deep /base/x"),
        ("any.test", "/barefoot", "default /barefoot"),
        # Those of a host come before those of every host.
        ("img.example.org", "/x", "img /x"),
        ("IMG.Example.Org:8080", "/films/x", "img /f/x"),
        ("img.example.org.", "/films/deep/x", "img /f/deep/x"),
        ("img.example.org", "/thumbs/x", "img /thumbs/x"),
        ("a.b.example.org", "/thumbs/x", "img /thumbs/x"),
        ("a.b.example.org", "/films/x", "media /x"),
        ("example.org", "/thumbs/x", "default /thumbs/x"),
        ("img.example.org.evil.test", "/x", "default /x"),
    ],
)
def test_which_site_it_is(routed: Proxy, host: str, target: str, body: str) -> None:
    reply = ask(routed, target, host=host)
    assert (reply.status, reply.body.decode()) == (200, body)


def test_ranges_under_a_route(routed: Proxy) -> None:
    whole = b"deep /a/b/x.bin?a=1"
    for target, lines in (
        ("/films/deep/x.bin?a=1", ("Range: bytes=5-9",)),
        ("/films/deep/x.bin/5/9?a=1", ()),
        ("/films/deep/x.bin?range=5-9&a=1", ()),
    ):
        reply = ask(routed, target, *lines)
        assert (reply.status, reply.body) == (206, whole[5:10])
        assert reply.get("Content-Range") == f"bytes 5-9/{len(whole)}"


def test_own_pages_stay(routed: Proxy) -> None:
    for host in ("any.test", "img.example.org"):
        assert json.loads(ask(routed, "/status", host=host).body)["counter"] > 0


def test_other_methods_are_routed(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(echoes(), "up.bin")
    folder, _, name = path.rpartition("/")
    proxy = start(start_proxy, "http://127.0.0.1:9", {"/up/": f"{origin.url}{folder}/"})
    with Connection(proxy.port) as connection:
        connection.ask(f"/up/{name}?a=1", "Content-Length: 5", method="PUT")
        connection.send(b"12345")
        assert connection.read_reply().body == b"12345"
    assert origin.asked(path)[0].target == f"{path}?a=1"


def test_fields_and_host_of_a_route(
    sites: dict[str, ScriptedOrigin], start_proxy: StartProxy
) -> None:
    media, default = sites["media"], sites["default"]
    routes = {
        "/own/": {
            "upstream": f"{media.url}/",
            "headers": {"X-Key": "secret", "User-Agent": "films", "x-empty": ""},
            "host": "films.example:81",
        },
        "/plain/": f"{media.url}/",
    }
    proxy = start(start_proxy, default.url, routes, APRP_DEBUG="on")
    lines = ("x-key: mine", "X-KEY: mine too", "User-Agent: player", "X-Other: 1")
    for method in ("GET", "POST"):
        ask(proxy, "/own/x", *lines, method=method)
        request = media.requests[-1]
        assert request.get("X-Key") == "secret"
        assert request.get("User-Agent") == "films"
        assert request.get("X-Empty") == ""
        assert request.get("X-Other") == "1"
        assert request.get("Host") == "films.example:81"
        ask(proxy, "/plain/x", *lines, method=method)
        request = media.requests[-1]
        assert [value.strip() for v in request.all("X-Key") for value in v.split(",")] == [
            "mine",
            "mine too",
        ]
        assert request.get("Host") == f"127.0.0.1:{media.port}"
    assert "secret" not in proxy.log() + proxy.stdout + proxy.stderr


def test_time_limits_of_a_route(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    go_on = threading.Event()

    def waits(peer: Peer) -> None:
        go_on.wait(10)
        peer.send(answer("200 OK", b"late"))

    path = origin.plays(waits)
    routes = {"/hasty/": {"upstream": f"{origin.url}/", "first_byte_timeout": "100ms"}}
    proxy = start(start_proxy, origin.url, routes)
    detail = check_problem(ask(proxy, f"/hasty{path}"), 504)
    assert "FIRST_BYTE_TIMEOUT" in detail
    with Connection(proxy.port) as connection:
        connection.ask(path)
        check_problem(ask(proxy, f"/hasty{path}"), 504)
        go_on.set()
        assert connection.read_reply().body == b"late"


# Several upstreams, and what they say of themselves.


def test_another_upstream_of_the_route(
    sites: dict[str, ScriptedOrigin], start_proxy: StartProxy
) -> None:
    dead, gone = (f"http://127.0.0.1:{closed_port()}" for _ in range(2))
    upstream = [f"{dead}/m/", f"{sites['media'].url}/m"]
    routes = {"/films/": upstream, "/gone/": [gone, gone]}
    proxy = start(start_proxy, sites["default"].url, routes)
    before = len(sites["media"].requests)
    for method in ("GET", "HEAD", "DELETE"):
        assert ask(proxy, "/films/x", method=method).status == 200
    assert ask(proxy, "/films/x/0/4").body == b"media"
    assert {request.target for request in sites["media"].requests[before:]} == {"/m/x"}
    assert proxy.stats()["origins"]["failovers"] > 0
    check_problem(ask(proxy, "/gone/x"), 502)
    assert ask(proxy, "/x").body == b"default /x"


def test_redirects_and_cookies_lie_under_the_prefix(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    def redirects(peer: Peer) -> None:
        base = peer.request.target.removesuffix("/film.bin")
        fields = (
            f"Location: {origin.url}{base}/there?a=1#b",
            f"Content-Location: {base}/here",
            "Refresh: 5; url=next",
            f"Set-Cookie: a=b; Path={base}; Domain=127.0.0.1",
            "Set-Cookie: c=d; Path=/",
            "Link: </elsewhere>",
        )
        peer.send(answer("302 Found", b"", *fields))

    path = origin.plays(redirects)
    base = path.removesuffix("/film.bin")
    # A server that did not answer is not asked again soon: each method has its own.
    late = {
        f"/{method}/": [f"http://127.0.0.1:{closed_port()}{base}/", f"{origin.url}{base}/"]
        for method in ("GET", "POST")
    }
    routes = late | {
        "/films/": f"{origin.url}{base}/",
        "/whole/": f"{origin.url}/",
        "/kept/": origin.url,
    }
    proxy = start(start_proxy, "http://127.0.0.1:9", routes)
    for method, prefix in (
        ("GET", "/films"),
        ("POST", "/films"),
        ("GET", "/GET"),
        ("POST", "/POST"),
    ):
        reply = ask(proxy, f"{prefix}/film.bin", host="site.test:80", method=method)
        assert reply.get("Location") == f"http://site.test{prefix}/there?a=1#b"
        assert reply.get("Content-Location") == f"{prefix}/here"
        assert reply.get("Refresh") == f"5; url={prefix}/next"
        assert reply.all("Set-Cookie") == [f"a=b; Path={prefix}", f"c=d; Path={prefix}"]
        assert reply.get("Link") == "</elsewhere>"
    for method in ("GET", "POST"):
        reply = ask(proxy, f"/whole{path}", host="site.test", method=method)
        assert reply.get("Location") == f"http://site.test/whole{base}/there?a=1#b"
        assert reply.all("Set-Cookie") == [f"a=b; Path=/whole{base}", "c=d; Path=/whole"]


def test_what_is_said_is_left_where_that_is_set(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    fields = (f"Location: {origin.url}/there", "Set-Cookie: a=b; Path=/; Domain=127.0.0.1")
    path = origin.plays(lambda peer: peer.send(answer("302 Found", b"", *fields)))
    routes = {"/films/": f"{origin.url}/"}
    proxy = start(start_proxy, "http://127.0.0.1:9", routes, APRP_REWRITE_REDIRECTS="off")
    reply = ask(proxy, f"/films{path}")
    for line in fields:
        name, value = line.split(": ", 1)
        assert reply.get(name) == value


def test_a_route_to_the_proxy_itself(start_proxy: StartProxy) -> None:
    port = closed_port()
    own = f"http://127.0.0.1:{port}"
    flags = ("--port", str(port))
    routes = {"/again/": f"{own}/", "/kept/": own}
    proxy = start(start_proxy, "http://127.0.0.1:9", routes, *flags, cache=True)
    for target in ("/again/x", "/kept/x", "/again/again/x"):
        assert "VIA_NAME" in check_problem(ask(proxy, target), 508)
        check_problem(ask(proxy, target, method="POST"), 508)


# The start.


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ({"/a/": ["http://a/x/", "http://b"]}, "route '/a/': upstream: the URLs of one route need"),
        ({"/a/": ["http://a", "http://b/"]}, "these have none, /"),
        ({"a": "http://a"}, "route 'a' is not a path such as /films/"),
        ({"/a": {"upstream": "http://a", "chache": "on"}}, "did you mean cache"),
        ({"/a": {"upstream": "http://a", "idle_timeout": "x"}}, "route '/a': idle_timeout: 'x'"),
        ("{", "not JSON"),
    ],
)
def test_wrong_routes_stop_the_start(tmp_path: Path, routes: object, words: str) -> None:
    text = routes if isinstance(routes, str) else json.dumps(routes)
    line = refused_start(tmp_path, "--upstream", "http://a", APRP_ROUTES=text)
    assert line.startswith("aprp: ROUTES: ")
    assert words in line
    assert line.endswith(" (from APRP_ROUTES)")


def test_routes_as_a_flag(sites: dict[str, ScriptedOrigin], start_proxy: StartProxy) -> None:
    routes = json.dumps({"/films/": f"{sites['media'].url}/"})
    proxy = start_proxy("--upstream", sites["default"].url, "--routes", routes)
    assert ask(proxy, "/films/x").body == b"media /x"
