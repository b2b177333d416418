"""Reading from extents in threads: slices are checked before they are used, pages brought in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aprp.cache.extent import Extent
from aprp.stats.counters import Count, Counters

logger = logging.getLogger("aprp.cache")

_READERS = 4


class Reading:
    """The threads that wait for the disk so that the event loop does not."""

    def __init__(
        self,
        counters: Counters,
        failed: Callable[[OSError], None],
        incomplete: Callable[[int], Awaitable[None]],
    ) -> None:
        """Begin nothing yet; `failed` is told of a disk that does not read.

        incomplete: is told of a version of which bytes are missing again.
        """
        self._counters = counters
        self._failed = failed
        self._incomplete = incomplete
        self._verifying: dict[tuple[int, int, int], asyncio.Task[bool]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Have threads of its own."""
        self._threads = ThreadPoolExecutor(_READERS, "aprp-cache-read")

    async def stop(self) -> None:
        """End what is being checked."""
        tasks = list(self._verifying.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def close(self) -> None:
        """End the threads; nothing may be asked afterwards."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None

    async def verify(self, extent: Extent, n: int) -> bool:
        """Check the sum of a slice that is stored but not held.

        A wrong one is forgotten, and False given. Who asks for the same slice meanwhile waits for
        the same answer.
        """
        key = extent.version, extent.number, n
        checking = self._verifying.get(key)
        if checking is None:
            checking = asyncio.get_running_loop().create_task(self._verify(extent, n))
            self._verifying[key] = checking
            checking.add_done_callback(lambda _: self._verifying.pop(key))
        # One who leaves does not end it for the others.
        return await asyncio.shield(checking)

    async def _verify(self, extent: Extent, n: int) -> bool:
        if extent.holds(n):
            return True
        try:
            right: bool = await self._read(extent.verify, n)
        except OSError as error:
            self._failed(error)
            extent.forget(n)
            right = False
        if not right:
            self._counters.add(Count.CACHE_SLICES_WRONG)
            logger.warning("slice %d of %s is not what was stored: dropped", n, extent.path.name)
            await self._incomplete(extent.version)
        return right

    async def load(self, extent: Extent, offset: int, stop: int) -> None:
        """Bring bytes of an extent into memory; slices that cannot be read are forgotten."""
        try:
            await self._read(extent.load, offset, stop)
        except OSError as error:
            # Touching such a page would end the process.
            size = extent.slice_size
            for n in range(offset // size, -(-stop // size)):
                extent.forget(n)
            self._failed(error)

    async def _read(self, work: Callable[..., Any], *arguments: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
