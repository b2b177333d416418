"""Getting what is missing of a version: which fill to join, when to begin one, and where it ends.

A reader that misses its next byte joins the fill that is about to bring it, begins one, or watches
that of another process. One that reads on has the next windows begun ahead of it.
"""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aprp.cache.extent import SLICES
from aprp.media.checks import Changed
from aprp.media.fill import Fill
from aprp.media.plan import Pace, grown, parallel_window
from aprp.media.reader import ReaderGone
from aprp.stats.counters import Count

if TYPE_CHECKING:
    from aprp.media.reader import SpanReader
    from aprp.media.version import Version

# How often another process's fill is looked at, in seconds, and after how long without progress
# its lease is tried.
_LOOK = 0.004
_LOOK_EACH = 0.0001
_TRY_LEASE = 0.03

# A reader this many slices ahead of a fill does not wait for it.
_JOIN_SLICES = 1

# Why no fill was begun: another process has the lease; the bytes have come meanwhile.
ELSEWHERE = "elsewhere"
THERE = "there"


def _worked() -> float:
    """Seconds that this process has used a processor, or its loop has waited for one.

    The second, which makes a line look slow as well, is told by Linux (proc_pid_schedstat).
    """
    used = time.process_time()
    try:
        _, waited, _ = Path("/proc/self/schedstat").read_bytes().split()
    except (OSError, ValueError):
        # Not this kernel.
        return used
    return used + int(waited) / 1e9


