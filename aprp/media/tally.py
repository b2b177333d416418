"""What clients asked of an object and what was taken from origins for it, over all workers.

Origins are never asked for more than clients were, a fixed allowance apart: a client that asks for
a byte here and a byte there must not make the proxy fetch a slice for each of them (RFC 9110
section 17.15).
"""

import mmap
from typing import Final

_SLOTS: Final = 4096
_INTEGER: Final = 8


class Tallies:
    """Slots in memory that all workers share; make it before the fork.

    A slot is an object's id, and a column for each worker, who writes its own alone. An object
    whose slot is taken by another begins anew.
    """

    def __init__(self, workers: int = 1, slots: int = _SLOTS) -> None:
        """Begin empty; until `attach`, the column of worker 0 is written."""
        self._slots = slots
        self._stride = 1 + workers
        self._words = memoryview(mmap.mmap(-1, slots * self._stride * _INTEGER)).cast("q")
        self._worker = 0

    def attach(self, worker: int) -> None:
        """Write the column of this worker from now on, and forget what one before it wrote."""
        self._worker = worker
        for slot in range(self._slots):
            self._words[slot * self._stride + 1 + worker] = 0

    def publish(self, id: int, balance: int) -> int:
        """Write how far this worker is ahead of its clients, in bytes; gives the sum of all."""
        begin = id % self._slots * self._stride
        if self._words[begin] != id:
            self._words[begin : begin + self._stride] = memoryview(
                bytearray(self._stride * _INTEGER)
            ).cast("q")
            self._words[begin] = id
        self._words[begin + 1 + self._worker] = balance
        return sum(self._words[begin + 1 : begin + self._stride])


class Tally:
    """The account of one object in this worker, in bytes: `asked` by clients, `taken`."""

    __slots__ = ("_id", "_spare", "_tallies", "asked", "taken")

    def __init__(self, tallies: Tallies, id: int, spare: int) -> None:
        """`spare` is what may be taken beyond what was asked, by all workers together."""
        self._tallies = tallies
        self._id = id
        self._spare = spare
        self.asked = 0
        self.taken = 0

    def allows(self, count: int, pending: int) -> bool:
        """Whether `count` bytes more may be asked for while `pending` are still to come."""
        ahead = self._tallies.publish(self._id, self.taken + pending - self.asked)
        if ahead + count > self._spare:
            return False
        self.publish(pending + count)
        return True

    def publish(self, pending: int) -> None:
        """Tell the other workers."""
        self._tallies.publish(self._id, self.taken + pending - self.asked)
