"""What openings find out, put on the shelf and on record: new versions, and those still valid."""

from dataclasses import replace
from typing import Final

from aprp.cache.entry import CannotStore
from aprp.media.context import Context
from aprp.media.shelf import Shelf
from aprp.media.shelves import Shelves
from aprp.media.version import Version
from aprp.semantics.headers import Pair

# Variants of a key that are stored.
_MOST_VARIANTS: Final = 64


class Records:
    """Where openings tell what has come of them, one instance a process."""

    def __init__(self, context: Context, shelves: Shelves) -> None:
        self._context = context
        self._shelves = shelves
        self._kept: set[str] = set()

    def admitted(self, version: Version, purges: int) -> None:
        """A new version is stored from now on, in the place of what it replaces.

        `purges` is `Cache.purges` of its key before the origin was asked for it.
        """
        entry = version.entry
        shelf = self._shelves.made(entry.key)
        replaced = [other for other in shelf.versions if other.entry.vary == entry.vary]
        replaced += [v for v in shelf.versions[_MOST_VARIANTS - 1 :] if v not in replaced]
        for other in replaced:
            # Who reads it goes on, as long as the origin has what it was made of.
            if other.length != version.length or not other.is_same(version.validators):
                other.changed = True
        shelf.versions = [version, *(v for v in shelf.versions if v not in replaced)]
        shelf.unrecorded[entry.id] = purges
        shelf.passing_until = 0.0
        self._context.spawn(self._record(shelf, version, [v.entry.id for v in replaced], purges))

    async def _record(
        self, shelf: Shelf, version: Version, replaced: list[int], purges: int
    ) -> None:
        try:
            await self._context.cache.add(version.entry, replaced, purges)
        except CannotStore:
            # Who reads it already goes on; the next one asks anew. What it was to replace may be
            # stored still.
            if version in shelf.versions:
                shelf.versions.remove(version)
            shelf.generation = -1
        finally:
            shelf.unrecorded.pop(version.entry.id, None)
            self._shelves.release(shelf.key, purges)

    def confirmed(
        self, version: Version, fields: tuple[Pair, ...], request_time: float, response_time: float
    ) -> None:
        """A 304 came: the stored fields and times are those of now (RFC 9111 section 4.3.4)."""
        entry = replace(
            version.entry, fields=fields, request_time=request_time, response_time=response_time
        )
        version.update(entry)
        self._context.spawn(self._context.cache.refresh(entry))

    # Bodies of unknown length.

    def may_keep(self, key: str) -> bool:
        """Whether a body of unknown length is to be stored: one at a time for a key."""
        if key in self._kept:
            return False
        self._kept.add(key)
        return True

    def keeps_no_more(self, key: str) -> None:
        """A body of unknown length has ended, well or not."""
        self._kept.discard(key)

    def kept(self, key: str) -> None:
        """A body of unknown length has come to its end and is stored."""
        shelf = self._shelves.by_key.get(key)
        if shelf is not None:
            shelf.passing_until = 0.0
            shelf.generation = -1
