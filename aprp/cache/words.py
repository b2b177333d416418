"""What is stored of each slice of an extent, and the order of stores that keeps it true.

The words lie in memory that several processes map and that may be killed between any two stores, so
this order is all that guards the bytes:

- a count of valid bytes is stored after the bytes that it counts;
- a slice is marked whole after its checksum, and only `verify` believes a mark of another boot;
- what is counted of clients (`watch`) guards nothing, and comes whenever it comes;
- who begins a slice anew takes the mark and the count away before he stores the boot, and who
  reads looks at the boot before the count.

Only the holder of a slice's lease calls `grow`, `complete` or `begin` for it.
"""

from functools import lru_cache
from typing import Final

from aprp.cache.header import (
    BOOT_AT,
    CHECKSUM,
    COUNTED,
    FILLED,
    GONE,
    HEADER,
    HEAT,
    LAST_USED,
    PRESENT_AT,
    SLICES,
)

# A word that a damaged file has counted to its end begins anew.
_WORD: Final = (1 << 64) - 1
# The page of an extent that was closed: it is gone, and holds nothing.
_CLOSED: Final = bytes(8 * GONE) + b"\1" * 8 + bytes(HEADER - 8 * GONE - 8)


@lru_cache(maxsize=8)
def _table(value: int, width: int) -> int:
    """Repeat a word for each slice; the lowest bit of an exclusive or is the first difference."""
    native = memoryview(bytearray(8)).cast("Q" if width == 8 else "I")
    native[0] = value
    return int.from_bytes(native.tobytes()[:width] * SLICES, "little")


