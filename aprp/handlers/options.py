"""OPTIONS: what may be asked here, and the preflight of players on other sites."""

from aprp.handlers.exchange import Exchange
from aprp.semantics import cors

ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT, PURGE"
_MAX_AGE = 86400


def is_own(exchange: Exchange) -> bool:
    """Whether the proxy answers OPTIONS itself: a preflight where CORS_ORIGINS is set, or for `*`.

    So it is, too, where the client counts hops and this is the last (RFC 9110 section 7.6.2).
    """
    get = exchange.headers.get
    if exchange.target == "*" or (get("Max-Forwards") or "").strip() == "0":
        return True
    return bool(exchange.cors_origins) and cors.is_preflight(
        "OPTIONS", get("Origin"), get("Access-Control-Request-Method")
    )


async def serve(exchange: Exchange) -> None:
    """Answer OPTIONS: a CORS preflight where CORS_ORIGINS is set, else the methods."""
    fields = [("Allow", ALLOW)]
    get = exchange.headers.get
    origin = get("Origin")
    allowed = exchange.cors_origins
    preflight = cors.is_preflight("OPTIONS", origin, get("Access-Control-Request-Method"))
    if allowed and preflight and origin is not None:
        exchange.preflight = True
        fields += cors.preflight(origin, get("Access-Control-Request-Headers"), allowed, _MAX_AGE)
    exchange.respond(204, b"", "", fields)
