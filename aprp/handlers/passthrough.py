"""The door of all that is no plain download: any method, bodies both ways, as they are."""

import asyncio
import logging
from email.utils import formatdate

from aprp.cache.entry import CannotStore
from aprp.handlers import fields
from aprp.handlers.errors import Problem, problem_of
from aprp.handlers.exchange import Exchange, too_large
from aprp.semantics.cache_status import cache_status
from aprp.semantics.headers import (
    BadTarget,
    Fields,
    Pair,
    add_via,
    end_to_end,
    safe_query,
    safe_target,
)
from aprp.semantics.storing import invalidated_targets
from aprp.semantics.upgrades import offer
from aprp.stats.counters import Count
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

_log = logging.getLogger("aprp")


class Relay(Reader):
    """Hands an origin's answer on to the client as it comes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.head: ResponseHead | None = None

    def on_origin(self, origin: Origin) -> None:
        """Note who is asked, for the log."""
        self._exchange.asks(origin.url)

    def on_interim(self, head: ResponseHead) -> None:
        """Hand on what comes before the answer."""
        self._exchange.interim(head)

    def on_head(self, head: ResponseHead) -> None:
        """Begin the answer."""
        self.head = head
        exchange = self._exchange
        app = exchange.app
        text = head.fields.get("Content-Length")
        bodiless = exchange.method == "HEAD" or head.status in (204, 304)
        length = 0 if bodiless else int(text) if text is not None else None
        own = Fields(answer_fields(exchange, head))
        if "Date" not in own:
            # RFC 9110 section 6.6.1.
            own["Date"] = formatdate(usegmt=True)
        if app.library is not None:
            # RFC 9211 section 2.2: a GET comes here that asks for an upgrade, and is not looked up.
            why = "bypass" if exchange.method in ("GET", "HEAD") else "method"
            told = cache_status(app.settings.VIA_NAME, fwd=why, fwd_status=head.status)
            before = own.get("Cache-Status")
            own["Cache-Status"] = f"{before}, {told}" if before else told
        exchange.begin(head.status, head.reason, own, length)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Hand body bytes on."""
        return self._exchange.write(view)

    async def settle(self) -> None:
        """Return when all that came has been handed on to the client's connection."""


class _Changing(Relay):
    """The relay of a request that may change what is stored (RFC 9111 section 4.4).

    Who has seen the answer must not be given what was stored before: the answer waits until
    that is gone.
    """

    def __init__(self, exchange: Exchange, target: str) -> None:
        """`target` is what the origin is asked for."""
        super().__init__(exchange)
        self._target = target
        self._clearing: asyncio.Task[None] | None = None

    def on_head(self, head: ResponseHead) -> None:
        """See Relay."""
        exchange = self._exchange
        origin = exchange.site.origins.origins[0]
        base = origin.base_path
        changed = invalidated_targets(
            exchange.method, head.status, base + self._target, head.fields.get, origin.host
        )
        targets = [target[len(base) :] for target in changed if target.startswith(f"{base}/")]
        if targets:
            self._clearing = exchange.loop.create_task(self._clear(targets, head))
        else:
            super().on_head(head)

    async def _clear(self, targets: list[str], head: ResponseHead) -> None:
        library, source = self._exchange.app.library, self._exchange.site.source
        assert library is not None
        try:
            for target in targets:
                await library.purge(source, target)
        except CannotStore as error:
            _log.warning(
                "%s may be answered from the cache still: %s",
                self._target,
                error,
                extra=self._exchange.about,
            )
        super().on_head(head)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """See Relay."""
        if self._clearing is None or self._clearing.done():
            return super().on_body(view)
        return asyncio.ensure_future(self._hand_on(self._clearing, view))

    async def _hand_on(self, clearing: "asyncio.Task[None]", view: memoryview) -> None:
        await clearing
        waiting = super().on_body(view)
        if waiting is not None:
            await waiting

    async def settle(self) -> None:
        """See Relay."""
        if self._clearing is not None:
            await self._clearing


async def serve(exchange: Exchange) -> None:
    """Hand a request on, and its answer back. Raises Problem."""
    target = target_of(exchange)
    cached = exchange.app.library is not None
    reader = _Changing(exchange, target) if cached else Relay(exchange)
    await relay(exchange, reader, exchange.ask(reader), target, fields.of_request(exchange))


async def relay(
    exchange: Exchange,
    reader: Relay,
    ask: Ask,
    target: str,
    pairs: list[Pair],
    upgrade: bool = False,
) -> None:
    """Ask the request's site, and return when the answer has been handed on.

    Where the client goes away, or the answer breaks off, the exchange is over. Raises Problem, or
    BodyFailed for a request's body that is no good, where nothing has been answered yet.
    """
    app = exchange.app
    most, body = app.settings.MAX_BODY_SIZE, exchange.body
    if body is not None and body.length is not None and 0 < most < body.length:
        raise too_large(most)
    exchange.work = ask
    app.counters.add(Count.ACTIVE_TRANSFERS)
    try:
        try:
            await ask.send(exchange.method, target, pairs, body=body, upgrade=upgrade)
        finally:
            await reader.settle()
    except OriginFailure as error:
        if exchange.closed:
            return
        if not exchange.status:
            raise problem_of(error, exchange.origin or "origin") from error
        app.counters.add(Count.ORIGIN_BREAKS)
        exchange.cut_short("origin broke")
    finally:
        exchange.work = None
        app.counters.add(Count.ACTIVE_TRANSFERS, -1)


def answer_fields(exchange: Exchange, head: ResponseHead) -> list[Pair]:
    """The fields for the client: the origin's end-to-end ones in their order, Via, an Upgrade."""
    pairs = end_to_end(head.fields.get_all(), head.fields.get("Connection"))
    pairs += offer(head.status, head.fields.get("Upgrade"))
    return with_via(exchange, head, pairs)


def with_via(exchange: Exchange, head: ResponseHead, pairs: list[Pair]) -> list[Pair]:
    """Add this proxy to the Via of an answer."""
    via = add_via(head.fields.get("Via"), head.version, exchange.app.settings.VIA_NAME)
    return [*(pair for pair in pairs if pair[0].lower() != "via"), ("Via", via)]


def target_of(exchange: Exchange) -> str:
    """Path and query for the origin, `*` for all of it; raises Problem."""
    if exchange.resource == "*":
        return "*"
    path, mark, query = exchange.resource.partition("?")
    site = exchange.site
    try:
        path = site.target(safe_target(path))
        target = f"{path}?{safe_query(query)}" if mark else path
    except BadTarget as error:
        raise Problem(400, f"Bad request target: {error}.") from None
    exchange.asked = site.origins.origins[0].base_path + target
    return target
