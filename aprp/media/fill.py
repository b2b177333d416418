"""One fetch in flight and what becomes of its bytes: stored in place, followed as they come.

A fill covers a window of a version. The kernel puts what comes into one block that all fills share,
from where it is written to its place in the extent. The extent's header says how far each slice has
come, which is how readers follow, in this process and in others. A fill keeps a little ahead of its
fastest reader, and ends at the next edge of a slice when nobody follows any more.
`aprp.media.asking` gets the bytes for it.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aprp.cache.cache import CannotStore
from aprp.media.asking import Asking
from aprp.media.checks import Changed, Refused
from aprp.media.following import Following
from aprp.media.room import Room
from aprp.media.scratch import Scratch
from aprp.semantics.tracing import REQUEST_ID, with_parent
from aprp.upstream.asking import Ask
from aprp.upstream.errors import OriginFailure

if TYPE_CHECKING:
    from aprp.media.version import Version
    from aprp.tracing.spans import FillSpan

_log = logging.getLogger("aprp")

# Where bytes go that nobody wants.
_WASTE = memoryview(bytearray(256 << 10))

# How often it is looked for wishes of other processes, in seconds.
_LOOK = 0.02


class Fill:
    """Fetches the bytes from `begin` up to `stop` of a version.

    `position` is how far it has come. `exact`: the bytes are kept in memory for the reader and
    not stored. `whole`: the origin does no ranges; the stream is read from byte 0 to its end.
    `keep`: it goes on up to there even where nobody follows. `marks` are the fields that name the
    request which began it.
    """

    def __init__(
        self,
        version: "Version",
        begin: int,
        stop: int,
        *,
        exact: bool = False,
        whole: bool = False,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self.begin = self.position = begin
        self.stop = stop
        self.exact = exact
        self.whole = whole
        self.keep = 0
        self.streams = False
        self._room = Room(version, begin, exact=exact)
        self._following = Following(self)
        self._asking = Asking(self, marks or {})
        self._span: FillSpan | None = None
        self._bound = 0
        self._preparing: asyncio.Task[None] | None = None
        self._gate: asyncio.Future[None] | None = None
        self._skip = 0
        self._answered_until = 0
        self.over = False
        self._lingers = False
        self._look: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Fill {self.begin}-{self.stop} at {self.position}>"

    @property
    def _about(self) -> dict[str, str | None]:
        """What a line in the log about it takes as `extra`."""
        return {"request_id": self._asking.marks.get(REQUEST_ID)}

    @property
    def scratch(self) -> Scratch | None:
        """The memory that its bytes go to, where they are not stored."""
        return self._room.scratch

    # The life of a fill.

    def lease_window(self) -> bool:
        """Take the leases of the window, which ends where another process has one; False: none."""
        self.stop = self._room.lease_window(self.begin, self.stop)
        return self.stop > self.begin

    def lease_stream(self) -> bool:
        """Take the lease on the stream of an origin without ranges; False: it is another's."""
        return self._room.leases.take_stream()

    def give_up(self) -> None:
        """Give the leases back of a fill that is not to run."""
        self._room.leases.give_all()

    def adopt(self, ask: Ask, begins: int, stop: int, streams: bool) -> None:
        """Take over the answer under way on `ask`: bytes from `begins` up to `stop`.

        `streams`: it is a 200, and may turn out to be all that the origin can do.
        """
        self._asking.adopt(ask)
        self.streams = streams
        self.expect(begins, stop)

    def expect(self, begins: int, stop: int) -> None:
        """The bytes that come are those from `begins` up to `stop`."""
        self._skip = self.position - begins
        self._answered_until = stop

    def read_to_end(self) -> None:
        """The origin does no ranges: this stream is the one way to get at any byte."""
        self.whole = self.streams = True
        self.stop = self.version.length
        self._room.leases.take_stream()

    def cede(self, place: int) -> None:
        """Another fill takes over from `place`, an edge of a slice, on."""
        self.stop = min(self.stop, place)
        self._room.cede(place)

    async def run(self, opening: "asyncio.Future[None] | None" = None) -> None:
        """Fetch until the window is full, or nobody wants it; `opening` is an adopted answer."""
        error: Exception | None = None
        self._begin_span(adopted=opening is not None)
        try:
            await self._prepare()
            await self._asking.run(opening)
            if self.scratch is not None:
                await self._linger(self.scratch)
        except (OriginFailure, Changed, Refused) as failure:
            error = failure
        except Exception as failure:
            _log.exception("error while filling %r", self.version, extra=self._about)
            error = failure
        finally:
            # Also where the task is cancelled.
            self._release(error)

    async def _linger(self, scratch: Scratch) -> None:
        """What is in memory only stays until those who follow have taken it."""
        self.over = self._lingers = True
        while any(
            scratch.begin <= reader.position < scratch.position for reader in self.version.readers
        ):
            self._gate = self.version.context.loop.create_future()
            await self._gate

    @property
    def done(self) -> bool:
        """Whether nothing more is to be fetched."""
        return self.over or self.position >= self.stop

    def _begin_span(self, adopted: bool) -> None:
        tracing = self.version.context.tracing
        if tracing is None:
            return
        kind = "exact" if self.exact else "stream" if self.whole else "window"
        asking = self._asking
        span = self._span = tracing.fill(asking.marks, self.begin, self.stop, kind, adopted)
        asking.marks = dict(with_parent(asking.marks.items(), span.traceparent))

    def _release(self, error: Exception | None) -> None:
        self.over = True
        self._asking.abort()
        if self._preparing is not None:
            self._preparing.cancel()
        if self._look is not None:
            self._look.cancel()
        self._room.leases.give_all()
        self._open_gate()
        self.version.ended(self, error)
        if self._span is not None:
            got = self.position - self.begin
            self._span.end(got=got, resumes=self._asking.resumes, error=error)

    # Placing (`aprp.upstream.request.Placer`).

    def space(self) -> memoryview:
        """Room for the next bytes."""
        if self._skip:
            return _WASTE[: self._skip]
        if self.position >= self._until:
            return _WASTE
        room = self._room
        if not room.ready:
            return room.land()
        if room.scratch is not None:
            return room.space(self.position, self._until)
        # What a reader may not come to want is not taken in.
        if self._bound <= self.position:
            self._bound = max(self._following.limit(), self.position + 1)
        return room.space(self.position, min(self._bound, self._until))

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
        if not self._room.ready:
            self._room.landed(count)
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
            self._asking.abort()
        self._finish()

    def _account(self, view: memoryview) -> None:
        """Store what has come, and tell those who wait for it."""
        version = self.version
        begin = self.position
        self.position = end = begin + len(view)
        version.tally.taken += len(view)
        stands = self._room.put(begin, view, self.stop)
        version.advanced(begin, end, view if stands else None)
        if version.supply.pace.most > 1 and not self.exact:
            version.supply.paced(len(view))

    # Keeping pace.

    def _next(self) -> "asyncio.Future[None] | None":
        """After bytes have come: go on at once, wait, or end."""
        if self._at_end():
            self._finish()
            return None
        self._heed_wishes()
        if self._room.is_low(self.position):
            self._prepare_soon()
        return self._close_gate() if self._must_wait() else None

    def _heed_wishes(self) -> None:
        """A reader of another process that wants bytes far ahead fetches them itself."""
        wish = self._following.wish()
        if wish is None or self.whole or self.exact:
            return
        grid = self.version.context.grid
        if self.position + 2 * grid.size < wish < self.stop:
            self.cede(grid.floor(wish))

    def reconsider(self) -> None:
        """A reader has moved, come or gone, or another process wants more."""
        if self._lingers:
            self._open_gate()
        if self.over or self._asking.ask is None:
            return
        if self._at_end():
            self._finish()
        elif self._gate is not None and not self._must_wait():
            self._open_gate()

    def _at_end(self) -> bool:
        """Whether it has come to its end; where nobody follows that is the next edge of a slice."""
        if not self.whole and self.position >= self.keep and not self._following.any():
            if self.exact:
                self.stop = min(self.stop, self.position)
            elif (edge := self.version.context.grid.ceil(self.position)) < self.stop:
                # With the leases: who has left may seek to where they are, and not wait for this.
                self.cede(edge)
        return self.position >= self.stop

    def _must_wait(self) -> bool:
        if self.scratch is not None:
            return self._following.fills_up(self.scratch)
        if not self._room.ready:
            return True
        self._bound = self.stop if self.whole else self._following.limit()
        return self.position >= self._bound

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
        if self._asking.ask is not None and self._answered_until > self.position:
            self.over = True
            self._asking.abort()
        self._open_gate()

    # Room.

    def _prepare_soon(self) -> None:
        if self._preparing is None and self._room.prepared < self.stop and self.scratch is None:
            self._preparing = self.version.context.loop.create_task(self._prepare_more())

    async def _prepare_more(self) -> None:
        try:
            await self._prepare()
        except Exception as error:
            _log.exception("error while making room for %r", self.version, extra=self._about)
            if self._asking.ask is not None:
                self._asking.fail(error)
        finally:
            self._preparing = None

    async def _prepare(self) -> None:
        """Allocate the next slices and take their leases; then let the bytes go on."""
        if self.scratch is None and self._room.prepared < self.stop:
            try:
                await self._extend()
            except CannotStore:
                if not self._room.ready:
                    self._room.go_without_storing(self.position)
        self._unload()
        self.reconsider()

    async def _extend(self) -> None:
        fresh = not self._asking.begun
        left = await self._room.extend(self.stop, self.whole)
        if left is None:
            self.stop = self._room.prepared
        elif fresh:
            # What a fill that broke off has left here is as good as new.
            self.position += left

    def _unload(self) -> None:
        """Put what came before there was room where it belongs."""
        source = self._room.take_landed()
        while source and not self.over:
            if self.position >= self._until:
                self._take_surplus()
                return
            room = self.space()[: len(source)]
            room[:] = source[: len(room)]
            source = source[len(room) :]
            self._account(room)
