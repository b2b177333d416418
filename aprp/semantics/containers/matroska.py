"""The index of a Matroska or WebM file: EBML (RFC 8794) elements, Matroska (RFC 9559) section 5."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aprp.semantics.containers.walk import Places, Walk
from aprp.semantics.ranges import Span

_EBML: Final = 0x1A45DFA3
_VOID: Final = 0xEC
_CRC_32: Final = 0xBF
_SEGMENT: Final = 0x18538067
_SEEK_HEAD: Final = 0x114D9B74
_SEEK: Final = 0x4DBB
_SEEK_ID: Final = 0x53AB
_SEEK_POSITION: Final = 0x53AC
_CUES: Final = 0x1C53BB6B
_CLUSTER: Final = 0x1F43B675

# RFC 8794 section 11.2.4: four bytes of ID and eight of size, unless the file says otherwise.
_MAX_ID: Final = 4
_MAX_SIZE: Final = 8
# A SeekHead holds a few entries of about 20 bytes; what a long one lists later are clusters.
_MAX_SEEK_HEAD: Final = 4096


@dataclass(frozen=True, slots=True)
class _Element:
    """An element in the file; `stop` is None where its size is not told."""

    ident: int
    start: int
    body: int
    stop: int | None

    def within(self, stop: int) -> Span | None:
        """The whole element, if it is known to end by `stop`."""
        if self.stop is None or self.stop > stop:
            return None
        return Span(self.start, self.stop)


def find(length: int, places: Places) -> Walk[None]:
    """Walk from element to element to `Cues`, or go where a `SeekHead` before the media says."""
    segment = yield from _segment(length)
    if segment is None:
        return
    seen: set[tuple[int, int]] = set()
    element = yield from _element(segment.start, segment.stop)
    while element is not None and element.ident != _CLUSTER:
        if element.ident == _CUES:
            places.index = element.within(segment.stop)
            return
        if element.ident == _SEEK_HEAD:
            places.index = yield from _follow(element, segment, seen)
            if places.index is not None:
                return
        if element.stop is None:
            return
        element = yield from _element(element.stop, segment.stop)


def _segment(length: int) -> Walk[Span | None]:
    """Find the content of the Segment, which positions in a SeekHead count from."""
    element = yield from _element(0, length)
    if element is None or element.ident != _EBML:
        return None
    while element.ident in (_EBML, _VOID, _CRC_32):
        if element.stop is None:
            return None
        following = yield from _element(element.stop, length)
        if following is None:
            return None
        element = following
    if element.ident != _SEGMENT:
        return None
    stop = length if element.stop is None else min(element.stop, length)
    return Span(element.body, stop)


def _follow(head: _Element, segment: Span, seen: set[tuple[int, int]]) -> Walk[Span | None]:
    """Go where a SeekHead points to, and on from other SeekHeads that it points to."""
    heads = [head]
    while heads:
        head = heads.pop(0)
        stop = min(head.body + _MAX_SEEK_HEAD, segment.stop)
        stop = stop if head.stop is None else min(head.stop, stop)
        if head.body >= stop:
            continue
        entries = _seeks((yield Span(head.body, stop)))
        for ident, position in sorted(entries, key=lambda entry: entry[0] != _CUES):
            start = segment.start + position
            if ident not in (_CUES, _SEEK_HEAD) or (ident, start) in seen:
                continue
            seen.add((ident, start))
            element = yield from _element(start, segment.stop)
            if element is None or element.ident != ident:
                continue
            if ident == _SEEK_HEAD:
                heads.append(element)
            elif (cues := element.within(segment.stop)) is not None:
                return cues
    return None


def _element(start: int, stop: int) -> Walk[_Element | None]:
    """Read the header of the element at `start`; None if there is none before `stop`."""
    if start >= stop:
        return None
    data = yield Span(start, min(start + _MAX_ID + _MAX_SIZE, stop))
    if (header := _header(data, 0)) is None:
        return None
    ident, size, body = header
    end = None if size is None else start + body + size
    return _Element(ident, start, start + body, end)


def _seeks(data: bytes) -> list[tuple[int, int]]:
    """Read the entries of a SeekHead: IDs of elements and their positions in the Segment."""
    entries = []
    for ident, seek in _children(data):
        if ident == _SEEK:
            parts = dict(_children(seek))
            if len(parts.get(_SEEK_POSITION, b"")) <= 8 and _SEEK_ID in parts:
                position = int.from_bytes(parts.get(_SEEK_POSITION, b""))
                entries.append((int.from_bytes(parts[_SEEK_ID][:8]), position))
    return entries


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Go through the elements in `data`, up to one that is not all there."""
    at = 0
    while (header := _header(data, at)) is not None:
        ident, size, body = header
        if size is None or body + size > len(data):
            return
        at = body + size
        yield ident, data[body:at]


def _header(data: bytes, at: int) -> tuple[int, int | None, int] | None:
    """Read ID and size at a place in `data`, and where the content begins.

    RFC 8794 sections 4 to 6: zero bits before the first 1 tell how many bytes follow. The ID
    keeps that bit, the size loses it, and a size of all ones is unknown (None).
    """
    if at >= len(data) or (id_length := _bytes_of(data[at])) > _MAX_ID:
        return None
    size_at = at + id_length
    if size_at >= len(data) or (size_length := _bytes_of(data[size_at])) > _MAX_SIZE:
        return None
    body = size_at + size_length
    if body > len(data):
        return None
    ones = (1 << 7 * size_length) - 1
    size = int.from_bytes(data[size_at:body]) & ones
    return int.from_bytes(data[at:size_at]), None if size == ones else size, body


def _bytes_of(first: int) -> int:
    """How many bytes an ID or size has, by its first one; 9 if that is zero, which none is."""
    return 9 - first.bit_length()
