"""One version of a representation: where its bytes are, who reads it, what is being fetched.

Slices are found in the extents that all processes share; what is missing is fetched by a `Fill`
of this process, or comes from that of another one, whose progress shows in the extent's header.
"""

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from aprp.cache.entry import Entry
from aprp.cache.extent import SLICES, Extent
from aprp.cache.leases import slice_place
from aprp.media.checks import Changed
from aprp.media.context import Context, Link
from aprp.media.fill import Fill
from aprp.media.index import fetch_index, worth_seeking
from aprp.media.plan import Pace, grown, parallel_window
from aprp.media.reader import ReaderGone
from aprp.media.tally import Tally
from aprp.semantics.conditions import Validators
from aprp.semantics.freshness import Policy, policy
from aprp.semantics.headers import Fields
from aprp.stats.counters import Count
from aprp.upstream.head import ResponseHead

if TYPE_CHECKING:
    from aprp.media.reader import SpanReader

# How often another process's fill is looked at, in seconds, and after how long without progress
# its lease is tried.
_LOOK = 0.004
_TRY_LEASE = 0.03

# A wish that has not been renewed for so long is not kept to, in milliseconds.
_WISH_OLD = 200

# A reader this many slices ahead of a fill does not wait for it.
_JOIN_SLICES = 1

# A read that begins this many bytes after the end of another goes on where that one ended.
_NEAR = 64 << 10

# Why no fill was begun: another process has the lease; the bytes have come meanwhile.
ELSEWHERE = "elsewhere"
THERE = "there"


class VersionChanged(Exception):
    """The origin has another version now, and bytes of this one are missing."""


