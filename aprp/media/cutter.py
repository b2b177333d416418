"""Cutting spans out of a stream of bytes, without copying them."""

from collections.abc import Sequence
from dataclasses import dataclass

Piece = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Cut:
    """Bytes `start` to `stop` (half-open) of a stream, with `prefix` sent before them."""

    start: int
    stop: int
    prefix: bytes = b""


class Cutter:
    """Takes a stream piece by piece and gives those of its bytes that were asked for.

    The cuts stand in ascending order and do not overlap. `position` is how far the stream has
    come, `done` whether the last cut is complete.
    """

    __slots__ = ("_cuts", "_index", "position")

    def __init__(self, cuts: Sequence[Cut]) -> None:
        """Stand at the stream's first byte."""
        self._cuts = cuts
        self._index = 0
        self.position = 0

    @property
    def done(self) -> bool:
        """Whether everything asked for has come."""
        return self._index == len(self._cuts)

    def feed(self, view: memoryview) -> list[Piece]:
        """Take the next piece of the stream; gives what of it is to be sent, in order."""
        begin = self.position
        end = self.position = begin + len(view)
        pieces: list[Piece] = []
        while self._index < len(self._cuts):
            cut = self._cuts[self._index]
            if end <= cut.start:
                break
            if begin <= cut.start and cut.prefix:
                pieces.append(cut.prefix)
            pieces.append(view[max(cut.start - begin, 0) : cut.stop - begin])
            if end < cut.stop:
                break
            self._index += 1
        return pieces
