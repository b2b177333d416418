"""Signed links: `aprp sign` makes them, and a proxy with SIGNED_URLS lets nothing else in."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from unittest import mock

import pytest

from aprp import cli
from tests.e2e.caching import cache_status
from tests.e2e.clients import Connection, Reply, curl
from tests.e2e.content import FILM, PROJECT
from tests.e2e.problems import check_problem
from tests.e2e.programs import environment, run, wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import FORWARDS
from tests.e2e.uploads import echoes

KEY = "a key of enough characters"
SIGNED = {"APRP_SIGNED_URLS": "on", "APRP_SIGNING_KEY": KEY}


@pytest.fixture(scope="module")
def proxy(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy that lets in signed links alone."""
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, "--upstream", shared_origin.url, cache=False, **SIGNED) as started:
        yield started


@pytest.fixture(scope="module")
def cached(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The same with a cache; tests leave it empty."""
    directory = tmp_path_factory.mktemp("proxy")
    with Proxy(directory, "--upstream", shared_origin.url, cache=True, **SIGNED) as started:
        yield started


@pytest.fixture(scope="module")
def doors(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The same with a route, other targets and forwarding, and no upstream that answers."""
    routes = json.dumps({"/films/": f"{shared_origin.url}/"})
    settings = FORWARDS | {"APRP_TARGET_URL_ALLOW": "127.0.0.1", "APRP_ROUTES": routes}
    directory = tmp_path_factory.mktemp("proxy")
    flags = ("--upstream", "http://127.0.0.1:9")
    with Proxy(directory, *flags, cache=False, **SIGNED | settings) as started:
        yield started


def aprp(*words: str, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    """Run `aprp` with the key in the environment."""
    env = environment(APRP_SIGNING_KEY=KEY, **environ)
    return run(sys.executable, "-m", "aprp", *words, cwd=PROJECT, env=env)


def sign(*words: str, **environ: str) -> str:
    """What `aprp sign` prints for a URL or path: one link. It is called in this process."""
    if "--until" not in words:
        words = (*words, "--for", "1h")
    out, err = io.StringIO(), io.StringIO()
    env = environment(APRP_SIGNING_KEY=KEY, **environ)
    with (
        mock.patch.dict(os.environ, env, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = cli.main(["sign", *words])
    assert (code, err.getvalue()) == (0, "")
    (link,) = out.getvalue().splitlines()
    return link


def ask(proxy: Proxy, target: str, *lines: str, method: str = "GET") -> Reply:
    """Ask on a connection of its own."""
    with Connection(proxy.port) as connection:
        connection.ask(target, *lines, method=method)
        return connection.read_reply(method)


def refused(proxy: Proxy, target: str, *lines: str, method: str = "GET") -> str:
    """Ask for what is not given; what is said about it."""
    with Connection(proxy.port) as connection:
        connection.ask(target, *lines, method=method)
        return check_problem(connection.read_reply(), 403)


# Each of the three ways to say a range, and none.
RANGES = [
    ("", (), 0, None),
    ("", ("-r", "5-9"), 5, 10),
    ("?range=5-9", (), 5, 10),
    ("/5/9", (), 5, 10),
    ("/999990/?range=999990-", ("-r", "999990-"), 999990, None),
]


@pytest.mark.parametrize(("suffix", "options", "start", "stop"), RANGES)
def test_a_link_works_with_curl(
    proxy: Proxy,
    origin: ScriptedOrigin,
    suffix: str,
    options: tuple[str, ...],
    start: int,
    stop: int | None,
) -> None:
    path = origin.plays(serves(FILM))
    got = curl(sign(proxy.url + path + suffix), *options)
    assert got.exit_code == 0, got.errors
    assert got.reply.status == (206 if suffix or options else 200)
    assert got.reply.body == FILM[start:stop]
    (request,) = origin.asked(path)
    assert request.target == path
    assert b"signature" not in request.head and b"expires" not in request.head


def test_one_link_is_for_every_range(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    done = aprp("sign", path, "--for", "1h")
    assert (done.returncode, done.stderr) == (0, b""), done
    (link,) = done.stdout.decode().splitlines()
    assert ask(proxy, link).body == FILM
    assert ask(proxy, link, "Range: bytes=5-9").body == FILM[5:10]
    assert ask(proxy, f"{link}&range=5-9").body == FILM[5:10]
    assert ask(proxy, link.replace("?", "/5/9?")).body == FILM[5:10]
    assert ask(proxy, link, method="HEAD").status == 200
    # And the other way round.
    link = sign(f"{path}/5/9")
    assert ask(proxy, link).body == FILM[5:10]
    assert ask(proxy, link.replace("/5/9?", "/7/8?")).body == FILM[7:9]
    assert ask(proxy, link.replace("/5/9?", "?")).body == FILM


def test_the_query_of_the_origin_is_left_alone(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    link = sign(f"{path}?a=%20&b")
    assert ask(proxy, link).status == 200
    assert origin.asked(path)[-1].target == f"{path}?a=%20&b"
    query = link.partition("?")[2]
    _, _, expires, signature = query.split("&")
    # In any order, among others, and with other parameters: these are not signed.
    assert ask(proxy, f"{path}?{signature}&x=1&&{expires}&y").status == 200
    assert origin.asked(path)[-1].target == f"{path}?x=1&&y"
    # Escaped in another way.
    assert ask(proxy, f"{path}?%65xpires={expires[8:]}&{signature}").status == 200
    assert origin.asked(path)[-1].target == path


@pytest.mark.parametrize("name", ["a b.bin", "été.bin", "a+b.bin", "a%2Fb.bin", "50%25.bin"])
def test_names(proxy: Proxy, origin: ScriptedOrigin, name: str) -> None:
    escaped = name.replace(" ", "%20").replace("é", "%C3%A9")
    path = origin.plays(serves(FILM), escaped)
    folder = path.rpartition("/")[0] if "%2F" not in escaped else path.removesuffix(f"/{escaped}")
    got = curl(sign(f"{proxy.url}{folder}/{name}"), "-r", "0-4")
    assert (got.reply.status, got.reply.body) == (206, FILM[:5])


def test_nothing_of_it_is_in_the_cache_key(origin: ScriptedOrigin, cached: Proxy) -> None:
    path = origin.plays(serves(FILM, "Cache-Control: max-age=3600"))
    one, other = sign(path, "--until", "4000000000"), sign(path, "--until", "5000000000")
    assert one != other
    assert ask(cached, one).body == FILM
    wait_until(lambda: "hit" in cache_status(ask(cached, one)), "the film is stored")
    reply = ask(cached, other)
    assert (reply.body, "hit" in cache_status(reply)) == (FILM, True)
    # What is stored is not given without a link.
    assert "not signed" in refused(cached, path)
    listed = aprp(
        "cache", "ls", "--json", APRP_CACHE_DIR=str(cached.cache_dir), APRP_UPSTREAM=origin.url
    )
    assert [item["target"] for item in json.loads(listed.stdout)] == [path]
    assert ask(cached, one, method="PURGE").status == 200


def test_other_methods_need_a_link_too(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(echoes())
    link = sign(path)
    with Connection(proxy.port) as connection:
        connection.ask(link, "Content-Length: 5", method="PUT")
        connection.send(b"12345")
        assert connection.read_reply().body == b"12345"
    assert origin.asked(path)[0].target == path
    for method in ("PUT", "POST", "DELETE", "OPTIONS", "PURGE"):
        assert "not signed" in refused(proxy, path, method=method)
    assert len(origin.asked(path)) == 1


def test_own_pages_and_the_server_as_a_whole_need_none(proxy: Proxy) -> None:
    for page in ("/stats", "/status", "/healthz"):
        assert proxy.get(page).status == 200
    assert ask(proxy, "*", method="OPTIONS").status == 204


# What is refused.


def test_missing(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    query = sign(path).partition("?")[2]
    expires, signature = query.split("&")
    assert "it has no expires and no signature" in refused(proxy, path)
    assert "it has no signature" in refused(proxy, f"{path}?{expires}")
    assert "it has no expires" in refused(proxy, f"{path}?{signature}")
    for suffix in ("?range=0-9", "/0/9", "?a=1"):
        refused(proxy, path + suffix)
    refused(proxy, path, "Range: bytes=0-9")
    assert origin.asked(path) == []


def test_another_path(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path, other = origin.plays(serves(FILM)), origin.plays(serves(FILM))
    query = sign(path).partition("?")[2]
    for target in (other, f"{path}/", path.replace("/film", "//film"), path[:-1], "/"):
        assert "does not fit" in refused(proxy, f"{target}?{query}")
    assert origin.asked(other) == []


def test_tampered(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    expires, signature = sign(path).partition("?")[2].split("&")
    later = f"expires={int(expires.removeprefix('expires=')) + 1}"
    assert "does not fit" in refused(proxy, f"{path}?{later}&{signature}")
    for wrong in (
        signature[:-1],
        signature + "A",
        signature[:-2] + ("AA" if not signature.endswith("AA") else "BB"),
        signature.swapcase().replace("SIGNATURE", "signature"),
        "signature=",
        "signature=%00",
        "signature=%C3%A9",
        "signature=" + "A" * 5000,
    ):
        assert "does not fit" in refused(proxy, f"{path}?{expires}&{wrong}")
    for wrong in ("expires=", "expires=-1", "expires=1e9", "expires=9" * 2, "expires=%D9%A1"):
        refused(proxy, f"{path}?{wrong}&{signature}")
    # Two that differ are none.
    refused(proxy, f"{path}?{expires}&{signature}&{later}")
    refused(proxy, f"{path}?{expires}&{signature}&signature=x")
    assert origin.asked(path) == []
    assert ask(proxy, f"{path}?{expires}&{signature}&{signature}").status == 200


def test_another_key(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    link = sign(path, "--signing-key", "some other key, long enough")
    assert "does not fit" in refused(proxy, link)


def test_expired(proxy: Proxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM))
    link = sign(path, "--until", str(int(time.time()) + 2))
    assert ask(proxy, link).status == 200

    def over() -> bool:
        return ask(proxy, link).status == 403

    wait_until(over, "the link expires")
    assert time.time() >= int(link.partition("expires=")[2].partition("&")[0])
    assert "expired" in refused(proxy, link)


def test_what_cannot_be_read_is_no_better_with_a_link(proxy: Proxy) -> None:
    for target, words in (
        ("/a/../b", "'..'"),
        ("/a%zz", "escape"),
        ("/film.bin/9/5", "range"),
    ):
        assert words in check_problem(ask(proxy, f"{target}?expires=1&signature=x"), 400)


# Beside other doors.


def test_a_target_is_not_switched_without_a_link(origin: ScriptedOrigin, doors: Proxy) -> None:
    target = f"/?target_url={origin.url}"
    refused(doors, target)
    assert doors.stats()["target"] is None
    before = len(origin.requests)
    assert ask(doors, sign(target)).status == 404
    assert doors.stats()["target"] == origin.url
    assert [request.target for request in origin.requests[before:]] == ["/"]
    # And back, for the other tests.
    ask(doors, sign("/?target_url="))
    assert doors.stats()["target"] is None


def test_other_hosts_need_no_link(origin: ScriptedOrigin, doors: Proxy) -> None:
    path = origin.plays(serves(FILM))
    # They have their own rules; the parameters may be theirs.
    assert ask(doors, f"{origin.url}{path}?expires=1&signature=x").body == FILM
    assert origin.asked(path)[0].target == f"{path}?expires=1&signature=x"
    refused(doors, path)


def test_links_under_a_route(origin: ScriptedOrigin, doors: Proxy) -> None:
    path = origin.plays(serves(FILM))
    # What clients see is signed.
    assert ask(doors, sign(f"/films{path}/0/9")).body == FILM[:10]
    assert origin.asked(path)[0].target == path
    refused(doors, f"/films{path}?{sign(path).partition('?')[2]}")


def test_a_range_parameter_of_another_name(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM), "7/8")
    others = {"APRP_RANGE_PARAM": "part", "APRP_RANGE_PATH": "off"}
    proxy = start_proxy("--upstream", origin.url, **SIGNED | others)
    link = sign(path, **others)
    assert ask(proxy, f"{link}&part=0-9").body == FILM[:10]
    assert "does not fit" in refused(proxy, sign(path))


def test_warm_signs_by_itself(origin: ScriptedOrigin, cached: Proxy) -> None:
    path = origin.plays(serves(FILM, "Cache-Control: max-age=3600"))
    unsigned = aprp("cache", "warm", path, "--proxy", cached.url)
    assert unsigned.returncode == 1
    assert b"not signed" in unsigned.stderr
    done = aprp(
        "cache", "warm", path, f"{cached.url}{path}/0/9", "--proxy", cached.url, **SIGNED_ON
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"signature" not in done.stdout
    link = sign(path)
    wait_until(lambda: "hit" in cache_status(ask(cached, link)), "the film is stored")
    assert {request.target for request in origin.asked(path)} == {path}
    assert ask(cached, link, method="PURGE").status == 200


SIGNED_ON = {"APRP_SIGNED_URLS": "on"}


def test_where_an_origin_has_such_parameters_itself(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # Without SIGNED_URLS they are the origin's.
    def told(peer: Peer) -> None:
        peer.send(answer("200 OK", peer.request.target.encode()))

    path = origin.plays(told)
    query = "?expires=1&signature=x"
    assert scripted_proxy.get(path + query).body.decode() == path + query
