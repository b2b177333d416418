"""Contents of files of any size, none of which is held: each byte follows from its place.

Two versions of a file, and two files, differ in nearly every byte, so that an answer that mixes
them is seen wherever it does.
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

# No round number: a slice that stands in another slice's place is seen.
_PERIOD = (1 << 20) + 7
_BLOCK = random.Random(3).randbytes(_PERIOD)
_TWICE = memoryview(_BLOCK + _BLOCK)


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of one version of a file; `laid` are bytes that stand at places instead."""

    name: str
    version: int
    size: int
    laid: tuple[tuple[int, bytes], ...] = ()

    @property
    def _shift(self) -> int:
        return zlib.crc32(f"{self.name} {self.version}".encode()) % _PERIOD

    def pieces(self, start: int, stop: int, most: int = 262144) -> Iterator[memoryview]:
        """The bytes `start` to `stop`, piece by piece."""
        shift = self._shift
        while start < stop:
            end = min(start + most, stop)
            place = (start + shift) % _PERIOD
            piece = _TWICE[place : place + end - start]
            yield self._with_laid(piece, start) if self.laid else piece
            start = end

    def _with_laid(self, piece: memoryview, start: int) -> memoryview:
        changed = bytearray(piece)
        for place, laid in self.laid:
            first = max(place, start)
            last = min(place + len(laid), start + len(piece))
            if first < last:
                changed[first - start : last - start] = laid[first - place : last - place]
        return memoryview(changed)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes `start` to `stop`."""
        return b"".join(self.pieces(start, stop))

    def matches(self, start: int, data: bytes) -> bool:
        """Whether these are the bytes from `start` on."""
        place = 0
        for piece in self.pieces(start, start + len(data)):
            if data[place : place + len(piece)] != piece.tobytes():
                return False
            place += len(piece)
        return True
