"""The door of PURGE: removes from the cache what is stored under a target.

The method is not registered (RFC 9110 section 16.1.1); Varnish, Squid and others gave it this
meaning. `PURGE /film.mp4` is one object, whole whatever range is said, in all its variants;
`PURGE /films/*` is every object whose target begins with `/films/`.
"""

import json

from aprp.cache.entry import CannotStore
from aprp.handlers import media
from aprp.handlers.allowed import refused
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE
from aprp.media.source import Source


async def serve(exchange: Exchange) -> None:
    """Answer PURGE: 200 with the number of responses removed, 404 where nothing was stored.

    Raises Problem: 403 for clients that PURGE_ALLOW does not name, 503 where CACHE_DIR cannot be
    used.
    """
    settings = exchange.app.settings
    if who := refused(exchange, settings.PURGE_ALLOW):
        raise Problem(
            403,
            "PURGE is not allowed from your address.",
            private=f"PURGE_ALLOW does not name {', '.join(who)}",
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
    exchange.respond(200, body.encode(), "application/json", NO_STORE)


def _below(exchange: Exchange) -> list[tuple[Source, str]]:
    """Other sites' sources with paths that begin as the target does, and those targets' begins."""
    if not exchange.site.named:
        return []
    host = exchange.headers.get("Host")
    return exchange.app.sites.below(host, exchange.resource.removesuffix("*"))
