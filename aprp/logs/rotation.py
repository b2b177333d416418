"""One log file that several processes write and rotate together.

The standard handler rotates for itself alone: when two processes share a file, one renames it
under the other, and lines are lost or land in a backup that is then renamed again. Here each line
is written under an exclusive `flock` of the log file itself. Whoever holds the lock of the file
that stands at the path may write to it or rename it; whoever gets the lock of a file that no
longer stands there opens the new one and tries again. Renaming the file is the last step of a
rotation, so no two processes ever rotate at once. No lock file is needed, and a file that logrotate
or a person moved away is noticed with the next line.
"""

import contextlib
import errno
import logging
import os
import stat
import sys
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, flock
from io import FileIO
from logging.handlers import RotatingFileHandler

_ATTEMPTS = 16
"""Tries of one line to find its file; each beyond the first means that the file was moved."""
_MOST_HELD = 65536
"""Bytes of lines that are held at most."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls a function back after a time in seconds."""


def _open_descriptor(path: str, flags: int) -> int:
    # O_NONBLOCK: opening a named pipe that nobody reads fails at once and does not hang the start.
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


class WorkerRotatingFileHandler(RotatingFileHandler):
    """A `RotatingFileHandler` for a file that other processes write and rotate too.

    Every record is in one `write(2)`: it is in the file whole or not at all. Processes may be
    forked after the handler was made, or be strangers that use the same file with the same limits.

    A failing write (a full disk) never raises into the caller. It is told once on stderr, and once
    more when writing works again, with the number of lines lost. A rotation that fails is told once
    too, and the file goes on growing.
    """

    def __init__(
        self, filename: str | os.PathLike[str], *, max_bytes: int = 0, backup_count: int = 0
    ) -> None:
        """Open `filename` for appending.

        max_bytes: the size in bytes that the file does not exceed (one longer line excepted).
        backup_count: how many rotated files (`.1` is the newest) are kept.
        Zero for either means that the file is never rotated.

        Raises OSError when the file cannot be opened.
        """
        # A symbolic link is followed: renaming must not replace the link by a file. What a link
        # below /proc names (/dev/stdout is one) may be a pipe, which only the link itself can open.
        real = os.path.realpath(filename)
        super().__init__(
            filename if real.startswith("/proc/") else real,
            maxBytes=max_bytes,
            backupCount=backup_count,
            encoding="utf-8",
            delay=True,
        )
        self._file: FileIO | None = None
        self._missed = 0
        self._held = b""
        self._later: Later | None = None
        self._delay = 0.0
        self._stuck = False
        self._shut = False
        self._reopen()
        try:
            flock(self._descriptor, LOCK_UN)  # tells at the start that a file system has no locks
        except OSError:
            self.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; called by `handle` with the thread's lock held."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except Exception:
            self.handleError(record)
            return
        if self._later is not None and record.levelno <= logging.INFO:
            self._hold(line, self._later)
        else:
            self._put_out(line)

    def hold_lines(self, delay: float, later: Later | None) -> None:
        """Write lines of INFO and below `delay` seconds later, many at once; None: at once again.

        `later` calls a function back after a time in seconds, as an event loop's `call_later`;
        such records have to come from that loop's thread then. What is more severe may come from
        any thread; it is written at once, and what is held before it.
        """
        self.flush()
        self._later = later
        self._delay = delay

    def flush(self) -> None:
        """Write what is held."""
        if getattr(self, "_held", None):
            with self.lock or contextlib.nullcontext():
                self._put_out(b"")

    def _hold(self, line: bytes, later: Later) -> None:
        room = min(_MOST_HELD, self.maxBytes or _MOST_HELD)
        if self._held and len(self._held) + len(line) > room:
            self._put_out(b"")
        if not self._held:
            later(self._delay, self.flush)
        self._held += line

    def _put_out(self, line: bytes) -> None:
        lines, self._held = self._held + line, b""
        try:
            self._write(lines)
        except OSError as error:
            if not self._missed:
                self._tell(f"cannot be written ({error.strerror}): its lines are lost until it can")
            self._missed += lines.count(b"\n")
        else:
            if self._missed:
                self._tell(f"is written again, {self._missed} lines were lost")
                self._missed = 0

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Say no: the size is judged under the file's lock while writing."""
        return False

    def doRollover(self) -> None:
        """Rotate now, whatever the size, unless another process does so at this moment.

        Raises OSError when the file cannot be locked or opened again.
        """
        if self._file is None or self._pid != os.getpid():
            self._reopen()
        descriptor = self._descriptor
        flock(descriptor, LOCK_EX)
        try:
            if self._look() is not None:
                self._shift()
        finally:
            flock(descriptor, LOCK_UN)
        self._reopen()

    def close(self) -> None:
        """Close the file; a record that comes later is not written."""
        self.acquire()
        try:
            self.flush()
            self._shut = True
            self._discard()
            super().close()
        finally:
            self.release()

    def _write(self, line: bytes) -> None:
        if self._shut:
            return
        # After a fork the open file description is the parent's, and so would be its lock.
        if self._file is None or self._pid != os.getpid():
            self._reopen()
        if not self._regular:
            os.write(self._descriptor, line)
            return
        for _ in range(_ATTEMPTS):
            if self._append(line):
                return
            self._reopen()
        raise OSError(errno.ESTALE, "another file takes its place again and again")

    def _append(self, line: bytes) -> bool:
        """Write under the lock; False when the file at the path has to be opened anew."""
        descriptor = self._descriptor
        flock(descriptor, LOCK_EX)
        try:
            size = self._look()
            if size is None:
                return False
            if size and 0 < self.maxBytes < size + len(line) and self.backupCount and self._shift():
                return False
            if os.write(descriptor, line) != len(line):
                # A short write to a file means that the disk, or the quota, is full.
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return True
        finally:
            # Not left to close(): a forked child may hold the same description, and the lock, open.
            flock(descriptor, LOCK_UN)

    def _look(self) -> int | None:
        """Give the file's size in bytes, or None when another or none stands at the path."""
        try:
            found = os.stat(self.baseFilename)  # noqa: PTH116 - a Path costs as much as the line
        except FileNotFoundError:
            return None
        if found.st_ino != self._inode or found.st_dev != self._device:
            return None
        return found.st_size

    def _shift(self) -> bool:
        """Rename the file to `.1` and its elders up by one; False, and told once, when that fails.

        Only the backups below the first free number move, so that a rotation which was killed half
        way, or one that fails each time at its last step, does not push the others out one by one.
        """
        names = [
            self.rotation_filename(f"{self.baseFilename}.{number}")
            for number in range(1, self.backupCount + 1)
        ]
        try:
            last = len(names) - 1
            free = next((i for i, name in enumerate(names) if not os.path.lexists(name)), last)
            for i in range(free, 0, -1):
                os.replace(names[i - 1], names[i])  # noqa: PTH105 - they are text
            self.rotate(self.baseFilename, names[0])
        except OSError as error:
            if not self._stuck:
                self._tell(f"cannot be rotated ({error.strerror}): it grows until it can")
                self._stuck = True
            return False
        self._stuck = False
        return True

    def _reopen(self) -> None:
        self._discard()
        file = open(  # noqa: SIM115 - lives as long as the handler
            self.baseFilename, "ab", buffering=0, opener=_open_descriptor
        )
        state = os.fstat(file.fileno())
        self._file = file
        self._descriptor = file.fileno()
        self._inode, self._device = state.st_ino, state.st_dev
        # A terminal, a pipe or /dev/null is written to as it is: there is nothing to rotate.
        self._regular = stat.S_ISREG(state.st_mode)
        self._pid = os.getpid()

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tell(self, what: str) -> None:
        if sys.stderr is not None:
            # When stderr is broken too, there is nowhere left to tell it.
            with contextlib.suppress(OSError, ValueError):
                print(f"aprp: LOG_FILE {self.baseFilename} {what}", file=sys.stderr, flush=True)
