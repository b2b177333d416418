"""What all processes that share a cache agree on beside its files: a small mapped file of words."""

import os
from pathlib import Path
from typing import Final
from zlib import crc32

from aprp.cache.pages import OpenFile, map_file

_MAGIC: Final = int.from_bytes(b"aprp\0st1", "big")
# A page for single words, of which three are used, then one word a generation, then one word for
# the purges of some paths. Files made before there were these are shorter, and are made longer.
_PAGE: Final = 4096
_WORDS: Final = 4096
_PURGES: Final = _PAGE + 8 * _WORDS
_SIZE: Final = _PURGES + 8 * _WORDS


class State:
    """Bytes used, the generations and purges of keys; open it in each process, after the fork.

    `used` is what the last to write it said. After a loss of power that may be old: count anew.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing. Raises OSError."""
        self._file: OpenFile | None = OpenFile(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        with self._file.locked():
            made_longer = os.fstat(self._file.number).st_size < _SIZE
            # All of it before it is mapped: a full disk must not show as SIGBUS. It never shrinks.
            os.posix_fallocate(self._file.number, 0, _SIZE)
            page, _ = map_file(self._file, _SIZE)
            magic = page[:8].cast("Q")
            if magic[0] != _MAGIC:
                page[:] = bytes(_SIZE)
                magic[0] = _MAGIC
            if made_longer:
                # What was asked for before a directory was made anew is not stored in the new one.
                page[_PURGES:] = os.urandom(_SIZE - _PURGES)
        self._used = page[8:16].cast("q")
        self._all_purged = page[16:24].cast("Q")
        self._random = page[_PAGE:_PURGES]
        self._generations = self._random.cast("Q")
        self._purges = page[_PURGES:].cast("Q")

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
        self._generations[_place(key)] = _random_word()

    def all_changed(self) -> None:
        """Tell all processes that what is stored under any key may have changed."""
        self._random[:] = os.urandom(8 * _WORDS)

    def purges(self, key: str) -> int:
        """Give a number that is another one after each purge of the key, by any process.

        What an origin was asked for at another number is not to be stored. Keys that differ in
        their queries alone share one, as do some others.
        """
        return self._all_purged[0] << 64 | self._purges[_place(_path_of(key))]

    def purged(self, key: str) -> None:
        """Tell all processes that a key is purged, whether anything is stored under it or not."""
        self._purges[_place(_path_of(key))] = _random_word()

    def purged_from(self, prefix: str) -> None:
        """Tell all processes that the keys that begin so are purged."""
        if "?" in prefix:
            self.purged(prefix)
        else:
            self._all_purged[0] = _random_word()

    def close(self) -> None:
        """Let go of the file; nothing may be asked afterwards."""
        self._file = None
        self._used = self._all_purged = memoryview(b"")
        self._random = self._generations = self._purges = memoryview(b"")

    def _opened(self) -> OpenFile:
        if self._file is None:
            raise ValueError("the state is closed")
        return self._file

    def __repr__(self) -> str:
        return "<State closed>" if self._file is None else f"<State {self.used} bytes used>"


def _place(key: str) -> int:
    return crc32(key.encode("utf-8", "surrogatepass")) % _WORDS


def _path_of(key: str) -> str:
    return key.partition("?")[0]


def _random_word() -> int:
    return int.from_bytes(os.urandom(8), "big")
