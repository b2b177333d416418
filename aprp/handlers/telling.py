"""What is told of an exchange that is over: a line in the log, histograms, its span."""

from typing import TYPE_CHECKING

from aprp import logs
from aprp.stats.histograms import Measure

if TYPE_CHECKING:
    from aprp.handlers.exchange import Exchange


def tell(exchange: "Exchange") -> None:
    """Tell of an exchange, once."""
    total = exchange.loop.time() - exchange.started
    if exchange.is_transfer:
        _measure(exchange, total)
    span, headers = exchange.span, exchange.headers
    logs.access(
        logs.AccessEntry(
            client=exchange.client,
            method=exchange.method,
            target=exchange.target,
            version=exchange.version,
            status=exchange.status,
            range=exchange.range_text,
            sent=exchange.sent,
            first_byte=exchange.first_byte,
            total=total,
            origin=exchange.origin,
            request_id=exchange.request_id,
            referer=headers.get("Referer"),
            user_agent=headers.get("User-Agent"),
            end=exchange.end,
            slow=is_slow(exchange, total),
            traceparent=headers.get("traceparent") if span is None else span.traceparent,
        )
    )
    if span is not None:
        span.end(
            exchange.status,
            sent=exchange.sent,
            range_text=exchange.range_text,
            first_byte=exchange.first_byte,
            why=exchange.end,
        )


def _measure(exchange: "Exchange", total: float) -> None:
    """Add a request that went to a site and was no tunnel to the histograms."""
    observe = exchange.app.histograms.observe
    observe(Measure.REQUEST_TIME, total)
    if exchange.first_byte is not None:
        observe(Measure.FIRST_BYTE_TIME, exchange.first_byte)
    if exchange.status == 206 and exchange.method != "HEAD":
        observe(Measure.RANGE_SIZE, exchange.sent)


def is_slow(exchange: "Exchange", total: float) -> bool:
    """Whether the client has waited longer than SLOW_REQUEST for the first byte.

    Where the answer has no body, or none has come, it is the whole time, `total` seconds; a
    tunnel's answer is its head.
    """
    limit = exchange.app.settings.SLOW_REQUEST
    if not limit:
        return False
    waited = exchange.tunnel_after if exchange.first_byte is None else exchange.first_byte
    return (total if waited is None else waited) > limit
