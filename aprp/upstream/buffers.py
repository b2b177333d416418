"""Buffers that the kernel writes origin bytes into.

A buffer is on loan from the moment a socket is readable until its bytes have gone to the
client: an idle or a waiting connection holds none, so memory follows the transfers that are
stalled at this moment and not the number of connections.

There are two sizes. Large reads halve the cost of a fast transfer; a client that takes its time
would hold a large buffer for long, and gets small ones. Which of them a client is shows when it has
taken more than sockets hold by themselves (`PROVEN`).
"""

from collections import deque
from typing import Final

# What a TLS layer may hold decrypted or not, in bytes (256 KiB), and a record more.
TLS_READ: Final = (256 + 64) << 10

# What a client takes without a pause before it gets large buffers, in bytes: kernels queue up to
# 4 MiB for a socket, however slow its other end is.
PROVEN: Final = 6 << 20


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
        if large and self.large > self.small:
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


# Lent where nothing may come: to a transport that asks for room before it knows of bytes.
_NOWHERE = memoryview(bytearray(4096))


class Inbox:
    """The bytes that have come and are not handed on yet, in the order in which they came.

    They are walked in place: `view[position:end]` of the first buffer. While some of its bytes
    are on their way (`hold`), what comes is put behind them or into further buffers.
    """

    __slots__ = (
        "_behind",
        "_buffer",
        "_pool",
        "_proven",
        "_run",
        "end",
        "fast",
        "held",
        "position",
    )

    def __init__(self, pool: BufferPool, proven: int = PROVEN) -> None:
        """Hold no buffer; `proven` bytes without a pause make the reader a fast one."""
        self._pool = pool
        self._proven = proven
        self._run = 0
        self._buffer: Buffer | None = None
        self._behind: deque[tuple[Buffer, int]] = deque()
        self.position = 0
        self.end = 0
        self.fast = False
        self.held = False

    @property
    def data(self) -> bytearray:
        """The first buffer, to search in."""
        assert self._buffer is not None
        return self._buffer.data

    @property
    def view(self) -> memoryview:
        """The first buffer, to slice."""
        assert self._buffer is not None
        return self._buffer.view

    @property
    def empty(self) -> bool:
        """Whether the first buffer is walked to its end."""
        return self.position == self.end

    def space(self) -> memoryview:
        """Room for the next bytes; it must be filled, or asked for again, before anything else."""
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = self._pool.acquire(self.fast)
        if self._behind:
            last, filled = self._behind[-1]
            if filled < last.size:
                return last.view[filled:]
        elif self.end < buffer.size:
            return buffer.view[self.end :]
        elif not self.held:
            self._compact(buffer)
            return buffer.view[self.end :]
        self._behind.append((self._pool.acquire(), 0))
        return self._behind[-1][0].view

    @staticmethod
    def nowhere() -> memoryview:
        """Room for bytes that nobody wants."""
        return _NOWHERE

    def put(self, count: int) -> None:
        """Take note that `count` bytes were written into the space."""
        if self._behind:
            last, filled = self._behind[-1]
            self._behind[-1] = last, filled + count
            return
        self.end += count
        self._run += count
        # A full buffer says that the origin is ahead of us: the next one may be larger.
        if self._run > self._proven and self._buffer is not None and self.end == self._buffer.size:
            self.fast = True

    def slow_down(self) -> None:
        """The reader has to prove anew that it is fast."""
        self.fast = False
        self._run = 0

    def next(self) -> bool:
        """Give the first buffer back and turn to the one behind it; False if there is none."""
        if self._buffer is not None:
            self._pool.release(self._buffer)
            self._buffer = None
        self.position = self.end = 0
        if not self._behind:
            return False
        self._buffer, self.end = self._behind.popleft()
        return self.end > 0

    def drain(self) -> bytes:
        """Take all that has come; every buffer is given back."""
        taken = bytearray()
        while self._buffer is not None:
            taken += self.view[self.position : self.end]
            self.next()
        self.held = False
        return bytes(taken)

    def clear(self) -> None:
        """Give every buffer back."""
        while self._buffer is not None:
            self.next()

    def _compact(self, buffer: Buffer) -> None:
        """Make room behind a head that does not fit where it began."""
        left = self.end - self.position
        buffer.data[:left] = buffer.data[self.position : self.end]
        self.position, self.end = 0, left
