"""The index of an MP4 or QuickTime file: its top-level boxes, ISO/IEC 14496-12 section 4.2."""

from dataclasses import dataclass
from typing import Final

from aprp.semantics.containers.walk import Places, Walk
from aprp.semantics.ranges import Span

_SHORT: Final = 8
_LONG: Final = 16
_MFRO: Final = 16
# What a file may begin with; anything else is no MP4 file, and its sizes mean nothing.
_FIRST: Final = frozenset(
    b"emsg free ftyp mdat moof moov pdin pnot prft sidx skip styp uuid wide".split()
)
# What may stand between the index of a fragmented file and its first fragment.
_FRAGMENTS: Final = frozenset(b"emsg moof prft styp".split())


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    stop: int


def find(length: int, places: Places) -> Walk[None]:
    """Walk from box to box to `moov`; in a fragmented file, look for `mfra` too."""
    moov = yield from _moov(length)
    if moov is None:
        return
    places.index = Span(moov.start, moov.stop)
    box = yield from _box(moov.stop, length)
    while box is not None and box.kind == b"sidx":
        places.index = Span(moov.start, box.stop)
        box = yield from _box(box.stop, length)
    if box is not None and box.kind in _FRAGMENTS:
        places.trailer = yield from _mfra(box.start, length)


def _moov(length: int) -> Walk[_Box | None]:
    box = yield from _box(0, length)
    if box is None or box.kind not in _FIRST:
        return None
    # A fragment before any moov: a segment of a stream, whose index is in another file.
    while box is not None and box.kind != b"moof":
        if box.kind == b"moov":
            return box
        box = yield from _box(box.stop, length)
    return None


def _mfra(start: int, length: int) -> Walk[Span | None]:
    """Find the box that lists fragments; `mfro`, the last box in it and the file, has its size."""
    if length - _MFRO < start:
        return None
    mfro = yield Span(length - _MFRO, length)
    if mfro[:8] != b"\0\0\0\x10mfro":
        return None
    box = yield from _box(length - int.from_bytes(mfro[12:]), length)
    if box is None or box.kind != b"mfra" or box.start < start or box.stop != length:
        return None
    return Span(box.start, box.stop)


def _box(start: int, length: int) -> Walk[_Box | None]:
    """Read a box's header; None if there is none, or the box does not end within the file."""
    if start < 0 or length - start < _SHORT:
        return None
    header = yield Span(start, min(start + _LONG, length))
    size, kind = int.from_bytes(header[:4]), header[4:8]
    least = _SHORT
    if size == 1:
        size, least = int.from_bytes(header[8:]), _LONG
    elif size == 0:
        size = length - start
    if size < least or start + size > length:
        return None
    return _Box(kind, start, start + size)
