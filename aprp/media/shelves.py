"""The shelves of one process: what it knows of each key, and who is the one to find out more.

They are remembered as long as the key's generation stays the same, which other processes change by
what they store and remove.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from aprp.cache.leases import key_place
from aprp.media.context import Context
from aprp.media.delivery import Delivery
from aprp.media.request import Request
from aprp.media.shelf import Shelf

# Keys remembered in memory, in each process.
_MOST_SHELVES: Final = 16384

# How often it is looked whether another process has found out about a key, in seconds.
_LOOK: Final = 0.005


class Shelves:
    """Shelves by key; `by_key` is what is in memory, fitting or not.

    The one that `of` has been asked for least recently stands first, and is forgotten first.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.by_key: OrderedDict[str, Shelf] = OrderedDict()

    async def of(self, request: Request) -> Shelf:
        """The shelf of a request's key, as the index has it."""
        cache, key = self._context.cache, request.key
        while True:
            shelf = self.by_key.get(key)
            generation = cache.generation(key)
            if shelf is not None and shelf.generation == generation:
                self.by_key.move_to_end(key)
                shelf.forget_purged(cache.purges(key))
                return shelf
            entries = await cache.find(key)
            if cache.generation(key) != generation:
                # What was found is of before the change, and may lack what is in use by now.
                continue
            shelf = self.by_key.get(key)
            if shelf is None:
                shelf = self.by_key[key] = Shelf(key, generation)
                self._forget_some()
            elif shelf.generation == generation:
                # Another request has looked meanwhile.
                continue
            shelf.generation = generation
            shelf.fit(entries, self._context, request.source)
            return shelf

    def made(self, key: str) -> Shelf:
        """The shelf of a key that something is put on; made anew where it has been forgotten."""
        shelf = self.by_key.get(key)
        if shelf is None:
            shelf = self.by_key[key] = Shelf(key, self._context.cache.generation(key))
        return shelf

    def _forget_some(self) -> None:
        while len(self.by_key) > _MOST_SHELVES:
            key, shelf = self.by_key.popitem(last=False)
            if shelf.busy:
                self.by_key[key] = shelf
                return

    # Who finds out: one process at a time for a key. After a purge of it that is another question,
    # with a lease of its own: what was asked for before is no answer to it.

    def lease(self, key: str, purges: int) -> bool:
        """Be the process that finds out about a key; False: another one is.

        `purges` is `Cache.purges` of the key when it begins to.
        """
        leases = self._context.cache.leases
        return leases is None or leases.take(_place(key, purges))

    def release(self, key: str, purges: int) -> None:
        """Let others find out about a key, if this process was to."""
        leases = self._context.cache.leases
        place = _place(key, purges)
        if leases is not None and leases.held(place):
            leases.release(place)

    async def wait_for_others(self, key: str, passer: Delivery) -> None:
        """Wait until another process has found out about a key, or has given up."""
        cache = self._context.cache
        generation = cache.generation(key)
        while cache.generation(key) == generation and not passer.aborted:
            await asyncio.sleep(_LOOK)
            purges = cache.purges(key)
            if self.lease(key, purges):
                self.release(key, purges)
                return


def _place(key: str, purges: int) -> int:
    return key_place(f"{purges:x} {key}")
