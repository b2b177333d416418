"""Which door a request goes through."""

from collections.abc import Awaitable, Callable
from typing import Final

from aprp.handlers import (
    admin,
    connect,
    files,
    forward,
    home,
    live,
    media,
    options,
    passthrough,
    player,
    purge,
    stats,
    store,
    target,
    upgrade,
)
from aprp.handlers.errors import LOOPED, Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.links import check_signature
from aprp.semantics.loops import passed_through
from aprp.semantics.upgrades import wants_upgrade
from aprp.sites.site import Site
from aprp.sites.sites import NotAllowed

Door = Callable[[Exchange], Awaitable[None]]


# Own pages that do something, and those that no page of another web origin may read.
_ACTIONS: Final[frozenset[Door]] = frozenset({admin.purge, admin.warm})
_PRIVATE: Final = _ACTIONS | {live.events, live.objects, live.one_object}


def own_pages(prefix: str) -> dict[str, Door]:
    """Give the proxy's own pages by their paths; `prefix` is ADMIN_PREFIX."""
    return {
        f"{prefix}/stats": stats.stats,
        f"{prefix}/stats.json": stats.stats_json,
        f"{prefix}/stats/events": live.events,
        f"{prefix}/stats/objects": live.objects,
        f"{prefix}/stats/object": live.one_object,
        f"{prefix}/stats/purge": admin.purge,
        f"{prefix}/stats/warm": admin.warm,
        f"{prefix}/metrics": stats.metrics,
        f"{prefix}/status": stats.short_status,
        f"{prefix}/healthz": stats.healthz,
    }


async def enter(exchange: Exchange) -> None:
    """Send an exchange through its door; raises Problem."""
    app = exchange.app
    malformed = getattr(exchange.connection, "malformed", None)
    if malformed is not None:
        status, detail, fields = malformed
        raise Problem(status, detail, fields=fields)
    if app.quotas is not None and not app.is_trusted(exchange.client):
        refusal = app.quotas.request(exchange.client)
        if refusal is not None:
            raise Problem(refusal.status, refusal.detail, fields=refusal.fields)
    if passed_through(exchange.headers.get("Via"), app.settings.VIA_NAME):
        raise Problem(508, LOOPED, private=f"Via names {app.settings.VIA_NAME}")
    if exchange.method == "CONNECT":
        await connect.serve(exchange, forward.admit(exchange))
        return
    forwarded = forward.is_for(exchange)
    site = forward.site_of(exchange) if forwarded else None
    if site is None:
        path = exchange.resource.partition("?")[0]
        page = app.own_pages.get(path)
        if page is not None:
            await _serve_own(exchange, page)
            return
        if app.files is not None and files.is_for(app, path):
            await store.serve(exchange)
            return
        if player.is_for(exchange):
            await player.serve(exchange)
            return
        if forwarded:
            forward.refuse_own(exchange)
        if app.settings.SIGNED_URLS and exchange.resource != "*":
            check_signature(exchange)
        if target.is_for(exchange):
            await target.switch(exchange)
        site = _site_of(exchange)
    exchange.site = site
    await _serve(exchange)


async def _serve_own(exchange: Exchange, page: Door) -> None:
    """Answer with one of the proxy's own pages."""
    exchange.private = page in _PRIVATE
    methods = ("POST",) if page in _ACTIONS else ("GET", "HEAD")
    if exchange.method not in methods:
        allow = {"Allow": ", ".join(methods)}
        detail = f"{exchange.method} is not for this page, but {' and '.join(methods)}."
        raise Problem(405, detail, fields=allow)
    await page(exchange)


def _site_of(exchange: Exchange) -> Site:
    """The site of a request to the proxy's own name; raises Problem."""
    try:
        path = exchange.resource.partition("?")[0]
        return exchange.app.sites.find(exchange.headers.get("Host"), path)
    except NotAllowed as error:
        raise target.refused(error) from None


async def _serve(exchange: Exchange) -> None:
    """Go through the door to the exchange's site."""
    method, get = exchange.method, exchange.headers.get
    if "Upgrade" in exchange.headers and (
        protocols := wants_upgrade(get, exchange.version, method)
    ):
        await upgrade.serve(exchange, protocols)
    elif method in ("GET", "HEAD") and exchange.body is None:
        await (home if home.is_for(exchange) else media).serve(exchange)
    elif method == "OPTIONS" and options.is_own(exchange):
        await options.serve(exchange)
    elif method == "PURGE":
        await purge.serve(exchange)
    elif method == "TRACE":
        raise Problem(405, "TRACE is not answered here.", fields={"Allow": options.ALLOW})
    else:
        await passthrough.serve(exchange)
