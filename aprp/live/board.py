"""Where workers lay out for each other what they have under way: memory shared between them.

Each worker has a row of two sheets and writes the one that is not the newest, so that who reads has
a whole period for it. A checksum tells what was written meanwhile, or by a worker that was killed
at it. Nothing is locked.
"""

import mmap
from dataclasses import dataclass
from typing import Final

from xxhash import xxh3_64_intdigest

ROW: Final = 256 << 10
"""Bytes of a worker's row; memory is taken when it is first written to."""
_WORD: Final = 8
# Words of a row: its process, how many sheets it has written, and length and checksum of both.
_PID, _COUNT, _SHEETS = range(3)
_HEAD: Final = 64
SHEET: Final = (ROW - _HEAD) // 2
"""Bytes that a worker can lay out at once."""
_PAGE: Final = mmap.PAGESIZE
# How often a sheet is read again that changed meanwhile.
_TRIES: Final = 3
_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a worker has laid out: which of its sheets this is, counted from 1, and the bytes."""

    number: int
    content: bytes


class Board:
    """Rows of sheets, one a worker, and a word that says until when somebody looks.

    Make it before the fork.
    """

    def __init__(self, workers: int = 1) -> None:
        """Begin empty; until `attach`, the row of worker 0 is written."""
        if workers < 1:
            raise ValueError(f"at least one worker is needed, not {workers}")
        self.workers = workers
        self._memory = memoryview(mmap.mmap(-1, _PAGE + workers * ROW))
        self._watched = self._memory[:_WORD].cast("Q")
        self._rows = [self._memory[_PAGE + n * ROW : _PAGE + (n + 1) * ROW] for n in range(workers)]
        self._words = [row[:_HEAD].cast("Q") for row in self._rows]
        self.worker = 0

    def attach(self, worker: int, pid: int) -> None:
        """Write the row of this worker from now on; called after the fork."""
        if not 0 <= worker < self.workers:
            raise ValueError(f"there is no worker {worker}: they are 0 to {self.workers - 1}")
        self.clear(worker)
        self.worker = worker
        self._words[worker][_PID] = pid

    def pid(self, worker: int) -> int:
        """The process of a worker, 0 where there is none at this moment."""
        return self._words[worker][_PID]

    # Who looks.

    def watch(self, until: float) -> None:
        """Somebody looks until then, in seconds of `time.monotonic`, one clock for all workers."""
        until_ms = int(until * _MILLISECONDS)
        if self._watched[0] < until_ms:
            self._watched[0] = until_ms

    def watched(self, now: float) -> bool:
        """Whether somebody looks. Cheap."""
        return self._watched[0] > now * _MILLISECONDS

    # Sheets.

    def write(self, content: bytes) -> None:
        """Lay out a sheet of at most SHEET bytes in the place of the one before."""
        if len(content) > SHEET:
            raise ValueError(f"a sheet has {SHEET} bytes, not {len(content)}")
        words, row = self._words[self.worker], self._rows[self.worker]
        number = words[_COUNT] + 1
        side = number % 2
        begin = _HEAD + side * SHEET
        row[begin : begin + len(content)] = content
        words[_SHEETS + 2 * side] = len(content)
        words[_SHEETS + 2 * side + 1] = xxh3_64_intdigest(content, number)
        words[_COUNT] = number

    def read(self, worker: int) -> Sheet | None:
        """The newest sheet of a worker; None where there is none that is whole."""
        words, row = self._words[worker], self._rows[worker]
        for _ in range(_TRIES):
            number = words[_COUNT]
            if not number:
                return None
            side = number % 2
            length = words[_SHEETS + 2 * side]
            checksum = words[_SHEETS + 2 * side + 1]
            begin = _HEAD + side * SHEET
            content = bytes(row[begin : begin + min(length, SHEET)])
            if xxh3_64_intdigest(content, number) == checksum:
                return Sheet(number, content)
        return None

    def clear(self, worker: int) -> None:
        """Take away what a worker that is gone has laid out."""
        words = self._words[worker]
        words[_COUNT] = 0
        words[_PID] = 0
