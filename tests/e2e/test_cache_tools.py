"""`aprp cache` and PURGE beside a proxy that serves."""

import json
import subprocess
import sys

import pytest

from tests.e2e.clients import Connection, Reply
from tests.e2e.content import FILM, PROJECT
from tests.e2e.programs import environment, run, wait_until
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy, StartProxy

FRESH = "Cache-Control: max-age=3600"


def tool(proxy: Proxy, origin: ScriptedOrigin, *words: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of `aprp cache` with the proxy's settings."""
    env = environment(APRP_CACHE_DIR=str(proxy.cache_dir), APRP_UPSTREAM=origin.url)
    return run(sys.executable, "-m", "aprp", "cache", *words, cwd=PROJECT, env=env)


def wait_stored(proxy: Proxy, origin: ScriptedOrigin, path: str) -> None:
    """Wait until the whole object is stored: a moment after the client has it."""

    def stored() -> bool:
        listed = json.loads(tool(proxy, origin, "ls", path, "--json").stdout)
        return [item["percent"] for item in listed] == [100.0]

    wait_until(stored, f"{path} is stored")


def ask(proxy: Proxy, method: str, target: str, *fields: str) -> Reply:
    """Ask on a connection of its own: any worker may answer."""
    with Connection(proxy.port) as connection:
        connection.ask(target, *fields, method=method)
        return connection.read_reply()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_warm_list_purge_check(
    start_proxy: StartProxy, origin: ScriptedOrigin, workers: str
) -> None:
    path = origin.plays(serves(FILM, FRESH))
    proxy = start_proxy("--upstream", origin.url, "--workers", workers, cache=True)
    warmed = tool(proxy, origin, "warm", path, "--proxy", proxy.url)
    assert (warmed.returncode, warmed.stderr) == (0, b"")
    wait_stored(proxy, origin, path)
    requests = len(origin.asked(path))
    for _ in range(6):
        assert ask(proxy, "GET", path).body == FILM
    assert len(origin.asked(path)) == requests

    checked = tool(proxy, origin, "check")
    assert (checked.returncode, checked.stderr) == (0, b"")

    purged = tool(proxy, origin, "purge", path)
    assert (purged.returncode, purged.stderr) == (0, b"")
    assert purged.stdout.startswith(b"1 object removed, ")
    for _ in range(6):
        assert ask(proxy, "GET", path).body == FILM
    # Whoever is asked next finds nothing, and what he fetches is there for all.
    assert requests < len(origin.asked(path)) <= 2 * requests


def test_purge_by_http(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    path = origin.plays(serves(FILM, FRESH))
    proxy = start_proxy("--upstream", origin.url, "--workers", "2", cache=True)
    assert ask(proxy, "GET", path).body == FILM
    wait_stored(proxy, origin, path)

    refused = ask(proxy, "PURGE", path, "X-Forwarded-For: 192.0.2.1")
    assert refused.status == 403
    assert refused.get("Content-Type") == "application/problem+json"

    removed = ask(proxy, "PURGE", path, "Range: bytes=0-9")
    assert (removed.status, json.loads(removed.body)) == (200, {"purged": 1})
    again = ask(proxy, "PURGE", path)
    assert again.status == 404
    assert again.get("Content-Type") == "application/problem+json"

    assert ask(proxy, "GET", path).body == FILM
    wait_stored(proxy, origin, path)
    folder = path.rpartition("/")[0]
    assert ask(proxy, "PURGE", f"{folder}/*").status == 200
    assert ask(proxy, "PURGE", f"{folder}/*").status == 404


def test_purge_where_nobody_may(start_proxy: StartProxy, origin: ScriptedOrigin) -> None:
    proxy = start_proxy("--upstream", origin.url, "--purge-allow", "", cache=True)
    assert ask(proxy, "PURGE", "/film.mp4").status == 403
