"""A site under the proxy's name: redirects and cookies, Origin and Referer, and their policies."""

import itertools
from collections.abc import Callable

import pytest

from tests.e2e.caching import cache_status
from tests.e2e.clients import Connection, Reply, curl
from tests.e2e.content import FILM, LAST_MODIFIED
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, head
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import whole

HOST = "media.example"
"""What `Connection.ask` says as Host."""
TELLING = ("Location", "Content-Location", "Refresh", "Set-Cookie")

Told = list[tuple[str, str]]

# What an origin at {origin} says, and what clients get that know it as {proxy}.
SAID: list[tuple[str, str, str]] = [
    ("Location", "http://{origin}/a?b=http://{origin}/#c", "http://{proxy}/a?b=http://{origin}/#c"),
    ("Location", "http://{origin}", "http://{proxy}"),
    ("Location", "//{origin}/a", "//{proxy}/a"),
    ("location", "/a/b?c", "/a/b?c"),
    ("Location", "http://elsewhere.example/a", "http://elsewhere.example/a"),
    ("Location", "http://{origin}.example/a", "http://{origin}.example/a"),
    ("Location", "http://{origin}@evil.example/", "http://{origin}@evil.example/"),
    ("Content-Location", "http://{origin}/v1.bin", "http://{proxy}/v1.bin"),
    ("Refresh", "5; url=http://{origin}/next", "5; url=http://{proxy}/next"),
    ("Refresh", "5", "5"),
    ("Set-Cookie", "a=1; Domain=127.0.0.1; Path=/x; Secure", "a=1; Path=/x; Secure"),
    ("set-cookie", "b=http://{origin}/; HttpOnly", "b=http://{origin}/; HttpOnly"),
    ("Set-Cookie", "c=1; Domain=elsewhere.example", "c=1; Domain=elsewhere.example"),
    ("Link", "<http://{origin}/a>; rel=next", "<http://{origin}/a>; rel=next"),
]


def filled(text: str, origin: ScriptedOrigin, proxy: str) -> str:
    """Put the names into one of SAID."""
    return text.format(origin=f"127.0.0.1:{origin.port}", proxy=proxy)


def saying(status: str, lines: list[str]) -> Callable[[Peer], None]:
    """A script for all methods that answers with these lines."""

    def script(peer: Peer) -> None:
        whole(peer)
        told = (*lines, f"Last-Modified: {LAST_MODIFIED}", f"Content-Length: {len(FILM)}")
        peer.send(head(status, *told))
        if peer.request.method != "HEAD":
            peer.send(FILM)

    return script


def told(reply: Reply) -> Told:
    """The fields of an answer that may tell of the origin's place."""
    names = {name.lower() for name in (*TELLING, "Link")}
    return [pair for pair in reply.fields if pair[0].lower() in names]


def ask(
    proxy: Proxy, path: str, *lines: str, method: str = "GET", host: str | None = None
) -> Reply:
    """Ask on a connection of its own."""
    with Connection(proxy.port) as connection:
        start = (f"{method} {path} HTTP/1.1", f"Host: {host or HOST}", *lines, "", "")
        connection.send("\r\n".join(start).encode())
        return connection.read_reply(method)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "302 Found", "404 Not Found"])
@pytest.mark.parametrize(
    ("method", "lines"), [("GET", ()), ("GET", ("Range: bytes=0-9",)), ("HEAD", ()), ("POST", ())]
)
def test_the_origins_name_becomes_the_proxys(
    origin: ScriptedOrigin,
    scripted_proxy: Proxy,
    status: str,
    method: str,
    lines: tuple[str, ...],
) -> None:
    for pick in (slice(0, None, 2), slice(1, None, 2)):
        said = [(name, filled(text, origin, HOST)) for name, text, _ in SAID[pick]]
        path = origin.plays(saying(status, [f"{name}: {text}" for name, text in said]))
        reply = ask(scripted_proxy, path, *lines, method=method)
        assert told(reply) == [(name, filled(text, origin, HOST)) for name, _, text in SAID[pick]]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects_of_hits_and_misses_name_the_proxy_as_each_client_does(
    origin: ScriptedOrigin, start_proxy: StartProxy, method: str
) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    lines = [
        f"{name}: {filled(text, origin, HOST)}" for name, text, _ in SAID if name != "Set-Cookie"
    ]
    for status in ("200 OK", "301 Moved Permanently"):
        path = origin.plays(saying(status, [*lines, "Cache-Control: max-age=1000, public"]))
        for number, host in enumerate((HOST, "other.example:8080", HOST)):
            reply = ask(proxy, path, method=method, host=host)
            expected = [
                (name, filled(text, origin, host)) for name, _, text in SAID if name != "Set-Cookie"
            ]
            assert told(reply) == expected
            if method == "GET" and status == "200 OK":
                assert ("hit" in cache_status(reply)) == (number > 0)


def test_a_cookie_of_a_hit(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, cache=True)
    path = origin.plays(
        saying("200 OK", ["Set-Cookie: a=1; Domain=127.0.0.1", "Cache-Control: public, max-age=99"])
    )
    replies = [ask(proxy, path) for _ in range(2)]
    assert "hit" in cache_status(replies[1])
    assert [reply.all("Set-Cookie") for reply in replies] == [["a=1"], ["a=1"]]


