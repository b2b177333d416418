"""The application: which door a request goes through, and what the doors share."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, cast

from tornado import httputil
from tornado.httpclient import AsyncHTTPClient

from aprp.cache.cache import Cache
from aprp.front.wire import RequestConnection
from aprp.handlers import media, options, purge, stats
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.media.context import Context, Tuning
from aprp.media.library import Library
from aprp.media.plan import Grid
from aprp.media.shelf import Policy
from aprp.media.tally import Tallies
from aprp.semantics.forwarded import forward_fields
from aprp.stats.counters import Count, Counters
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.client import OriginClient, OriginEvents
from aprp.upstream.origins import Origins

if TYPE_CHECKING:
    from settings.base import Settings

Door = Callable[[Exchange], Awaitable[None]]


class _Counting(OriginEvents):
    """Counts what the client does."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def connected(self) -> None:
        self._counters.add(Count.ORIGIN_CONNECTS)

    def reused(self) -> None:
        self._counters.add(Count.ORIGIN_REUSES)

    def received(self, count: int) -> None:
        self._counters.add(Count.BYTES_FROM_ORIGINS, count)


class Application(httputil.HTTPServerConnectionDelegate):
    """What `tornado.httpserver.HTTPServer` serves; holds what all requests share.

    `settings` is fixed, `counters` is shared by all workers, `embedded` are the sockets of the
    embedded origin, if there is one. Loop-bound parts are made when they are first used, so that
    the application can be made before the workers fork.
    """

    def __init__(
        self,
        settings: "Settings",
        counters: Counters,
        origins: Origins,
        embedded: Sequence[socket.socket] = (),
    ) -> None:
        self.settings = settings
        self.counters = counters
        self.origins = origins
        self.embedded = embedded
        self.tallies = Tallies(counters.workers)
        self.draining = False
        self.exchanges: set[Exchange] = set()
        self._finished: asyncio.Future[None] | None = None
        self.cors_origins: frozenset[str] = frozenset(settings.CORS_ORIGINS)
        self._trusted = [ipaddress.ip_network(n) for n in settings.TRUSTED_PROXIES]
        self._limits = Limits(
            settings.CONNECT_TIMEOUT, settings.FIRST_BYTE_TIMEOUT, settings.IDLE_TIMEOUT
        )
        prefix = settings.ADMIN_PREFIX
        self._own: dict[str, Door] = {
            f"{prefix}/stats": stats.stats,
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
        self.counters.attach(worker)
        self.tallies.attach(worker)

    # For the doors.

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that this process serves on."""
        return asyncio.get_running_loop()

    @cached_property
    def client(self) -> AsyncHTTPClient:
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
            events=_Counting(self.counters),
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
            self.ask,
            self.counters,
            tuning,
            Grid(settings.SLICE_SIZE),
            self.tallies,
            self.loop,
            memoryview(bytearray(settings.BUFFER_SIZE)),
        )
        policy = Policy(
            settings.STALE_WHILE_REVALIDATE,
            settings.STALE_IF_ERROR,
            settings.HEURISTIC_MAX,
            settings.UPSTREAM[0],
            frozenset(settings.CACHE_KEY_IGNORE),
        )
        return Library(context, policy, settings.VIA_NAME)

    def ask(self, reader: Reader) -> Ask:
        """Make a question to the origins, whose answer `reader` takes."""
        return Ask(self.origins, self.client, self._limits, self.counters, reader)

    def forwarded(
        self, client: str, scheme: str, host: str | None, incoming: Callable[[str], str | None]
    ) -> dict[str, str]:
        """The fields that tell an origin who asked; `incoming` gets a field of the request."""
        if self._trusted and self._is_trusted(client):
            return forward_fields(client, scheme, host, incoming, True)
        return _forwarded_of_untrusted(client, scheme, host)

    def _is_trusted(self, address: str) -> bool:
        """Whether a peer is a proxy whose word on its client is believed (TRUSTED_PROXIES)."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)

    async def door(self, exchange: Exchange) -> None:
        """Send an exchange through its door."""
        malformed: tuple[int, str] | None = getattr(exchange.connection, "malformed", None)
        supported = exchange.method in ("GET", "HEAD", "OPTIONS", "PURGE")
        # Where the method is not supported, its body being too large is not what to tell.
        if malformed is not None and (supported or malformed[0] != 413):
            raise Problem(*malformed)
        own = self._own.get(exchange.resource.partition("?")[0])
        if exchange.method in ("GET", "HEAD"):
            await (own or media.serve)(exchange)
        elif exchange.method == "OPTIONS":
            await options.serve(exchange)
        elif exchange.method == "PURGE":
            await purge.serve(exchange)
        else:
            raise Problem(
                405,
                f"The method {exchange.method} is not supported here.",
                fields={"Allow": options.ALLOW},
            )

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
