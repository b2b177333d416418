"""Which of several sites a request is for, and what its path is there."""

from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeVar

from aprp.semantics.hosts import address_of, canonical_host, split_authority


class Routed(Protocol):
    """Anything that has a place among the routes."""

    @property
    def host(self) -> str:
        """A host name or address, `*.example.org` for the names below it, or "" for every host."""

    @property
    def path(self) -> str:
        """The prefix of its paths, which begins with "/"; percent-encoded, as in requests."""


Route = TypeVar("Route", bound=Routed)

_EVERY: Final = ""


class Routes(Generic[Route]):
    """Routes by host and prefix. Never changes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Of two routes for the same place the first counts; ValueError for a host that is none."""
        by_host: dict[str, list[Route]] = {}
        for route in routes:
            wildcard = "*." if route.host.startswith("*.") else ""
            host = route.host and canonical_host(route.host.removeprefix("*."))
            if host is None or (wildcard and address_of(host) is not None):
                raise ValueError(f"{route.host!r} is not a host")
            by_host.setdefault(wildcard + host, []).append(route)
        # Stable: equal prefixes stay in their order.
        self._by_host: Final = {
            host: sorted(found, key=lambda route: -len(route.path))
            for host, found in by_host.items()
        }
        self._any_host: Final = any(host != _EVERY for host in self._by_host)

    def __bool__(self) -> bool:
        """Whether there are any routes."""
        return bool(self._by_host)

    def find(self, host: str | None, path: str) -> Route | None:
        """Give the route of a request, None if it has none.

        `host` is that of the Host field or the target, with or without a port, which does not
        count; `path` is percent-encoded, without the query. The routes of the very host are looked
        at first, then those of `*.` patterns, the longest first, then those of every host; among
        the routes of a host the longest prefix wins.
        """
        if self._any_host and host is not None and (parts := split_authority(host)) is not None:
            for key in _keys(parts[0]):
                if key in self._by_host and (found := _first(self._by_host[key], path)) is not None:
                    return found
        return _first(self._by_host.get(_EVERY, ()), path)

    def below(self, host: str | None, prefix: str) -> list[Route]:
        """Give the routes of paths that begin with `prefix`, as text, the shortest path first.

        `host` is as in `find`. Those that another route leaves no request to are not among them.
        """
        every = (route for routes in self._by_host.values() for route in routes)
        found = [
            route
            for route in every
            if route.path.startswith(prefix) and self.find(host, route.path) is route
        ]
        return sorted(found, key=lambda route: len(route.path))


def path_has_prefix(path: str, prefix: str) -> bool:
    """Whether a path lies under a prefix, on the edges of segments.

    `/films` has `/films` and `/films/x` under it, and not `/filmstrip`; `/films/` has `/films/`
    and `/films/x` under it, and not `/films`.
    """
    if not path.startswith(prefix):
        return False
    return prefix.endswith("/") or len(path) == len(prefix) or path[len(prefix)] == "/"


def upstream_path(path: str, prefix: str, base: str) -> str:
    """Give the path that an upstream is asked for, for a path under the prefix of its route.

    `base` is the path of the upstream's URL. "", a URL that ends with the host, leaves the path as
    it is; anything else, "/" too, takes the place of the prefix, with one "/" where they meet.
    """
    if not base:
        return path
    rest = path[len(prefix) :]
    if prefix.endswith("/"):
        return f"{base.rstrip('/')}/{rest}"
    return base.rstrip("/") + rest if rest else base


def _first(routes: Iterable[Route], path: str) -> Route | None:
    return next((route for route in routes if path_has_prefix(path, route.path)), None)


def _keys(host: str) -> Iterable[str]:
    yield host
    place = host.find(".")
    while place >= 0:
        yield f"*{host[place:]}"
        place = host.find(".", place + 1)
