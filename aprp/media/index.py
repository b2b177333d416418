"""Fetching the index of a film before a player asks for it, so that its first seek is a hit."""

import asyncio
from typing import TYPE_CHECKING, Final

from aprp.cache.cache import CannotStore
from aprp.media.checks import Changed, Refused
from aprp.media.cutter import Piece
from aprp.media.reader import ReaderGone, SpanReader
from aprp.semantics.containers import IndexSearch, Kind, kind_of
from aprp.upstream.errors import OriginFailure

if TYPE_CHECKING:
    from aprp.media.context import Cause
    from aprp.media.version import Version

# A file of fewer slices is there before anybody seeks in it.
_WORTH_SLICES: Final = 4


class _Taken:
    """Takes what a reader gives: keeps a copy, or only lets it be fetched."""

    def __init__(self, keep: bool) -> None:
        self.data = bytearray()
        self._keep = keep

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        if self._keep:
            for piece in pieces:
                self.data += piece
        return None

    def offer(self, view: memoryview) -> int:
        self.write(view)
        return len(view)


def worth_seeking(version: "Version") -> bool:
    """Whether a version is a film whose index may lie far from its beginning."""
    return (
        version.ranges
        and version.entry.combinable
        and version.length > _WORTH_SLICES * version.context.grid.size
        and version.context.tuning.read_ahead > 0
        and _kind(version) is not None
    )


def _kind(version: "Version") -> Kind | None:
    return kind_of(version.fields.get("Content-Type"), version.entry.target.partition("?")[0])


async def fetch_index(version: "Version", cause: "Cause | None" = None) -> None:
    """Find the index from a few bytes here and there, and have it fetched; failing is no matter.

    At most READ_AHEAD bytes are fetched: a file may call all of itself an index. `cause` is the
    request because of which it is fetched.
    """
    kind = _kind(version)
    assert kind is not None
    search = IndexSearch(version.length, kind)
    try:
        while search.found is None and (span := search.needs()) is not None:
            found = await _read(version, span.start, span.stop, cause, keep=True)
            search.feed(span.start, found)
        if search.found is not None:
            begin = search.found.start
            stop = min(search.found.stop, begin + version.context.tuning.read_ahead)
            await _read(version, begin, stop, cause, keep=False)
    except (OriginFailure, Changed, Refused, ReaderGone, CannotStore):
        # Whoever reads the film will hear of it.
        return


async def _read(
    version: "Version", start: int, stop: int, cause: "Cause | None", *, keep: bool
) -> bytes:
    taken = _Taken(keep)
    with SpanReader(version, start, stop, taken, own=True, cause=cause) as reader:
        await reader.run()
    return bytes(taken.data)
