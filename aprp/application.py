"""The application: which door a request goes through, and what the doors share."""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, cast

from tornado import httputil

from aprp.cache.cache import Cache
from aprp.cache.entry import Entry
from aprp.files.store import Store
from aprp.files.upload import Rules
from aprp.front.quotas import make_quotas
from aprp.front.wire import RequestConnection
from aprp.handlers import (
    admin,
    connect,
    files,
    forward,
    home,
    live,
    media,
    options,
    passthrough,
    player,
    purge,
    stats,
    store,
    upgrade,
)
from aprp.handlers import target as target_switch
from aprp.handlers.errors import LOOPED, Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.ids import RequestIds
from aprp.handlers.links import check_signature
from aprp.handlers.reply import SERVER
from aprp.live.board import Board
from aprp.live.catalogue import Catalogue
from aprp.live.live import Live
from aprp.live.tokens import Tokens
from aprp.live.warming import Warmer, request_of
from aprp.media.context import Context, Tuning
from aprp.media.library import Library
from aprp.media.plan import Grid
from aprp.media.tally import Tallies
from aprp.media.whole import NotFetched, fetch_whole
from aprp.semantics.forwarded import client_address, forward_fields
from aprp.semantics.loops import passed_through
from aprp.semantics.networks import Networks
from aprp.semantics.upgrades import wants_upgrade
from aprp.sites.own import OwnAddress
from aprp.sites.places import Places
from aprp.sites.site import Site
from aprp.sites.sites import NotAllowed, Sites
from aprp.stats.counters import Count, Counters
from aprp.stats.histograms import Histograms, Measure
from aprp.tracing import setup
from aprp.tunnel.tunnels import Tunnels
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.client import OriginClient, OriginEvents
from aprp.upstream.origins import Origin, Origins

if TYPE_CHECKING:
    from aprp.stats.redis_sum import RedisSum
    from aprp.tracing.spans import Tracing
    from settings.base import Settings

Door = Callable[[Exchange], Awaitable[None]]


