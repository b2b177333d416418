"""What everything that fills and reads the cache shares in one process."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from aprp.cache.cache import Cache
from aprp.media.plan import Grid
from aprp.media.source import Source
from aprp.media.tally import Tallies
from aprp.stats.counters import Counters

if TYPE_CHECKING:
    from aprp.media.version import Version
    from aprp.tracing.spans import Tracing


@dataclass(frozen=True, slots=True)
class Tuning:
    """What an operator sets of filling; sizes in bytes, times in seconds.

    `read_ahead`: how far a fill goes ahead of its readers. `parallel`: most windows of one
    sequential read at once. `retries`: how often a fill is taken up again without a byte of
    progress, the first time after `backoff`. `without_validator`: whether parts are combined by
    the length alone. `most_window`: the largest window; `most_kept`: the largest body that is
    stored although its length was not known before its end.
    """

    read_ahead: int
    parallel: int
    retries: int
    backoff: float
    without_validator: bool
    most_window: int = 64 << 20
    most_kept: int = 1 << 30


class Cause(Protocol):
    """A client's request, as what is fetched for it knows it."""

    @property
    def marks(self) -> Mapping[str, str]:
        """The fields that name it to an origin: its id, its trace."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A cause that may be over by now."""

    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Link:
    """How a client asked for an object: what its fills ask the origin with.

    `source` is whom they ask, `target` path and query, `fields` the request's own without ranges
    and conditions. The newest client's is used: signatures in links run out. The marks among them
    are not: a fill has those of the request that began it.
    """

    source: Source
    target: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class Context:
    """The cache, what all fills share, and the tasks that nobody awaits.

    `inlet` is where the kernel puts what fills read: one block for all of them, which stays in the
    processor's cache. What is in it goes to its place in the file before anything else is read.
    `busy` are the versions that are read or filled at this moment; `tracing` makes spans, where any
    are made.
    """

    cache: Cache
    counters: Counters
    tuning: Tuning
    grid: Grid
    tallies: Tallies
    loop: asyncio.AbstractEventLoop
    inlet: memoryview
    tracing: "Tracing | None" = None
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    busy: set["Version"] = field(default_factory=set)
    closed: bool = False

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a coroutine that outlives the request that began it; `close` ends it."""
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def close(self) -> None:
        """End every task; none is begun afterwards."""
        self.closed = True
        # A task that is cancelled before its first step does not clean up after itself.
        await asyncio.sleep(0)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
