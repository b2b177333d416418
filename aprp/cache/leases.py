"""Leases: which process does what, agreed on between all processes that share a cache.

A lease is a lock on one byte of an empty file. It belongs to the open file and not to the process
(F_OFD_SETLK), so closing another descriptor of the file does not lose it; the kernel drops it when
the process that has it ends, however that ends.
"""

import errno
import fcntl
import os
import struct
import threading
from hashlib import blake2b
from pathlib import Path
from typing import Final

from aprp.cache.pages import OpenFile

# Slices' leases are in the lower half of the places, keys' in the upper.
_HALF: Final = 1 << 61
# An odd number near 2**64 / golden ratio: versions that follow each other come to lie far apart.
_SPREAD: Final = 0x9E37_79B9_7F4A_7C15
# struct flock: type, whence, start, length, process (must be 0 here).
_F_OFD_GETLK: Final = 36
_FLOCK: Final = struct.Struct("hhqqi4x")


def slice_place(version: int, slice_number: int) -> int:
    """Give the place of the lease on one slice of one version.

    Slices that follow each other lie side by side: the kernel keeps their locks as one. Seldom, two
    versions meet in a place; then one waits for the other.
    slice_number: counted from the begin of the object.
    """
    return (version * _SPREAD + slice_number) % _HALF


def key_place(key: str) -> int:
    """Give the place of the lease on a key; no slice's lease is there."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return _HALF + int.from_bytes(digest, "big") % _HALF


class Leases:
    """The leases of this process; open it in each process, after the fork. Safe for threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing. Raises OSError."""
        self._file: OpenFile | None = OpenFile(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def take(self, place: int) -> bool:
        """Take the lease; False where somebody has it, this process included.

        Never waits. Raises OSError where the kernel has no room for more locks.
        """
        with self._lock:
            if place in self._held:
                return False
            try:
                self._set(fcntl.F_WRLCK, place)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EACCES):
                    return False
                raise
            self._held.add(place)
            return True

    def take_some(self, place: int, count: int) -> int:
        """Take as many of `count` places from `place` on as are free without a gap; how many.

        Never waits. Raises OSError as `take` does.
        """
        with self._lock:
            count = next((n for n in range(count) if place + n in self._held), count)
            while count:
                try:
                    self._set(fcntl.F_WRLCK, place, count)
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES):
                        raise
                    # Up to the first that somebody else has; it may be free again by now.
                    count = min(self._free(place, count), count - 1)
                    continue
                self._held.update(range(place, place + count))
                break
            return count

    def _free(self, place: int, count: int) -> int:
        """How many places from `place` on nobody else has."""
        assert self._file is not None
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, count, 0)
        told = fcntl.fcntl(self._file.number, _F_OFD_GETLK, asked)
        kind, _, start, _, _ = _FLOCK.unpack(told)
        return count if kind == fcntl.F_UNLCK else max(start - place, 0)

    def release(self, place: int) -> None:
        """Give back a lease that this process has; nothing happens where it has not."""
        with self._lock:
            if place in self._held:
                self._set(fcntl.F_UNLCK, place)
                self._held.remove(place)

    def held(self, place: int) -> bool:
        """Whether this process has the lease."""
        return place in self._held

    def close(self) -> None:
        """Give back all leases; nothing may be taken afterwards."""
        with self._lock:
            self._held.clear()
            self._file = None

    def _set(self, kind: int, place: int, count: int = 1) -> None:
        if self._file is None:
            raise ValueError("the leases are closed")
        if os.getpid() != self._process:
            raise RuntimeError("leases opened before the fork belong to both processes at once")
        request = _FLOCK.pack(kind, os.SEEK_SET, place, count, 0)
        fcntl.fcntl(self._file.number, fcntl.F_OFD_SETLK, request)

    def __repr__(self) -> str:
        return f"<Leases {'closed' if self._file is None else f'{len(self._held)} held'}>"