class Supply:
    """What brings the missing bytes of one version to its readers in this process.

    `pace` says how many windows are fetched at once.
    """

    def __init__(self, version: "Version") -> None:
        self.version = version
        self.context = version.context
        self.pace = Pace(version.context.tuning.parallel)
        self._extent_size = version.context.grid.size * SLICES
        self._watch: asyncio.TimerHandle | None = None
        self._wished: tuple[int, int] | None = None

    async def bring(self, reader: "SpanReader") -> None:
        """Return when something has changed for a reader that misses its next byte.

        Raises Changed, or the OriginFailure of the fill it waited for.
        """
        position = reader.position
        size = self.context.grid.size
        number, offset = divmod(position, self._extent_size)
        extent = self.version.extent(number)
        if extent is not None:
            n = offset // size
            if extent.stored(n) and not extent.holds(n):
                await self.context.cache.verify(extent, n)
                return
        fill = self._fill_for(position)
        if fill is None:
            if self.version.changed:
                raise Changed
            started = self._start_fill(reader, position)
            if started == THERE:
                return
            fill = started if isinstance(started, Fill) else None
        if fill is not None:
            reader.following = fill
            reader.fetching(position, fill.stop)
            fill.reconsider()
            await reader.wait()
            return
        await self._follow_foreign(reader, position)

    def _fill_for(self, position: int) -> Fill | None:
        """The fill that will bring a byte soon."""
        size = self.context.grid.size
        for fill in self.version.fills:
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
        if not self.version.entry.combinable:
            # Nothing can be added to what came in one piece.
            self.version.changed = True
            raise Changed
        storing = self.context.cache.problem is None
        if not storing or not (
            not self.version.ranges or self.version.tally.allows(span - begin, self.pending)
        ):
            if ahead:
                return ELSEWHERE
            if not reader.wanted:
                raise ReaderGone
            stop = min(reader.stop, span) if storing else reader.stop
            fill = Fill(self.version, position, stop, exact=True, marks=reader.marks)
            return self._begin(fill)
        if not self.version.ranges:
            length = self.version.length
            fill = Fill(self.version, 0, length, whole=True, marks=reader.marks)
            return self._begin(fill) if fill.lease_stream() else ELSEWHERE
        for other in self.version.fills:
            if other.position < begin < other.stop and not other.whole and not other.exact:
                other.cede(begin)
        fill = Fill(self.version, begin, span, marks=reader.marks)
        if not fill.lease_window():
            self.version.tally.publish(self.pending)
            return ELSEWHERE
        if self.version.whole_by_now(begin):
            # It came between our look and the lease.
            fill.give_up()
            return THERE
        return self._begin(fill)

    @property
    def pending(self) -> int:
        """How many bytes are still to come by fills."""
        return sum(fill.stop - fill.position for fill in self.version.fills)

    def _begin(self, fill: Fill) -> Fill:
        self.version.fills.append(fill)
        self.context.busy.add(self.version)
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
            want = min(want + tuning.read_ahead, self.version.length)
        stop = min(grid.ceil(want), begin + max(size, grid.size), self.version.length)
        for other in self.version.fills:
            if begin < other.position and not other.exact:
                stop = min(stop, grid.floor(other.position))
        stop = max(stop, min(begin + grid.size, self.version.length))
        # Up to the next slice that is there.
        edge = begin + grid.size
        while edge < stop and not self.version.held(edge):
            edge += grid.size
        return min(edge, stop)

    def read_ahead(self, reader: "SpanReader") -> None:
        """Begin the next window ahead of a reader, if one is due."""
        if (
            not self.version.entry.combinable
            or not self.version.ranges
            or self.version.changed
            or self.context.closed
        ):
            return
        grid, tuning = self.context.grid, self.context.tuning
        want = min(reader.stop + (tuning.read_ahead if reader.sequel else 0), self.version.length)
        horizon = min(grid.ceil(want), reader.position + tuning.read_ahead, self.version.length)
        place = grid.floor(reader.position)
        running = 0
        while place < horizon:
            fill = self._covering(place)
            if fill is not None:
                reader.fetching(max(place, fill.position), fill.stop)
                running += 1
                if running >= self.pace.count:
                    return
                place = grid.ceil(fill.stop)
            elif self.version.held(place):
                place += grid.size
            else:
                started = self._start_fill(reader, place, ahead=True)
                if not isinstance(started, Fill):
                    return
                reader.fetching(place, started.stop)
                started.keep = max(started.keep, min(want, started.stop) if reader.sequel else 0)
                running += 1
                if running >= self.pace.count:
                    return
                place = grid.ceil(started.stop)

    def _covering(self, place: int) -> Fill | None:
        for fill in self.version.fills:
            if fill.begin <= place < fill.stop and not fill.exact:
                return fill
        return None

    async def _follow_foreign(self, reader: "SpanReader", position: int) -> None:
        """Wait for a fill of another process; its lease is tried when nothing moves."""
        size = self.context.grid.size
        number, offset = divmod(position, self._extent_size)
        extent = self.version.extent(number)
        now = time.monotonic()
        seen = extent.filled(offset // size) if extent is not None else 0
        if reader.foreign_since is None:
            self.context.counters.add(Count.COLLAPSED)
        reader.foreign_since, reader.foreign_seen = now, seen
        self._wish(position, now)
        if self._watch is None:
            self._watch = self.context.loop.call_later(_LOOK, self._look)
        reader.foreign_at = offset
        reader.fetching(position, position - position % size + size)
        await reader.wait()
        reader.foreign_at = None

    def _wish(self, position: int, now: float) -> None:
        at = int(now * 1000)
        if self.context.tallies.wish(self.version.entry.id, position, at):
            self._wished = (position, at)

    def wish_no_more(self) -> None:
        """The clients have gone: another process is not to fetch for them any longer."""
        if self._wished is not None:
            self.context.tallies.withdraw(self.version.entry.id, *self._wished)
            self._wished = None

    def _look(self) -> None:
        """Look whether other processes' fills have moved."""
        self._watch = None
        now = time.monotonic()
        waiting = 0
        size = self.context.grid.size
        for reader in self.version.readers:
            offset = reader.foreign_at
            if offset is None:
                continue
            waiting += 1
            extent = self.version.extent(reader.position // self._extent_size)
            self._wish(reader.position, now)
            seen = extent.filled(offset // size) if extent is not None else 0
            idle = now - (reader.foreign_since or now)
            if seen != reader.foreign_seen or idle > _TRY_LEASE:
                reader.wake()
        if waiting:
            # Many that wait cost no more than few do.
            delay = max(_LOOK, waiting * _LOOK_EACH)
            self._watch = self.context.loop.call_later(delay, self._look)

    def paced(self, count: int) -> None:
        """Bytes have come: would another connection bring more?"""
        if not self.pace.arrived(count, self.context.loop.time(), _worked) or self.pace.count == 1:
            return
        size = parallel_window(self.context.tuning.read_ahead, self.pace.count, self.context.grid)
        for fill in self.version.fills:
            # A window runs to its end; a stream of the whole has to be cut somewhere.
            if fill.streams and not fill.whole:
                fill.cede(self.context.grid.ceil(fill.position + size))
        for reader in list(self.version.readers):
            self.read_ahead(reader)
