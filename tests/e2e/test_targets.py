"""What is asked for: names of files, queries, and targets that go no further."""

import json

import pytest

from tests.e2e.clients import Connection, curl, send_raw
from tests.e2e.content import FILM, NAMES, content_of
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy, StartProxy


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("suffix", "start", "stop"),
    [("", 0, 5000), ("/10/19", 10, 20), ("/4000/", 4000, 5000), ("?range=-7", 4993, 5000)],
)
def test_every_name_can_be_asked_for(
    any_proxy: Proxy, name: str, suffix: str, start: int, stop: int
) -> None:
    got = curl(any_proxy.url + NAMES[name] + suffix)
    assert got.exit_code == 0, got.errors
    assert got.reply.status == (206 if suffix else 200)
    assert got.reply.body == content_of(name)[start:stop]


def test_a_name_in_bytes_beyond_ascii(any_proxy: Proxy) -> None:
    # Not allowed in a request line, and yet what some players send.
    with Connection(any_proxy.port) as connection:
        connection.ask("/été%20à%20Paris.bin".encode().decode("latin-1"), "Range: bytes=10-19")
        reply = connection.read_reply()
    assert (reply.status, reply.body) == (206, content_of("été à Paris.bin")[10:20])


def test_a_name_that_is_not_there(any_proxy: Proxy) -> None:
    for fields in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=0-0,2-2"}):
        assert any_proxy.get("/nothing.bin", **fields).status == 404
    assert any_proxy.get("/nothing.bin/0/9").status == 404


@pytest.mark.parametrize(
    ("query", "received"),
    [
        ("?token=a%2Fb&range=0-9", "?token=a%2Fb"),
        ("?range=0-9&token=a%20b", "?token=a%20b"),
        ("?a=1&range=0-9&b=2&a=3&&c", "?a=1&b=2&a=3&&c"),
        ("?range=0-9", ""),
        ("?%72ange=0-9", ""),
        ("?q=range&range=0-9&ranges=5", "?q=range&ranges=5"),
        ("/0/9?x=%E2%82%AC&y=a+b;c", "?x=%E2%82%AC&y=a+b;c"),
        ("/0/9?range=bytes%3D0-9&s=1", "?s=1"),
    ],
)
def test_the_query_of_the_origin_reaches_it_and_the_range_does_not(
    origin: ScriptedOrigin, scripted_proxy: Proxy, query: str, received: str
) -> None:
    path = origin.plays(serves(FILM))
    reply = scripted_proxy.get(path + query)
    assert (reply.status, reply.body) == (206, FILM[:10])
    (request,) = origin.asked(path)
    assert request.target == path + received
    assert request.get("Range") == "bytes=0-9"


def test_without_a_range_the_origin_is_asked_for_none(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(serves(FILM))
    assert scripted_proxy.get(path + "?a=b%2Fc").body == FILM
    (request,) = origin.asked(path)
    assert request.target == path + "?a=b%2Fc"
    assert request.get("Range") is None


def test_digits_that_are_the_origins_own_reach_it(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(serves(FILM), "2020/7")
    # One segment of digits more than a range has.
    assert scripted_proxy.get(path + "/0/9").body == FILM[:10]
    assert origin.asked(path)[0].target == path


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/films/../../secret",
        "/films/..",
        "/%2e%2e/secret",
        "/films/%2E%2e%2fsecret",
        "/..%2fsecret",
        "/..\\secret",
        "/films/..;/secret",
        "/film%00.bin",
        "/film%0d%0aX-Injected:%201",
        "/film%0A.bin",
        "/film%zz.bin",
        "/film%",
        "/film#part",
        "film.bin",
    ],
)
def test_targets_that_climb_or_break_lines_go_no_further(
    origin: ScriptedOrigin, scripted_proxy: Proxy, target: str
) -> None:
    before = len(origin.requests)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(target)
        reply = connection.read_reply()
    assert reply.status == 400
    assert reply.get("Content-Type") == "application/problem+json"
    assert json.loads(reply.body)["title"] == "Bad Request"
    assert len(origin.requests) == before


def test_the_range_parameter_has_the_name_that_a_setting_gives(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    path = origin.plays(serves(FILM))
    flags = ("--upstream", origin.url, "--range-param", "bytes", "--no-range-path")
    proxy = start_proxy(*flags)
    assert proxy.get(path + "?bytes=0-9&range=5-9").body == FILM[:10]
    assert origin.asked(path)[0].target == path + "?range=5-9"
    # Both are switched off: the origin gets all of it, and knows no such file.
    assert proxy.get(path + "/0/9").status == 404


def test_an_origin_with_a_base_path(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM), "films/2020.bin")
    base, name = path.split("/films/")
    proxy = start_proxy("--upstream", f"{origin.url}{base}/films/")
    assert proxy.get(f"/{name}/5/9?x").body == FILM[5:10]
    assert origin.asked(path)[0].target == path + "?x"


def test_an_absolute_target_is_the_same_file(origin: ScriptedOrigin, scripted_proxy: Proxy) -> None:
    # RFC 9112 section 3.2.2: every server takes it, and its host counts, not that of Host.
    path = origin.plays(serves(FILM))
    for scheme in ("http", "HTTP", "https"):
        with Connection(scripted_proxy.port) as connection:
            connection.ask(f"{scheme}://films.example:8000{path}?x=1&range=0-9")
            reply = connection.read_reply()
        assert (reply.status, reply.body) == (206, FILM[:10])
        request = origin.asked(path)[-1]
        assert request.target == f"{path}?x=1"
        assert request.get("Host") == origin.url.removeprefix("http://")
        assert request.get("X-Forwarded-Host") == "films.example:8000"


def test_other_methods_are_refused(proxy: Proxy) -> None:
    # The proxy's own pages are for reading; TRACE would tell what an origin gets.
    methods = ("POST", "PUT", "DELETE", "PATCH", "TRACE")
    for method, path in (*((method, "/stats") for method in methods), ("TRACE", "/film.bin")):
        replies = send_raw(
            proxy.port,
            f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
            f"Connection: close\r\n\r\nabc".encode(),
        )
        (reply,) = replies
        assert reply.status == 405
        allowed = {name.strip() for name in (reply.get("Allow") or "").split(",")}
        assert {"GET", "HEAD"} <= allowed and method not in allowed
        assert reply.get("Content-Type") == "application/problem+json"
