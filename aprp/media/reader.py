"""A reader: gives a span of a version to a client, from slices and live fills as they stand."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from aprp.media.cutter import Piece
from aprp.stats.counters import Count

if TYPE_CHECKING:
    from aprp.media.context import Cause
    from aprp.media.fill import Fill
    from aprp.media.version import Version

# Most bytes handed to a client's connection at once.
_AT_ONCE = 4 << 20

_NO_MARKS: Final[Mapping[str, str]] = {}


class ReaderGone(Exception):
    """The client went away while the reader waited."""


class Taker(Protocol):
    """Whom a reader reads for."""

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Take bytes; the future, if any, is done when more are welcome."""

    def offer(self, view: memoryview) -> int:
        """Take what can be sent at once; how many bytes those are."""


class SpanReader:
    """Reads the bytes from `position` up to `stop` of a version, in order.

    `waiting` is what it waits on while its next byte is missing; `window` the size of the next
    fetch for it in bytes; `sequel` whether it goes on where another read ended; `own` whether the
    proxy reads for itself and no client gets the bytes; `wanted` whether somebody has asked for
    them, so that origins may be asked for as many; `watched` whether they count as watched.
    `flows`: what comes next may go to the client at once.
    """

    __slots__ = (
        "_cause",
        "_fetched",
        "_gone",
        "_out",
        "flows",
        "following",
        "foreign_at",
        "foreign_seen",
        "foreign_since",
        "own",
        "position",
        "sequel",
        "stop",
        "version",
        "waiting",
        "wanted",
        "watched",
        "window",
    )

    def __init__(
        self,
        version: "Version",
        start: int,
        stop: int,
        out: Taker,
        own: bool = False,
        cause: "Cause | None" = None,
        *,
        wanted: bool | None = None,
        watched: bool = True,
    ) -> None:
        """`cause` is the request that what is fetched for it is fetched for.

        `wanted`: by default what is not the proxy's own.
        """
        self.version = version
        self._cause = cause
        self.position = start
        self.stop = stop
        self.window = version.context.tuning.read_ahead // 2
        self.own = own
        self.wanted = not own if wanted is None else wanted
        self.watched = watched and not own
        self.sequel = not own and version.is_sequel(start)
        self.waiting: asyncio.Future[None] | None = None
        self.following: Fill | None = None
        # What is fetched since it asked: where each fetch ends, and where it was then.
        self._fetched: dict[int, int] = {}
        self.foreign_at: int | None = None
        self.foreign_since: float | None = None
        self.foreign_seen = 0
        self._out = out
        self.flows = False
        self._gone = False

    def __enter__(self) -> "SpanReader":
        self.version.join(self)
        return self

    def __exit__(self, *raised: object) -> None:
        self.version.leave(self)

    @property
    def marks(self) -> Mapping[str, str]:
        """The fields that name the request it reads for; made for whoever fetches."""
        return _NO_MARKS if self._cause is None else self._cause.marks

    def abort(self) -> None:
        """The client is gone."""
        self._gone = True
        self.wake()

    # For the version.

    async def wait(self) -> None:
        """Wait until `wake` or `fail`."""
        self.waiting = self.version.context.loop.create_future()
        try:
            await self.waiting
        finally:
            self.waiting = None

    def wake(self) -> None:
        """Look again."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def fail(self, error: Exception) -> None:
        """What it waits for will not come."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error)

    def offer(self, begin: int, view: memoryview) -> None:
        """Bytes from `begin` have come that it may wait for; they stand in `view` for a moment.

        What the client's socket takes at once goes out from there: it is in the processor's cache,
        and nobody has to be woken for it.
        """
        skip = self.position - begin
        if not self.flows or not 0 <= skip < len(view):
            self.wake()
            return
        wanted = view[skip : skip + self.stop - self.position]
        try:
            count = self._out.offer(wanted)
        except Exception as error:
            self.fail(error)
            return
        before, self.position = self.position, self.position + count
        if count and self.watched:
            self.version.watched(before, count)
        size = self.version.context.grid.size
        if self.position // size != before // size:
            self.version.moved(self)
        if count < len(wanted) or self.position == self.stop:
            self.wake()

    def fetching(self, begin: int, stop: int) -> None:
        """The bytes from `begin` up to `stop` come now: it has asked before they were stored."""
        self._fetched[stop] = min(begin, self._fetched.get(stop, begin))

    def _stored(self, begin: int, stop: int) -> int:
        """How many bytes of a span had been stored before it asked; each span once, in order."""
        count, place = stop - begin, begin
        if not self._fetched:
            return count
        for start, end in sorted((start, end) for end, start in self._fetched.items()):
            begun, ended = max(start, place), min(end, stop)
            if begun < ended:
                count -= ended - begun
                place = ended
            if end <= stop:
                del self._fetched[end]
        return count

    # Reading.

    async def first(self) -> None:
        """Return when the first byte is there.

        Raises Changed, an OriginFailure, or ReaderGone.
        """
        while self.position < self.stop and not self._gone:
            if self.version.available(self.position, self.stop) is not None:
                return
            await self.version.supply.bring(self)
        if self._gone:
            raise ReaderGone

    async def run(self) -> None:
        """Give every byte; raises as `first` does."""
        version, out, stop = self.version, self._out, self.stop
        slice_size = version.context.grid.size
        counters = version.context.counters
        self.flows = True
        if self.sequel:
            version.supply.read_ahead(self)
        while (position := self.position) < stop:
            if self._gone:
                raise ReaderGone
            view = version.available(position, min(stop, position + _AT_ONCE))
            if view is None:
                await version.supply.bring(self)
                continue
            cold = version.warm(position, len(view))
            if cold is not None:
                await version.context.cache.load(*cold)
                if self._gone:
                    raise ReaderGone
                # What the disk does not give any more has been forgotten.
                view = version.available(position, position + len(view))
                if view is None:
                    continue
            self.foreign_since = None
            waiting = out.write(view)
            self.position = position + len(view)
            if not self.own:
                counters.add(Count.BYTES_FROM_CACHE, self._stored(position, self.position))
            if self.watched:
                version.watched(position, len(view))
            if self.position // slice_size != position // slice_size:
                version.moved(self)
            if waiting is not None:
                version.supply.pace.rest()
                await waiting
            elif self.position < stop:
                # A client as fast as memory leaves the others their turns.
                await asyncio.sleep(0)
