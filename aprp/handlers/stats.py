"""The proxy's own pages: /stats, /status, /healthz."""

import json
import time
from urllib.parse import parse_qs

from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.accept import quality
from aprp.stats.report import report, status, to_html

_JSON = "application/json"
_NO_STORE = (("Cache-Control", "no-store"),)


async def stats(exchange: Exchange) -> None:
    """Answer /stats: JSON or a page, by `?format=` or by Accept."""
    wanted = parse_qs(exchange.resource.partition("?")[2]).get("format", [""])[-1]
    if wanted not in ("", "json", "html"):
        raise Problem(400, f"The format {wanted!r} is not known: use format=json or format=html.")
    if not wanted:
        accept = exchange.headers.get("Accept") or ""
        better = quality(accept, "text", "html") > quality(accept, "application", "json")
        wanted = "html" if better else "json"
    cache = exchange.app.cache
    figures = None if cache is None else cache.figures
    told = report(exchange.app.counters, time.monotonic(), figures)
    fields = (*_NO_STORE, ("Vary", "Accept"))
    if wanted == "html":
        exchange.respond(200, to_html(told).encode(), "text/html; charset=utf-8", fields)
    else:
        exchange.respond(200, _dump(told.to_json()), _JSON, fields)


async def short_status(exchange: Exchange) -> None:
    """Answer /status: requests so far and seconds since the start."""
    told = status(exchange.app.counters, time.monotonic())
    exchange.respond(200, _dump(told), _JSON, _NO_STORE)


async def healthz(exchange: Exchange) -> None:
    """Answer /healthz: 200 while requests are welcome, 503 while the proxy is stopping."""
    if exchange.app.draining:
        raise Problem(503, "The proxy is stopping.", fields={"Retry-After": "5"})
    exchange.respond(200, b'{"status": "ok"}\n', _JSON, _NO_STORE)


def _dump(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
