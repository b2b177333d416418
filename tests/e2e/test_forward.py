"""The forward proxy: absolute targets, as clients send them that are configured to use a proxy."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.caching import cache_status
from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection
from tests.e2e.content import FILM
from tests.e2e.forwards import OPTIONS_OF_PROXIES, ask, through
from tests.e2e.problems import check_problem
from tests.e2e.programs import wait_until
from tests.e2e.scripted import ScriptedOrigin, answer, says, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import FORWARDS
from tests.e2e.uploads import echoes
from tests.peers import closed_port

FRESH = "Cache-Control: max-age=3600"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A forward proxy for hosts on loopback, which has no upstream that answers."""
    flags = ("--upstream", f"http://127.0.0.1:{closed_port()}")
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=False, **FORWARDS) as started:
        yield started


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The same with a cache."""
    flags = ("--upstream", "http://127.0.0.1:9")
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=True, **FORWARDS) as started:
        yield started


# The range path.


@pytest.mark.parametrize(
    ("suffix", "options", "start", "stop"),
    [
        ("", (), 0, None),
        ("", ("-r", "0-99"), 0, 100),
        ("", ("-r", "-7"), -7, None),
        ("?range=10-19", (), 10, 20),
        ("?range=bytes=10-19", ("-r", "10-19"), 10, 20),
        ("/5/9", (), 5, 10),
        ("/999990/", (), 999990, None),
        ("", ("--http1.0",), 0, None),
        ("", ("--http1.0", "-r", "3-5"), 3, 6),
    ],
)
def test_curl_gets_files_and_ranges(
    proxy: Proxy,
    origin: ScriptedOrigin,
    suffix: str,
    options: tuple[str, ...],
    start: int,
    stop: int | None,
) -> None:
    path = origin.plays(serves(FILM))
    got = through(proxy, origin.url + path + suffix, *options)
    assert got.exit_code == 0, got.errors
    whole = not suffix and "-r" not in options
    assert got.reply.status == (200 if whole else 206)
    assert got.reply.body == FILM[start:stop]
    (request,) = origin.asked(path)
    # In the form for servers, and with the host of the target.
    assert request.target == path
    assert request.get("Host") == f"127.0.0.1:{origin.port}"
    assert (request.get("Via") or "").endswith(" aprp")
    assert all(request.get(name) is None for name in OPTIONS_OF_PROXIES)


def test_ranges_that_disagree(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    detail = check_problem(ask(proxy, f"{origin.url}{path}/0/9?range=0-8"), 416)
    assert "disagree" in detail
    assert origin.asked(path) == []


def test_the_query_reaches_the_host(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    reply = ask(proxy, f"{origin.url}{path}?a=%20&target_url=x&range=0-9&expires=1")
    assert (reply.status, reply.body) == (206, FILM[:10])
    assert origin.asked(path)[0].target == f"{path}?a=%20&target_url=x&expires=1"


def test_a_url_without_a_path(proxy: Proxy, origin: ScriptedOrigin) -> None:
    before = len(origin.asked("/"))
    ask(proxy, origin.url)
    ask(proxy, f"{origin.url}?a=1")
    assert [request.target for request in origin.asked("/")[before:]] == ["/", "/?a=1"]


def test_the_cache_is_used(cached: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM, FRESH))
    url = origin.url + path
    assert through(cached, url).reply.body == FILM
    wait_until(lambda: "hit" in cache_status(through(cached, url).reply), "the film is stored")
    requests = len(origin.asked(path))
    for target, options in (
        (url, ("-r", "5-9")),
        (f"{url}/5/9", ()),
        (f"{url}?range=5-9", ()),
        (url.replace("http:", "HTTP:"), ("-r", "5-9")),
    ):
        reply = through(cached, target, *options).reply
        assert (reply.status, reply.body) == (206, FILM[5:10])
        assert "hit" in cache_status(reply)
    assert len(origin.asked(path)) == requests
    # Another name is another site, even if it leads to the same server.
    other = through(cached, url.replace("127.0.0.1", "localhost"), "-r", "5-9").reply
    assert (other.body, "hit" in cache_status(other)) == (FILM[5:10], False)
    assert origin.asked(path)[-1].get("Host") == f"localhost:{origin.port}"
    # ... but not another way to write the name.
    again = ask(cached, url.replace("127.0.0.1", "LOCALHOST"), "Range: bytes=5-9")
    assert (again.body, "hit" in cache_status(again)) == (FILM[5:10], True)


def test_what_is_stored_can_be_purged(cached: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM, FRESH))
    url = origin.url + path
    assert ask(cached, url).body == FILM
    wait_until(lambda: "hit" in cache_status(ask(cached, url)), "the film is stored")
    assert ask(cached, path, method="PURGE").status == 404
    assert ask(cached, url, method="PURGE").status == 200
    assert "hit" not in cache_status(ask(cached, url))


# Other methods.


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect: 100-continue"),
        ("-X", "PATCH"),
        ("--http1.0",),
    ],
)
def test_bodies_go_through(
    proxy: Proxy, origin: ScriptedOrigin, tmp_path: Path, options: tuple[str, ...]
) -> None:
    # These are no downloads: path and query are the host's.
    path = origin.plays(echoes(), "film.bin/0/9")
    (tmp_path / "film").write_bytes(FILM)
    url = f"{origin.url}{path}?range=0-9"
    got = through(proxy, url, "--data-binary", f"@{tmp_path}/film", *options)
    assert got.exit_code == 0, got.errors
    assert (got.reply.status, got.reply.body) == (200, FILM)
    (request,) = origin.asked(path)
    assert request.target == f"{path}?range=0-9"
    assert request.method == ("PATCH" if "PATCH" in options else "POST")
    assert request.get("Host") == f"127.0.0.1:{origin.port}"


def test_curl_puts_a_file(proxy: Proxy, origin: ScriptedOrigin, tmp_path: Path) -> None:
    path = origin.plays(echoes())
    (tmp_path / "film").write_bytes(FILM)
    got = through(proxy, origin.url + path, "-T", f"{tmp_path}/film")
    assert (got.exit_code, got.reply.body) == (0, FILM), got.errors
    assert origin.asked(path)[0].method == "PUT"


@pytest.mark.parametrize(
    ("rest", "asked"), [("", "*"), ("/", "/"), ("?a", "/?a"), ("/film.bin", "/film.bin")]
)
def test_options_of_a_whole_server(
    proxy: Proxy, origin: ScriptedOrigin, rest: str, asked: str
) -> None:
    # RFC 9112 section 3.2.4.
    before = len(origin.requests)
    ask(proxy, origin.url + rest, method="OPTIONS")
    (request,) = origin.requests[before:]
    assert (request.method, request.target) == ("OPTIONS", asked)
    assert request.get("Host") == f"127.0.0.1:{origin.port}"


def test_what_a_host_says_of_itself_is_left_alone(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    settings = {"APRP_CORS_ORIGINS": "https://player.example", "APRP_REWRITE_ORIGIN": "on"}
    proxy = start_proxy("--upstream", "http://127.0.0.1:9", **FORWARDS | settings)
    lines = (
        f"Location: {origin.url}/there",
        "Set-Cookie: a=b; Domain=127.0.0.1; Path=/x",
        "X-Frame-Options: DENY",
        "Referrer-Policy: same-origin",
        "Access-Control-Allow-Origin: https://other.example",
    )
    path = origin.plays(says(answer("302 Found", b"", *lines)))
    fields = ("Origin: https://player.example", f"Referer: {proxy.url}/a")
    reply = ask(proxy, origin.url + path, *fields)
    assert reply.status == 302
    for line in lines:
        name, value = line.split(": ", 1)
        assert reply.all(name) == [value]
    for line in fields:
        name, value = line.split(": ", 1)
        assert origin.asked(path)[0].get(name) == value
    # A preflight is for the host to answer, too.
    preflight = ("Origin: https://player.example", "Access-Control-Request-Method: PUT")
    assert ask(proxy, origin.url + path, *preflight, method="OPTIONS").status == 302
    assert origin.asked(path)[1].method == "OPTIONS"


def test_one_connection_for_several_hosts(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    other = ScriptedOrigin()
    try:
        other_path = other.plays(serves(FILM[::-1]))
        with Connection(proxy.port) as connection:
            for _ in range(2):
                connection.ask(origin.url + path)
                assert connection.read_reply().body == FILM
                connection.ask(other.url + other_path)
                assert connection.read_reply().body == FILM[::-1]
                connection.ask("/status")
                assert connection.read_reply().status == 200
    finally:
        other.close()
    other.check()


def test_an_https_target_is_asked_with_tls(start_proxy: StartProxy, authority: Authority) -> None:
    origin = ScriptedOrigin(authority.server("origin", "IP:127.0.0.1"))
    try:
        path = origin.plays(serves(FILM))
        flags = ("--upstream", "http://127.0.0.1:9", "--upstream-ca", str(authority.file))
        proxy = start_proxy(*flags, **FORWARDS)
        assert ask(proxy, f"{origin.url}{path}/0/9").body == FILM[:10]
    finally:
        origin.close()
    origin.check()


def test_a_host_that_is_not_there(proxy: Proxy) -> None:
    detail = check_problem(ask(proxy, f"http://127.0.0.1:{closed_port()}/film.bin"), 502)
    assert "refused the connection" in detail


@pytest.mark.parametrize("host", ["a_b..c", "-", "127.1", "0x7f000001", "%6cocalhost"])
def test_what_is_no_host(proxy: Proxy, host: str) -> None:
    check_problem(ask(proxy, f"http://{host}/film.bin"), 400)


# Pages of its own, and circles.


def test_pages_are_its_own_under_its_own_name(proxy: Proxy, origin: ScriptedOrigin) -> None:
    for page in ("/stats", "/status", "/healthz", "/stats?format=html"):
        before = len(origin.requests)
        assert ask(proxy, origin.url + page).status == 404
        (request,) = origin.requests[before:]
        assert request.target == page
        for name in ("127.0.0.1", "localhost"):
            assert ask(proxy, f"http://{name}:{proxy.port}{page}").status == 200
        assert proxy.get(page).status == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]"])
def test_the_proxy_itself_is_a_loop(proxy: Proxy, name: str) -> None:
    url = f"http://{name}:{proxy.port}/film.bin"
    for method in ("GET", "POST", "OPTIONS"):
        assert "back to this proxy" in check_problem(ask(proxy, url, method=method), 508)
    got = through(proxy, url)
    check_problem(got.reply, 508)


def test_every_address_of_this_machine_is_the_proxys(start_proxy: StartProxy) -> None:
    settings = FORWARDS | {"APRP_FORWARD_ALLOW": "0.0.0.0/0,::/0", "APRP_ADDRESS": "0.0.0.0"}
    proxy = start_proxy("--upstream", "http://127.0.0.1:9", **settings)
    for name in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "localhost", socket.gethostname()):
        check_problem(ask(proxy, f"http://{name}:{proxy.port}/film.bin"), 508)


@pytest.mark.parametrize("via", ["1.1 aprp", "1.0 fred, 1.1 APRP (x), HTTP/1.1 other"])
def test_what_has_been_here_is_a_loop(proxy: Proxy, origin: ScriptedOrigin, via: str) -> None:
    path = origin.plays(serves(FILM))
    for method in ("GET", "POST"):
        reply = ask(proxy, origin.url + path, f"Via: {via}", method=method)
        assert "VIA_NAME" in check_problem(reply, 508)
    assert origin.asked(path) == []
    assert ask(proxy, origin.url + path, "Via: 1.1 another").body == FILM
    assert origin.asked(path)[0].get("Via") == "1.1 another, 1.1 aprp"


def test_two_proxies_in_a_circle(start_proxy: StartProxy) -> None:
    port = closed_port()
    first = start_proxy("--port", str(port), "--upstream", f"http://127.0.0.1:{port}", cache=True)
    # Its own upstream.
    for target in ("/film.bin", "/film.bin/0/9"):
        assert "VIA_NAME" in check_problem(first.get(target), 508)
    check_problem(ask(first, "/film.bin", method="POST"), 508)
    second = start_proxy("--upstream", first.url, APRP_VIA_NAME="second", cache=True)
    check_problem(second.get("/film.bin"), 508)
