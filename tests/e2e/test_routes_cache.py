"""ROUTES and the cache: what is stored of each, and how it is purged."""

import contextlib
import io
import json
import os
import threading
from dataclasses import dataclass
from unittest import mock

from aprp import cli
from tests.e2e.caching import cache_status
from tests.e2e.content import FILM
from tests.e2e.programs import environment, wait_until
from tests.e2e.routes import ask, start
from tests.e2e.scripted import Peer, ScriptedOrigin, answer, serves
from tests.e2e.servers import Proxy, StartProxy


def stored(proxy: Proxy, target: str, **more: str) -> bool:
    """Whether an answer comes from the cache alone."""
    return "hit" in cache_status(ask(proxy, target, **more))


def wait_stored(proxy: Proxy, target: str, **more: str) -> None:
    """Ask for an object until it is stored."""
    wait_until(lambda: stored(proxy, target, **more), f"{target} is stored")


def test_what_is_stored_of_a_route(
    sites: dict[str, ScriptedOrigin], start_proxy: StartProxy
) -> None:
    media, default = sites["media"], sites["default"]
    upstream = f"{media.url}/"
    routes = {
        "/a/": upstream,
        "/b/": upstream,
        "/keyed/": {"upstream": upstream, "headers": {"X-Key": "1"}},
        "/hosted/": {"upstream": upstream, "host": "other.example"},
        "/off/": {"upstream": upstream, "cache": False},
        "/ignoring/": {"upstream": f"{media.url}/i/", "cache_key_ignore": ["t"]},
    }
    proxy = start(start_proxy, default.url, routes, cache=True, APRP_CACHE_KEY_IGNORE="u")
    wait_stored(proxy, "/a/x")
    assert ask(proxy, "/a/x").body == b"media /x"
    # The same server is asked for the same in the same way.
    assert stored(proxy, "/b/x")
    # Other fields, other answers; the site of the default has its own.
    for target in ("/keyed/x", "/hosted/x", "/x"):
        assert not stored(proxy, target)
        wait_stored(proxy, target)
    assert ask(proxy, "/x").body == b"default /x"
    for _ in range(3):
        reply = ask(proxy, "/off/x")
        assert (reply.body, reply.get("Cache-Status")) == (b"media /x", None)
    assert ask(proxy, "/off/x/0/4").body == b"media"

    wait_stored(proxy, "/ignoring/x?t=1")
    assert stored(proxy, "/ignoring/x?t=2") and stored(proxy, "/ignoring/x")
    # It has its own list in the place of the other.
    assert not stored(proxy, "/ignoring/x?u=1")
    wait_stored(proxy, "/a/y?u=1")
    assert stored(proxy, "/a/y") and not stored(proxy, "/a/y?t=1")


def test_stale_rules_of_a_route(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    failing = threading.Event()

    def sometimes(peer: Peer) -> None:
        if failing.is_set():
            peer.send(answer("503 Down", b""))
        else:
            serves(FILM, "Cache-Control: max-age=0", 'ETag: "a"')(peer)

    path = origin.plays(sometimes)
    routes = {
        "/kept/": {"upstream": f"{origin.url}/", "headers": {"X": "1"}, "stale_if_error": "1h"}
    }
    proxy = start(start_proxy, origin.url, routes, cache=True, APRP_STALE_IF_ERROR="0")
    for target in (f"/kept{path}", path):
        assert ask(proxy, target).body == FILM
    _wait_all_stored(proxy, origin)
    failing.set()
    assert ask(proxy, f"/kept{path}").body == FILM
    assert ask(proxy, path).status == 503


def _wait_all_stored(proxy: Proxy, origin: ScriptedOrigin) -> None:
    def complete() -> bool:
        listed = json.loads(tool(proxy, origin.url, {}, "ls", "--json").stdout)
        return [item["percent"] for item in listed] == [100.0, 100.0]

    wait_until(complete, "both are stored")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def tool(proxy: Proxy, upstream: str, routes: object, *words: str, **environ: str) -> Done:
    """Call `aprp cache` with the proxy's settings, in this process: it is called often."""
    given = {"APRP_CACHE_DIR": str(proxy.cache_dir), "APRP_ROUTES": json.dumps(routes)}
    env = environment(APRP_UPSTREAM=upstream, **given | environ)
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, env, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = cli.main(["cache", *words])
    return Done(code, out.getvalue(), err.getvalue())


def test_the_tools_know_routes(sites: dict[str, ScriptedOrigin], start_proxy: StartProxy) -> None:
    media, default, img = sites["media"], sites["default"], sites["img"]
    routes = {
        "/films/": f"{media.url}/m/",
        "/keyed/": {"upstream": f"{media.url}/", "headers": {"X-Key": "1"}},
        "img.example.org/": f"{img.url}/i/",
    }
    base = f"{default.url}/base/"
    proxy = start(start_proxy, base, routes, cache=True)
    objects = {"/x": "", "/films/x": "", "/keyed/x": "", "/y": "img.example.org"}

    def fill() -> None:
        for target, host in objects.items():
            wait_stored(proxy, target, host=host or "any.test")

    def run_tool(*words: str) -> str:
        done = tool(proxy, base, routes, *words)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def listed(*words: str) -> list[str]:
        return [item["target"] for item in json.loads(run_tool("ls", *words, "--json"))]

    fill()
    names = ["/films/x", "/keyed/x", "/x", "img.example.org/y"]
    assert listed() == names
    table = run_tool("ls").splitlines()
    assert [line.split()[-1] for line in table[1:-1]] == names
    assert listed("/films/") == ["/films/x"]
    assert listed("/f") == ["/films/x"]
    assert listed("http://img.example.org/") == ["img.example.org/y"]

    for word in ("/films/x", "/keyed/x/0/9", "http://img.example.org/y", "/x"):
        run_tool("purge", word)
        name = word.removesuffix("/0/9").removeprefix("http://")
        names.remove(name)
        assert listed() == names
    missing = tool(proxy, base, routes, "purge", "/films/x")
    assert missing.returncode == 1
    assert missing.stderr == "aprp: /films/x: nothing is stored under it\n"

    fill()
    run_tool("purge", "--prefix", "/films/")
    assert listed() == ["/keyed/x", "/x", "img.example.org/y"]
    run_tool("purge", "--prefix", "/")
    assert listed() == ["img.example.org/y"]


def test_purge_by_http(sites: dict[str, ScriptedOrigin], start_proxy: StartProxy) -> None:
    media, default = sites["media"], sites["default"]
    routes = {"/films/": f"{media.url}/m/", "img.example.org/": f"{sites['img'].url}/i/"}
    proxy = start(start_proxy, default.url, routes, cache=True)

    def purge(target: str, host: str = "any.test") -> int:
        reply = ask(proxy, target, host=host, method="PURGE")
        return int(json.loads(reply.body).get("purged", 0))

    for target, host in (("/x", "any.test"), ("/films/x", "any.test"), ("/x", "img.example.org")):
        wait_stored(proxy, target, host=host)
    assert purge("/films/x/0/9") == 1
    assert not stored(proxy, "/films/x", host="any.test")
    wait_stored(proxy, "/films/x", host="any.test")
    assert purge("/films/*") == 1
    wait_stored(proxy, "/films/x", host="any.test")
    # What a host has alone stays.
    assert purge("/*") == 2
    assert purge("/*") == 0
    assert stored(proxy, "/x", host="img.example.org")
    assert purge("/*", host="img.example.org") == 1
