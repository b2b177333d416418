"""Buffers that the kernel writes origin bytes into.

A buffer is on loan from the moment a socket is readable until its bytes have gone to the
client: an idle or a waiting connection holds none, so memory follows the transfers that are
stalled at this moment and not the number of connections.

There are two sizes. Large reads halve the cost of a fast transfer; a client that takes its time
would hold a large buffer for long, and gets small ones.
"""


class Buffer:
    """A fixed block of `size` bytes: `data` to search in, `view` to slice without a copy."""

    __slots__ = ("data", "size", "view")

    def __init__(self, size: int) -> None:
        """Allocate."""
        self.size = size
        self.data = bytearray(size)
        self.view = memoryview(self.data)


class BufferPool:
    """Free buffers of two sizes, in bytes; at most `keep` bytes of each size are kept."""

    __slots__ = ("_large", "_small", "keep", "large", "small")

    def __init__(self, small: int, large: int, keep: int = 16 << 20) -> None:
        """Make an empty pool; buffers are allocated when they are first asked for."""
        self.small = small
        self.large = max(small, large)
        self.keep = keep
        self._small: list[Buffer] = []
        self._large: list[Buffer] = []

    def acquire(self, large: bool = False) -> Buffer:
        """Lend a buffer; its content is whatever its last user left."""
        if large:
            return self._large.pop() if self._large else Buffer(self.large)
        return self._small.pop() if self._small else Buffer(self.small)

    def release(self, buffer: Buffer) -> None:
        """Take a buffer back; nobody may use its views afterwards."""
        free = self._small if buffer.size == self.small else self._large
        if (len(free) + 1) * buffer.size <= self.keep:
            free.append(buffer)

    def __repr__(self) -> str:
        free = f"{len(self._small)} and {len(self._large)} free"
        return f"<BufferPool {free} of {self.small} and {self.large} bytes>"
