"""Asking by way of a forward proxy."""

from tests.e2e.clients import Connection, Curled, Reply, curl
from tests.e2e.servers import Proxy

OPTIONS_OF_PROXIES = ("Proxy-Authorization", "Proxy-Connection", "Proxy-Authenticate")
"""Fields between a client and its proxy."""


def through(proxy: Proxy, url: str, *options: str) -> Curled:
    """Have curl ask for a URL by way of the proxy."""
    return curl(url, "-x", proxy.url, *options)


def ask(proxy: Proxy, url: str, *lines: str, method: str = "GET") -> Reply:
    """Ask for a URL by way of the proxy, with a Host that is not the target's."""
    with Connection(proxy.port) as connection:
        connection.ask(url, *lines, method=method)
        return connection.read_reply(method)
