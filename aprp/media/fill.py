"""One fetch in flight and what becomes of its bytes: stored in place, followed as they come.

A fill covers a window of a version. The kernel writes into the pages of the extent; the header of
the extent says how far each slice has come, which is how readers follow, in this process and in
others. It keeps a little ahead of its fastest reader, is taken up again where an origin breaks off,
and ends at the next edge of a slice when nobody follows any more.
"""

import asyncio
import logging
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aprp.cache.cache import CannotStore
from aprp.cache.extent import SLICES, Extent
from aprp.media.checks import Changed, Refused, check_continuation
from aprp.media.leasing import FillLeases
from aprp.media.scratch import Scratch
from aprp.media.writing import SliceWriter
from aprp.semantics.ranges import IntRange
from aprp.stats.counters import Count
from aprp.upstream.asking import Ask
from aprp.upstream.errors import OriginClosed, OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

_log = logging.getLogger("aprp")

if TYPE_CHECKING:
    from aprp.media.context import Link
    from aprp.media.version import Version

# Slices that are allocated, and whose leases are taken, at once; and how many of them may be left
# when the next are asked for.
_AHEAD = 8
_LOW = 4

# Where bytes go that nobody wants.
_WASTE = memoryview(bytearray(256 << 10))

# What may come together with a head that opens a version, in bytes.
_LANDING = 64 << 10

_LONGEST_BACKOFF = 8.0

# How long another process's wish counts, in milliseconds, and how often it is looked at.
_WISH_LASTS = 1500
_LOOK = 0.02


@dataclass(slots=True)
class _Region:
    """Room for the bytes from `begin` to `end`: in an extent, or nowhere (they are there)."""

    begin: int
    end: int
    extent: Extent | None


