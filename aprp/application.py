"""The application: which door a request goes through, and what the doors share."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, cast

from tornado import httputil

from aprp.cache.cache import Cache
from aprp.front.quotas import make_quotas
from aprp.front.wire import RequestConnection
from aprp.handlers import connect, forward, media, options, passthrough, purge, stats, upgrade
from aprp.handlers import target as target_switch
from aprp.handlers.errors import LOOPED, Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.ids import RequestIds
from aprp.handlers.links import check_signature
from aprp.media.context import Context, Tuning
from aprp.media.library import Library
from aprp.media.plan import Grid
from aprp.media.tally import Tallies
from aprp.semantics.forwarded import client_address, forward_fields
from aprp.semantics.loops import passed_through
from aprp.semantics.networks import Networks
from aprp.semantics.upgrades import wants_upgrade
from aprp.sites.own import OwnAddress
from aprp.sites.site import Site
from aprp.sites.sites import NotAllowed, Sites
from aprp.stats.counters import Count, Counters
from aprp.stats.histograms import Histograms, Measure
from aprp.tunnel.tunnels import Tunnels
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.client import OriginClient, OriginEvents
from aprp.upstream.origins import Origin, Origins

if TYPE_CHECKING:
    from settings.base import Settings

Door = Callable[[Exchange], Awaitable[None]]


class _Counting(OriginEvents):
    """Counts and measures what the client does."""

    def __init__(self, counters: Counters, histograms: Histograms) -> None:
        self._counters = counters
        self._histograms = histograms

    def connected(self) -> None:
        self._counters.add(Count.ORIGIN_CONNECTS)

    def reused(self) -> None:
        self._counters.add(Count.ORIGIN_REUSES)

    def received(self, count: int) -> None:
        self._counters.add(Count.BYTES_FROM_ORIGINS, count)

    def answered(self, seconds: float) -> None:
        self._histograms.observe(Measure.ORIGIN_TIME, seconds)


class Application(httputil.HTTPServerConnectionDelegate):
    """What `tornado.httpserver.HTTPServer` serves; holds what all requests share.

    `settings` is fixed, `counters` is shared by all workers, `origins` are those of UPSTREAM, `tls`
    is for https origins, `embedded` are the sockets of the embedded origin, if there is one.
    Loop-bound parts are made when they are first used, so that the application can be made before
    the workers fork.
    """

    def __init__(
        self,
        settings: "Settings",
        counters: Counters,
        origins: Sequence[Origin],
        tls: ssl.SSLContext,
        embedded: Sequence[socket.socket] = (),
    ) -> None:
        self.settings = settings
        self.counters = counters
        self.histograms = Histograms(counters.workers)
        self.own = OwnAddress()
        self.sites = Sites(settings, origins, tls, self._make_ask, self.own)
        self.quotas = make_quotas(
            counters.workers,
            connections=settings.MAX_CONNECTIONS,
            per_address=settings.MAX_CONNECTIONS_PER_ADDRESS,
            rate=settings.REQUEST_RATE,
        )
        self.embedded = embedded
        self.tallies = Tallies(counters.workers)
        self.draining = False
        self.exchanges: set[Exchange] = set()
        self._finished: asyncio.Future[None] | None = None
        self.cors_origins: frozenset[str] = frozenset(settings.CORS_ORIGINS)
        self.is_trusted = Networks(settings.TRUSTED_PROXIES)
        self.ids = RequestIds(settings.REQUEST_ID_FROM, self.is_trusted)
        prefix = settings.ADMIN_PREFIX
        self._own_pages: dict[str, Door] = {
            f"{prefix}/stats": stats.stats,
            f"{prefix}/stats.json": stats.stats_json,
            f"{prefix}/metrics": stats.metrics,
            f"{prefix}/status": stats.short_status,
            f"{prefix}/healthz": stats.healthz,
        }

    # httputil.HTTPServerConnectionDelegate

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        """Make the exchange for a request that begins."""
        return Exchange(self, cast(RequestConnection, request_conn))

    def on_close(self, server_conn: object) -> None:
        """A client's connection is closed; its exchanges hear of it themselves."""

    def attach(self, worker: int) -> None:
        """Be this worker from now on; called after the fork."""
        self.ids.attach()
        self.counters.attach(worker)
        self.histograms.attach(worker)
        self.tallies.attach(worker)
        if self.quotas is not None:
            self.quotas.attach(worker)

    # For the doors.

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that this process serves on."""
        return asyncio.get_running_loop()

    @cached_property
    def client(self) -> OriginClient:
        """The client that talks to origins."""
        settings = self.settings
        return OriginClient(
            force_instance=True,
            max_clients=settings.ORIGIN_MAX_CONNECTIONS,
            max_header_size=settings.MAX_HEADER_SIZE,
            unlimited_body=True,
            buffer_size=settings.BUFFER_SIZE,
            keep_for=settings.ORIGIN_KEEPALIVE,
            max_idle=settings.ORIGIN_MAX_IDLE,
            events=_Counting(self.counters, self.histograms),
        )

    @cached_property
    def cache(self) -> Cache | None:
        """The cache on the disk; None where it is switched off."""
        settings = self.settings
        if settings.CACHE_DIR is None or settings.CACHE_SIZE == 0:
            return None
        cache = Cache(
            settings.CACHE_DIR,
            settings.CACHE_SIZE,
            settings.SLICE_SIZE,
            settings.DIRTY_LIMIT,
            self.counters,
        )
        cache.start()
        return cache

    @cached_property
    def library(self) -> Library | None:
        """What is stored, and what is being fetched to be stored."""
        cache, settings = self.cache, self.settings
        if cache is None:
            return None
        tuning = Tuning(
            settings.READ_AHEAD,
            settings.PARALLEL_FETCHES,
            settings.RETRIES,
            settings.RETRY_BACKOFF,
            settings.CACHE_WITHOUT_VALIDATOR,
        )
        context = Context(
            cache,
            self.counters,
            tuning,
            Grid(settings.SLICE_SIZE),
            self.tallies,
            self.loop,
            memoryview(bytearray(settings.BUFFER_SIZE)),
        )
        return Library(context, settings.VIA_NAME)

    @cached_property
    def tunnels(self) -> Tunnels:
        """The connections that carry something else than HTTP."""
        client = self.client
        return Tunnels(
            self.counters,
            idle_timeout=self.settings.TUNNEL_IDLE_TIMEOUT,
            buffers=client.buffers,
            tls_buffers=client.tls_buffers,
        )

    def _make_ask(self, origins: Origins, limits: Limits, reader: Reader) -> Ask:
        return Ask(origins, self.client, limits, self.counters, reader)

    def client_of(self, peer: str, get: Callable[[str], str | None]) -> str:
        """The address of the client whose request came from `peer` (TRUSTED_PROXIES)."""
        if not self.settings.TRUSTED_PROXIES:
            return peer
        return client_address(peer, get, self.is_trusted)

    def forwarded(self, exchange: Exchange) -> dict[str, str]:
        """The fields that tell an origin who asked; not to be changed."""
        peer, scheme, get = exchange.peer, exchange.scheme, exchange.headers.get
        if self.settings.TRUSTED_PROXIES and self.is_trusted(peer):
            return forward_fields(peer, scheme, get("Host"), get, True)
        return _forwarded_of_untrusted(peer, scheme, get("Host"))

    def seen_as(self, exchange: Exchange) -> tuple[str, str | None]:
        """The scheme and the Host by which the client knows this proxy."""
        get = exchange.headers.get
        scheme, host = exchange.scheme, get("Host")
        if self.settings.TRUSTED_PROXIES and self.is_trusted(exchange.peer):
            scheme = get("X-Forwarded-Proto") or scheme
            host = get("X-Forwarded-Host") or host
        return scheme, host

    async def door(self, exchange: Exchange) -> None:
        """Send an exchange through its door."""
        malformed = getattr(exchange.connection, "malformed", None)
        if malformed is not None:
            status, detail, fields = malformed
            raise Problem(status, detail, fields=fields)
        if self.quotas is not None and not self.is_trusted(exchange.client):
            refusal = self.quotas.request(exchange.client)
            if refusal is not None:
                raise Problem(refusal.status, refusal.detail, fields=refusal.fields)
        if passed_through(exchange.headers.get("Via"), self.settings.VIA_NAME):
            raise Problem(508, LOOPED, private=f"Via names {self.settings.VIA_NAME}")
        if exchange.method == "CONNECT":
            await connect.serve(exchange, forward.admit(exchange))
            return
        forwarded = forward.is_for(exchange)
        site = forward.site_of(exchange) if forwarded else None
        if site is None:
            page = self._own_pages.get(exchange.resource.partition("?")[0])
            if page is not None:
                await self._serve_own(exchange, page)
                return
            if forwarded:
                forward.refuse_own(exchange)
            if self.settings.SIGNED_URLS and exchange.resource != "*":
                check_signature(exchange)
            if target_switch.is_for(exchange):
                await target_switch.switch(exchange)
            site = self._site_of(exchange)
        exchange.site = site
        await self._serve(exchange)

    @staticmethod
    async def _serve_own(exchange: Exchange, page: Door) -> None:
        """Answer with one of the proxy's own pages."""
        if exchange.method not in ("GET", "HEAD"):
            allow = {"Allow": "GET, HEAD"}
            raise Problem(405, f"{exchange.method} is not for this page.", fields=allow)
        await page(exchange)

    def _site_of(self, exchange: Exchange) -> Site:
        """The site of a request to the proxy's own name; raises Problem."""
        try:
            path = exchange.resource.partition("?")[0]
            return self.sites.find(exchange.headers.get("Host"), path)
        except NotAllowed as error:
            raise target_switch.refused(error) from None

    async def _serve(self, exchange: Exchange) -> None:
        method, get = exchange.method, exchange.headers.get
        if "Upgrade" in exchange.headers and (
            protocols := wants_upgrade(get, exchange.version, method)
        ):
            await upgrade.serve(exchange, protocols)
        elif method in ("GET", "HEAD") and exchange.body is None:
            await media.serve(exchange)
        elif method == "OPTIONS" and options.is_own(exchange):
            await options.serve(exchange)
        elif method == "PURGE":
            await purge.serve(exchange)
        elif method == "TRACE":
            raise Problem(405, "TRACE is not answered here.", fields={"Allow": options.ALLOW})
        else:
            await passthrough.serve(exchange)

    def exchange_over(self, exchange: Exchange) -> None:
        """Forget an exchange that is over."""
        self.exchanges.discard(exchange)
        if not self.exchanges and self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    async def drained(self) -> None:
        """Return when no exchange is under way."""
        if self.exchanges:
            self._finished = self.loop.create_future()
            await self._finished

    async def close_tunnels(self) -> None:
        """End what carries something else than HTTP, at once."""
        if "tunnels" in self.__dict__:
            await self.tunnels.close()

    async def close(self) -> None:
        """Give up what is bound to the loop, and the embedded origin's sockets."""
        if (library := self.__dict__.get("library")) is not None:
            await library.close()
        if (cache := self.__dict__.get("cache")) is not None:
            await cache.close()
        if "client" in self.__dict__:
            self.client.close()
        for embedded in self.embedded:
            embedded.close()


@lru_cache(maxsize=1024)
def _forwarded_of_untrusted(client: str, scheme: str, host: str | None) -> dict[str, str]:
    """The same for all requests of a connection; not to be changed by whoever gets it."""
    return forward_fields(client, scheme, host, lambda name: None, False)
