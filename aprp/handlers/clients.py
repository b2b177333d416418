"""Who a request comes from, where proxies in front of this one are believed (TRUSTED_PROXIES)."""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import TYPE_CHECKING

from aprp.semantics.forwarded import client_address, forward_fields
from aprp.semantics.networks import Networks

if TYPE_CHECKING:
    from aprp.handlers.exchange import Exchange


class Clients:
    """Tells the clients of requests that have come through proxies, and tells origins of them."""

    def __init__(self, proxies: Collection[str]) -> None:
        """`proxies` are the addresses and networks of those whose word is believed."""
        self.is_trusted = Networks(proxies)
        self._trusts = bool(proxies)

    def address(self, peer: str, get: Callable[[str], str | None]) -> str:
        """The address of the client whose request came from `peer`; `get` gives its fields."""
        if not self._trusts:
            return peer
        return client_address(peer, get, self.is_trusted)

    def forwarded(self, exchange: "Exchange") -> dict[str, str]:
        """The fields that tell an origin who asked; not to be changed."""
        peer, scheme, get = exchange.peer, exchange.scheme, exchange.headers.get
        if self._trusts and self.is_trusted(peer):
            return forward_fields(peer, scheme, get("Host"), get, True)
        return _forwarded_of_untrusted(peer, scheme, get("Host"))

    def seen_as(self, exchange: "Exchange") -> tuple[str, str | None]:
        """The scheme and the Host by which the client knows this proxy."""
        get = exchange.headers.get
        scheme, host = exchange.scheme, get("Host")
        if self._trusts and self.is_trusted(exchange.peer):
            scheme = get("X-Forwarded-Proto") or scheme
            host = get("X-Forwarded-Host") or host
        return scheme, host


@lru_cache(maxsize=1024)
def _forwarded_of_untrusted(client: str, scheme: str, host: str | None) -> dict[str, str]:
    """The same for all requests of a connection; not to be changed by whoever gets it."""
    return forward_fields(client, scheme, host, lambda name: None, False)