class Words:
    """The words of one extent's header page; `size` is that of the data, in bytes.

    Offsets are bytes from the begin of the extent's data, half-open.
    """

    __slots__ = (
        "_boot",
        "_boots",
        "_full",
        "_heat",
        "_present",
        "_tags",
        "_words",
        "size",
        "slice_size",
    )

    def __init__(self, page: memoryview, slice_size: int, size: int, boot: int) -> None:
        """Look at a writable page. boot: the tag of this boot of the machine."""
        self.slice_size = slice_size
        self.size = size
        self._boot = boot
        self._tags = _table(boot, 4)
        self._full = _table(slice_size, 8)
        self._attach(page)

    def _attach(self, page: memoryview) -> None:
        self._words = page.cast("Q")
        self._heat = self._words[HEAT : HEAT + SLICES]
        self._present = page[PRESENT_AT : PRESENT_AT + SLICES]
        self._boots = page[BOOT_AT : BOOT_AT + 4 * SLICES].cast("I")

    def _detach(self) -> None:
        """Let go of the page: from now on the extent is gone, and holds nothing."""
        self._attach(memoryview(_CLOSED))

    @property
    def gone(self) -> bool:
        """Whether some process has evicted or purged the extent: whoever sees that drops it."""
        return self._words[GONE] != 0

    @property
    def counted(self) -> int:
        """The bytes on disk that `Extent.allocate` has reported, by all processes together."""
        return self._words[COUNTED]

    @property
    def last_used(self) -> int:
        """When it was used last, in whole seconds of the Unix clock; 0 for never."""
        return self._words[LAST_USED]

    def touch(self, now: float) -> None:
        """Note that it is used; `now` is of the Unix clock. Stored at most once a second."""
        second = int(now)
        if self._words[LAST_USED] != second:
            self._words[LAST_USED] = second

    def watch(self, offset: int, stop: int) -> None:
        """Note that the bytes from `offset` to `stop` are given to a client. Cheap.

        A picture and no account: see `aprp.cache.header`.
        """
        heat, size = self._heat, self.slice_size
        n = offset // size
        while (edge := n * size + size) < stop and n < SLICES - 1:
            heat[n] = heat[n] + edge - offset & _WORD
            offset, n = edge, n + 1
        heat[n] = heat[n] + stop - offset & _WORD

    def heat(self) -> list[int]:
        """Give the bytes of each slice that were given to clients since the extent was made."""
        return self._heat.tolist()

    def length(self, n: int) -> int:
        """Give the bytes that slice `n` has room for: the last one may be short."""
        return max(0, min(self.slice_size, self.size - n * self.slice_size))

    def stored(self, n: int) -> bool:
        """Whether the slice is whole, perhaps written in another boot and not verified since."""
        return self._present[n] != 0

    def holds(self, n: int) -> bool:
        """Whether the slice is whole, and written or verified in this boot."""
        return self._boots[n] == self._boot and self._present[n] != 0

    def filled(self, n: int) -> int:
        """Count the valid bytes from the slice's begin; 0 where the count is of another boot."""
        return self._words[FILLED + n] if self._boots[n] == self._boot else 0

    def amounts(self) -> list[int]:
        """Give the bytes of each slice that are stored, also those not verified in this boot."""
        boot, size = self._boot, self.slice_size
        counts = self._words[FILLED : FILLED + SLICES].tolist()
        found = [
            count if tag == boot else 0 for count, tag in zip(counts, self._boots, strict=True)
        ]
        if any(self._present):
            for n, whole in enumerate(self._present):
                if whole and not found[n]:
                    found[n] = max(0, min(size, self.size - n * size))
        return found

    def run(self, offset: int, stop: int) -> int:
        """Give the end, at most `stop`, of the readable bytes that begin at `offset` (< `stop`).

        It is `offset` itself where nothing can be read.
        """
        size = self.slice_size
        n = offset // size
        if n >= SLICES or self._boots[n] != self._boot:
            return offset
        end = n * size + self._words[FILLED + n]
        if end >= stop:
            return stop
        if end <= offset:
            return offset
        if end < (n + 1) * size:
            return end
        return self._run_from(n + 1, stop)

    def _run_from(self, first: int, stop: int) -> int:
        """Give the end of the readable bytes that begin at slice `first`, at most `stop`.

        Up to 63 slices are compared at once, as the digits of two large numbers.
        """
        size = self.slice_size
        after = min(-(-stop // size), SLICES)
        if after <= first + 1:
            return min(stop, first * size + self.filled(first)) if first < after else first * size
        boots = int.from_bytes(self._boots[first:after], "little")
        counts = self._words[FILLED + first : FILLED + after]
        whole = after - first
        other = (boots ^ self._tags) & ((1 << 32 * whole) - 1)
        if other:
            whole = ((other & -other).bit_length() - 1) // 32
        # Copied once: what is compared must be what is added below.
        frozen = memoryview(counts.tobytes())
        short = (int.from_bytes(frozen, "little") ^ self._full) & ((1 << 64 * whole) - 1)
        if not short:
            return min(stop, (first + whole) * size)
        whole = ((short & -short).bit_length() - 1) // 64
        return min(stop, (first + whole) * size + frozen.cast("Q")[whole])

    def grow(self, n: int, filled: int) -> None:
        """Publish that the first `filled` bytes of the slice are valid, and stay as they are."""
        if filled > self.slice_size or n * self.slice_size + filled > self.size:
            raise ValueError(f"slice {n} has {self.length(n)} bytes, not {filled}")
        if self._boots[n] != self._boot:
            self.begin(n)
        if self._words[FILLED + n] < filled:
            self._words[FILLED + n] = filled

    def begin(self, n: int) -> None:
        """Make the slice empty, whatever it held and in whichever boot."""
        self._present[n] = 0
        self._words[FILLED + n] = 0
        self._boots[n] = self._boot

    def forget(self, n: int) -> None:
        """Drop the slice: its bytes are not to be used."""
        self._present[n] = 0
        self._words[FILLED + n] = 0

    def _finish(self, n: int, checksum: int) -> None:
        """Mark a slice whole, of which all valid bytes are counted."""
        self._words[CHECKSUM + n] = checksum
        self._present[n] = 1

    def _written(self, n: int) -> tuple[int, int]:
        """Give the count and the checksum of a slice, of whichever boot."""
        return self._words[FILLED + n], self._words[CHECKSUM + n]

    def _believe(self, n: int) -> None:
        """Take the words of a slice that has been verified for those of this boot."""
        self._boots[n] = self._boot
