"""Numbers by name that all workers keep together, in memory shared between them.

A name has a bucket, found by a keyed digest of it, and each worker has entries of its own in every
bucket. A worker writes its own entries only, so nothing is locked; who wants to know what all say
of a name looks for its tag through the whole bucket.
"""

import functools
import hashlib
import mmap
import os
import sys
from dataclasses import dataclass
from typing import Final

_WORD: Final = 8
# Entries of one worker in a bucket: their tags fill a cache line.
WAYS: Final = 8
_BUCKETS: Final = 8192
# Names whose places are remembered.
_REMEMBERED: Final = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is: its tag, also as a number, and the bytes at which its bucket's tags lie."""

    tag: bytes
    number: int
    begin: int
    end: int


class SharedTable:
    """Entries of a tag and some 64-bit values, in a fixed amount of memory.

    Make it before the fork. Names are told apart by 64 bits of a digest whose key nobody outside
    knows: the chance that a name is taken for one of n others is n / 2**64. Memory is taken as it
    is first touched; all of it is `buckets * WAYS * (1 + values) * 8` bytes a worker.
    """

    def __init__(self, workers: int, values: int, buckets: int = _BUCKETS) -> None:
        """Begin empty; until `attach`, the entries of worker 0 are written.

        values: how many an entry has. buckets: by how many the names are spread.
        """
        if workers < 1:
            raise ValueError(f"at least one worker is needed, not {workers}")
        self._workers = workers
        self._buckets = buckets
        # In words: the tags of a bucket, then the first value of each, then the second.
        self._span = workers * WAYS
        self._stride = self._span * (1 + values)
        self._memory = mmap.mmap(-1, buckets * self._stride * _WORD)
        self._words = memoryview(self._memory).cast("Q")
        self._key = os.urandom(16)
        self._offset = 0
        self.place = functools.lru_cache(_REMEMBERED)(self._place)

    def attach(self, worker: int) -> None:
        """Write the entries of this worker from now on; called after the fork."""
        if not 0 <= worker < self._workers:
            raise ValueError(f"there is no worker {worker}: they are 0 to {self._workers - 1}")
        self._offset = worker * WAYS

    def _place(self, name: str) -> Place:
        digest = hashlib.blake2b(name.encode(), digest_size=16, key=self._key).digest()
        bucket = int.from_bytes(digest[8:], "little") % self._buckets
        # An empty entry's tag is zero.
        number = int.from_bytes(digest[:8], sys.byteorder) or 1
        begin = bucket * self._stride * _WORD
        tag = number.to_bytes(8, sys.byteorder)
        return Place(tag, number, begin, begin + self._span * _WORD)

    def read(self, place: Place) -> list[list[int]]:
        """The values that each worker has under this name; nothing of those that have none."""
        find, words, span = self._memory.find, self._words, self._span
        found = []
        at = find(place.tag, place.begin, place.end)
        while at >= 0:
            if not at % _WORD:
                index = at // _WORD
                values = words[index + span : index + self._stride : span].tolist()
                # Unless its worker has given the entry to another name meanwhile.
                if words[index] == place.number:
                    found.append(values)
            at = find(place.tag, at + 1, place.end)
        return found

    def own(self, place: Place) -> int | None:
        """This worker's entry for the name, if it has one."""
        begin = place.begin + self._offset * _WORD
        at = self._memory.find(place.tag, begin, begin + WAYS * _WORD)
        return None if at < 0 or at % _WORD else at // _WORD

    def claim(self, place: Place, below: int | None = None) -> int | None:
        """Give the name an entry of this worker, with zeros: the one whose largest value is least.

        What that entry was for is forgotten. below: only an entry that has no value as large as
        this may be taken; None says that there is none.
        """
        words, span = self._words, self._span
        first = place.begin // _WORD + self._offset
        worth = [
            max(words[index + span : index + self._stride : span])
            for index in range(first, first + WAYS)
        ]
        least = min(worth)
        if below is not None and least >= below:
            return None
        entry = first + worth.index(least)
        # Nobody reads one name's values as another's: the tag goes first and comes last.
        words[entry] = 0
        for value in range(entry + span, entry + self._stride, span):
            words[value] = 0
        words[entry] = place.number
        return entry

    def get(self, entry: int, value: int) -> int:
        """A value of an entry; they count from 0."""
        return self._words[entry + self._span * (value + 1)]

    def put(self, entry: int, value: int, number: int) -> None:
        """Write a value of one of this worker's entries, 0 to 2**64 - 1; readers see it whole."""
        self._words[entry + self._span * (value + 1)] = number

    def clear(self) -> None:
        """Forget what this worker has written, and what one before it in its place did."""
        nothing = memoryview(bytes(WAYS * _WORD)).cast("Q")
        for first in range(self._offset, len(self._words), self._span):
            self._words[first : first + WAYS] = nothing
