"""The bytes of a made-up object, and what an extent says of them."""

import random
from functools import cache
from pathlib import Path

from aprp.cache.extent import Extent, extent_path
from aprp.cache.header import SLICES

VERSION = 0x0123_4567_89AB_CDEF
SLICE = 64 << 10
# Tags of two boots of a machine.
NOW, LATER = 0x1111_1111, 0x2222_2222


@cache
def content(size: int = SLICES * SLICE) -> bytes:
    """Bytes that differ from slice to slice and are nowhere zero."""
    return random.Random(size).randbytes(size).replace(b"\0", b"\1")


def path_of(directory: Path, number: int = 0) -> Path:
    return extent_path(directory, VERSION, number)


def new_extent(
    directory: Path, size: int = SLICES * SLICE, slice_size: int = SLICE, boot: int | None = NOW
) -> Extent:
    return Extent.create(path_of(directory), VERSION, 0, slice_size, size, boot=boot)


def open_extent(directory: Path, boot: int | None = NOW) -> Extent:
    extent = Extent.open(path_of(directory), boot=boot)
    assert extent is not None
    return extent


def fill(extent: Extent, *numbers: int) -> None:
    """Write whole slices, of the content that an extent of this size has."""
    data = content(extent.size)
    for n in numbers:
        place = slice(n * extent.slice_size, n * extent.slice_size + extent.length(n))
        extent.data[place] = data[place]
        extent.complete(n)


def readable(extent: Extent) -> dict[int, bytes]:
    """All bytes that may be read, by the place where each stretch begins."""
    found = {}
    place = 0
    while place < extent.size:
        end = extent.run(place, extent.size)
        if end > place:
            found[place] = bytes(extent.data[place:end])
        place = (max(place, end) // extent.slice_size + 1) * extent.slice_size
    return found


def no_wrong_byte(extent: Extent, data: bytes) -> bool:
    return all(part == data[place : place + len(part)] for place, part in readable(extent).items())
