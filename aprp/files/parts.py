"""A file that comes in parts: what has come stays, and the next part goes on behind it.

Everything here waits for the disk: it is for threads.
"""

import hashlib
import os
from typing import Final

from aprp.files.errors import BadUpload, NoRoom, OutOfPlace, TypeRefused
from aprp.files.room import Room, system_errors
from aprp.files.upload import Progress, Rules, Stored, Upload, check_length, check_name
from aprp.semantics.conditions import UNCONDITIONAL, Conditions

_BLOCK: Final = 1 << 20


class PartialUpload(Upload):
    """A file that comes in parts, each in a request of its own (RFC 9110 section 14.5).

    What came stays when the client goes away in the middle: the next part goes on from there. A
    part that begins at 0 begins the file anew; as long as its bytes are those that are there,
    nothing of them is lost until it has ended.
    """

    def __init__(
        self,
        room: Room,
        rules: Rules,
        name: str,
        span: tuple[int, int, int],
        overwrite: bool,
        conditions: Conditions = UNCONDITIONAL,
    ) -> None:
        """`span` is where the part begins and stops, and the length of the whole, in bytes.

        Raises as Upload does, and OutOfPlace, Busy.
        """
        self.name = name
        self._room = room
        self._rules = rules
        self._overwrite = overwrite
        self._conditions = conditions
        self._start, self._stop, self._total = span
        self._position = self._synced = self._start
        self._checked = not rules.types
        self._hash = hashlib.sha256()
        self._descriptor = -1
        check_name(room, name, overwrite, conditions)
        check_length(rules, self._total)
        if rules.types:
            self._check_type(b"", complete=True)
        with system_errors():
            self._begin()

    def _begin(self) -> None:
        known = self._room.unfinished(self.name)
        if known is not None and known.total != self._total:
            if self._start:
                raise OutOfPlace(
                    f"The upload of this name that was begun is of {known.total} bytes, and not of "
                    f"{self._total}: begin anew at 0, or DELETE it.",
                    known.received,
                )
            self._room.drop(known.place)
            known = None
        if known is None and self._start:
            raise self._misplaced(0)
        self._place, self._descriptor = self._room.admit_parts(self.name, self._total)
        self._there = os.fstat(self._descriptor).st_size
        if self._start not in (0, self._there):
            self._close()
            raise self._misplaced(self._there)

    def _misplaced(self, offset: int) -> OutOfPlace:
        return OutOfPlace(
            f"{offset} bytes of this file are here: the next part has to begin there, and not at "
            f"{self._start}.",
            offset,
        )

    def put(self, view: memoryview) -> None:
        """Take the next bytes."""
        if self._position + len(view) > self._stop:
            raise BadUpload("More bytes came than Content-Range tells of.")
        if not self._start:
            self._hash.update(view)
        try:
            if self._position < self._there:
                view = self._skip(view)
            self._write(view)
        except NoRoom:
            # Whoever cannot be finished is not to fill the disk for all.
            with system_errors():
                self._place.unlink()
            raise

    def _skip(self, view: memoryview) -> memoryview:
        """Pass over what is there already; what differs from it replaces it, and all behind it."""
        with system_errors():
            count = min(len(view), self._there - self._position)
            held = os.pread(self._descriptor, count, self._position)
            if view[: len(held)] == held and len(held) == count:
                self._position += count
                return view[count:]
            os.ftruncate(self._descriptor, self._position)
            self._there = self._position
            return view

    def finish(self) -> Stored | Progress:
        """End the part, or put the file in its place where it was the last one."""
        if self._position < self._stop:
            raise BadUpload("Fewer bytes came than Content-Range tells of.")
        with system_errors():
            if self._stop < self._total:
                if self._stop < self._there:
                    # The client begins anew, and sends the next part from here.
                    os.ftruncate(self._descriptor, self._stop)
                os.fdatasync(self._descriptor)
                self._close()
                return Progress(self.name, self._stop, self._total)
            if not self._checked:
                self._check_content(complete=True)
            digest = self._hash.hexdigest() if not self._start else self._digest_of_all()
            return self._settle(digest)

    def discard(self) -> None:
        """End it; what came stays for the next part, unless that is nothing."""
        if self._descriptor < 0:
            return
        about = os.fstat(self._descriptor)
        if not about.st_size and about.st_nlink:
            self._place.unlink()
        self._close()

    def _digest_of_all(self) -> str:
        whole, place = hashlib.sha256(), 0
        block = memoryview(bytearray(_BLOCK))
        while count := os.preadv(self._descriptor, [block], place):
            whole.update(block[:count])
            place += count
        return whole.hexdigest()

    def _check_content(self, complete: bool) -> None:
        try:
            super()._check_content(complete)
        except TypeRefused:
            with system_errors():
                self._place.unlink()
            raise
