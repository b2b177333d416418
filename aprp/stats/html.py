"""The page of /stats with its figures: for readers without scripts, and before the first event.

Pure: a report in, the page out. Each cell names the member of /stats.json that it shows
(`data-of`) and how (`data-as`): the page's scripts write newer figures into the same cells.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from aprp.pages.page import Page, load
from aprp.stats.report import Report

_KEYS = (
    ("uptime.text", "text", "Uptime"),
    ("requests", "count", "Requests"),
    ("transfers.active", "count", "Active transfers"),
    ("workers", "count", "Workers"),
    ("cache.hit_ratio", "percent", "Hit ratio by bytes"),
)
_CACHE = (
    ("cache.hit_ratio", "percent", "hit ratio by bytes"),
    ("cache.requests.hits", "count", "hits"),
    ("cache.requests.partial_hits", "count", "partial hits"),
    ("cache.requests.misses", "count", "misses"),
    ("cache.requests.passes", "count", "passed on"),
    ("cache.requests.stale", "count", "stale"),
    ("cache.requests.collapsed", "count", "joined a fetch"),
    ("cache.bytes_from_cache.MB", "decimal", "MB from the cache"),
    ("cache.used.MB", "decimal", "MB stored"),
    ("cache.size.MB", "decimal", "MB at most"),
    ("cache.objects", "count", "objects"),
    ("cache.slices.stored", "count", "slices stored"),
    ("cache.evictions", "count", "extents removed for room"),
    ("cache.revalidations", "count", "revalidations"),
    ("cache.resumes", "count", "fetches resumed"),
)
_RESPONSES = tuple((f"responses.{n}xx", "count", f"{n}xx") for n in range(1, 6))
_ERRORS = (
    ("transfers.aborted_by_clients", "count", "cut short by the client"),
    ("transfers.broken_by_origins", "count", "cut short by the origin"),
    ("origins.failures", "count", "connections to origins that failed"),
    ("origins.timeouts", "count", "answers of origins not in time"),
    ("origins.failovers", "count", "turns to another origin"),
    ("origins.surplus", "count", "answers of origins too long"),
    ("origins.rejected", "count", "answers of origins refused"),
    ("cache.slices.wrong", "count", "stored slices found wrong"),
)
_ORIGINS = (
    ("origins.requests", "count", "requests"),
    ("origins.connects", "count", "connections opened"),
    ("origins.reuses", "count", "connections used again"),
)
_TUNNELS = (
    ("tunnels.open", "count", "open"),
    ("tunnels.opened", "count", "opened"),
    ("tunnels.bytes_up.MB", "decimal", "MB up"),
    ("tunnels.bytes_down.MB", "decimal", "MB down"),
)
_SUMS = (
    ("requests", "requests"),
    ("bytes_to_clients", "bytes to clients"),
    ("bytes_from_origins", "bytes from origins"),
    ("bytes_from_cache", "bytes from the cache"),
)


def to_page(report: Report) -> Page:
    """Give the page of /stats: whole in itself, it loads nothing from elsewhere."""
    told: dict[str, Any] = report.to_json()
    cache = told["cache"]
    return load("dashboard").with_parts(
        {
            "version": escape(told["version"]),
            "keys": "\n".join(
                f'<div class="key{" long" if kind == "text" else ""}">'
                f"<dt>{name}</dt><dd{_marks(path, kind)}>{_figure(told, path, kind)}</dd></div>"
                for path, kind, name in _KEYS
            ),
            "volumes": "\n".join(
                _row(
                    unit,
                    (f"bytes_to_clients.{unit}", kind),
                    (f"bytes_from_origins.{unit}", kind),
                    told=told,
                )
                for unit, kind in (("bytes", "count"), ("kB", "decimal"), ("MB", "decimal"))
            ),
            "storing": escape(
                f"Not storing: {cache['problem']}" if cache["problem"] else "Storing"
            ),
            "level": _level(cache["used"]["bytes"], cache["size"]["bytes"]),
            "cache": _rows(told, _CACHE),
            "responses": _rows(told, _RESPONSES),
            "errors": _rows(told, _ERRORS, more=" data-bad"),
            "target": escape("Requests go to " + (told["target"] or "UPSTREAM")),
            "origins": _rows(told, _ORIGINS),
            "tunnels": _rows(told, _TUNNELS),
            "redis": _redis(told),
        }
    )


def _level(used: int, size: int) -> str:
    """How full the cache is, as a bar."""
    return (
        f'<progress id="level" aria-label="Used of the size of the cache" '
        f'max="{max(size, 1)}" value="{min(used, size)}"></progress>'
    )


def _redis(told: Mapping[str, Any]) -> str:
    """This machine beside the sum of all; nothing without Redis."""
    redis = told.get("redis")
    if redis is None:
        return ""
    look = {"up": "good", "down": "bad"}.get(redis["state"], "warn")
    rows = [
        _row(name, (_own(key), "count"), (f"redis.sum.{key}", "count"), told=told)
        for key, name in _SUMS
        if key in redis["sum"]
    ]
    return f"""\
<section class="card">
<h2>All machines</h2>
<p id="redis-state" class="notice {look}">{escape(redis["text"])}</p>
<table>
<thead><tr>
<th scope="col">machines: {_cell(told, "redis.machines", "count", "span")}</th>
<th scope="col" class="number">this one</th><th scope="col" class="number">all</th>
</tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table>
</section>"""


def _own(key: str) -> str:
    """Where this machine's own figure stands in the report."""
    if key == "bytes_from_cache":
        return "cache.bytes_from_cache.bytes"
    return f"{key}.bytes" if key.startswith("bytes") else key


def _rows(
    told: Mapping[str, Any], rows: tuple[tuple[str, str, str], ...], *, more: str = ""
) -> str:
    return "\n".join(_row(name, (path, kind), told=told, more=more) for path, kind, name in rows)


def _row(name: str, *cells: tuple[str, str], told: Mapping[str, Any], more: str = "") -> str:
    figures = "".join(_cell(told, path, kind, "td", more) for path, kind in cells)
    return f'<tr><th scope="row">{name}</th>{figures}</tr>'


def _cell(told: Mapping[str, Any], path: str, kind: str, element: str, more: str = "") -> str:
    bad = ' class="some"' if more and _value(told, path) else ""
    marks = f"{_marks(path, kind)}{more}{bad}"
    return f"<{element}{marks}>{_figure(told, path, kind)}</{element}>"


def _marks(path: str, kind: str) -> str:
    return f' data-of="{path}" data-as="{kind}"'


def _figure(told: Mapping[str, Any], path: str, kind: str) -> str:
    value = _value(told, path)
    match kind:
        case "count":
            return f'<data value="{value}">{value:,}</data>'
        case "decimal":
            return f'<data value="{value:.3f}">{value:,.2f}</data>'
        case "percent":
            return f'<data value="{value:.4f}">{value:.1%}</data>'
    return escape(str(value))


def _value(told: Mapping[str, Any], path: str) -> Any:
    value: Any = told
    for name in path.split("."):
        value = value[name]
    return value
