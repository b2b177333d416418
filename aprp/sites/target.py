"""The target that `?target_url=` has switched to, the same for all workers."""

import mmap
import multiprocessing
import struct
import zlib
from typing import Final

# The number of switches, the length of the text, its checksum.
_HEAD: Final = struct.Struct("=QII")
_MOST: Final = mmap.PAGESIZE - _HEAD.size
_COUNT: Final = struct.Struct("=Q")

# How long a switch waits for another one, in seconds: one takes microseconds, and a worker that
# died in the middle of one must not end all others.
_PATIENCE: Final = 1.0


class SharedTarget:
    """A URL in memory that is shared with processes forked later; "" until one is set."""

    def __init__(self) -> None:
        """Share nothing yet: the memory is there for who is forked from here on."""
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._lock = multiprocessing.Lock()
        self._seen = 0
        self._url = ""

    @property
    def url(self) -> str:
        """What is set now."""
        if _COUNT.unpack_from(self._memory)[0] != self._seen:
            count, length, checksum = _HEAD.unpack_from(self._memory)
            text = self._memory[_HEAD.size : _HEAD.size + min(length, _MOST)]
            # Not while it is being written.
            if zlib.crc32(text, count & 0xFFFFFFFF) == checksum:
                self._seen, self._url = count, text.decode()
        return self._url

    def set(self, url: str) -> None:
        """Set it, for all; raises ValueError for a URL that is too long."""
        text = url.encode()
        if len(text) > _MOST:
            raise ValueError(f"a target of {len(text)} bytes, and {_MOST} is the most")
        owned = self._lock.acquire(timeout=_PATIENCE)
        try:
            count = _COUNT.unpack_from(self._memory)[0] + 1
            checksum = zlib.crc32(text, count & 0xFFFFFFFF)
            self._memory[_HEAD.size : _HEAD.size + len(text)] = text
            _HEAD.pack_into(self._memory, 0, count, len(text), checksum)
        finally:
            if owned:
                self._lock.release()
