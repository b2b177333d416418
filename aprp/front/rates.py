"""How often a client asks, counted over all workers: a storage for the `limits` package.

The package's own storages are of one process, or servers to be run beside the proxy. The strategy
is its sliding window counter: what came in the present window of time, and what came in the one
before it by the part of that which is not yet a window ago.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import SlidingWindowCounterSupport, Storage
from limits.strategies import SlidingWindowCounterRateLimiter

from aprp.front.shared import Place, SharedTable

# A value is the number of a window above, and what was counted in it below.
_BITS: Final = 32
_COUNT: Final = (1 << _BITS) - 1
# Any rate is within a hundredth of a whole number of requests in a window by then.
_MOST_TRIES: Final = 50
_NEAR: Final = 0.01


class SharedWindows(Storage, SlidingWindowCounterSupport):
    """Counts of two windows for each key, in memory that all workers share.

    The memory is bounded: of more keys in use than it holds, those are forgotten that were used
    least of late. What is forgotten or changed by `clear` and `reset` is this worker's own.
    """

    STORAGE_SCHEME = None

    def __init__(
        self,
        workers: int,
        window: int,
        clock: Callable[[], float] = time.monotonic,
        table: SharedTable | None = None,
    ) -> None:
        """Make it before the fork.

        window: the length of all windows, in seconds. clock: seconds, one for all processes.
        """
        super().__init__()
        self._window = window
        self._clock = clock
        self._table = table or SharedTable(workers, 2)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """There are none: nothing here can be out of reach."""
        return ()

    def attach(self, worker: int) -> None:
        """Count as this worker; called after the fork. What one before it counted stays."""
        self._table.attach(worker)

    # limits.storage.SlidingWindowCounterSupport

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count `amount` more if that is not above the limit.

        Several workers that do so at once never get above it; at its edge both may be refused.
        """
        number, left = self._present(expiry)
        place = self._table.place(key)
        if self._weighted(place, number, left) + amount > limit:
            return False
        self._add(place, number, amount)
        if self._weighted(place, number, left) > limit:
            self._add(place, number, -amount)
            return False
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The count of the window before and how long it still matters, in s; the present's."""
        number, left = self._present(expiry)
        before, count = self._counts(self._table.place(key), number)
        return before, left * expiry if before else 0.0, count, (1 + left) * expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """See `clear`."""
        self.clear(key)

    def wait(self, key: str, limit: int) -> float:
        """For how long one more would be above the limit if nothing else came, in seconds."""
        number, left = self._present(self._window)
        before, count = self._counts(self._table.place(key), number)
        if count >= limit:
            return left * self._window
        if math.floor(before * left) + count < limit:
            return 0.0
        return (left - (limit - count) / before) * self._window

    # limits.storage.Storage

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` more, whatever there is; gives the count of the present window."""
        number, _ = self._present(expiry)
        place = self._table.place(key)
        self._add(place, number, amount)
        return self._counts(place, number)[1]

    def get(self, key: str) -> int:
        """The count of the present window."""
        number, _ = self._present(self._window)
        return self._counts(self._table.place(key), number)[1]

    def get_expiry(self, key: str) -> float:
        """When the present window ends, in seconds since the epoch."""
        _, left = self._present(self._window)
        return time.time() + left * self._window

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def clear(self, key: str) -> None:
        """Forget what this worker counted for a key."""
        entry = self._table.own(self._table.place(key))
        if entry is not None:
            self._table.put(entry, 0, 0)
            self._table.put(entry, 1, 0)

    def reset(self) -> None:
        """Forget all that this worker counted."""
        self._table.clear()

    def _present(self, expiry: int) -> tuple[int, float]:
        """The number of the present window, from 1, and what part of it is to come, 1 to 0."""
        if expiry != self._window:
            raise ValueError(f"windows are of {self._window} s here, not of {expiry}")
        windows = self._clock() / expiry
        whole = math.floor(windows)
        return whole + 1, 1 - (windows - whole)

    def _weighted(self, place: Place, number: int, left: float) -> int:
        before, count = self._counts(place, number)
        return math.floor(before * left) + count

    def _counts(self, place: Place, number: int) -> tuple[int, int]:
        """What all workers counted in the window before this one, and in this one."""
        before = count = 0
        for values in self._table.read(place):
            for value in values:
                if value >> _BITS == number:
                    count += value & _COUNT
                elif value >> _BITS == number - 1:
                    before += value & _COUNT
        return before, count

    def _add(self, place: Place, number: int, amount: int) -> None:
        table = self._table
        entry = table.own(place)
        if entry is None:
            entry = table.claim(place)
            assert entry is not None
        # Windows take turns, so that the change to the next one is a single write.
        turn = number & 1
        value = table.get(entry, turn)
        if value >> _BITS != number:
            value = number << _BITS
        table.put(entry, turn, value + amount)


class RequestRate:
    """A limit of requests a second for each name, kept by all workers together."""

    def __init__(
        self, workers: int, rate: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make it before the fork. rate: above 0; clock: seconds, one for all processes."""
        self._item = window_of(rate)
        self._storage = SharedWindows(workers, self._item.get_expiry(), clock)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    def attach(self, worker: int) -> None:
        """Count as this worker; called after the fork."""
        self._storage.attach(worker)

    def take(self, name: str) -> float | None:
        """Count a request: None if it may be, otherwise the seconds until another may."""
        if self._limiter.hit(self._item, name):
            return None
        return self._storage.wait(self._item.key_for(name), self._item.amount)


def window_of(rate: float) -> RateLimitItem:
    """So many requests in so many seconds, both whole numbers, within a hundredth of the rate.

    The window is the shortest that will do: a second where the rate is a whole number.
    """
    if not 0 < rate <= _COUNT:
        raise ValueError(f"a rate of {rate:g} requests a second cannot be kept")
    for tries in range(1, _MOST_TRIES + 1):
        amount, seconds = (
            (round(rate * tries), tries) if rate >= 1 else (tries, round(tries / rate))
        )
        if abs(amount / seconds / rate - 1) <= _NEAR:
            break
    return RateLimitItemPerSecond(amount, seconds)
