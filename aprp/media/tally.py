"""What workers tell each other of an object: what was asked and taken, how far it is wanted.

Origins are never asked for more than clients were, a fixed allowance apart: a client that asks for
a byte here and a byte there must not make the proxy fetch a slice for each of them (RFC 9110
section 17.15).
"""

import mmap
from typing import Final

_SLOTS: Final = 4096
_INTEGER: Final = 8

# A wish that has not been renewed for so long is not kept to, in milliseconds.
_WISH_OLD: Final = 200


class Tallies:
    """Slots in memory that all workers share; make it before the fork.

    A slot is an object's id, how far readers wish it to be fetched and when they said so, and a
    column for each worker, who writes its own alone. An object whose slot is taken by another
    begins anew.
    """

    def __init__(self, workers: int = 1, slots: int = _SLOTS) -> None:
        """Begin empty; until `attach`, the column of worker 0 is written."""
        self._slots = slots
        self._stride = 3 + workers
        self._words = memoryview(mmap.mmap(-1, slots * self._stride * _INTEGER)).cast("q")
        self._worker = 0

    def attach(self, worker: int) -> None:
        """Write the column of this worker from now on, and forget what one before it wrote."""
        self._worker = worker
        for slot in range(self._slots):
            self._words[slot * self._stride + 3 + worker] = 0

    def publish(self, id: int, balance: int) -> int:
        """Write how far this worker is ahead of its clients, in bytes; gives the sum of all."""
        begin = self._slot(id)
        self._words[begin + 3 + self._worker] = balance
        return sum(self._words[begin + 3 : begin + self._stride])

    def wish(self, id: int, position: int, now_ms: int) -> bool:
        """Tell who fills an object how far another process wants it: the furthest wish counts.

        now_ms: of the monotonic clock, which is one for all processes of a machine. False: another
        wish goes further, and this one was not put down.
        """
        begin = self._slot(id)
        told, at = self._words[begin + 1], self._words[begin + 2]
        if position >= told or now_ms - at > _WISH_OLD:
            self._words[begin + 1] = position
            self._words[begin + 2] = now_ms
            return True
        return False

    def withdraw(self, id: int, position: int, now_ms: int) -> None:
        """Take back a wish that `wish` has put down, if no other has taken its place."""
        if self.wished(id) == (position, now_ms):
            self._words[self._slot(id) + 2] = 0

    def wished(self, id: int) -> tuple[int, int]:
        """How far it is wanted, and when that was said; a hint, no more."""
        begin = id % self._slots * self._stride
        if self._words[begin] != id:
            return 0, 0
        return self._words[begin + 1], self._words[begin + 2]

    def _slot(self, id: int) -> int:
        """Where the words of an object begin; another object's are forgotten."""
        begin = id % self._slots * self._stride
        if self._words[begin] != id:
            self._words[begin : begin + self._stride] = memoryview(
                bytearray(self._stride * _INTEGER)
            ).cast("q")
            self._words[begin] = id
        return begin


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
