"""Where in the cache things are that people name, and by which names to show what is there."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aprp.cache.entry import Entry
from aprp.semantics.cache_key import cache_key
from aprp.semantics.hosts import address_of
from aprp.semantics.routing import Routes, upstream_path
from aprp.sites.keys import canonical_server, route_base, route_key, upstream_key
from aprp.tools.names import is_url, object_of, target_of

if TYPE_CHECKING:
    from settings.base import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """A site, as far as keys go: `path` is what `base` takes the place of, if it is not ""."""

    host: str
    path: str
    base: str
    upstream: str
    ignored: tuple[str, ...]
    by_clients: bool = False
    """It is that of a host which clients name."""

    @property
    def bracketed(self) -> str:
        """The host as in URLs."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def key(self, target: str) -> str:
        """The key of a client's path and query."""
        path, mark, query = target.partition("?")
        asked = upstream_path(path, self.path, self.base) + mark + query
        return cache_key(self.upstream, asked, self.ignored)

    def target(self, target: str) -> str | None:
        """The client's path and query for those of the upstream; None where there are none."""
        path, mark, query = target.partition("?")
        if self.base:
            base = self.base.rstrip("/")
            if not path.startswith(f"{base}/"):
                return None
            path = self.path.rstrip("/") + path[len(base) :]
        return path + mark + query


class Places:
    """The places that a proxy with these settings has things at.

    As `aprp.sites` has it: all origins of a site serve the same files, and the first names them;
    hosts that clients name are sites of their own.
    """

    def __init__(self, settings: "Settings") -> None:
        """See the class."""
        ignored = tuple(settings.CACHE_KEY_IGNORE)
        self._settings: Final = settings
        self._default: Final = Place("", "/", "", upstream_key(settings.UPSTREAM[0]), ignored)
        self._places: Final = [
            Place(
                route.host,
                route.path,
                route_base(route),
                route_key(route),
                ignored if route.cache_key_ignore is None else route.cache_key_ignore,
            )
            for route in settings.ROUTES
        ]
        self._routes: Final = Routes(self._places)
        self._named: Final = bool(settings.FORWARD or settings.TARGET_URL_ALLOW)

    def key(self, word: str) -> str:
        """The key of the object that a URL or path names, whatever range is in it.

        Raises UsageError.
        """
        target = object_of(self._settings, word)
        return self._place(word, target).key(target)

    def prefixes(self, word: str) -> list[str]:
        """What the keys begin with of all that begins like a URL or path. Raises UsageError."""
        target = target_of(word)
        place = self._place(word, target)
        found = [place.key(target)]
        if "?" not in target and not place.by_clients:
            below = self._routes.below(_authority(word), target)
            found += [place.key(place.path) for place in below]
        return list(dict.fromkeys(found))

    def choice(self, word: str) -> Callable[[Entry], bool]:
        """Whether an entry is among all that begins like a URL or path. Raises UsageError."""
        target, prefixes = target_of(word), tuple(self.prefixes(word))
        by_path = self._place(word, target) is self._default

        def chosen(entry: Entry) -> bool:
            if entry.key.startswith(prefixes):
                return True
            # Settings may lack UPSTREAM, or have another one by now: paths tell as much.
            unrouted = by_path and self.name(entry) in (entry.target, entry.key)
            return unrouted and entry.target.startswith(target)

        return chosen

    def name(self, entry: Entry) -> str:
        """The path and query by which clients know a stored response.

        The host stands before it where a route has one; it is a URL where clients name the host.
        Of several names the shortest is given.
        """
        names = []
        for place in self._places:
            target = place.target(entry.target)
            if target is None or place.key(target) != entry.key:
                continue
            if place.host.startswith("*.") or place is self._routes.find(
                place.bracketed or None, target.partition("?")[0]
            ):
                names.append(place.bracketed + target)
        if names:
            return min(names, key=len)
        if self._named and self._default.key(entry.target) != entry.key and "#" not in entry.key:
            return entry.key
        return entry.target

    def _place(self, word: str, target: str) -> Place:
        authority = _authority(word)
        routed = self._routes.find(authority, target.partition("?")[0])
        if authority is not None and self._named and (routed is None or not routed.host):
            server = canonical_server(urlsplit(word).scheme, authority)
            if server is not None and not self._is_own(*server[1:]):
                return Place("", "/", "", server[0], self._default.ignored, by_clients=True)
        return routed or self._default

    def _is_own(self, host: str, port: int) -> bool:
        """Whether the proxy itself is called so, as far as settings tell."""
        settings = self._settings
        if port != settings.PORT:
            return False
        address = address_of(host)
        if address is not None and (address.is_loopback or address.is_unspecified):
            return True
        return host in ("localhost", settings.ADDRESS.lower(), socket.gethostname().lower())


def _authority(word: str) -> str | None:
    return urlsplit(word).netloc if is_url(word) else None
