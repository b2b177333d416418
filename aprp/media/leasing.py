"""The leases of one fill: which slices it alone writes, among all processes."""

from aprp.cache.leases import key_place, slice_place
from aprp.media.context import Context


class FillLeases:
    """Leases on slices of one version, by their numbers, and on its stream.

    Of an origin without ranges one stream at a time is read, by one process.
    """

    def __init__(self, context: Context, version: int) -> None:
        """Hold none."""
        self._cache = context.cache
        self._version = version
        self._numbers: set[int] = set()
        self._has_stream = False

    def __contains__(self, number: int) -> bool:
        """Whether it holds the lease on a slice."""
        return number in self._numbers

    def take(self, number: int) -> bool:
        """Take one; False where another fill has it."""
        return self.take_some(number, 1) == 1

    def take_some(self, first: int, count: int) -> int:
        """Take as many as are free from `first` on, up to `count`; how many."""
        leases = self._cache.leases
        taken = leases.take_some(slice_place(self._version, first), count) if leases else 0
        self._numbers.update(range(first, first + taken))
        return taken

    def take_stream(self) -> bool:
        """Take the lease on the stream; False where another process reads it."""
        leases = self._cache.leases
        if not self._has_stream and leases is not None:
            self._has_stream = leases.take(self._stream_place)
        return self._has_stream

    @property
    def _stream_place(self) -> int:
        return key_place(f"stream of {self._version:x}")

    def give(self, number: int) -> None:
        """Give one back, if it is held."""
        leases = self._cache.leases
        if number in self._numbers:
            self._numbers.discard(number)
            if leases is not None:
                leases.release(slice_place(self._version, number))

    def give_from(self, first: int) -> None:
        """Give back those on slices from `first` on."""
        for number in [number for number in self._numbers if number >= first]:
            self.give(number)

    def give_all(self) -> None:
        """Give everything back."""
        self.give_from(0)
        leases = self._cache.leases
        if self._has_stream and leases is not None:
            leases.release(self._stream_place)
        self._has_stream = False
