"""One version of a representation: where its bytes are, who reads it, what is being fetched.

Slices are found in the extents that all processes share; what is missing is fetched by a `Fill`
of this process, or comes from that of another one, whose progress shows in the extent's header.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from aprp.cache.entry import Entry
from aprp.cache.extent import SLICES, Extent
from aprp.media.checks import Changed
from aprp.media.context import Cause, Context, Link, Marked
from aprp.media.fill import Fill
from aprp.media.index import fetch_index, worth_seeking
from aprp.media.supply import Supply
from aprp.media.tally import Tally
from aprp.semantics.answer import differ
from aprp.semantics.conditions import Validators
from aprp.semantics.freshness import Policy, policy
from aprp.semantics.headers import Fields
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

if TYPE_CHECKING:
    from aprp.media.reader import SpanReader

# A read that begins this many bytes after the end of another goes on where that one ended.
_NEAR = 64 << 10


class Version:
    """A stored response and the fills and readers of it in this process.

    `changed`: the origin has another one; what is here may still be read by who has begun.
    `link`: the newest client's way of asking for it. `spent`: origins that went on breaking off in
    spite of all RETRIES; the others are asked before them.
    """

    def __init__(self, context: Context, entry: Entry, link: Link) -> None:
        self.context = context
        self.entry = entry
        self.length = entry.length
        self.link = link
        self.changed = False
        self.spent: set[Origin] = set()
        self.ranges = entry.ranges
        self.fields = Fields(entry.fields)
        self.head = ResponseHead("HTTP/1.1", entry.status, entry.reason, self.fields, True)
        self.validators = Validators.from_headers(self.fields.get)
        self.fills: list[Fill] = []
        self.readers: set[SpanReader] = set()
        spare = context.tuning.read_ahead + 2 * context.grid.size
        self.tally = Tally(context.tallies, entry.id, spare)
        self.recent_stops: list[int] = []
        self.index_sought = False
        self._policy: Policy | None = None
        self._extents: dict[int, Extent] = {}
        self._extent_size = context.grid.size * SLICES
        self.supply = Supply(self)

    def __repr__(self) -> str:
        return f"<Version {self.entry.id:x} of {self.entry.key}, {len(self.fills)} fills>"

    def update(self, entry: Entry) -> None:
        """Take over refreshed metadata of the same version."""
        self.entry = entry
        self.fields = Fields(entry.fields)
        self.head = ResponseHead("HTTP/1.1", entry.status, entry.reason, self.fields, True)
        self.validators = Validators.from_headers(self.fields.get)
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
        stop = offset + count
        if extent is None or (self.fills and extent.run(offset, min(stop, extent.size)) < stop):
            # A fill has them in memory, maybe beyond what this extent maps.
            return None
        if extent.at_hand(offset, stop, self.context.loop.time()):
            return None
        return extent, offset, stop

    def watched(self, position: int, count: int) -> None:
        """Bytes from `position` are given to a client: note it where they are stored. Cheap."""
        number = position // self._extent_size
        extent = self._extents.get(number)
        if extent is not None:
            offset = position - number * self._extent_size
            extent.watch(offset, offset + count)

    def held(self, position: int) -> bool:
        """Whether the slice at a position is whole, checked or not."""
        number, offset = divmod(position, self._extent_size)
        extent = self.extent(number)
        return extent is not None and extent.stored(offset // self.context.grid.size)

    def whole_by_now(self, position: int) -> bool:
        """Whether the slice at a position is whole; for who has its lease.

        One that was filled to its end by a process that then died is completed.
        """
        number, offset = divmod(position, self._extent_size)
        extent = self.extent(number)
        if extent is None:
            return False
        n = offset // self.context.grid.size
        length = min(self.length - extent.start, extent.size) - n * self.context.grid.size
        length = min(length, self.context.grid.size)
        if not extent.stored(n) and extent.filled(n) >= length > 0:
            extent.complete(n, length)
            self.context.cache.wrote(extent, n)
        return extent.stored(n)

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

    def touched(self, cause: Cause | None = None) -> None:
        """A client reads it: the first time, the index of a film is fetched beside it.

        `cause` is its request.
        """
        if not self.index_sought:
            self.index_sought = True
            if worth_seeking(self):
                # Not the request itself, which is over before.
                marked = None if cause is None else Marked(cause.marks)
                self.context.spawn(fetch_index(self, marked))

    def join(self, reader: "SpanReader") -> None:
        """A reader begins."""
        self.readers.add(reader)
        self.context.busy.add(self)
        if reader.wanted:
            self.tally.asked += reader.stop - reader.position
        extent = self.extent(reader.position // self._extent_size)
        if extent is not None:
            self.context.cache.touch(extent)

    def leave(self, reader: "SpanReader") -> None:
        """A reader ends, at its end or before."""
        self.readers.discard(reader)
        if reader.wanted:
            # What it did not take was not asked for, as far as fetching goes.
            self.tally.asked -= reader.stop - reader.position
            if reader.position == reader.stop:
                self.recent_stops = [*self.recent_stops[-7:], reader.stop]
        # One that has come to its end may go on with its next request.
        if not self.readers and reader.position < reader.stop:
            self.supply.wish_no_more()
        for fill in list(self.fills):
            fill.reconsider()
        self._let_go()

    def _let_go(self) -> None:
        if not self.readers and not self.fills:
            # The cache keeps what is used often open.
            self._extents.clear()
            self.context.busy.discard(self)

    def is_sequel(self, start: int) -> bool:
        """Whether a read from `start` goes on where one ended just now."""
        return any(stop <= start <= stop + _NEAR for stop in self.recent_stops)

    def moved(self, reader: "SpanReader") -> None:
        """A reader has come into another slice: fills may go on, the next may be due."""
        for fill in self.fills:
            fill.reconsider()
        extent = self._extents.get(reader.position // self._extent_size)
        if extent is not None:
            self.context.cache.touch(extent)
        self.supply.read_ahead(reader)

    def advanced(self, position: int, stop: int, view: memoryview | None) -> None:
        """Bytes from `position` to `stop` have come: tell whoever waits for them.

        They stand in `view` too, if there is one, until this returns.
        """
        for reader in list(self.readers):
            if reader.waiting is not None and position <= reader.position < stop:
                if view is None:
                    reader.wake()
                else:
                    reader.offer(position, view)

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

    def is_same(self, validators: Validators) -> bool:
        """Whether an answer with these validators is surely of this version."""
        known = self.validators
        if known.etag is None and known.last_modified is None:
            return False
        return not differ(known, validators)

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

    def ended(self, fill: Fill, error: Exception | None) -> None:
        """A fill is over: its followers look for another, or hear of its failure."""
        if fill in self.fills:
            self.fills.remove(fill)
        self.tally.publish(self.supply.pending)
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
        if error is None and fill.scratch is None:
            for reader in list(self.readers):
                self.supply.read_ahead(reader)
        self._let_go()

    def _settle(self) -> None:
        """What cannot be added to counts when it is whole, and not at all otherwise."""
        if self.holds_all(0, self.length):
            self.entry = replace(self.entry, complete=True)
            self.context.spawn(self.context.cache.completed(self.entry))
        else:
            self.supersede()
