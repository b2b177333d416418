"""Who may do what not everybody may: judged by addresses (PURGE_ALLOW, ADMIN_ALLOW)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aprp.semantics.forwarded import last_sender
from aprp.semantics.networks import Networks

if TYPE_CHECKING:
    from aprp.handlers.exchange import Exchange


def refused(exchange: "Exchange", networks: Iterable[str]) -> list[str]:
    """Those who ask and are in none of the networks; nobody: it is allowed."""
    allowed = Networks(networks)
    return [who for who in senders(exchange) if not allowed(who)]


def senders(exchange: "Exchange") -> list[str]:
    """Give the address at the other end of the connection, and for whom that asks if it says so.

    All of them must be allowed. So a field can take a permission away and give none, and it does
    not matter who wrote it. But where a trusted proxy asks (TRUSTED_PROXIES), it is the client
    that must be allowed, and not the proxies on the way.
    """
    get, trusted = exchange.headers.get, exchange.app.is_trusted
    named = [who or "unknown" for who in last_sender(get("X-Forwarded-For"), get("Forwarded"))]
    if not trusted(exchange.peer):
        return [exchange.peer or "unknown", *named]
    return [exchange.client, *(who for who in named if not trusted(who))]
