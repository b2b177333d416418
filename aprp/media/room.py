"""Where the bytes of a fill go: to their place in extents, or into memory where that cannot be."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aprp.cache.extent import SLICES, Extent
from aprp.media.leasing import FillLeases
from aprp.media.scratch import Scratch
from aprp.media.writing import SliceWriter

if TYPE_CHECKING:
    from aprp.media.version import Version

# Slices that are allocated at once; and how many of them may be left when the next are asked for.
_AHEAD: Final = 8
_LOW: Final = 4

# What may come together with a head that opens a version, in bytes.
_LANDING: Final = 64 << 10


@dataclass(slots=True)
class _Region:
    """Room for the bytes from `begin` to `end`: in an extent, or nowhere (they are there)."""

    begin: int
    end: int
    extent: Extent | None


class Room:
    """The room of one fill, from its first byte on.

    There is room up to `prepared`. `scratch`: from where it begins on, bytes are kept in memory
    and not stored.
    """

    def __init__(self, version: "Version", begin: int, *, exact: bool) -> None:
        """`exact`: nothing is to be stored."""
        self.prepared = begin
        self.scratch: Scratch | None = Scratch(begin) if exact else None
        self.leases = FillLeases(version.context, version.entry.id)
        self._version = version
        self._grid = version.context.grid
        self._regions: deque[_Region] = deque()
        self._writer = SliceWriter(version.context, version.length)
        self._landing: bytearray | None = None
        self._landed = 0

    # Making room.

    @property
    def ready(self) -> bool:
        """Whether the next bytes have a place."""
        return self.scratch is not None or bool(self._regions)

    def is_low(self, position: int) -> bool:
        """Whether more is to be made soon for a fill that has come to `position`."""
        return self.prepared - position <= _LOW * self._grid.size

    def lease_window(self, begin: int, stop: int) -> int:
        """Take the leases of a window; where it ends: another process may have one of them."""
        size = self._grid.size
        first = begin // size
        count = self.leases.take_some(first, -(-(stop - begin) // size))
        return min(stop, (first + count) * size)

    def cede(self, place: int) -> None:
        """Give up the room from `place`, an edge of a slice, on."""
        self.prepared = min(self.prepared, place)
        self.leases.give_from(place // self._grid.size)
        while self._regions and self._regions[-1].begin >= place:
            self._regions.pop()
        if self._regions:
            self._regions[-1].end = min(self._regions[-1].end, place)

    async def extend(self, stop: int, whole: bool) -> int | None:
        """Make room for the next slices before `stop`; how many bytes of them are there already.

        None: they are not this fill's to write. `whole`: they belong to a stream, which brings what
        is there, too. Raises CannotStore.
        """
        version, grid = self._version, self._grid
        extent_size = grid.size * SLICES
        begin = self.prepared
        number = begin // extent_size
        first = (begin - number * extent_size) // grid.size
        most = min(_AHEAD, SLICES - first, -(-(stop - begin) // grid.size))
        count = 0
        while count < most and self._has(begin // grid.size + count, whole):
            count += 1
        extent: Extent | None = None
        left = 0
        if count:
            start = number * extent_size
            end = min(begin + count * grid.size, version.length)
            size = min(extent_size, version.length - start)
            cache = version.context.cache
            extent = await cache.prepare(version.entry.id, number, size, first, count)
            version.opened(extent)
            left = min(extent.filled(first), end - begin)
        elif whole:
            # The stream brings what is there already, or on its way by another fill.
            end = min(begin + grid.size, version.length)
        else:
            return None
        self._regions.append(_Region(begin, end, extent))
        self.prepared = end
        return left

    def _has(self, number: int, whole: bool) -> bool:
        """Whether a slice is this fill's to write; not if it is there, or another fill has it."""
        # Beyond what was leased at the start only a stream goes, which takes all that comes.
        if number not in self.leases and not (whole and self.leases.take(number)):
            return False
        if self._version.whole_by_now(number * self._grid.size):
            self.leases.give(number)
            return False
        return True

    def go_without_storing(self, position: int) -> Scratch:
        """There is no room: from `position` on bytes only pass through memory."""
        scratch = self.scratch = Scratch(position)
        self._regions.clear()
        self.leases.give_from(0)
        return scratch

    # Bytes.

    def space(self, position: int, stop: int) -> memoryview:
        """Where the next bytes are to be written, up to `stop`; only if it is `ready`."""
        if self.scratch is not None:
            return self.scratch.space(stop)
        return self._version.context.inlet[: min(self._regions[0].end, stop) - position]

    def put(self, begin: int, view: memoryview, stop: int) -> bool:
        """Store the bytes from `begin`, which were written to `space`; `stop` is the fill's end.

        False where they are in memory, and not in `view`.
        """
        if self.scratch is not None:
            self.scratch.put(len(view))
            return False
        region = self._regions[0]
        if region.extent is not None:
            try:
                for number in self._writer.write(region.extent, begin, view):
                    self.leases.give(number)
            except OSError as error:
                self._version.context.cache.failed(error)
                _copy(view, self.go_without_storing(begin), stop)
        if begin + len(view) >= region.end and self._regions:
            self._regions.popleft()
        return True

    # Bytes that come before there is room: with the head that opens a version.

    def land(self) -> memoryview:
        """Where they are to be written."""
        if self._landing is None:
            self._landing = bytearray(_LANDING)
        return memoryview(self._landing)[self._landed :]

    def landed(self, count: int) -> None:
        """`count` bytes more have been written there."""
        self._landed += count

    def take_landed(self) -> memoryview | None:
        """The bytes that have landed, if there are any, once there is room for them."""
        if not self._landed or not self.ready:
            return None
        assert self._landing is not None
        source = memoryview(self._landing)[: self._landed]
        self._landing, self._landed = None, 0
        return source


def _copy(view: memoryview, scratch: Scratch, stop: int) -> None:
    while view:
        room = scratch.space(stop)[: len(view)]
        room[:] = view[: len(room)]
        scratch.put(len(room))
        view = view[len(room) :]
