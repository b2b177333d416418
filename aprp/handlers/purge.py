"""The door of PURGE: removes from the cache what is stored under a target.

The method is not registered (RFC 9110 section 16.1.1); Varnish, Squid and others gave it this
meaning. `PURGE /film.mp4` is one object, whole whatever range is said, in all its variants;
`PURGE /films/*` is every object whose target begins with `/films/`.
"""

import json
from typing import Final

from aprp.cache.entry import CannotStore
from aprp.handlers import media
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.media.source import Source
from aprp.semantics.forwarded import last_sender
from aprp.semantics.networks import Networks

_NO_STORE: Final = (("Cache-Control", "no-store"),)


async def serve(exchange: Exchange) -> None:
    """Answer PURGE: 200 with the number of responses removed, 404 where nothing was stored.

    Raises Problem: 403 for clients that PURGE_ALLOW does not name, 503 where CACHE_DIR cannot be
    used.
    """
    settings = exchange.app.settings
    allowed = Networks(settings.PURGE_ALLOW)
    if refused := [who for who in senders(exchange) if not allowed(who)]:
        raise Problem(
            403,
            "PURGE is not allowed from your address.",
            private=f"PURGE_ALLOW does not name {', '.join(refused)}",
        )
    target = media.read_question(exchange).target
    library, source = exchange.app.library, exchange.site.source
    try:
        if library is None:
            purged = 0
        elif target.endswith("*") and "?" not in target:
            purged = await library.purge_prefix(source, target[:-1])
            for other, beginning in _below(exchange):
                purged += await library.purge_prefix(other, beginning)
        else:
            purged = await library.purge(source, target)
    except CannotStore as error:
        raise Problem(
            503, "The cache cannot be used now, and nothing was removed.", private=str(error)
        ) from None
    if not purged:
        raise Problem(404, f"Nothing is stored under {target}.")
    body = json.dumps({"purged": purged}) + "\n"
    exchange.respond(200, body.encode(), "application/json", _NO_STORE)


def _below(exchange: Exchange) -> list[tuple[Source, str]]:
    """Other sites' sources with paths that begin as the target does, and those targets' begins."""
    if not exchange.site.named:
        return []
    host = exchange.headers.get("Host")
    return exchange.app.sites.below(host, exchange.resource.removesuffix("*"))


def senders(exchange: Exchange) -> list[str]:
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
