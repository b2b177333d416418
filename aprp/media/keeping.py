"""Storing a body of which nobody knows the length until it ends, while it goes to a client."""

import asyncio
from dataclasses import replace

from aprp.cache.cache import CannotStore
from aprp.cache.entry import Entry
from aprp.cache.extent import SLICES, Extent
from aprp.media.context import Context

# Slices made room for at once.
_AT_ONCE = 4


class Keeping:
    """Copies a stream into extents as it passes; it counts only when it has come to its end.

    `position` is how far it has come; `given_up` whether it is not stored after all. A stream
    that is larger than `most` bytes has no end that is worth waiting for.
    """

    def __init__(
        self, context: Context, entry: Entry, combinable: bool, most: int, purges: int
    ) -> None:
        """`combinable` is what the entry will say in the end.

        `purges` is `Cache.purges` of its key before the origin was asked for it.
        """
        self.entry = entry
        self._combinable = combinable
        self.position = 0
        self.given_up = False
        self._context = context
        self._most = most
        self._purges = purges
        self._extent: Extent | None = None
        self._room_until = 0
        self._added = False

    def take(
        self, view: memoryview, waiting: "asyncio.Future[None] | None"
    ) -> "asyncio.Future[None] | None":
        """Take the next piece; its memory is free when the future that comes back is done.

        `waiting` is what the client's side waits for.
        """
        if not self.given_up:
            view = self._copy(view)
        if not view or self.given_up:
            return waiting
        return asyncio.ensure_future(self._take_rest(view, waiting))

    def _copy(self, view: memoryview) -> memoryview:
        """Copy what there is room for; gives the rest."""
        try:
            return self._write(view)
        except OSError as error:
            self._context.cache.failed(error)
            self.given_up = True
            return view

    def _write(self, view: memoryview) -> memoryview:
        size = self._context.grid.size
        while view and self._extent is not None and self.position < self._room_until:
            extent = self._extent
            offset = self.position - extent.start
            count = min(len(view), self._room_until - self.position, size - offset % size)
            extent.write(offset, view[:count])
            self.position += count
            number = offset // size
            if (offset + count) % size:
                extent.grow(number, offset % size + count)
            else:
                extent.complete(number)
                self._context.cache.wrote(extent, number)
            view = view[count:]
        return view

    async def _take_rest(self, view: memoryview, waiting: "asyncio.Future[None] | None") -> None:
        try:
            while view and not self.given_up:
                await self._make_room()
                view = self._copy(view)
        except CannotStore:
            # The client has its bytes all the same; the cache tells by `problem` what is wrong.
            self.given_up = True
        if waiting is not None:
            await waiting

    async def _make_room(self) -> None:
        if self.position >= self._most:
            raise CannotStore("the body is too large for what is not known to end")
        cache, size = self._context.cache, self._context.grid.size
        if not self._added:
            self._added = True
            await cache.add(self.entry, purges=self._purges)
        number, offset = divmod(self.position, size * SLICES)
        first = offset // size
        count = min(_AT_ONCE, SLICES - first)
        self._extent = await cache.prepare(self.entry.id, number, size * SLICES, first, count)
        self._room_until = self._extent.start + (first + count) * size

    async def finish(self) -> Entry | None:
        """The body has ended well: the entry as it is now stored, None if it is not."""
        if self.given_up:
            await self.drop()
            return None
        size = self._context.grid.size
        if self._extent is not None and self.position % size:
            number = (self.position - self._extent.start) // size
            self._extent.complete(number, self.position % size)
            self._context.cache.wrote(self._extent, number)
        others = [pair for pair in self.entry.fields if pair[0].lower() != "content-length"]
        fields = (*others, ("Content-Length", str(self.position)))
        entry = replace(
            self.entry,
            length=self.position,
            complete=True,
            combinable=self._combinable,
            fields=fields,
        )
        try:
            await self._context.cache.add(entry, purges=self._purges)
        except CannotStore:
            await self.drop()
            return None
        return entry

    async def drop(self) -> None:
        """The body broke off: nothing of it counts."""
        self.given_up = True
        if self._added:
            await self._context.cache.remove(self.entry)
