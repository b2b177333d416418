"""Counters that all workers keep together, in memory shared between them.

One row of 64-bit integers a worker, in anonymous memory mapped before the fork. A worker writes its
own row only, so nothing is locked; a sum over all rows is made when somebody reads. A worker that
takes the place of one that died goes on in the same row.
"""

import enum
import mmap
import time


class Count(enum.IntEnum):
    """What is counted. `gloss` says what one of it is; a `gauge` goes down as well as up."""

    gloss: str
    gauge: bool

    def __new__(cls, gloss: str, gauge: bool = False) -> "Count":
        """Number the members in the order in which they stand."""
        member = int.__new__(cls, len(cls.__members__))
        member._value_ = len(cls.__members__)
        member.gloss = gloss
        member.gauge = gauge
        return member

    REQUESTS = "requests received, those for the proxy's own pages and faulty ones included"
    RESPONSES_1XX = "answers begun with a status 100 to 199"
    RESPONSES_2XX = "answers begun with a status 200 to 299"
    RESPONSES_3XX = "answers begun with a status 300 to 399"
    RESPONSES_4XX = "answers begun with a status 400 to 499"
    RESPONSES_5XX = "answers begun with a status 500 or above"
    BYTES_TO_CLIENTS = "bytes of answers' bodies given to clients' connections"
    BYTES_FROM_ORIGINS = "bytes of answers' bodies read from origins"
    ACTIVE_TRANSFERS = "answers from origins being sent to clients at this moment", True
    CLIENT_ABORTS = "answers cut short because the client went away or took no bytes"
    ORIGIN_BREAKS = (
        "answers cut short because the origin broke off, fell silent or contradicted itself"
    )
    ORIGIN_REQUESTS = "requests sent to origins"
    ORIGIN_CONNECTS = "connections opened to origins"
    ORIGIN_REUSES = "requests sent to an origin on a connection that was open already"
    ORIGIN_FAILURES = "connections to origins that could not be opened"
    ORIGIN_TIMEOUTS = "requests to origins given up because no byte of an answer came in time"
    ORIGIN_FAILOVERS = "requests that another origin was asked for because the one before it failed"
    ORIGIN_SURPLUS = "answers of origins that went on beyond the length they declared"
    ORIGIN_REJECTED = (
        "answers of origins refused because they contradicted themselves or the question"
    )
    CACHE_HITS = "requests answered from stored bytes alone"
    CACHE_PARTIAL = "requests answered from stored bytes and from bytes that were fetched"
    CACHE_MISSES = "requests of which no byte was stored"
    CACHE_STALE = "requests answered with stored bytes that were no longer fresh"
    CACHE_PASSES = "requests that the cache has no part in: passed on, the answer not stored"
    COLLAPSED = "requests that joined a fetch already under way"
    CACHE_REVALIDATIONS = "questions to origins whether a stored response is still valid"
    FILL_RESUMES = "fetches for the cache that went on where an origin had broken off"
    BYTES_FROM_CACHE = "bytes given to clients that had been stored before they were asked for"
    CACHE_EVICTIONS = "extents removed from the cache to make room for others"
    CACHE_SLICES_STORED = "slices put into the cache whole"
    CACHE_SLICES_WRONG = "stored slices dropped because they were no longer what had been stored"
    TUNNELS_OPEN = "tunnels (CONNECT, Upgrade) that carry bytes at this moment", True
    TUNNELS = "tunnels opened: answers 2xx to CONNECT and 101 to Upgrade"
    TUNNEL_BYTES_UP = "bytes carried from clients to origins in tunnels"
    TUNNEL_BYTES_DOWN = "bytes carried from origins to clients in tunnels"


_CLASSES = (
    Count.RESPONSES_1XX,
    Count.RESPONSES_2XX,
    Count.RESPONSES_3XX,
    Count.RESPONSES_4XX,
    Count.RESPONSES_5XX,
)
_INTEGER = 8
# Rows begin at multiples of 64 bytes, so that workers do not share a cache line.
_ROW = -(-len(Count) // 8) * 8


class Counters:
    """Rows of counters, one a worker; make it before the fork and hand it to those who count.

    A row is not safe for several threads: add from the event loop's thread only.
    """

    def __init__(self, workers: int = 1, *, started: float | None = None) -> None:
        """Begin with zeros; until `attach` is called, the row of worker 0 is written.

        workers: number of rows, at least 1.
        started: when the program started, in seconds of `time.monotonic`, which is one clock for
        all processes of a machine; now by default.
        """
        if workers < 1:
            raise ValueError(f"at least one worker is needed, not {workers}")
        self.workers = workers
        self.started = time.monotonic() if started is None else started
        table = memoryview(mmap.mmap(-1, workers * _ROW * _INTEGER)).cast("q")
        self._rows = [table[w * _ROW : w * _ROW + len(Count)] for w in range(workers)]
        self._row = self._rows[0]

    def attach(self, worker: int) -> None:
        """Write the row of this worker (0 to workers - 1) from now on; called after the fork."""
        self._row = self._rows[self._number(worker)]

    def add(self, count: Count, n: int = 1) -> None:
        """Add `n`, which is negative only for a gauge that goes down."""
        self._row[count] += n

    def answered(self, status: int) -> None:
        """Count an answer by the class of its status.

        A status outside 100 to 599 counts as 5xx, as RFC 9110 section 15 has it treated.
        """
        self._row[_CLASSES[status // 100 - 1 if 100 <= status < 600 else 4]] += 1

    def total(self, count: Count) -> int:
        """Sum one counter over all workers."""
        return sum(row[count] for row in self._rows)

    def of(self, worker: int, count: Count) -> int:
        """Give one worker's part of a counter."""
        return self._rows[self._number(worker)][count]

    def reset_gauges(self, worker: int) -> None:
        """Put a dead worker's gauges back to zero: what it had under way is over.

        Call it when the worker is gone and before another takes its row.
        """
        row = self._rows[self._number(worker)]
        for count in Count:
            if count.gauge:
                row[count] = 0

    def uptime(self, now: float) -> float:
        """Give the seconds since the start; `now` is of the same clock as `started`."""
        return now - self.started

    def _number(self, worker: int) -> int:
        if not 0 <= worker < self.workers:
            raise ValueError(f"there is no worker {worker}: they are 0 to {self.workers - 1}")
        return worker