class Fill:
    """Fetches the bytes from `begin` up to `stop` of a version.

    `position` is how far it has come. `exact`: the bytes are kept in memory for the reader and
    not stored. `whole`: the origin does no ranges; the stream is read from byte 0 to its end.
    `keep`: it goes on up to there even where nobody follows.
    """

    def __init__(
        self,
        version: "Version",
        begin: int,
        stop: int,
        *,
        exact: bool = False,
        whole: bool = False,
    ) -> None:
        self.version = version
        self.begin = self.position = begin
        self.stop = stop
        self.exact = exact
        self.whole = whole
        self.keep = 0
        self.streams = False
        self.scratch: Scratch | None = Scratch(begin) if exact else None
        self.leases = FillLeases(version.context, version.entry.id)
        self._regions: deque[_Region] = deque()
        self._prepared = begin
        self._bound = 0
        self._preparing: asyncio.Task[None] | None = None
        self._gate: asyncio.Future[None] | None = None
        self._landing: bytearray | None = None
        self._landed = 0
        self._skip = 0
        self._ask: Ask | None = None
        self._asked = False
        self._used: Link | None = None
        self._answered_until = 0
        self._problem: Exception | None = None
        self.over = False
        self._lingers = False
        self._failed_at: Origin | None = None
        self._look: asyncio.TimerHandle | None = None
        self._writer = SliceWriter(version.context, version.length)

    def __repr__(self) -> str:
        return f"<Fill {self.begin}-{self.stop} at {self.position}>"

    # The life of a fill.

    def adopt(self, ask: Ask, begins: int, stop: int, streams: bool) -> None:
        """Take over the answer under way on `ask`: bytes from `begins` up to `stop`.

        `streams`: it is a 200, and may turn out to be all that the origin can do.
        """
        self._ask = ask
        self._asked = True
        self.streams = streams
        self._skip = self.position - begins
        self._answered_until = stop
        self._used = self.version.link

    def read_to_end(self) -> None:
        """The origin does no ranges: this stream is the one way to get at any byte."""
        self.whole = self.streams = True
        self.stop = self.version.length
        self.leases.take_stream()

    def cede(self, place: int) -> None:
        """Another fill takes over from `place`, an edge of a slice, on."""
        self.stop = min(self.stop, place)
        self._prepared = min(self._prepared, place)
        self.leases.give_from(place // self.version.context.grid.size)
        while self._regions and self._regions[-1].begin >= place:
            self._regions.pop()
        if self._regions:
            self._regions[-1].end = min(self._regions[-1].end, place)

    async def run(self, opening: "asyncio.Future[None] | None" = None) -> None:
        """Fetch until the window is full, or nobody wants it; `opening` is an adopted answer."""
        error: Exception | None = None
        try:
            await self._prepare()
            await self._fetch(opening)
            if self.scratch is not None:
                await self._linger(self.scratch)
        except (OriginFailure, Changed, Refused) as failure:
            error = failure
        except Exception as failure:
            _log.exception("error while filling %r", self.version)
            error = failure
        finally:
            # Also where the task is cancelled.
            self._release(error)

    async def _fetch(self, opening: "asyncio.Future[None] | None") -> None:
        tuning = self.version.context.tuning
        attempt = 0
        while not self._done:
            before = self.position
            try:
                if opening is not None:
                    waiting, opening = opening, None
                    await waiting
                else:
                    await self._ask_rest()
                problem, self._problem = self._problem, None
                if problem is not None:
                    raise problem
                if self.position == before and not self._done:
                    raise OriginClosed("the origin sent nothing")
            except OriginFailure:
                if self._ask is not None:
                    self._failed_at = self._ask.origin
                if self._done:
                    return
                attempt = 1 if self.position > before else attempt + 1
                if attempt > tuning.retries or not self._may_resume:
                    raise
                self.version.context.counters.add(Count.FILL_RESUMES)
                if attempt > 1:
                    wait = min(tuning.backoff * 2 ** (attempt - 2), _LONGEST_BACKOFF)
                    await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            finally:
                self._ask = None

    async def _linger(self, scratch: Scratch) -> None:
        """What is in memory only stays until those who follow have taken it."""
        self.over = self._lingers = True
        while any(
            scratch.begin <= reader.position < scratch.position for reader in self.version.readers
        ):
            self._gate = self.version.context.loop.create_future()
            await self._gate

    @property
    def _done(self) -> bool:
        return self.over or self.position >= self.stop

    @property
    def _may_resume(self) -> bool:
        return self.version.entry.combinable and not self.version.changed

    def _release(self, error: Exception | None) -> None:
        self.over = True
        if self._ask is not None:
            self._ask.abort()
        if self._preparing is not None:
            self._preparing.cancel()
        if self._look is not None:
            self._look.cancel()
        self.leases.give_all()
        self._open_gate()
        self.version.ended(self, error)

    # Asking.

    async def _ask_rest(self) -> None:
        version = self.version
        self._asked = True
        link = self._used = version.link
        fields = {
            name: value for name, value in link.fields.items() if not name.lower().startswith("if-")
        }
        if not (version.fields.get("Content-Encoding") or ""):
            fields["Accept-Encoding"] = "identity"
        if not self.whole:
            fields["Range"] = f"bytes={IntRange(self.position, self.stop - 1)}"
            condition = version.if_range()
            if condition is not None:
                fields["If-Range"] = condition
        self._answered_until = 0
        ask = self._ask = version.context.make_ask(self)
        await ask.send("GET", link.target, fields, avoid=self._failed_at)
        if ask.surplus:
            version.distrust(self.position)

    def on_origin(self, origin: Origin) -> None:
        """Whom the client's log line names is up to the request that opened the version."""

    def on_head(self, head: ResponseHead) -> None:
        """Check that what comes continues what is there, before a byte of it is stored."""
        assert self._ask is not None
        if head.status in (401, 403) and self.version.link is not self._used:
            # A link that has run out; a newer client had a better one.
            self._fail(OriginClosed(f"the origin answered {head.status}"))
            return
        version = self.version
        try:
            begins, stop = check_continuation(
                version.validators,
                version.length,
                self.position,
                head,
                version.fields.get("Content-Encoding"),
            )
        except (Changed, Refused, OriginFailure) as error:
            if isinstance(error, Refused):
                self.version.context.counters.add(Count.ORIGIN_REJECTED)
            self._fail(error)
            return
        if head.status == 200 and not self.version.without_ranges(self):
            # Another stream is being read already.
            self.over = True
            self._ask.abort()
            return
        self._skip = self.position - begins
        self._answered_until = stop
        self._ask.place(self)

    def _fail(self, error: Exception) -> None:
        self._problem = error
        assert self._ask is not None
        self._ask.abort()

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Bodies are placed; what a rejected answer still brings is nobody's."""
        return None

    # Placing (`aprp.upstream.request.Placer`).

    def space(self) -> memoryview:
        """Room for the next bytes."""
        if self._skip:
            return _WASTE[: self._skip]
        if self.position >= self._until:
            return _WASTE
        if self.scratch is not None:
            return self.scratch.space(self._until)
        if not self._regions:
            if self._landing is None:
                self._landing = bytearray(_LANDING)
            return memoryview(self._landing)[self._landed :]
        # What a reader may not come to want is not taken in.
        if self._bound <= self.position:
            self._bound = max(self._limit(), self.position + 1)
        end = min(self._regions[0].end, self._bound, self._until)
        return self.version.context.inlet[: end - self.position]

    def placed(self, count: int) -> "asyncio.Future[None] | None":
        """Account for bytes that have come; the future is done when more are welcome."""
        if self.over:
            return None
        if self._skip:
            self._skip -= count
            return None
        if self.position >= self._until:
            self._take_surplus()
            return None
        if self.scratch is None and not self._regions:
            self._landed += count
            return self._close_gate()
        self._account(self.version.context.inlet[:count])
        return self._next()

    @property
    def _until(self) -> int:
        """Where this answer ends, or the window."""
        return min(self.stop, self._answered_until)

    def _take_surplus(self) -> None:
        """The answer goes on where nothing is wanted."""
        if self._answered_until <= self.position:
            # More than its Content-Range has: nothing of it can be believed.
            self.version.distrust(self.position)
            self.over = True
            assert self._ask is not None
            self._ask.abort()
        self._finish()

    def _account(self, view: memoryview) -> None:
        """Store what has come, and tell those who wait for it."""
        version = self.version
        begin = self.position
        self.position = end = begin + len(view)
        version.tally.taken += len(view)
        if self.scratch is not None:
            self.scratch.put(len(view))
        else:
            region = self._regions[0]
            if region.extent is not None:
                try:
                    for number in self._writer.write(region.extent, begin, view):
                        self.leases.give(number)
                except OSError as error:
                    version.context.cache.failed(error)
                    self._put_into(self._go_without_storing(begin), view)
            if end >= region.end and self._regions:
                self._regions.popleft()
        version.advanced(begin, end)
        if version.supply.pace.most > 1 and not self.exact:
            version.supply.paced(len(view))

    # Keeping pace.

    def _next(self) -> "asyncio.Future[None] | None":
        """After bytes have come: go on at once, wait, or end."""
        if self._at_end():
            self._finish()
            return None
        self._heed_wishes()
        if self._prepared - self.position <= _LOW * self.version.context.grid.size:
            self._prepare_soon()
        return self._close_gate() if self._must_wait() else None

    def _heed_wishes(self) -> None:
        """A reader of another process that wants bytes far ahead fetches them itself."""
        wish = self._foreign_wish()
        if wish is None or self.whole or self.exact:
            return
        grid = self.version.context.grid
        if self.position + 2 * grid.size < wish < self.stop:
            self.cede(grid.floor(wish))

    def reconsider(self) -> None:
        """A reader has moved, come or gone, or another process wants more."""
        if self._lingers:
            self._open_gate()
        if self.over or self._ask is None:
            return
        if self._at_end():
            self._finish()
        elif self._gate is not None and not self._must_wait():
            self._open_gate()

    def _at_end(self) -> bool:
        """Whether it has come to its end; where nobody follows that is the next edge of a slice."""
        if not self.whole and self.position >= self.keep and not self._followed():
            edge = self.position if self.exact else self.version.context.grid.ceil(self.position)
            self.stop = min(self.stop, edge)
        return self.position >= self.stop

    def _must_wait(self) -> bool:
        if self.scratch is not None:
            return self._scratch_full(self.scratch)
        if not self._regions:
            return True
        self._bound = self.stop if self.whole else self._limit()
        return self.position >= self._bound

    def _followers(self) -> list[int]:
        """How far the readers have come to whom this fill brings bytes."""
        return [
            reader.position
            for reader in self.version.readers
            if reader.position < self.stop
            and reader.stop > self.position
            # One far behind gets its bytes from what is stored by then.
            and reader.position + self._ahead >= self.position
        ]

    @property
    def _ahead(self) -> int:
        """How far it goes ahead of its readers: at least the slice that one stands in."""
        context = self.version.context
        return max(context.tuning.read_ahead, context.grid.size)

    def _followed(self) -> bool:
        return bool(self._followers()) or self._foreign_wish() is not None

    def _foreign_wish(self) -> int | None:
        """How far readers of other processes want this to go, if there are any."""
        wish, at = self.version.context.tallies.wished(self.version.entry.id)
        if int(time.monotonic() * 1000) - at > _WISH_LASTS:
            return None
        return wish if self.begin <= wish <= self.stop else None

    def _limit(self) -> int:
        """How far it may go: a little ahead of the fastest of its readers."""
        places = self._followers()
        wish = self._foreign_wish()
        if wish is not None:
            places.append(wish)
        if not places and self.position >= self.keep:
            # Nobody follows: it ends at the next edge.
            return self.stop
        return max(max(places, default=0) + self._ahead, self.keep)

    def _scratch_full(self, scratch: Scratch) -> bool:
        """Whether memory waits for readers; one that lags far behind the others is left behind."""
        places = sorted(
            reader.position
            for reader in self.version.readers
            if reader.position <= self.position and reader.stop > scratch.begin
        )
        scratch.drop(places[0] if places else self.position)
        if scratch.full and len(places) > 1 and places[-1] - places[0] > scratch.capacity // 2:
            scratch.drop_first()
        return scratch.full

    def _close_gate(self) -> "asyncio.Future[None]":
        assert self._gate is None
        self._gate = self.version.context.loop.create_future()
        self.version.supply.pace.rest()
        if self._look is None and self.scratch is None:
            self._look = self.version.context.loop.call_later(_LOOK, self._look_abroad)
        return self._gate

    def _look_abroad(self) -> None:
        """While it waits: do readers of other processes want more?"""
        self._look = None
        self._heed_wishes()
        self.reconsider()
        if self._gate is not None and not self.over:
            self._look = self.version.context.loop.call_later(_LOOK, self._look_abroad)

    def _open_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None and not gate.done():
            gate.set_result(None)

    def _finish(self) -> None:
        """Everything wanted is here: the answer ends by itself, or is cut off."""
        if self._ask is not None and self._answered_until > self.position:
            self.over = True
            self._ask.abort()
        self._open_gate()

    # Room.

    def _prepare_soon(self) -> None:
        if self._preparing is None and self._prepared < self.stop and self.scratch is None:
            self._preparing = self.version.context.loop.create_task(self._prepare_more())

    async def _prepare_more(self) -> None:
        try:
            await self._prepare()
        except Exception as error:
            _log.exception("error while making room for %r", self.version)
            if self._ask is not None:
                self._fail(error)
        finally:
            self._preparing = None

    async def _prepare(self) -> None:
        """Allocate the next slices and take their leases; then let the bytes go on."""
        if self.scratch is None and self._prepared < self.stop:
            try:
                await self._add_region()
            except CannotStore:
                if not self._regions:
                    self._go_without_storing(self.position)
        if self._landed and (self._regions or self.scratch is not None):
            self._unload()
        self.reconsider()

    async def _add_region(self) -> None:
        """Make room for the next slices, as far as nobody else fills them."""
        version, grid = self.version, self.version.context.grid
        extent_size = grid.size * SLICES
        begin = self._prepared
        number = begin // extent_size
        first = (begin - number * extent_size) // grid.size
        most = min(_AHEAD, SLICES - first, -(-(self.stop - begin) // grid.size))
        count = 0
        while count < most and self._has(begin // grid.size + count):
            count += 1
        if count:
            start = number * extent_size
            end = min(begin + count * grid.size, version.length)
            size = min(extent_size, version.length - start)
            cache = version.context.cache
            extent = await cache.prepare(version.entry.id, number, size, first, count)
            version.opened(extent)
            if not self._asked:
                # What a fill that broke off has left here is as good as new.
                self.position += min(extent.filled(first), end - begin)
            self._regions.append(_Region(begin, end, extent))
            self._prepared = end
        elif self.whole:
            # The stream brings what is there already, or on its way by another fill.
            end = min(begin + grid.size, version.length)
            self._regions.append(_Region(begin, end, None))
            self._prepared = end
        else:
            self.stop = begin

    def _has(self, number: int) -> bool:
        """Whether a slice is this fill's to write; not if it is there, or another fill has it."""
        # Beyond what was leased at the start only a stream goes, which takes all that comes.
        if number not in self.leases and not (self.whole and self.leases.take(number)):
            return False
        if self.version.whole_by_now(number * self.version.context.grid.size):
            self.leases.give(number)
            return False
        return True

    def lease_window(self) -> None:
        """Take the leases of the window; it ends where another process has one."""
        size = self.version.context.grid.size
        first = self.begin // size
        count = self.leases.take_some(first, -(-(self.stop - self.begin) // size))
        self.stop = min(self.stop, (first + count) * size)

    def _put_into(self, scratch: Scratch, view: memoryview) -> None:
        while view:
            room = scratch.space(self.stop)[: len(view)]
            room[:] = view[: len(room)]
            scratch.put(len(room))
            view = view[len(room) :]

    def _go_without_storing(self, position: int) -> Scratch:
        """There is no room: from `position` on bytes only pass through memory."""
        scratch = self.scratch = Scratch(position)
        self._regions.clear()
        self.leases.give_from(0)
        return scratch

    def _unload(self) -> None:
        """Put what came before there was room where it belongs."""
        assert self._landing is not None
        source = memoryview(self._landing)[: self._landed]
        self._landing, self._landed = None, 0
        while source and not self.over:
            if self.position >= self._until:
                self._take_surplus()
                return
            room = self.space()[: len(source)]
            room[:] = source[: len(room)]
            source = source[len(room) :]
            self._account(room)
