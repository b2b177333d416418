"""OPTIONS: what may be asked here, and the preflight of players on other sites."""

from aprp.handlers.exchange import Exchange
from aprp.semantics import cors

ALLOW = "GET, HEAD, OPTIONS, PURGE"
_MAX_AGE = 86400


async def serve(exchange: Exchange) -> None:
    """Answer OPTIONS: a CORS preflight where CORS_ORIGINS is set, else the methods."""
    fields = [("Allow", ALLOW)]
    get = exchange.headers.get
    origin = get("Origin")
    allowed = exchange.app.cors_origins
    preflight = cors.is_preflight("OPTIONS", origin, get("Access-Control-Request-Method"))
    if allowed and preflight and origin is not None:
        exchange.preflight = True
        fields += cors.preflight(origin, get("Access-Control-Request-Headers"), allowed, _MAX_AGE)
    exchange.respond(204, b"", "", fields)
