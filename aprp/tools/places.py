"""Where in the cache things are that people name, and by which names to show what is there."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aprp.cache.entry import Entry
from aprp.semantics.hosts import address_of
from aprp.sites import places
from aprp.sites.keys import canonical_server
from aprp.sites.places import Place
from aprp.tools.names import is_url, object_of, target_of

if TYPE_CHECKING:
    from settings.base import Settings


class Places:
    """The places that a proxy with these settings has things at, as people name them."""

    def __init__(self, settings: "Settings") -> None:
        """See the class."""
        self._settings: Final = settings
        self._known: Final = places.Places(settings)

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
            below = self._known.routes.below(_authority(word), target)
            found += [place.key(place.path) for place in below]
        return list(dict.fromkeys(found))

    def choice(self, word: str) -> Callable[[Entry], bool]:
        """Whether an entry is among all that begins like a URL or path. Raises UsageError."""
        target, prefixes = target_of(word), tuple(self.prefixes(word))
        by_path = self._place(word, target) is self._known.default

        def chosen(entry: Entry) -> bool:
            if entry.key.startswith(prefixes):
                return True
            # Settings may lack UPSTREAM, or have another one by now: paths tell as much.
            unrouted = by_path and self.name(entry) in (entry.target, entry.key)
            return unrouted and entry.target.startswith(target)

        return chosen

    def name(self, entry: Entry) -> str:
        """The name by which clients know a stored response (`aprp.sites.places`)."""
        return self._known.name(entry.key, entry.target)

    def _place(self, word: str, target: str) -> Place:
        authority = _authority(word)
        routed = self._known.routes.find(authority, target.partition("?")[0])
        if authority is not None and self._known.named and (routed is None or not routed.host):
            server = canonical_server(urlsplit(word).scheme, authority)
            if server is not None and not self._is_own(*server[1:]):
                return Place("", "/", "", server[0], self._known.default.ignored, by_clients=True)
        return routed or self._known.default

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
