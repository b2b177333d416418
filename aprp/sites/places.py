"""By which keys the cache has what clients ask for, and by which names they know what it has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aprp.semantics.cache_key import cache_key
from aprp.semantics.routing import Routes, upstream_path
from aprp.sites.keys import route_base, route_key, upstream_key

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

    As `aprp.sites.sites` has it: all origins of a site serve the same files, and the first names
    them; hosts that clients name are sites of their own.
    """

    def __init__(self, settings: "Settings") -> None:
        """See the class."""
        ignored = tuple(settings.CACHE_KEY_IGNORE)
        self.default: Final = Place("", "/", "", upstream_key(settings.UPSTREAM[0]), ignored)
        """The place of UPSTREAM."""
        self.named: Final = bool(settings.FORWARD or settings.TARGET_URL_ALLOW)
        """Whether clients may name hosts."""
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
        self.routes: Final = Routes(self._places)
        """The places of ROUTES."""

    def name(self, key: str, target: str) -> str:
        """The path and query by which clients know a stored response, of its key and target.

        The host stands before it where a route has one; it is a URL where clients name the host.
        Of several names the shortest is given.
        """
        names = []
        for place in self._places:
            asked = place.target(target)
            if asked is None or place.key(asked) != key:
                continue
            if place.host.startswith("*.") or place is self.routes.find(
                place.bracketed or None, asked.partition("?")[0]
            ):
                names.append(place.bracketed + asked)
        if names:
            return min(names, key=len)
        if self.named and self.default.key(target) != key and "#" not in key:
            return key
        return target
