"""How much a client may have: connections in all and for an address, requests a second.

All workers keep the counts together, in shared memory made before the fork. An address is a whole
/64 where it is IPv6: that is what one subscriber has.
"""

import functools
import math
import mmap
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aprp.front.shared import Place, SharedTable

if TYPE_CHECKING:
    from aprp.front.rates import RequestRate

# When a client that found no room for its connection may try again, in seconds.
RETRY_CONNECTION: Final = 5

# IPv4 within IPv6: mapped (RFC 4291 section 2.5.5.2) and translated (RFC 6052 section 2.1).
_IPV4_WITHIN: Final = (bytes(10) + b"\xff\xff", b"\0\x64\xff\x9b" + bytes(8))
# Every neighbour is in this one /64 (RFC 4291 section 2.5.6).
_LINK_LOCAL: Final = b"\xfe\x80" + bytes(6)

_WORD: Final = 8
# Workers do not share a cache line.
_ROW: Final = 8
_REMEMBERED: Final = 2048


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in place of what was asked: status, a text for people, seconds to wait."""

    status: int
    detail: str
    retry_after: int

    @property
    def fields(self) -> dict[str, str]:
        """The answer's fields (RFC 9110 section 10.2.3)."""
        return {"Retry-After": str(self.retry_after)}


class Quotas:
    """Counts of connections and requests, and the limits that they are held to; 0 is no limit.

    Workers that count at once never get above a limit together. The memory is bounded: where more
    addresses have something open or are asking than it has room for, some go uncounted, none is
    refused for it. That one is refused for another's sake needs equal 64-bit tags in one bucket:
    among n addresses a chance of n / 2**64 (see `SharedTable`).

    Not safe for several threads: call it from the event loop's thread only.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        connections: int = 0,
        per_address: int = 0,
        rate: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it before the fork; until `attach`, it counts as worker 0.

        connections: in all. per_address: connections of one address. rate: requests a second of
        one address, kept within a hundredth. clock: seconds, one for all processes.
        """
        if workers < 1:
            raise ValueError(f"at least one worker is needed, not {workers}")
        self._workers = workers
        self._most = connections
        self._most_of_one = per_address
        self._open = memoryview(mmap.mmap(-1, workers * _ROW * _WORD)).cast("q")
        # Every worker's word, and where this one's is.
        self._opens = self._open[::_ROW]
        self._worker = 0
        self._of_one = SharedTable(workers, 1) if per_address else None
        # Connections for which the table has no room, by the place of their address.
        self._unplaced: dict[Place, int] = {}
        self._rate = _make_rate(workers, rate, clock) if rate else None
        self._full = Refusal(
            503,
            f"The proxy has {connections} connections open, as many as MAX_CONNECTIONS lets it.",
            RETRY_CONNECTION,
        )
        self._full_for_one = Refusal(
            429,
            f"This address has {per_address} connections open, as many as"
            " MAX_CONNECTIONS_PER_ADDRESS allows.",
            RETRY_CONNECTION,
        )
        self._too_often = f"More than {rate:g} requests a second from this address (REQUEST_RATE)."

    def attach(self, worker: int) -> None:
        """Count as this worker from now on; called after the fork.

        The connections of a worker that died in this one's place are over.
        """
        if not 0 <= worker < self._workers:
            raise ValueError(f"there is no worker {worker}: they are 0 to {self._workers - 1}")
        self._worker = worker
        if self._rate is not None:
            self._rate.attach(worker)
        if self._of_one is not None:
            self._of_one.attach(worker)
            if self._opens[worker]:
                self._of_one.clear()
        self._unplaced.clear()
        self._opens[worker] = 0

    @property
    def connections(self) -> int:
        """How many are open in all workers."""
        return sum(self._opens)

    def enter(self, address: str) -> Refusal | None:
        """Count a connection that has been made, or say why it may not stay.

        For each that was not refused `leave` has to be called when it is over.
        """
        opens, worker = self._opens, self._worker
        if self._most and sum(opens) >= self._most:
            return self._full
        opens[worker] += 1
        if self._most and sum(opens) > self._most:
            opens[worker] -= 1
            return self._full
        if self._of_one is not None and not self._enter_one(self._of_one, address):
            opens[worker] -= 1
            return self._full_for_one
        return None

    def leave(self, address: str) -> None:
        """A connection that `enter` let in is over; the address as it was given there."""
        if not self._opens[self._worker]:
            raise ValueError("an address leaves, and none had entered in this worker")
        if self._of_one is not None:
            self._count_one(self._of_one, self._of_one.place(holder(address)), -1)
        self._opens[self._worker] -= 1

    def request(self, address: str) -> Refusal | None:
        """Count a request, or say why it may not be answered now."""
        if self._rate is None:
            return None
        wait = self._rate.take(holder(address))
        if wait is None:
            return None
        return Refusal(429, self._too_often, max(1, math.ceil(wait)))

    def _enter_one(self, table: SharedTable, address: str) -> bool:
        place = table.place(holder(address))
        if self._open_of_one(table, place) >= self._most_of_one:
            return False
        self._count_one(table, place, 1)
        if self._open_of_one(table, place) > self._most_of_one:
            self._count_one(table, place, -1)
            return False
        return True

    def _open_of_one(self, table: SharedTable, place: Place) -> int:
        return sum(count for (count,) in table.read(place)) + self._unplaced.get(place, 0)

    def _count_one(self, table: SharedTable, place: Place, change: int) -> None:
        unplaced = self._unplaced.get(place, 0)
        entry = None if unplaced else table.own(place)
        count = unplaced if entry is None else table.get(entry, 0)
        if count + change < 0:
            raise ValueError("an address leaves that had not entered in this worker")
        if entry is None and not unplaced:
            # Only an entry whose connections are over is free for another address.
            entry = table.claim(place, below=1)
        if entry is not None:
            table.put(entry, 0, count + change)
        elif count + change:
            self._unplaced[place] = count + change
        else:
            del self._unplaced[place]


def make_quotas(workers: int, *, connections: int, per_address: int, rate: float) -> Quotas | None:
    """`Quotas` for these limits; None where all are 0, so that nothing is counted at all."""
    if not (connections or per_address or rate):
        return None
    return Quotas(workers, connections=connections, per_address=per_address, rate=rate)


def _make_rate(workers: int, rate: float, clock: Callable[[], float]) -> "RequestRate":
    # It takes longer to load than all the rest of the front: only who asks for it waits.
    from aprp.front.rates import RequestRate

    return RequestRate(workers, rate, clock)


@functools.lru_cache(_REMEMBERED)
def holder(address: str) -> str:
    """Whom an address is counted for: itself, or its /64 where it is IPv6.

    IPv4 within IPv6 is IPv4, and a link-local address counts alone. Anything that is no address
    stands for itself.
    """
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    if packed[:12] in _IPV4_WITHIN:
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    if packed[:8] == _LINK_LOCAL:
        return address
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
