"""A file on its way in: written beside its place, and put there when it is whole.

Everything here waits for the disk: it is for threads.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Final

from aprp.files.conditions import check_conditions
from aprp.files.contents import HEAD, refusal
from aprp.files.errors import NameTaken, NoRoom, TooLarge, TypeRefused
from aprp.files.room import Room, system_errors
from aprp.semantics.conditions import UNCONDITIONAL, Conditions
from aprp.semantics.media_types import UNKNOWN, content_type
from aprp.upstream.listing import entity_tag

# What is written is brought to the disk after so many bytes: the last wait would be long otherwise,
# and the kernel's memory full of it.
_SYNC_EVERY: Final = 64 << 20
# Room for an upload of unknown length is set aside in steps of this, in bytes.
_STEP: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator allows: `most` bytes in a file (0: any), `types` (empty: all)."""

    most: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is in the store; `sha256` in hex, `modified` in seconds of Unix time."""

    name: str
    size: int
    sha256: str
    type: str
    modified: float
    etag: str


@dataclass(frozen=True, slots=True)
class Progress:
    """An upload in parts that is not whole yet."""

    name: str
    received: int
    total: int


class Upload:
    """A file that comes as a whole; its length may be unknown.

    `put` takes its bytes in their order, `finish` gives it its name, `discard` leaves nothing
    behind. All raise StoreErrors; after one, and after `finish`, `discard` is still to be called.
    """

    def __init__(
        self,
        room: Room,
        rules: Rules,
        name: str,
        length: int | None,
        overwrite: bool,
        conditions: Conditions = UNCONDITIONAL,
    ) -> None:
        """Begin; `length` is that of the file, None where it is not known.

        `conditions` have to hold now and when it is whole, of what has the name then. Raises
        NameTaken, ConditionFailed, TooLarge, TypeRefused, NoRoom, Unusable.
        """
        self.name = name
        self._room = room
        self._rules = rules
        self._overwrite = overwrite
        self._conditions = conditions
        self._position = 0
        self._reserved = 0
        self._synced = 0
        self._checked = not rules.types
        self._hash = hashlib.sha256()
        self._descriptor = -1
        check_name(room, name, overwrite, conditions)
        check_length(rules, length)
        if rules.types:
            # By its name alone: nothing has come yet.
            self._check_type(b"", complete=True)
        with system_errors():
            self._place, self._descriptor = room.new()
        try:
            if length:
                self.expect(length)
        except BaseException:
            self.discard()
            raise

    def expect(self, length: int) -> None:
        """Set room aside for so many bytes, more than may come; raises NoRoom."""
        if self._rules.most:
            # A larger file is refused for its size, and not for want of room.
            length = min(length, self._rules.most)
        self._room.reserve(self._descriptor, length)
        self._reserved = length

    def put(self, view: memoryview) -> None:
        """Take the next bytes."""
        stop = self._position + len(view)
        if 0 < self._rules.most < stop:
            raise TooLarge(too_large(self._rules.most))
        if stop > self._reserved:
            self._reserve_more(stop)
        self._hash.update(view)
        self._write(view)

    def finish(self) -> Stored | Progress:
        """Put the file in its place, on the disk for good."""
        if not self._checked:
            self._check_content(complete=True)
        with system_errors():
            if self._reserved > self._position:
                os.ftruncate(self._descriptor, self._position)
            return self._settle(self._hash.hexdigest())

    def discard(self) -> None:
        """End it; what is not in its place is removed."""
        if self._descriptor >= 0:
            self._place.unlink(missing_ok=True)
            self._close()

    def _reserve_more(self, stop: int) -> None:
        try:
            self.expect(stop + _STEP)
        except NoRoom:
            self.expect(stop)

    def _write(self, view: memoryview) -> None:
        with system_errors():
            while len(view):
                count = os.pwrite(self._descriptor, view, self._position)
                self._position += count
                view = view[count:]
            if self._position - self._synced >= _SYNC_EVERY:
                os.fdatasync(self._descriptor)
                self._synced = self._position
        if not self._checked and self._position >= HEAD:
            self._check_content(complete=False)

    def _check_content(self, complete: bool) -> None:
        with system_errors():
            head = os.pread(self._descriptor, min(HEAD, self._position), 0)
        self._check_type(head, complete)
        self._checked = True

    def _check_type(self, head: bytes, complete: bool) -> None:
        why = refusal(self.name, head, complete, self._rules.types)
        if why is not None:
            raise TypeRefused(f"{why} Allowed are {', '.join(self._rules.types)}.")

    def _settle(self, digest: str) -> Stored:
        """Give the file its name: it is whole there, or not there, whatever happens."""
        os.fsync(self._descriptor)
        path = self._room.path(self.name)
        with self._room.naming():
            check_name(self._room, self.name, self._overwrite, self._conditions)
            if self._overwrite:
                self._place.replace(path)
            else:
                # Other programs do not ask for the lock: where they were faster, this fails.
                try:
                    path.hardlink_to(self._place)
                except FileExistsError:
                    raise NameTaken(taken(self.name)) from None
                self._place.unlink()
        self._sync_directory()
        about = os.fstat(self._descriptor)
        self._close()
        kind = content_type(self.name) or UNKNOWN
        etag = entity_tag(about)
        return Stored(self.name, about.st_size, digest, kind, about.st_mtime, etag)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._room.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _close(self) -> None:
        """Close the file, and drop its lock with that."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


def check_name(room: Room, name: str, overwrite: bool, conditions: Conditions) -> None:
    """Raise NameTaken where what has that name is not to be replaced, or ConditionFailed."""
    with system_errors():
        try:
            about = os.lstat(room.path(name))
        except FileNotFoundError:
            about = None
    if about is not None:
        if not stat.S_ISREG(about.st_mode):
            raise NameTaken(f"{name} is there already, and is no file: choose another name.")
        if not overwrite:
            raise NameTaken(taken(name))
    check_conditions(conditions, about)


def check_length(rules: Rules, length: int | None) -> None:
    """Raise TooLarge."""
    if length is not None and 0 < rules.most < length:
        raise TooLarge(too_large(rules.most))


def taken(name: str) -> str:
    """The words for a name that is taken."""
    return f"A file {name} is there already: choose another name, or say ?overwrite=1."


def too_large(most: int) -> str:
    """The words for a file that is too large."""
    return f"The file is larger than MAX_UPLOAD_SIZE, {most} bytes."
