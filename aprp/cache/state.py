"""What all processes that share a cache agree on beside its files: a small mapped file of words."""

import os
from pathlib import Path
from typing import Final
from zlib import crc32

from aprp.cache.pages import OpenFile, map_file

_MAGIC: Final = int.from_bytes(b"aprp\0st1", "big")
# A page for single words, of which two are used, and one word a generation.
_PAGE: Final = 4096
_GENERATIONS: Final = 4096
_SIZE: Final = _PAGE + 8 * _GENERATIONS


class State:
    """Bytes used, and the generations of keys; open it in each process, after the fork.

    `used` is what the last to write it said. After a loss of power that may be old: count anew.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing. Raises OSError."""
        self._file: OpenFile | None = OpenFile(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with self._file.locked():
            # All of it before it is mapped: a full disk must not show as SIGBUS. It never shrinks.
            os.posix_fallocate(self._file.number, 0, _SIZE)
            page, _ = map_file(self._file, _SIZE)
            magic = page[:8].cast("Q")
            if magic[0] != _MAGIC:
                page[:] = bytes(_SIZE)
                magic[0] = _MAGIC
        self._used = page[8:16].cast("q")
        self._random = page[_PAGE:]
        self._generations = page[_PAGE:].cast("Q")

    @property
    def used(self) -> int:
        """The bytes on disk of all extents."""
        # Who takes away may come before who has not added yet.
        return max(0, self._used[0])

    def add_used(self, n: int) -> None:
        """Add `n`, which may be negative. Exact, whoever else adds at the same time."""
        with self._opened().locked():
            self._used[0] += n

    def set_used(self, n: int) -> None:
        """Set the bytes used, as counted anew."""
        with self._opened().locked():
            self._used[0] = n

    def generation(self, key: str) -> int:
        """Give a number that is another one after each `bump` of the key, by any process.

        Keys share 4096 of them: another key's bump may change it, too.
        """
        return self._generations[_place(key)]

    def bump(self, key: str) -> None:
        """Tell all processes that what is stored under the key has changed."""
        # Random and not counted up: of two that count at once, the second's change would not show.
        self._generations[_place(key)] = int.from_bytes(os.urandom(8), "big")

    def all_changed(self) -> None:
        """Tell all processes that what is stored under any key may have changed."""
        self._random[:] = os.urandom(8 * _GENERATIONS)

    def close(self) -> None:
        """Let go of the file; nothing may be asked afterwards."""
        self._file = None
        self._used = self._random = self._generations = memoryview(b"")

    def _opened(self) -> OpenFile:
        if self._file is None:
            raise ValueError("the state is closed")
        return self._file

    def __repr__(self) -> str:
        return "<State closed>" if self._file is None else f"<State {self.used} bytes used>"


def _place(key: str) -> int:
    return crc32(key.encode("utf-8", "surrogatepass")) % _GENERATIONS
