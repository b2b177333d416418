"""The files of the store: what is there, one of them to read, and uploads to begin.

The store is the top of one directory: regular files that are not hidden. Links and directories in
it are left alone.
"""

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from aprp.files.conditions import check_conditions
from aprp.files.errors import NoSuchFile
from aprp.files.room import Room, Unfinished, system_errors
from aprp.files.upload import Rules
from aprp.semantics.conditions import UNCONDITIONAL, Conditions
from aprp.semantics.media_types import UNKNOWN, content_type
from aprp.upstream.listing import entity_tag, is_stored

_log = logging.getLogger("aprp")

# The disk is waited for in so many threads; further uploads wait for one of them.
_THREADS: Final = 4
# How often what was left behind is looked for, in seconds.
_SWEEP_EVERY: Final = 3600.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the store; `size` in bytes, `modified` in seconds of Unix time."""

    name: str
    size: int
    type: str
    modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of the store's files, by name; `total` is how many there are."""

    files: tuple[StoredFile, ...]
    total: int


class OpenFile:
    """A file to read: what it is stays the same, even if its name is given to another meanwhile."""

    __slots__ = ("descriptor", "etag", "modified", "name", "size", "type")

    def __init__(self, name: str, descriptor: int) -> None:
        """Take the descriptor over."""
        about = os.fstat(descriptor)
        self.name = name
        self.descriptor = descriptor
        self.size = about.st_size
        self.modified = about.st_mtime
        self.etag = entity_tag(about)
        self.type = content_type(name) or UNKNOWN

    def read(self, view: memoryview, place: int) -> int:
        """Read from the disk into `view`; how many bytes, 0 behind the end."""
        return os.preadv(self.descriptor, [view], place)

    def read_at_once(self, view: memoryview, place: int) -> int | None:
        """Read what is in memory already; None where the disk would have to be waited for."""
        try:
            return os.preadv(self.descriptor, [view], place, os.RWF_NOWAIT)
        except OSError:
            # That it is not in memory, or that this file system cannot tell.
            return None

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


class Store:
    """The store of one process; other processes may have the same directory."""

    def __init__(self, directory: Path, rules: Rules, quota: int, expires: float) -> None:
        """See `Room` for `quota` and `expires`."""
        self.directory = directory
        self.rules = rules
        self.room = Room(directory, quota, expires)
        self._sweeping: asyncio.Task[None] | None = None

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        """Where the disk is waited for."""
        return ThreadPoolExecutor(_THREADS, thread_name_prefix="files")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something that waits for the disk."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, lambda: work(*args, **kwargs))

    def start(self) -> None:
        """Look for what was left behind, now and then."""
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            try:
                removed = await self.run(self.room.sweep)
            except OSError as error:
                _log.warning("what uploads left behind cannot be removed: %s", error)
            else:
                if removed:
                    _log.info("removed %d unfinished uploads", removed)
            await asyncio.sleep(_SWEEP_EVERY)

    async def close(self) -> None:
        """End what goes on in the background."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait((self._sweeping,))
            self._sweeping = None
        if "executor" in self.__dict__:
            self.executor.shutdown(wait=False)

    # All of these wait for the disk.

    def list(self, offset: int, limit: int) -> Listing:
        """Give files by name, `limit` at most, without the first `offset`; raises Unusable."""
        with system_errors(), os.scandir(self.directory) as found:
            entries = [entry for entry in found if is_stored(entry)]
        entries.sort(key=lambda entry: entry.name)
        files = []
        for entry in entries[offset : offset + limit]:
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            type_ = content_type(entry.name) or UNKNOWN
            files.append(StoredFile(entry.name, about.st_size, type_, about.st_mtime))
        return Listing(tuple(files), len(entries))

    def open(self, name: str) -> OpenFile:
        """Open a file to read; raises NoSuchFile, Unusable."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        with system_errors():
            self._check(name)
            try:
                descriptor = os.open(self.room.path(name), flags)
            except FileNotFoundError:
                raise _missing(name) from None
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise _missing(name)
            return OpenFile(name, descriptor)

    def delete(self, name: str, conditions: Conditions = UNCONDITIONAL) -> None:
        """Remove a file; raises NoSuchFile, ConditionFailed, Unusable."""
        # A full disk may have no room for the lock, and deleting is what helps there.
        free = conditions is UNCONDITIONAL
        with system_errors(), contextlib.nullcontext() if free else self.room.naming():
            check_conditions(conditions, self._check(name))
            try:
                self.room.path(name).unlink()
            except FileNotFoundError:
                raise _missing(name) from None

    def _check(self, name: str) -> os.stat_result:
        try:
            about = os.lstat(self.room.path(name))
        except FileNotFoundError:
            raise _missing(name) from None
        if not stat.S_ISREG(about.st_mode):
            raise _missing(name)
        return about

    def progress(self, name: str) -> Unfinished | StoredFile:
        """How far an upload has got, or what it has become; raises NoSuchFile, Unusable."""
        with system_errors():
            unfinished = self.room.unfinished(name)
        if unfinished is not None:
            return unfinished
        file = self.open(name)
        file.close()
        return StoredFile(name, file.size, file.type, file.modified)

    def give_up(self, name: str) -> None:
        """Remove what came of an upload in parts; raises NoSuchFile, Busy, Unusable."""
        with system_errors():
            unfinished = self.room.unfinished(name)
            if unfinished is None:
                raise NoSuchFile(f"There is no unfinished upload of the name {name}.")
            self.room.drop(unfinished.place)


def _missing(name: str) -> NoSuchFile:
    return NoSuchFile(f"There is no file of the name {name}.")
