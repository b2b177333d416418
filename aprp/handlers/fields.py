"""The fields of a request on their way to an origin: the client's, the proxy's, the site's."""

from typing import Final

from aprp.handlers.exchange import Exchange
from aprp.semantics.forwarded import FORWARDING_FIELDS
from aprp.semantics.headers import Pair, add_via, end_to_end
from aprp.semantics.rewriting import origin_destination, origin_origin, origin_referer
from aprp.semantics.tracing import REQUEST_ID, propagated, with_parent

# Set by the proxy itself: by whom, and Content-Length by who sends the body.
_OWN: Final = frozenset(
    {"host", "content-length", "via"} | {name.lower() for name in (*FORWARDING_FIELDS, REQUEST_ID)}
)
# Of no meaning to an origin that is asked for bytes.
_NOT_FOR_MEDIA: Final = frozenset({"range", "if-range", "expect"})
# What may name the proxy where the origin is meant.
_SPOKEN: Final = frozenset({"destination", "origin", "referer"})


def of_request(exchange: Exchange) -> list[Pair]:
    """The client's end-to-end fields as they came, and who asked (RFC 7239)."""
    headers = exchange.headers
    return with_own(exchange, end_to_end(headers.get_all(), headers.get("Connection")))


def with_own(exchange: Exchange, pairs: list[Pair]) -> list[Pair]:
    """Put in what the proxy and its settings say in the place of the client."""
    dropped = _OWN
    if not getattr(exchange.connection, "expects_continue", False):
        # RFC 9110 section 10.1.1: HTTP/1.0 has no such thing, or it has been answered.
        dropped = dropped | {"expect"}
    kept = [pair for pair in _traced(exchange, pairs) if pair[0].lower() not in dropped]
    if exchange.method == "OPTIONS":
        kept = [_one_hop_less(name, value) for name, value in kept]
    kept += _told(exchange)
    return _of_site(exchange, kept)


def _one_hop_less(name: str, value: str) -> Pair:
    """Count Max-Forwards down (RFC 9110 section 7.6.2); 0 does not come here."""
    count = value.strip()
    if name.lower() == "max-forwards" and count.isascii() and count.isdecimal():
        return name, str(int(count) - 1)
    return name, value


def for_media(exchange: Exchange) -> dict[str, str]:
    """The same for a question of the media path, whose own range and conditions come to it."""
    headers = exchange.headers
    fields: dict[str, str] = {}
    spelt: dict[str, str] = {}
    pairs = end_to_end(headers.get_all(), headers.get("Connection"), _NOT_FOR_MEDIA)
    for name, value in _traced(exchange, pairs):
        key = name.lower()
        if key in _OWN:
            continue
        if key in spelt:
            # RFC 9110 section 5.3; the one field whose lines are joined otherwise is Cookie.
            fields[spelt[key]] += f"{'; ' if key == 'cookie' else ', '}{value}"
            continue
        if key == "accept-encoding":
            # A delivery may set it.
            name = "Accept-Encoding"
        spelt[key] = name
        fields[name] = value
    fields |= _told(exchange)
    site = exchange.site
    if site.fields or site.host is not None or not _SPOKEN.isdisjoint(spelt):
        return dict(_of_site(exchange, list(fields.items())))
    return fields


def _told(exchange: Exchange) -> list[Pair]:
    """What the proxy says of itself and of the client."""
    app, headers = exchange.app, exchange.headers
    via = add_via(headers.get("Via"), exchange.version, app.settings.VIA_NAME)
    who = app.clients.forwarded(exchange)
    return [("Via", via), (REQUEST_ID, exchange.request_id), *who.items()]


def _traced(exchange: Exchange, pairs: list[Pair]) -> list[Pair]:
    """Leave out what is malformed of the fields of Trace Context; name the request's own span."""
    headers, span = exchange.headers, exchange.span
    if "traceparent" in headers or "tracestate" in headers:
        pairs = propagated(pairs)
    return pairs if span is None else with_parent(pairs, span.traceparent)


def _of_site(exchange: Exchange, pairs: list[Pair]) -> list[Pair]:
    """Have what ROUTES says of the site, and the origin's name where the proxy's is spoken of."""
    site = exchange.site
    if site.fields:
        own = {name.lower() for name, _ in site.fields}
        pairs = [pair for pair in pairs if pair[0].lower() not in own]
        pairs += site.fields
    if site.host is not None:
        pairs.append(("Host", site.host))
    return _renamed(exchange, pairs) if site.named else pairs


def _renamed(exchange: Exchange, pairs: list[Pair]) -> list[Pair]:
    app = exchange.app
    spoken = {"destination": origin_destination} if app.settings.REWRITE_REDIRECTS else {}
    if app.settings.REWRITE_ORIGIN:
        spoken |= {"origin": origin_origin, "referer": origin_referer}
    if not any(name.lower() in spoken for name, _ in pairs):
        return pairs
    names = exchange.site.names(*app.clients.seen_as(exchange))
    if names is None:
        return pairs
    return [
        (name, spoken[key](value, names)) if (key := name.lower()) in spoken else (name, value)
        for name, value in pairs
    ]