@pytest.mark.parametrize("cache", [False, True])
def test_redirects_can_be_left_alone(
    origin: ScriptedOrigin, start_proxy: StartProxy, cache: bool
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--no-rewrite-redirects", cache=cache)
    said = [(name, filled(text, origin, HOST)) for name, text, _ in SAID]
    lines = [f"{name}: {text}" for name, text in said]
    path = origin.plays(saying("302 Found", lines))
    for method in ("GET", "POST"):
        assert told(ask(proxy, path, method=method)) == said


def test_a_site_below_a_path_of_the_origin(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    # The proxy's root is a part of the origin.
    path = origin.plays(
        saying(
            "302 Found",
            [
                "Location: /s0/app/next",
                f"Content-Location: {origin.url}/s0/app/",
                "Set-Cookie: a=1; Path=/s0/app",
                "Set-Cookie: b=1; Path=/",
            ],
        )
    )
    base = path.removesuffix("/film.bin")
    proxy = start_proxy("--upstream", origin.url + base)
    for method in ("GET", "POST"):
        reply = ask(proxy, "/film.bin", method=method)
        # Of another place of the origin nothing can be said to clients.
        assert told(reply)[0] == ("Location", "/s0/app/next")
        assert reply.get("Content-Location") == f"{origin.url}/s0/app/"


def test_the_path_below_which_a_site_lies(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    numbers = itertools.count()

    def script(peer: Peer) -> None:
        whole(peer)
        base = peer.request.target.removesuffix("/film.bin")
        lines = (
            f"Location: {base}/next?{next(numbers)}",
            f"Content-Location: http://127.0.0.1:{origin.port}{base}/film.bin",
            f"Set-Cookie: a=1; Path={base}",
        )
        peer.send(answer("302 Found", b"", *lines))

    path = origin.plays(script)
    proxy = start_proxy("--upstream", origin.url + path.removesuffix("/film.bin"))
    for number, method in enumerate(("GET", "POST")):
        assert told(ask(proxy, "/film.bin", method=method)) == [
            ("Location", f"/next?{number}"),
            ("Content-Location", f"http://{HOST}/film.bin"),
            ("Set-Cookie", "a=1; Path=/"),
        ]


def test_the_name_that_a_trusted_proxy_tells(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    line = f"Location: {origin.url}/next"
    path = origin.plays(saying("302 Found", [line]))
    lines = ("X-Forwarded-Proto: https", "X-Forwarded-Host: www.example")
    for trusted, name in (("127.0.0.0/8", "https://www.example"), ("", f"http://{HOST}")):
        proxy = start_proxy("--upstream", origin.url, "--trusted-proxies", trusted)
        for method in ("GET", "POST"):
            reply = ask(proxy, path, *lines, method=method)
            assert reply.get("Location") == f"{name}/next"


def test_curl_follows_a_redirect_through_the_proxy(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    last = origin.plays(saying("200 OK", []))
    first = origin.plays(saying("303 See Other", [f"Location: {origin.url}{last}"]))
    before = len(origin.asked(last))
    done = curl(scripted_proxy.url + first, "-L", "-d", "x")
    assert (done.exit_code, done.reply.status, done.reply.body) == (0, 200, FILM)
    # Not past the proxy.
    assert origin.asked(last)[before].get("Via") == "1.1 aprp"


SENT = {
    "Origin": [
        ("http://{proxy}", "http://{origin}"),
        ("http://elsewhere.example", "http://elsewhere.example"),
        ("https://{proxy}", "https://{proxy}"),
        ("null", "null"),
    ],
    "Referer": [
        ("http://{proxy}/page?a=b", "http://{origin}/page?a=b"),
        ("http://{proxy}/", "http://{origin}/"),
        ("http://elsewhere.example/http://{proxy}/", "http://elsewhere.example/http://{proxy}/"),
    ],
}
POLICIES = [
    ("X-Frame-Options", "DENY", None),
    ("Referrer-Policy", "no-referrer", None),
    ("Cross-Origin-Resource-Policy", "same-origin", None),
    ("Cross-Origin-Opener-Policy", "same-origin", None),
    ("Cross-Origin-Embedder-Policy", "require-corp", None),
    (
        "Content-Security-Policy",
        "default-src 'self'; frame-ancestors 'none'; img-src *",
        "default-src 'self'; img-src *",
    ),
    ("X-Content-Type-Options", "nosniff", "nosniff"),
]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("switched", [False, True])
def test_a_site_that_refuses_foreign_names(
    origin: ScriptedOrigin, start_proxy: StartProxy, switched: bool, cache: bool
) -> None:
    flags = ["--rewrite-origin"] if switched else []
    proxy = start_proxy("--upstream", origin.url, *flags, cache=cache)
    lines = [f"{name}: {value}" for name, value, _ in POLICIES]
    path = origin.plays(saying("200 OK", [*lines, "Cache-Control: max-age=99"]))
    for name, cases in SENT.items():
        for value, changed in cases:
            for method in ("GET", "POST"):
                target = f"{path}?{name}={len(origin.requests)}"
                sent = filled(value, origin, HOST)
                reply = ask(proxy, target, f"{name}: {sent}", method=method)
                (request,) = origin.asked(target)
                expected = filled(changed, origin, HOST) if switched else sent
                assert request.get(name) == expected
                assert reply.status == 200
    # Hits, too, are eased.
    for hit in (ask(proxy, path), ask(proxy, path)):
        for name, value, eased in POLICIES:
            assert hit.get(name) == (eased if switched else value)