# Own pages that do something, and those that no page of another web origin may read.
_ACTIONS: Final[frozenset[Door]] = frozenset({admin.purge, admin.warm})
_PRIVATE: Final = _ACTIONS | {live.events, live.objects, live.one_object}
_TOKEN_SECRET: Final = 32


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
        self.redis = _redis_sum(settings, counters)
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
        self.board = Board(counters.workers)
        self.tokens = Tokens(os.urandom(_TOKEN_SECRET))
        self.draining = False
        self.exchanges: set[Exchange] = set()
        self._finished: asyncio.Future[None] | None = None
        self.cors_origins: frozenset[str] = frozenset(settings.CORS_ORIGINS)
        self.is_trusted = Networks(settings.TRUSTED_PROXIES)
        self.ids = RequestIds(settings.REQUEST_ID_FROM, self.is_trusted)
        # Begun after the fork, where spans are made.
        self.tracing: Tracing | None = None
        prefix = settings.ADMIN_PREFIX
        self._own_pages: dict[str, Door] = {
            f"{prefix}/stats": stats.stats,
            f"{prefix}/stats.json": stats.stats_json,
            f"{prefix}/stats/events": live.events,
            f"{prefix}/stats/objects": live.objects,
            f"{prefix}/stats/object": live.one_object,
            f"{prefix}/stats/purge": admin.purge,
            f"{prefix}/stats/warm": admin.warm,
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
        if self.settings.OTEL:
            self.tracing = setup.begin(worker)
        self.counters.attach(worker)
        self.histograms.attach(worker)
        if self.redis is not None:
            self.redis.attach(worker)
        self.tallies.attach(worker)
        self.board.attach(worker, os.getpid())
        if self.quotas is not None:
            self.quotas.attach(worker)

    def worker_gone(self, worker: int) -> None:
        """Take back what a worker that is gone had told; called before another takes its place."""
        self.counters.reset_gauges(worker)
        self.board.clear(worker)

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
            tracing=self.tracing,
        )
        return Library(context, settings.VIA_NAME)

    @cached_property
    def live(self) -> Live:
        """What runs at this moment, in all workers."""
        return Live(
            self.board,
            self.counters,
            self.histograms,
            self.exchanges,
            lambda: self.__dict__.get("library"),
            self._make_catalogue,
            lambda: stats.report_of(self),
        )

    def _make_catalogue(self) -> Catalogue | None:
        cache, settings = self.cache, self.settings
        if cache is None:
            return None
        name = Places(settings).name
        return Catalogue(cache.directory, cache.slice_size, name, settings.HEURISTIC_MAX)

    @cached_property
    def warmer(self) -> Warmer:
        """Objects that are fetched whole because an operator wants them stored."""
        return Warmer(self._warm)

    async def _warm(self, entry: Entry) -> None:
        site, via = self.sites.of_stored(entry.key, entry.target), self.settings.VIA_NAME
        if site is None or self.library is None or self.cache is None:
            raise NotFetched("no origin of the present settings has it")
        request = request_of(entry, site, via, f"{SERVER} (warm)")
        await fetch_whole(self.library, self.cache, request, via)

    @cached_property
    def files(self) -> Store | None:
        """The file store; None where its doors are not there (UPLOADS).

        Without a token it is for work on a desk, where it would hide an origin's own paths.
        """
        settings = self.settings
        on_a_desk = self.embedded and settings.DEBUG
        if not settings.UPLOADS or not (settings.UPLOAD_TOKEN or on_a_desk):
            return None
        rules = Rules(settings.MAX_UPLOAD_SIZE, tuple(settings.ALLOWED_TYPES))
        return Store(
            settings.MEDIA_DIR.resolve(), rules, settings.STORE_QUOTA, settings.UPLOAD_EXPIRES
        )

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
        return Ask(origins, self.client, limits, self.counters, reader, self.tracing)

    def is_own_page(self, target: str) -> bool:
        """Whether a request target is that of one of the proxy's own pages."""
        return target.partition("?")[0] in self._own_pages

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
            if self.files is not None and files.is_for(self, exchange.resource.partition("?")[0]):
                await store.serve(exchange)
                return
            if player.is_for(exchange):
                await player.serve(exchange)
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
        exchange.private = page in _PRIVATE
        methods = ("POST",) if page in _ACTIONS else ("GET", "HEAD")
        if exchange.method not in methods:
            allow = {"Allow": ", ".join(methods)}
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
            await (home if home.is_for(exchange) else media).serve(exchange)
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

    def drain(self) -> None:
        """Begin nothing new that lasts, and end what would never end by itself."""
        self.draining = True
        if "live" in self.__dict__:
            self.live.feed.close()

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
        if self.redis is not None:
            await self.redis.stop()
        if "warmer" in self.__dict__:
            await self.warmer.close()
        if self.files is not None:
            await self.files.close()
        if "live" in self.__dict__:
            await self.live.close()
        if (library := self.__dict__.get("library")) is not None:
            await library.close()
        if (cache := self.__dict__.get("cache")) is not None:
            await cache.close()
        if "client" in self.__dict__:
            self.client.close()
        for embedded in self.embedded:
            embedded.close()
        if self.tracing is not None:
            await self.tracing.close()


def _redis_sum(settings: "Settings", counters: Counters) -> "RedisSum | None":
    if not settings.REDIS_URL:
        return None
    # The client takes longer to load than all else together.
    from aprp.stats.redis_sum import RedisSum

    return RedisSum(
        counters,
        settings.REDIS_URL,
        settings.REDIS_KEY,
        interval=settings.REDIS_INTERVAL,
        timeout=settings.REDIS_TIMEOUT,
    )


@lru_cache(maxsize=1024)
def _forwarded_of_untrusted(client: str, scheme: str, host: str | None) -> dict[str, str]:
    """The same for all requests of a connection; not to be changed by whoever gets it."""
    return forward_fields(client, scheme, host, lambda name: None, False)
