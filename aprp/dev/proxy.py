"""The proxy before the backend: requests wait for it, pass, or are told why it does not answer."""

import asyncio
import contextlib
import dataclasses
import secrets
import socket
import struct
from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from aprp.application import Application
from aprp.dev.failure import STATE_PAGE, failure_answer, state_json
from aprp.dev.filters import AnswerFilter, FilteringRelay
from aprp.dev.machine import State
from aprp.dev.supervisor import MOST_WAITING, Supervisor
from aprp.front.connection import ClientConnection
from aprp.front.server import ProxyServer
from aprp.handlers import fields, passthrough, upgrade
from aprp.handlers.doors import Door
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE
from aprp.semantics.upgrades import wants_upgrade
from aprp.sites.site import Site, make_site
from aprp.stats.counters import Counters
from aprp.upstream.asking import Limits
from aprp.upstream.origins import Origin, origin_tls

if TYPE_CHECKING:
    from settings.base import Settings

# How long a page waits for the next turn of the backend before it asks again, in seconds.
_TURN_PATIENCE: Final = 25.0

# How long an answer that failed waits for the news that the backend has ended, in seconds.
_NEWS_PATIENCE: Final = 0.25

_RESET: Final = struct.pack("ii", 1, 0)
_PLAIN: Final = "text/plain; charset=utf-8"


class Verdict(Enum):
    """What becomes of a request that has come."""

    PASS = auto()
    REFUSED = auto()
    TURNED_AWAY = auto()
    OVER = auto()


class Visit:
    """A request as the supervisor knows it (see `aprp.dev.supervisor.Visitor`).

    It is the exchange's work while it waits: a client that goes away ends the waiting.
    """

    def __init__(self, exchange: Exchange) -> None:
        """Nothing is decided yet."""
        self._exchange = exchange
        self.verdict: asyncio.Future[Verdict] = exchange.loop.create_future()
        self.dropped = asyncio.Event()

    def admit(self) -> None:
        """See Visitor."""
        self._decide(Verdict.PASS)

    def refuse(self) -> None:
        """See Visitor."""
        self._decide(Verdict.REFUSED)

    def turn_away(self) -> None:
        """See Visitor."""
        self._decide(Verdict.TURNED_AWAY)

    def drop(self) -> None:
        """See Visitor: what the client has of the answer must not look complete."""
        exchange = self._exchange
        self.dropped.set()
        if exchange.end is None:
            exchange.end = "backend is restarted"
        connection = exchange.connection
        if isinstance(connection, DevConnection):
            connection.reset()
        exchange.lose_client()
        self._decide(Verdict.OVER)

    def abort(self) -> None:
        """See `aprp.handlers.exchange.Work`."""
        self._decide(Verdict.OVER)

    def _decide(self, verdict: Verdict) -> None:
        if not self.verdict.done():
            self.verdict.set_result(verdict)


class DevConnection(ClientConnection):
    """A client's connection that can be broken off."""

    def reset(self) -> None:
        """Close at once, and so that the client sees it broken, not ended (RFC 9112 section 8).

        An answer without a length would look complete if the connection ended in good order.
        """
        if self._transport is not None:
            # A connection that is gone already needs no more.
            with contextlib.suppress(OSError):
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                )
        self.abort()


class DevServer(ProxyServer):
    """Accepts connections that can be broken off."""

    def _accept(self) -> asyncio.BufferedProtocol:
        return DevConnection(self)


