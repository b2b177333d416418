"""The application: what the doors share, made, handed out, and given up in the end."""

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

from tornado import httputil

from aprp.cache.cache import Cache
from aprp.cache.entry import Entry
from aprp.files.store import Store
from aprp.files.upload import Rules
from aprp.front.quotas import make_quotas
from aprp.front.wire import RequestConnection
from aprp.handlers import doors, stats
from aprp.handlers.clients import Clients
from aprp.handlers.doors import Door
from aprp.handlers.exchange import Exchange
from aprp.handlers.ids import RequestIds
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
from aprp.sites.own import OwnAddress
from aprp.sites.places import Places
from aprp.sites.sites import Sites
from aprp.stats.counters import Counters
from aprp.stats.histograms import Histograms
from aprp.tracing import setup
from aprp.tunnel.tunnels import Tunnels
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.client import OriginClient
from aprp.upstream.counting import CountedEvents
from aprp.upstream.origins import Origin, Origins

if TYPE_CHECKING:
    from aprp.stats.redis_sum import RedisSum
    from aprp.tracing.spans import Tracing
    from settings.base import Settings

_TOKEN_SECRET: Final = 32


class Application(httputil.HTTPServerConnectionDelegate):
    """What `aprp.front.server.ProxyServer` serves, or Tornado's own server; holds what is shared.

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
        self.clients = Clients(settings.TRUSTED_PROXIES)
        self.is_trusted = self.clients.is_trusted
        self.ids = RequestIds(settings.REQUEST_ID_FROM, self.is_trusted)
        # Begun after the fork, where spans are made.
        self.tracing: Tracing | None = None
        self.own_pages = doors.own_pages(settings.ADMIN_PREFIX)
        # What sends an exchange through its door.
        self.door: Door = doors.enter

    # httputil.HTTPServerConnectionDelegate

    def start_request(self, server_conn: object, request_conn: httputil.HTTPConnection) -> Exchange:
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
            events=CountedEvents(self.counters, self.histograms),
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
        return target.partition("?")[0] in self.own_pages

    # The end.

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
