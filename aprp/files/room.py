"""The directory of the store: where uploads are written, and how much may be in it.

Unfinished uploads lie in a hidden directory inside it, on the same file system, so that a finished
one gets its name at once. Who writes one holds a lock on it (flock), which the kernel drops with
the process: what is not locked was left behind.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aprp.files.errors import Busy, NoRoom, Unusable

HIDDEN: Final = ".aprp-uploads"
"""The directory of unfinished uploads; its dot keeps it out of every listing."""

_LOCK: Final = "lock"
_NAMES: Final = "names"
_WHOLE: Final = ".upload"
_PARTS: Final = ".partial"
_OF_PARTS: Final = re.compile(rf"[0-9a-f]{{32}}-([0-9]{{1,18}}){re.escape(_PARTS)}").fullmatch
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Where a file system cannot set room aside, it is not set aside.
_UNABLE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What there is of an upload in parts: `received` of `total` bytes, in the file `place`."""

    place: Path
    received: int
    total: int


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Turn what the system says into what a client is told: NoRoom, Unusable."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom("The disk is full: there is no room for this file.") from error
        raise Unusable(f"{type(error).__name__}: {error}") from error


class Room:
    """The directory. All methods wait for the disk.

    `quota` is the most bytes of all files in it together, finished or not, 0: no limit; `expires`
    is after how many seconds without a byte an upload in parts is given up.
    """

    def __init__(self, directory: Path, quota: int, expires: float) -> None:
        self.directory = directory
        self.quota = quota
        self._expires = expires
        self._hidden = directory / HIDDEN

    def path(self, name: str) -> Path:
        """Where a file of the store lies."""
        return self.directory / name

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Hold the lock under which names are given and taken away."""
        with self._locked(_NAMES):
            yield

    # Unfinished uploads.

    def new(self) -> tuple[Path, int]:
        """Make a new file to write a whole upload to; its path, and its descriptor, locked."""
        while True:
            place = self._hidden / f"{secrets.token_hex(16)}{_WHOLE}"
            descriptor = self._open(place, os.O_CREAT | os.O_EXCL)
            # In between a sweep may have taken it for one left behind.
            if self._lock(descriptor) and os.fstat(descriptor).st_nlink:
                return place, descriptor
            os.close(descriptor)

    def open_parts(self, name: str, total: int, make: bool) -> tuple[Path, int] | None:
        """Open the upload in parts of a file; None where there is none and `make` is false.

        Raises Busy where another request has it open.
        """
        place = self._hidden / f"{_digest(name)}-{total}{_PARTS}"
        while True:
            try:
                descriptor = self._open(place, os.O_CREAT if make else 0)
            except FileNotFoundError:
                return None
            if not self._lock(descriptor):
                os.close(descriptor)
                raise Busy("Another request is sending this file now: try again when it is over.")
            names = os.fstat(descriptor).st_nlink
            if names == 1:
                return place, descriptor
            if names > 1:
                # It is in its place: a process was killed before it could clear up.
                place.unlink()
            os.close(descriptor)

    def unfinished(self, name: str) -> Unfinished | None:
        """What there is of the upload in parts of a name; the newest, if it was begun anew."""
        begin = f"{_digest(name)}-"
        found = []
        for entry in self._entries():
            if entry.name.startswith(begin) and entry.name.endswith(_PARTS):
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat()
                    if about.st_nlink == 1:
                        parts = Unfinished(Path(entry.path), about.st_size, _total(entry.name))
                        found.append((about.st_mtime_ns, parts))
        return max(found, key=lambda each: each[0])[1] if found else None

    def drop(self, place: Path) -> None:
        """Remove an unfinished upload; raises Busy where a request is writing it."""
        if not self._remove(place, 0.0):
            raise Busy("Another request is sending this file now: try again when it is over.")

    def sweep(self) -> int:
        """Remove what was left behind, and parts that have expired; how many files those were."""
        removed = 0
        for entry in self._entries():
            if entry.name.endswith(_WHOLE):
                removed += self._remove(Path(entry.path), 0.0)
            elif entry.name.endswith(_PARTS):
                removed += self._remove(Path(entry.path), self._expires)
        return removed

    def _open(self, place: Path, flags: int) -> int:
        flags |= os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(place, flags, 0o666)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            self._hidden.mkdir(mode=0o700, exist_ok=True)
            return os.open(place, flags, 0o666)

    @staticmethod
    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _remove(self, place: Path, age: float) -> bool:
        """Remove an unfinished upload that nobody writes, and has not for `age` seconds."""
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return True
        try:
            if age and time.time() - os.fstat(descriptor).st_mtime < age:
                return False
            if not self._lock(descriptor):
                return False
            place.unlink(missing_ok=True)
            return True
        finally:
            os.close(descriptor)

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._hidden) as found:
                return list(found)
        except FileNotFoundError:
            return []

    # Room for bytes.

    def reserve(self, descriptor: int, size: int) -> None:
        """Set room aside so that a file can have `size` bytes; it has that length from then on.

        Raises NoRoom. By its length all workers see what is reserved.
        """
        with system_errors(), self._counted():
            about = os.fstat(descriptor)
            self._check(size - about.st_size)
            if size <= about.st_size:
                return
            # Some file systems take what there is before they notice that it is too little.
            self._check_disk(size - about.st_size)
            try:
                os.posix_fallocate(descriptor, about.st_size, size - about.st_size)
            except OSError as error:
                if error.errno not in _UNABLE:
                    raise
                os.ftruncate(descriptor, size)

    def admit_parts(self, name: str, total: int) -> tuple[Path, int]:
        """Begin or go on with an upload in parts: as `open_parts`, where there is room for it."""
        with system_errors(), self._counted():
            opened = self.open_parts(name, total, make=False)
            if opened is None:
                self._check(total)
                self._check_disk(total)
                opened = self.open_parts(name, total, make=True)
                assert opened is not None
                return opened
            try:
                self._check_disk(total - os.fstat(opened[1]).st_size)
            except NoRoom:
                os.close(opened[1])
                raise
            return opened

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Hold the lock under which room is given away, where there is a quota."""
        if not self.quota:
            yield
            return
        with self._locked(_LOCK):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold a lock that all processes share: a file of its own, which stays."""
        self._hidden.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._hidden / name, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _check(self, more: int) -> None:
        if not self.quota or self.used() + more <= self.quota:
            return
        # What a killed process has left behind counts no longer.
        if not self.sweep() or self.used() + more > self.quota:
            raise NoRoom(
                f"The store may hold {self.quota} bytes (STORE_QUOTA), and this file does not fit "
                "in any more: delete others first."
            )

    def _check_disk(self, more: int) -> None:
        about = os.statvfs(self.directory)
        if more > about.f_bavail * about.f_frsize:
            raise NoRoom("The disk is full: there is no room for this file.")

    def used(self) -> int:
        """How many bytes the files take by their lengths, and those under way will take."""
        used = 0
        counted = set()
        # These first: what is given its name meanwhile is counted here, and there it is known.
        for entry in self._entries():
            if (about := _about(entry)) is not None:
                counted.add(about.st_ino)
                # Of parts all is counted from the beginning.
                used += _total(entry.name) if entry.name.endswith(_PARTS) else about.st_size
        with os.scandir(self.directory) as found:
            for entry in found:
                about = None if entry.name.startswith(".") else _about(entry)
                if about is not None and about.st_ino not in counted:
                    used += about.st_size
        return used


def _about(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What there is of a file; None where it is gone, or something else."""
    try:
        about = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return about if stat.S_ISREG(about.st_mode) else None


def _digest(name: str) -> str:
    """Of fixed length: a name may be as long as the file system allows."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _total(place: str) -> int:
    match = _OF_PARTS(place)
    return int(match[1]) if match else 0
