"""Writing a stream into the slices of extents, summed up on its way."""

from collections.abc import Iterator

from xxhash import xxh3_64

from aprp.cache.extent import SLICES, Extent
from aprp.media.context import Context


class SliceWriter:
    """Puts bytes in their place, says in the header how far slices have come, completes them."""

    def __init__(self, context: Context, length: int) -> None:
        """`length` is that of the representation, in bytes."""
        self._cache = context.cache
        self._size = context.grid.size
        self._length = length
        self._sum: xxh3_64 | None = None

    def write(self, extent: Extent, begin: int, view: memoryview) -> Iterator[int]:
        """Write the bytes of the representation that begin at `begin`, all in one extent.

        Gives the number of each slice that is whole with them. Raises OSError.
        """
        size = self._size
        extent.write(begin - extent.start, view)
        whole = min(extent.start + SLICES * size, self._length)
        place, end = begin, begin + len(view)
        while place < end:
            number = (place - extent.start) // size
            first = extent.start + number * size
            edge = min(first + size, whole)
            until = min(end, edge)
            if place == first:
                self._sum = xxh3_64()
            if self._sum is not None:
                self._sum.update(view[place - begin : until - begin])
            if until == edge:
                # Summed up as it came, where it came in one go.
                checksum = None if self._sum is None else self._sum.intdigest()
                extent.complete(number, checksum=checksum)
                self._sum = None
                self._cache.wrote(extent, number)
                self._cache.touch(extent)
                yield place // size
            else:
                extent.grow(number, until - first)
            place = edge
