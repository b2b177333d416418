"""What a worker knows of all workers at this moment, and what it tells of itself.

While nobody looks, a worker compares two numbers a second and does nothing else.
"""

import asyncio
import json
import time
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, Final

from aprp.cache.entry import CannotStore
from aprp.live.board import SHEET, Board
from aprp.live.catalogue import Catalogue
from aprp.live.feed import PERIOD, Event, Feed
from aprp.live.quantiles import Latency, Readings
from aprp.live.rows import Activity, Row, activities, transfers_to_json
from aprp.live.watching import Sending, Watcher, cpu_seconds
from aprp.media.library import Library
from aprp.stats.counters import Count, Counters
from aprp.stats.histograms import Histograms, Measure
from aprp.stats.report import Report

MOST_OBJECTS: Final = 20
"""Objects in use that an event shows."""
# For how long one look keeps the workers telling, and how old what they told may be, in seconds.
_LOOK_LASTS: Final = 3.0


class Live:
    """One worker's part; made on its event loop, where `board` was made before the fork."""

    def __init__(
        self,
        board: Board,
        counters: Counters,
        histograms: Histograms,
        exchanges: Collection[Sending],
        library: Callable[[], Library | None],
        catalogue: Callable[[], Catalogue | None],
        report: Callable[[], Report],
    ) -> None:
        """`exchanges` are those under way; `report` makes the object of /stats.json.

        `library` gives what is in use of the cache, if anything has been; `catalogue` opens what
        is stored, None where there is no cache.
        """
        self._make_catalogue = catalogue
        self.feed = Feed(self._gather)
        self._board = board
        self._counters = counters
        self._histograms = histograms
        self._exchanges = exchanges
        self._library = library
        self._report = report
        self._watcher = Watcher()
        self._readings = Readings()
        self._rows: dict[int, tuple[tuple[int, int], Row]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @cached_property
    def catalogue(self) -> Catalogue | None:
        """What is stored; None where there is no cache."""
        return self._make_catalogue()

    def start(self) -> None:
        """Tell of this worker from now on, whenever somebody looks."""
        self._timer = asyncio.get_running_loop().call_later(PERIOD, self._tick)

    async def close(self) -> None:
        """End what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        self.feed.close()
        if (catalogue := self.__dict__.get("catalogue")) is not None:
            await catalogue.close()

    def busy(self) -> dict[int, Activity]:
        """Who reads and fills which objects, by id; asking has other workers tell for a while."""
        return activities(self._look().values())

    def _tick(self) -> None:
        self.start()
        if not self._board.watched(time.monotonic()):
            self._watcher.forget()
        elif not self.feed.running:
            self._tell()

    def _tell(self) -> Row:
        """Lay out this worker's row."""
        now = asyncio.get_running_loop().time()
        library = self._library()
        versions = library.busy if library is not None else ()
        row = self._watcher.row(self._exchanges, versions, now)
        if self._board.workers > 1:
            self._board.write(row.encode(SHEET))
        return row

    def _look(self) -> dict[int, Row]:
        """The rows of all workers that have told lately, this one's as of now."""
        now = time.monotonic()
        self._board.watch(now + _LOOK_LASTS)
        rows = {self._board.worker: self._tell()}
        for worker in range(self._board.workers):
            if worker != self._board.worker and (row := self._read(worker)) is not None:
                rows[worker] = row
        return {w: row for w, row in sorted(rows.items()) if now - row.at < _LOOK_LASTS}

    def _read(self, worker: int) -> Row | None:
        """The row of another worker, as it was before where the newest cannot be read."""
        pid, sheet = self._board.pid(worker), self._board.read(worker)
        known = self._rows.get(worker)
        if known is not None and known[0][0] != pid:
            known = None
        if pid and sheet is not None and (known is None or known[0][1] != sheet.number):
            known = self._rows[worker] = (pid, sheet.number), Row.decode(sheet.content)
        return None if known is None else known[1]

    # Event.

    async def _gather(self) -> Event:
        rows = self._look()
        busy = activities(rows.values())
        try:
            catalogue = self.catalogue
            shown = [] if catalogue is None else await catalogue.in_use(busy, MOST_OBJECTS)
        except CannotStore:
            # The report says why.
            shown = []
        told: dict[str, Any] = {
            "time": round(time.time(), 3),
            "report": self._report().to_json(),
            "latency": self._latency(),
            "workers": self._workers(),
        }

        def make(full: bool) -> str:
            own = {
                "transfers": transfers_to_json(rows, full=full),
                "objects": [each.to_json(busy, full=full) for each in shown],
            }
            return json.dumps(told | own, separators=(",", ":"))

        return Event(make)

    def _latency(self) -> dict[str, object]:
        first_byte = self._histograms.read(Measure.FIRST_BYTE_TIME)
        minute = self._readings.minute(time.monotonic(), first_byte.counts)
        return {
            "minute": Latency.of(first_byte.bounds, minute).to_json(),
            "all": Latency.of(first_byte.bounds, first_byte.counts).to_json(),
        }

    def _workers(self) -> list[dict[str, object]]:
        of, board = self._counters.of, self._board
        return [
            {
                "worker": worker,
                "pid": board.pid(worker),
                "requests": of(worker, Count.REQUESTS),
                "active": of(worker, Count.ACTIVE_TRANSFERS),
                "bytes_to_clients": of(worker, Count.BYTES_TO_CLIENTS),
                "cpu_seconds": round(cpu_seconds(board.pid(worker)), 3),
            }
            for worker in range(board.workers)
        ]
