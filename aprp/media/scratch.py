"""Bytes of a fill that cannot be stored: kept in memory until its readers have taken them."""

from collections import deque
from typing import Final

BLOCK: Final = 256 << 10
MOST_BLOCKS: Final = 8


class Scratch:
    """A window of a stream in blocks of memory; positions are those in the representation."""

    __slots__ = ("_blocks", "position")

    def __init__(self, position: int) -> None:
        """Begin empty; the next byte to come is the one at `position`."""
        self.position = position
        self._blocks: deque[tuple[int, memoryview]] = deque()

    def space(self, stop: int) -> memoryview:
        """Room for the next bytes, up to `stop`."""
        if not self._blocks or self._end == self.position:
            size = min(BLOCK, stop - self.position)
            self._blocks.append((self.position, memoryview(bytearray(size))))
        begin, view = self._blocks[-1]
        return view[self.position - begin :]

    @property
    def _end(self) -> int:
        begin, view = self._blocks[-1]
        return begin + len(view)

    @property
    def begin(self) -> int:
        """The first byte that is held."""
        return self._blocks[0][0] if self._blocks else self.position

    @property
    def capacity(self) -> int:
        """How many bytes there may be at once."""
        return BLOCK * MOST_BLOCKS

    @property
    def full(self) -> bool:
        """Whether the next byte needs a block more than there may be."""
        return len(self._blocks) >= MOST_BLOCKS and self._end == self.position

    def put(self, count: int) -> None:
        """`count` bytes were written into the space."""
        self.position += count

    def at(self, position: int, stop: int) -> memoryview | None:
        """The bytes from `position` that one block holds, up to `stop`."""
        for begin, view in self._blocks:
            if begin <= position < begin + len(view):
                end = min(stop, self.position, begin + len(view))
                return view[position - begin : end - begin] if end > position else None
        return None

    def drop(self, position: int) -> None:
        """Nobody needs what lies before a position."""
        while self._blocks and self._blocks[0][0] + len(self._blocks[0][1]) <= position:
            self._blocks.popleft()

    def drop_first(self) -> None:
        """Give up the oldest block, whoever needs it."""
        self._blocks.popleft()
