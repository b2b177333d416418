"""Fetching all of a stored response into the cache although no client reads it."""

import asyncio
from typing import Final

from aprp.cache.cache import Cache
from aprp.cache.entry import CannotStore
from aprp.media.checks import Changed, Refused
from aprp.media.cutter import Piece
from aprp.media.delivery import Delivery
from aprp.media.errors import DeliveryError
from aprp.media.library import Library
from aprp.media.reader import ReaderGone, SpanReader
from aprp.media.request import Request
from aprp.media.version import Version
from aprp.semantics.headers import Fields
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead

# How often it is begun anew because the origin has another version by now.
_ATTEMPTS: Final = 3
# How often what is missing is gone over: a part may not be stored while the disk is behind.
_PASSES: Final = 3
# Seconds between two looks whether the disk has caught up.
_LOOK: Final = 0.02


class NotFetched(Exception):
    """Not all of it is stored; the text says why."""


async def fetch_whole(library: Library, cache: Cache, request: Request, via: str) -> None:
    """Have the origin's present response stored whole, if it may be. Raises NotFetched.

    request: of the whole. via: the name of this proxy.
    """
    try:
        for _ in range(_ATTEMPTS):
            version = await _find(library, request, via)
            try:
                await _fill(version, cache, request)
                return
            except Changed:
                version.changed = True
    except (OriginFailure, Refused, DeliveryError, CannotStore) as error:
        raise NotFetched(_words(error)) from error
    except ReaderGone:
        raise NotFetched("the proxy is stopping") from None
    raise NotFetched("the file changes at the origin faster than it can be read")


async def _find(library: Library, request: Request, via: str) -> Version:
    found = library.look(request)
    if found is None:
        sink = _Nowhere()
        passer = sink.delivery = Delivery(
            request.asked, request.target, request.fields, sink, request.source.make_ask, via
        )
        found = await library.find(request, passer)
    if found is None:
        raise NotFetched("the origin's answer may not be stored, or not now")
    return found.version


async def _fill(version: Version, cache: Cache, request: Request) -> None:
    """Read what is missing, and drop it."""
    if not version.link.fields:
        # As the index gave it: without the fields that the origin may ask for.
        version.link = request.link
    drop = _Drop(cache)
    for _ in range(_PASSES):
        position = 0
        while (gap := _gap(version, position)) is not None:
            start, position = gap
            # It is asked for, and nobody watches it.
            with SpanReader(version, start, position, drop, own=True, wanted=True) as reader:
                await reader.run()
            if cache.problem is not None:
                raise NotFetched(cache.problem)
        if version.holds_all(0, version.length):
            return
    raise NotFetched("not all of it could be stored")


def _gap(version: Version, position: int) -> tuple[int, int] | None:
    """The next bytes from an edge of a slice on that are not stored, up to what is."""
    size, length = version.context.grid.size, version.length
    while position < length and version.held(position):
        position += size
    if position >= length:
        return None
    stop = position + size
    while stop < length and not version.held(stop):
        stop += size
    return position, min(stop, length)


class _Drop:
    """Takes what a reader gives, no faster than the disk does."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        if not self._cache.behind:
            return None
        return asyncio.get_running_loop().create_task(self._catch_up())

    def offer(self, view: memoryview) -> int:
        return 0 if self._cache.behind else len(view)

    async def _catch_up(self) -> None:
        while self._cache.behind:  # noqa: ASYNC110 - threads write; nobody is told
            await asyncio.sleep(_LOOK)


class _Nowhere:
    """Where an answer goes that is not stored: nobody wants it."""

    def __init__(self) -> None:
        self.delivery: Delivery | None = None

    def begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        assert self.delivery is not None
        self.delivery.abort()

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        return None

    def offer(self, view: memoryview) -> int:
        return len(view)

    def interim(self, head: ResponseHead) -> None:
        """Nobody to tell."""

    def asks(self, origin: str) -> None:
        """Nobody to tell."""


def _words(error: Exception) -> str:
    text = str(getattr(error, "message", None) or getattr(error, "strerror", None) or error)
    return text or type(error).__name__
