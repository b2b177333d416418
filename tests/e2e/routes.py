"""Proxies with routes: started, and asked under a host's name; origins that tell their names."""

import json

from tests.e2e.clients import Connection, Reply
from tests.e2e.scripted import Peer, Script, serves
from tests.e2e.servers import Proxy, StartProxy

FRESH = "Cache-Control: max-age=3600"


def tells(name: str) -> Script:
    """A script that tells who was asked, and what for."""

    def script(peer: Peer) -> None:
        serves(f"{name} {peer.request.target}".encode(), FRESH)(peer)

    return script


def start(
    start_proxy: StartProxy,
    upstream: str,
    routes: object,
    *flags: str,
    cache: bool = False,
    **environ: str,
) -> Proxy:
    """Start a proxy with routes as they are given in the environment."""
    given = {"APRP_ROUTES": json.dumps(routes)} | environ
    return start_proxy("--upstream", upstream, *flags, cache=cache, **given)


def ask(
    proxy: Proxy, target: str, *lines: str, host: str = "media.example", method: str = "GET"
) -> Reply:
    """Ask under a host name."""
    with Connection(proxy.port) as connection:
        head = (f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", "")
        connection.send("\r\n".join(head).encode())
        return connection.read_reply(method)
