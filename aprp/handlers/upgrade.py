"""The door of Upgrade: WebSocket and other protocols on the same connection (RFC 9110 7.8)."""

from aprp.handlers import fields
from aprp.handlers.errors import Problem, problem_of
from aprp.handlers.exchange import Exchange
from aprp.handlers.passthrough import Relay, relay, target_of, with_via
from aprp.handlers.tunnelling import drop, tunnel
from aprp.semantics.headers import Fields, Pair
from aprp.semantics.upgrades import is_answer, upgrade_fields
from aprp.stats.counters import Count
from aprp.upstream.asking import Ask
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead


async def serve(exchange: Exchange, upgrade: str) -> None:
    """Ask the origin to switch, and carry bytes once it has; any other answer is handed on.

    `upgrade` is what `aprp.semantics.upgrades.wants_upgrade` gave: the protocols to ask for.
    Raises Problem.
    """
    reader = _Switch(exchange)
    ask = exchange.ask(reader)
    pairs = request_fields(exchange, upgrade)
    await relay(exchange, reader, ask, target_of(exchange), pairs, upgrade=True)
    if reader.switched is not None and not exchange.closed:
        await _switch(exchange, ask, reader.switched, upgrade)


async def _switch(exchange: Exchange, ask: Ask, head: ResponseHead, asked: str) -> None:
    """Hand on a 101 and what follows it."""
    chosen = head.fields.get("Upgrade")
    try:
        origin = ask.detach()
    except OriginFailure as error:
        raise problem_of(error, exchange.origin or "origin") from error
    if chosen is None or not is_answer(chosen, asked):
        drop(origin)
        exchange.app.counters.add(Count.ORIGIN_REJECTED)
        raise Problem(
            502,
            "The origin switched to a protocol that was not asked for.",
            private=f"{exchange.origin}: {chosen!r} for {asked!r}",
        )
    pairs = upgrade_fields(head.fields.get_all(), head.fields.get("Connection"), chosen)
    await tunnel(exchange, origin, 101, head.reason, Fields(with_via(exchange, head, pairs)))


def request_fields(exchange: Exchange, upgrade: str) -> list[Pair]:
    """The fields for the origin: the client's own in their order, Upgrade, and who asked."""
    headers = exchange.headers
    pairs = upgrade_fields(headers.get_all(), headers.get("Connection"), upgrade)
    return fields.with_own(exchange, pairs)


class _Switch(Relay):
    """Takes the origin's answer: a 101 is kept in `switched`, another goes to the client."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.switched: ResponseHead | None = None

    def on_head(self, head: ResponseHead) -> None:
        """See Relay."""
        if head.status == 101:
            self.switched = head
        else:
            super().on_head(head)
