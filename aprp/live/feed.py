"""Streams of events: what is told is gathered once a second for all who look by this worker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

_log = logging.getLogger("aprp")

PERIOD: Final = 1.0
"""Seconds between two events."""
MOST_STREAMS: Final = 32
"""Streams that one worker serves at once."""
# An event older than this is not shown to one who comes new.
_YOUNG: Final = 1.5 * PERIOD


class Event:
    """One event in its two forms, each made when it is first wanted."""

    def __init__(self, make: Callable[[bool], str]) -> None:
        """`make` gives one line: all, or what may be known by everybody."""
        self._make = make
        self._made: dict[bool, bytes] = {}

    def form(self, full: bool) -> bytes:
        """The bytes to be sent (HTML Standard, section 9.2)."""
        if full not in self._made:
            self._made[full] = f"data: {self._make(full)}\n\n".encode()
        return self._made[full]


class Stream:
    """One who looks. Takes the newest event when he is ready for one: others are skipped."""

    def __init__(self, feed: "Feed", full: bool) -> None:
        """`full`: which form of the events is wanted."""
        self._feed = feed
        self._full = full
        self._newest: bytes | None = None
        self._wake: asyncio.Future[None] | None = None
        self.ended = False

    async def next(self) -> bytes | None:
        """Wait for an event that is newer than the last; None where there will be none."""
        while self._newest is None and not self.ended:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        newest, self._newest = self._newest, None
        return None if self.ended else newest

    async def taken(self, waiting: "asyncio.Future[None]") -> bool:
        """Wait until what was sent is taken; False where the stream has ended before that."""
        while not waiting.done() and not self.ended:
            wake = self._wake = asyncio.get_running_loop().create_future()
            await asyncio.wait((waiting, wake), return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()

    def put(self, event: Event) -> None:
        """There is a new event."""
        self._newest = event.form(self._full)
        self._look()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._look()

    def abort(self) -> None:
        """The client is gone."""
        self.end()

    def close(self) -> None:
        """Nobody looks any more."""
        self.end()
        self._feed.left(self)

    def _look(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Feed:
    """The streams of one worker. While there are any, `gather` is called once a second."""

    def __init__(self, gather: Callable[[], Awaitable[Event]]) -> None:
        """Nobody looks yet."""
        self._gather = gather
        self._streams: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._last: tuple[float, Event] | None = None
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether there are streams."""
        return bool(self._streams)

    def open(self, *, full: bool) -> Stream | None:
        """Begin a stream, whose first event comes at once; None where there are too many.

        `full`: whether who looks may know clients' addresses and queries.
        """
        if len(self._streams) >= MOST_STREAMS:
            return None
        stream = Stream(self, full)
        if self._closed:
            stream.end()
            return stream
        self._streams.add(stream)
        loop = asyncio.get_running_loop()
        if self._task is None:
            self._task = loop.create_task(self._run())
        elif self._last is not None and loop.time() - self._last[0] < _YOUNG:
            stream.put(self._last[1])
        return stream

    def left(self, stream: Stream) -> None:
        """A stream is over."""
        self._streams.discard(stream)
        if not self._streams and self._task is not None:
            self._task.cancel()
            self._task = self._last = None

    def close(self) -> None:
        """End all streams; none is begun afterwards."""
        self._closed = True
        for stream in self._streams:
            stream.end()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                event = await self._gather()
            except Exception:
                _log.exception("error while an event of /stats/events was made; they go on")
            else:
                self._last = loop.time(), event
                for stream in self._streams:
                    stream.put(event)
            # A second that was missed is not made up for.
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())
