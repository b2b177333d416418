"""The proxy's own pages: /stats, /stats.json, /status, /metrics, /healthz."""

import json
import time
from urllib.parse import parse_qs

from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.accept import quality
from aprp.stats.cache import Figures
from aprp.stats.metrics import SharedCollector, exposition
from aprp.stats.report import Report, report, status, to_html

_JSON = "application/json"
_NO_STORE = (("Cache-Control", "no-store"),)
_NEGOTIATED = (*_NO_STORE, ("Vary", "Accept"))


async def stats(exchange: Exchange) -> None:
    """Answer /stats: JSON or a page, by `?format=` or by Accept."""
    wanted = parse_qs(exchange.resource.partition("?")[2]).get("format", [""])[-1]
    if wanted not in ("", "json", "html"):
        raise Problem(400, f"The format {wanted!r} is not known: use format=json or format=html.")
    if not wanted:
        accept = exchange.headers.get("Accept") or ""
        better = quality(accept, "text", "html") > quality(accept, "application", "json")
        wanted = "html" if better else "json"
    told = _report(exchange)
    if wanted == "html":
        exchange.respond(200, to_html(told).encode(), "text/html; charset=utf-8", _NEGOTIATED)
    else:
        exchange.respond(200, _dump(told.to_json()), _JSON, _NEGOTIATED)


async def stats_json(exchange: Exchange) -> None:
    """Answer /stats.json: what /stats gives as JSON; docs/stats.schema.json describes it."""
    exchange.respond(200, _dump(_report(exchange).to_json()), _JSON, _NO_STORE)


async def metrics(exchange: Exchange) -> None:
    """Answer /metrics: for Prometheus, in the text format that Accept asks for."""
    app = exchange.app
    collector = SharedCollector(app.counters, app.histograms, time.monotonic(), _figures(exchange))
    text, content_type = exposition(exchange.headers.get("Accept") or "", collector)
    exchange.respond(200, text, content_type, _NEGOTIATED)


async def short_status(exchange: Exchange) -> None:
    """Answer /status: requests so far and seconds since the start."""
    told = status(exchange.app.counters, time.monotonic())
    exchange.respond(200, _dump(told), _JSON, _NO_STORE)


async def healthz(exchange: Exchange) -> None:
    """Answer /healthz: 200 while requests are welcome, 503 while the proxy is stopping."""
    if exchange.app.draining:
        raise Problem(503, "The proxy is stopping.", fields={"Retry-After": "5"})
    exchange.respond(200, b'{"status": "ok"}\n', _JSON, _NO_STORE)


def _figures(exchange: Exchange) -> Figures | None:
    cache = exchange.app.cache
    return None if cache is None else cache.figures


def _report(exchange: Exchange) -> Report:
    app = exchange.app
    target = app.sites.target
    return report(app.counters, time.monotonic(), _figures(exchange), target=target)


def _dump(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