class Version:
    """A stored response and the fills and readers of it in this process.

    `changed`: the origin has another one; what is here may still be read by who has begun.
    `link`: the newest client's way of asking for it.
    """

    def __init__(self, context: Context, entry: Entry, link: Link) -> None:
        self.context = context
        self.entry = entry
        self.length = entry.length
        self.link = link
        self.changed = False
        self.ranges = entry.ranges
        self.fields = Fields(entry.fields)
        self.head = ResponseHead("HTTP/1.1", entry.status, entry.reason, self.fields, True)
        self.validators = Validators.from_headers(self.fields.get)
        self.fills: list[Fill] = []
        self.readers: set[SpanReader] = set()
        spare = context.tuning.read_ahead + 2 * context.grid.size
        self.tally = Tally(context.tallies, entry.id, spare)
        self.pace = Pace(context.tuning.parallel)
        self.recent_stops: list[int] = []
        self.index_sought = False
        self._policy: Policy | None = None
        self._extents: dict[int, Extent] = {}
        self._extent_size = context.grid.size * SLICES
        self._watch: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Version {self.entry.id:x} of {self.entry.key}, {len(self.fills)} fills>"

    def update(self, entry: Entry) -> None:
        """Take over refreshed metadata of the same version."""
        self.entry = entry
        self.fields = Fields(entry.fields)
        self.head = ResponseHead("HTTP/1.1", entry.status, entry.reason, self.fields, True)
        self._policy = None

    def policy(self, heuristic_max: float) -> Policy:
        """How long it is fresh, and what may be done with it afterwards."""
        if self._policy is None:
            entry = self.entry
            self._policy = policy(
                self.fields.get,
                entry.status,
                entry.request_time,
                entry.response_time,
                heuristic_max=heuristic_max,
            )
        return self._policy

    # Where bytes are.

    def extent(self, number: int) -> Extent | None:
        """The extent with this number, if there is a file of it."""
        extent = self._extents.get(number)
        if extent is not None and (not extent.gone or self.changed):
            return extent
        made_anew = self.context.cache.extent(self.entry.id, number)
        if made_anew is not None:
            self._extents[number] = extent = made_anew
        # What is evicted is still read by who has it open.
        return extent

    def available(self, position: int, stop: int) -> memoryview | None:
        """The bytes from `position` that are there, up to `stop` or an extent's end."""
        number, offset = divmod(position, self._extent_size)
        extent = self.extent(number)
        if extent is not None:
            end = extent.run(offset, min(stop - extent.start, extent.size))
            if end > offset:
                return extent.data[offset:end]
        for fill in self.fills:
            if fill.scratch is not None:
                view = fill.scratch.at(position, stop)
                if view is not None:
                    return view
        return None

    def warm(self, position: int, count: int) -> tuple[Extent, int, int] | None:
        """The extent and place of bytes that are on the disk only; None where they are at hand."""
        number, offset = divmod(position, self._extent_size)
        extent = self._extents.get(number)
        if extent is None or extent.resident(offset, offset + count):
            return None
        return extent, offset, offset + count

    def held(self, position: int) -> bool:
        """Whether the slice at a position is whole, checked or not."""
        number, offset = divmod(position, self._extent_size)
        extent = self.extent(number)
        return extent is not None and extent.stored(offset // self.context.grid.size)

    def holds_all(self, start: int, stop: int) -> bool:
        """Whether every byte from `start` to `stop` is at hand."""
        place = start
        while place < stop:
            number, offset = divmod(place, self._extent_size)
            extent = self.extent(number)
            if extent is None:
                return False
            limit = min(stop - extent.start, extent.size)
            if extent.run(offset, limit) < limit:
                return False
            place = extent.start + limit
        return True

    # Readers.

    def touched(self) -> None:
        """A client reads it: the first time, the index of a film is fetched beside it."""
        if not self.index_sought:
            self.index_sought = True
            if worth_seeking(self):
                self.context.spawn(fetch_index(self))

    def join(self, reader: "SpanReader") -> None:
        """A reader begins."""
        self.readers.add(reader)
        if not reader.own:
            self.tally.asked += reader.stop - reader.position
        extent = self.extent(reader.position // self._extent_size)
        if extent is not None:
            self.context.cache.touch(extent)

    def leave(self, reader: "SpanReader") -> None:
        """A reader ends, at its end or before."""
        self.readers.discard(reader)
        if not reader.own:
            # What it did not take was not asked for, as far as fetching goes.
            self.tally.asked -= reader.stop - reader.position
            if reader.position == reader.stop:
                self.recent_stops = [*self.recent_stops[-7:], reader.stop]
        for fill in list(self.fills):
            fill.reconsider()
        self._let_go()

    def _let_go(self) -> None:
        if not self.readers and not self.fills:
            # The cache keeps what is used often open.
            self._extents.clear()

    def is_sequel(self, start: int) -> bool:
        """Whether a read from `start` goes on where one ended just now."""
        return any(stop <= start <= stop + _NEAR for stop in self.recent_stops)

    def moved(self, reader: "SpanReader") -> None:
        """A reader has come into another slice: fills may go on, the next may be due."""
        for fill in self.fills:
            fill.reconsider()
        self.read_ahead(reader)

    def advanced(self, position: int, stop: int) -> None:
        """Bytes from `position` to `stop` have come: wake whoever waits for them."""
        for reader in self.readers:
            if reader.waiting is not None and position <= reader.position < stop:
                reader.wake()

    # Getting what is missing.

    async def supply(self, reader: "SpanReader") -> None:
        """Return when something has changed for a reader that misses its next byte.

        Raises VersionChanged, or the OriginFailure of the fill it waited for.
        """
        position = reader.position
        size = self.context.grid.size
        number, offset = divmod(position, self._extent_size)
        extent = self.extent(number)
        if extent is not None:
            n = offset // size
            if extent.stored(n) and not extent.holds(n):
                await self.context.cache.verify(extent, n)
                return
        fill = self._fill_for(position)
        if fill is None:
            if self.changed:
                raise VersionChanged
            started = self._start_fill(reader, position)
            if started == THERE:
                return
            fill = started if isinstance(started, Fill) else None
        if fill is not None:
            reader.following = fill
            reader.fetched_until = fill.stop
            fill.reconsider()
            await reader.wait()
            return
        await self._follow_foreign(reader, position)

    def _fill_for(self, position: int) -> Fill | None:
        """The fill that will bring a byte soon."""
        size = self.context.grid.size
        for fill in self.fills:
            if fill.position <= position < fill.stop and (
                fill.whole or position - fill.position <= _JOIN_SLICES * size
            ):
                return fill
        return None

    def _start_fill(self, reader: "SpanReader", position: int, ahead: bool = False) -> Fill | str:
        """Begin to fetch at a position, if it is not there by now or another process does."""
        if self.context.closed:
            raise ReaderGone
        grid = self.context.grid
        begin = grid.floor(position)
        span = self._window(reader, begin)
        if not self.entry.combinable:
            # Nothing can be added to what came in one piece.
            self.changed = True
            raise VersionChanged
        storing = self.context.cache.problem is None
        if not storing or not (not self.ranges or self.tally.allows(span - begin, self._pending)):
            if ahead:
                return ELSEWHERE
            if reader.own:
                raise ReaderGone
            stop = min(reader.stop, span) if storing else reader.stop
            return self._begin(Fill(self, position, stop, exact=True))
        if not self.ranges:
            fill = Fill(self, 0, self.length, whole=True)
            return self._begin(fill) if fill.claim_stream() else ELSEWHERE
        for other in self.fills:
            if other.position < begin < other.stop and not other.whole and not other.exact:
                other.cede(begin)
        leases = self.context.cache.leases
        place = slice_place(self.entry.id, begin // grid.size)
        count = leases.take_some(place, -(-(span - begin) // grid.size)) if leases else 0
        if leases is None or not count:
            return ELSEWHERE
        fill = Fill(self, begin, min(begin + count * grid.size, span))
        fill.leased(range(begin // grid.size, begin // grid.size + count))
        if self.held(begin):
            # It came between our look and the lease.
            fill.give_leases(begin)
            return THERE
        return self._begin(fill)

    @property
    def _pending(self) -> int:
        """How many bytes are still to come."""
        return sum(fill.stop - fill.position for fill in self.fills)

    def _begin(self, fill: Fill) -> Fill:
        self.fills.append(fill)
        self.context.spawn(fill.run())
        return fill

    def _window(self, reader: "SpanReader", begin: int) -> int:
        """Where a fill from `begin` on behalf of a reader ends."""
        grid, tuning = self.context.grid, self.context.tuning
        if self.pace.count > 1:
            size = parallel_window(tuning.read_ahead, self.pace.count, grid)
        else:
            size = reader.window
            reader.window = grown(size, tuning.most_window)
        want = reader.stop
        if reader.sequel:
            want = min(want + tuning.read_ahead, self.length)
        stop = min(grid.ceil(want), begin + max(size, grid.size), self.length)
        for other in self.fills:
            if begin < other.position and not other.exact:
                stop = min(stop, grid.floor(other.position))
        stop = max(stop, min(begin + grid.size, self.length))
        # Up to the next slice that is there.
        edge = begin + grid.size
        while edge < stop and not self.held(edge):
            edge += grid.size
        return min(edge, stop)

    def read_ahead(self, reader: "SpanReader") -> None:
        """Begin the next window ahead of a reader, if one is due."""
        if not self.entry.combinable or not self.ranges or self.changed or self.context.closed:
            return
        grid, tuning = self.context.grid, self.context.tuning
        want = min(reader.stop + (tuning.read_ahead if reader.sequel else 0), self.length)
        horizon = min(grid.ceil(want), reader.position + tuning.read_ahead, self.length)
        place = grid.floor(reader.position)
        running = 0
        while place < horizon:
            fill = self._covering(place)
            if fill is not None:
                running += 1
                if running >= self.pace.count:
                    return
                place = grid.ceil(fill.stop)
            elif self.held(place):
                place += grid.size
            else:
                started = self._start_fill(reader, place, ahead=True)
                if not isinstance(started, Fill):
                    return
                started.keep = max(started.keep, min(want, started.stop) if reader.sequel else 0)
                running += 1
                if running >= self.pace.count:
                    return
                place = grid.ceil(started.stop)

    def _covering(self, place: int) -> Fill | None:
        for fill in self.fills:
            if fill.begin <= place < fill.stop and not fill.exact:
                return fill
        return None

    async def _follow_foreign(self, reader: "SpanReader", position: int) -> None:
        """Wait for a fill of another process; its lease is tried when nothing moves."""
        size = self.context.grid.size
        number, offset = divmod(position, self._extent_size)
        extent = self.extent(number)
        now = time.monotonic()
        seen = extent.filled(offset // size) if extent is not None else 0
        if reader.foreign_since is None or seen != reader.foreign_seen:
            if reader.foreign_since is None:
                self.context.counters.add(Count.COLLAPSED)
            reader.foreign_since, reader.foreign_seen = now, seen
        if extent is not None:
            self._wish(extent, offset, now)
        if self._watch is None:
            self._watch = self.context.loop.call_later(_LOOK, self._look)
        reader.foreign_at = offset
        reader.fetched_until = position - position % size + size
        await reader.wait()
        reader.foreign_at = None

    @staticmethod
    def _wish(extent: Extent, offset: int, now: float) -> None:
        """Tell who fills an extent how far it is wanted: the furthest wish counts."""
        told, at = extent.wanted
        ms = int(now * 1000)
        if offset >= told or ms - at > _WISH_OLD:
            extent.want(offset, ms)

    def _look(self) -> None:
        """Look whether other processes' fills have moved."""
        self._watch = None
        now = time.monotonic()
        waiting = False
        size = self.context.grid.size
        for reader in self.readers:
            offset = reader.foreign_at
            if offset is None:
                continue
            waiting = True
            extent = self.extent(reader.position // self._extent_size)
            if extent is not None:
                self._wish(extent, offset, now)
            seen = extent.filled(offset // size) if extent is not None else 0
            idle = now - (reader.foreign_since or now)
            if seen != reader.foreign_seen or idle > _TRY_LEASE:
                reader.wake()
        if waiting:
            self._watch = self.context.loop.call_later(_LOOK, self._look)

    # What fills tell.

    def opened(self, extent: Extent) -> None:
        """An extent was made, or made anew, for a fill."""
        self._extents[extent.number] = extent

    def without_ranges(self, fill: Fill) -> bool:
        """The origin has answered 200 to a range; False: another fill reads the stream already."""
        self.ranges = False
        for other in self.fills:
            if other is not fill and other.streams and not other.over:
                other.read_to_end()
                return False
        fill.read_to_end()
        return True

    def if_range(self) -> str | None:
        """What a request for more of this version says in If-Range (RFC 9110 section 13.1.5)."""
        validators = self.validators
        if validators.etag is not None:
            return None if validators.etag.weak else self.fields.get("ETag")
        return self.fields.get("Last-Modified") if validators.last_modified_is_strong else None

    def distrust(self, position: int) -> None:
        """The origin sent more than it declared: what ended at `position` is not kept."""
        number, offset = divmod(max(position - 1, 0), self._extent_size)
        extent = self.extent(number)
        if extent is not None:
            extent.forget(offset // self.context.grid.size)
        self.supersede()

    def supersede(self) -> None:
        """It is no longer what the origin has: nothing is added to it, nobody finds it."""
        if not self.changed:
            self.changed = True
            self.context.spawn(self.context.cache.remove(self.entry))

    def paced(self, count: int) -> None:
        """Bytes have come: would another connection bring more?"""
        if (
            not self.pace.arrived(count, self.context.loop.time(), time.process_time())
            or self.pace.count == 1
        ):
            return
        size = parallel_window(self.context.tuning.read_ahead, self.pace.count, self.context.grid)
        for fill in self.fills:
            # A window runs to its end; a stream of the whole has to be cut somewhere.
            if fill.streams and not fill.whole:
                fill.cede(self.context.grid.ceil(fill.position + size))
        for reader in list(self.readers):
            self.read_ahead(reader)

    def ended(self, fill: Fill, error: Exception | None) -> None:
        """A fill is over: its followers look for another, or hear of its failure."""
        if fill in self.fills:
            self.fills.remove(fill)
        self.tally.publish(self._pending)
        for reader in list(self.readers):
            if reader.following is fill:
                reader.following = None
                if error is not None:
                    reader.fail(error)
                else:
                    reader.wake()
        if isinstance(error, Changed):
            self.supersede()
        if not self.entry.combinable and not self.fills:
            self._settle()
        if error is None:
            for reader in list(self.readers):
                self.read_ahead(reader)
        self._let_go()

    def _settle(self) -> None:
        """What cannot be added to counts when it is whole, and not at all otherwise."""
        if self.holds_all(0, self.length):
            self.entry = replace(self.entry, complete=True)
            self.context.spawn(self.context.cache.completed(self.entry))
        else:
            self.supersede()
