"""Buffers that the kernel writes origin bytes into.

A buffer is on loan from the moment a socket is readable until its bytes have gone to the
client: an idle or a waiting connection holds none, so memory follows the transfers that are
stalled at this moment and not the number of connections.
"""


class Buffer:
    """A fixed block of memory: `data` to search in, `view` to slice without a copy."""

    __slots__ = ("data", "view")

    def __init__(self, size: int) -> None:
        """Allocate `size` bytes."""
        self.data = bytearray(size)
        self.view = memoryview(self.data)


class BufferPool:
    """A stack of free buffers of one size, in bytes; at most `keep` free ones are kept."""

    __slots__ = ("_free", "keep", "size")

    def __init__(self, size: int, keep: int = 16) -> None:
        """Make an empty pool; buffers are allocated when they are first asked for."""
        self.size = size
        self.keep = keep
        self._free: list[Buffer] = []

    def acquire(self) -> Buffer:
        """Lend a buffer; its content is whatever its last user left."""
        return self._free.pop() if self._free else Buffer(self.size)

    def release(self, buffer: Buffer) -> None:
        """Take a buffer back; nobody may use its views afterwards."""
        if len(self._free) < self.keep:
            self._free.append(buffer)

    def __repr__(self) -> str:
        return f"<BufferPool {len(self._free)} free of {self.size} bytes>"
