"""The player's page, /play/<path>: it plays /<path>, and tries ranges of it.

The page is the same for every path. What it shows it asks the proxy for in the visitor's browser,
like any other client: it tells nothing that its visitor could not get without it.
"""

from typing import Final

from aprp.handlers.exchange import Exchange
from aprp.pages.page import load

PATH: Final = "/play"
"""Where it is, behind ADMIN_PREFIX."""


def is_for(exchange: Exchange) -> bool:
    """Whether a request is for the page (PLAYER); other methods are the origin's."""
    settings = exchange.app.settings
    if not settings.PLAYER or exchange.method not in ("GET", "HEAD"):
        return False
    path = exchange.resource.partition("?")[0]
    own = f"{settings.ADMIN_PREFIX}{PATH}"
    return path == own or path.startswith(f"{own}/")


async def serve(exchange: Exchange) -> None:
    """Answer with the page."""
    settings = exchange.app.settings
    page = load("player")
    data = {
        "play": f"{settings.ADMIN_PREFIX}{PATH}",
        "object": f"{settings.ADMIN_PREFIX}/stats/object",
        "stats": f"{settings.ADMIN_PREFIX}/stats",
        "home": settings.HOME_PAGE,
        "cache": exchange.app.cache is not None,
        "parameter": settings.RANGE_PARAM,
        "path": settings.RANGE_PATH,
        "signed": settings.SIGNED_URLS,
    }
    fields = (
        # Requests that may well fail are made by a worker, whose script the page writes itself.
        ("Content-Security-Policy", f"{page.policy}; worker-src blob:"),
        ("Cache-Control", "no-cache"),
    )
    exchange.respond(200, page.with_data(data), "text/html; charset=utf-8", fields)
