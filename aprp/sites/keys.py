"""What stands for a site in cache keys: one rule for the proxy and for the tools beside it."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aprp.semantics.hosts import address_of, split_authority

if TYPE_CHECKING:
    from settings.routes import Route

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def upstream_key(url: str) -> str:
    """The key of a site whose first origin has this URL, or is the word `embedded`."""
    return url.rstrip("/")


def server_of(url: str) -> str:
    """The part of a URL that names the server."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def route_base(route: "Route") -> str:
    """The path that takes the place of a route's, "" for none: all its upstreams have the same."""
    return urlsplit(route.upstream[0]).path


def route_key(route: "Route") -> str:
    """The key of a route's site."""
    key = server_of(route.upstream[0])
    # What is sent along may make other answers: those are not everybody's.
    return f"{key}#{route.name}#" if route.headers or route.host_field else key


def canonical_server(scheme: str, authority: str) -> tuple[str, str, int] | None:
    """Give URL, host and port of a server that a client names; None for what is none.

    The host comes in its canonical form; the URL has no port where that is the scheme's own.
    """
    parts = split_authority(authority)
    if parts is None:
        return None
    host, said = parts
    port = said or _DEFAULT_PORTS[scheme]
    name = f"[{host}]" if ":" in host and address_of(host) is not None else host
    return f"{scheme}://{name}{'' if port == _DEFAULT_PORTS[scheme] else f':{port}'}", host, port
