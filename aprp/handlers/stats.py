"""The proxy's own pages: /stats, /stats.json, /status, /metrics, /healthz."""

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE
from aprp.semantics.accept import quality
from aprp.stats.cache import Figures
from aprp.stats.html import to_page
from aprp.stats.metrics import SharedCollector, exposition
from aprp.stats.report import Report, report, status
from aprp.stats.shared_sum import Sum

if TYPE_CHECKING:
    from aprp.application import Application

_JSON = "application/json"
_NEGOTIATED = (*NO_STORE, ("Vary", "Accept"))


async def stats(exchange: Exchange) -> None:
    """Answer /stats: JSON or a page, by `?format=` or by Accept."""
    wanted = parse_qs(exchange.resource.partition("?")[2]).get("format", [""])[-1]
    if wanted not in ("", "json", "html"):
        raise Problem(400, f"The format {wanted!r} is not known: use format=json or format=html.")
    if not wanted:
        accept = exchange.headers.get("Accept") or ""
        better = quality(accept, "text", "html") > quality(accept, "application", "json")
        wanted = "html" if better else "json"
    told = report_of(exchange.app)
    if wanted == "html":
        page = to_page(told)
        fields = (*_NEGOTIATED, ("Content-Security-Policy", page.policy))
        body = page.with_data({"player": exchange.app.settings.PLAYER})
        exchange.respond(200, body, "text/html; charset=utf-8", fields)
    else:
        exchange.respond(200, _dump(told.to_json()), _JSON, _NEGOTIATED)


async def stats_json(exchange: Exchange) -> None:
    """Answer /stats.json: what /stats gives as JSON; docs/stats.schema.json describes it."""
    exchange.respond(200, _dump(report_of(exchange.app).to_json()), _JSON, NO_STORE)


async def metrics(exchange: Exchange) -> None:
    """Answer /metrics: for Prometheus, in the text format that Accept asks for."""
    app = exchange.app
    figures, shared = _figures(app), _sum(app)
    now = time.monotonic()
    collector = SharedCollector(app.counters, app.histograms, now, figures, shared)
    text, content_type = exposition(exchange.headers.get("Accept") or "", collector)
    exchange.respond(200, text, content_type, _NEGOTIATED)


async def short_status(exchange: Exchange) -> None:
    """Answer /status: requests so far and seconds since the start, and the sum over machines."""
    app = exchange.app
    told = status(app.counters, time.monotonic(), _sum(app))
    exchange.respond(200, _dump(told), _JSON, NO_STORE)


async def healthz(exchange: Exchange) -> None:
    """Answer /healthz: 200 while requests are welcome, 503 while the proxy is stopping."""
    if exchange.app.draining:
        raise Problem(503, "The proxy is stopping.", fields={"Retry-After": "5"})
    exchange.respond(200, b'{"status": "ok"}\n', _JSON, NO_STORE)


def _figures(app: "Application") -> Figures | None:
    cache = app.cache
    return None if cache is None else cache.figures


def _sum(app: "Application") -> Sum | None:
    redis = app.redis
    return None if redis is None else redis.read()


def report_of(app: "Application") -> Report:
    """What /stats tells at this moment."""
    figures, target, shared = _figures(app), app.sites.target, _sum(app)
    return report(app.counters, time.monotonic(), figures, target=target, redis=shared)


def _dump(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