class DevApplication(Application):
    """Every request goes to the backend, as it came, when the supervisor lets it.

    `supervisor` and `server` are set before the first request. `answers`, if any, changes answers
    on their way. `pages` are paths that it answers for itself, whatever the backend does.
    """

    def __init__(self, settings: "Settings", answers: AnswerFilter | None = None) -> None:
        """`settings` name the backend in UPSTREAM."""
        tls = origin_tls(None)
        origins = [Origin.parse(url, tls) for url in settings.UPSTREAM]
        super().__init__(settings, Counters(1), origins, tls)
        self.supervisor: Supervisor
        self.server: DevServer
        self.pages: dict[str, Door] = {}
        self.door = self._enter
        self._answers = answers
        self._turn = asyncio.Event()
        # Pages of an earlier aprp dev are to see that this is another.
        self._name = secrets.token_hex(4)

    def turned(self, state: State) -> None:
        """The backend stands otherwise now; answers may be others from here on."""
        if state is not State.RUNNING:
            self.server.close_idle()
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    def site_of(self, url: str) -> Site:
        """The site of another server than the backend."""
        settings, default = self.settings, self.sites.default
        limits = Limits(
            settings.CONNECT_TIMEOUT, settings.FIRST_BYTE_TIMEOUT, settings.IDLE_TIMEOUT
        )
        origins = [Origin.parse(url, origin_tls(None))]
        policy = default.source.policy
        return make_site(origins, self._make_ask, limits, policy, retry_after=0.0, key=url)

    @property
    def _key(self) -> str:
        """Stands for what clients are answered with at this moment."""
        return f"{self._name}-{self.supervisor.run}-{self.supervisor.state.value}"

    async def _enter(self, exchange: Exchange) -> None:
        """Send an exchange to the backend, if there is one."""
        malformed = getattr(exchange.connection, "malformed", None)
        if malformed is not None:
            status, detail, more = malformed
            raise Problem(status, detail, fields=more)
        if exchange.method == "CONNECT":
            raise Problem(405, "The development proxy makes no tunnels.", fields={"Allow": "GET"})
        path, _, query = exchange.resource.partition("?")
        if path == STATE_PAGE:
            await self._tell_state(exchange, query)
            return
        if (page := self.pages.get(path)) is not None:
            await page(exchange)
            return
        visit = Visit(exchange)
        exchange.work = visit
        number = self.supervisor.arrive(visit)
        try:
            verdict = await visit.verdict
            exchange.work = None
            await self._serve_as(exchange, visit, verdict)
        finally:
            self.supervisor.leave(number)

    async def _serve_as(self, exchange: Exchange, visit: Visit, verdict: Verdict) -> None:
        match verdict:
            case Verdict.PASS:
                try:
                    await self._pass(exchange)
                except Problem:
                    if not await self._was_dropped(visit):
                        raise
            case Verdict.REFUSED:
                failure, accept = self.supervisor.failure, exchange.headers.get("Accept") or ""
                kind, body, more = failure_answer(failure, accept, exchange.method, self._key)
                exchange.respond(503, body, kind, more)
            case Verdict.TURNED_AWAY:
                text = f"{MOST_WAITING} requests wait for the backend already.\n"
                exchange.respond(503, text.encode(), _PLAIN, (("Retry-After", "1"),))
            case Verdict.OVER:
                pass

    async def _was_dropped(self, visit: Visit) -> bool:
        """Whether an answer failed because the backend has ended, which may be known later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_PATIENCE):
                await visit.dropped.wait()
        return visit.dropped.is_set()

    async def _pass(self, exchange: Exchange) -> None:
        get = exchange.headers.get
        # The backend shall know itself by the name that the browser has: it compares Origin with
        # it, and makes links of it.
        exchange.site = dataclasses.replace(self.sites.default, host=get("Host"))
        if "Upgrade" in exchange.headers and (
            protocols := wants_upgrade(get, exchange.version, exchange.method)
        ):
            await upgrade.serve(exchange, protocols)
            return
        pairs, target = fields.of_request(exchange), passthrough.target_of(exchange)
        if self._answers is None:
            relay = passthrough.Relay(exchange)
            await passthrough.relay(exchange, relay, exchange.ask(relay), target, pairs)
            return
        pairs = self._answers.ask(exchange, pairs)
        filtering = FilteringRelay(exchange, self._answers)
        await passthrough.relay(exchange, filtering, exchange.ask(filtering), target, pairs)
        await filtering.complete()

    async def _tell_state(self, exchange: Exchange, query: str) -> None:
        """Tell the state; where it is still `after`, at the next turn, or after a while."""
        if parse_qs(query).get("after") == [self._key]:
            visit = Visit(exchange)
            exchange.work = visit
            turned = self.loop.create_task(self._turn.wait())
            await asyncio.wait(
                (turned, visit.verdict),
                timeout=_TURN_PATIENCE,
                return_when=asyncio.FIRST_COMPLETED,
            )
            turned.cancel()
            exchange.work = None
            if exchange.closed:
                return
        body = state_json(self.supervisor.state, self._key)
        exchange.respond(200, body, "application/json", NO_STORE)

    async def shut(self, sockets: Sequence[socket.socket]) -> None:
        """Close everything at once."""
        self.server.stop()
        await self.close_tunnels()
        self.server.close_all()
        await self.close()
        for listening in sockets:
            listening.close()
