"""One connection to the file of the index: whole writes, and an end to damaged files."""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from aprp.cache import database
from aprp.cache.rows import Change, Gone, IndexFailure

TOTALS = "SELECT objects, extents, bytes FROM totals"

logger = logging.getLogger("aprp.cache")

T = TypeVar("T")


class Undone(Exception):
    """What was begun is not to be written after all."""


class Connection:
    """Statements to SQLite, from one thread only.

    A damaged file is put aside, an empty one begun, and the log says so: whatever is given to
    `run`, `write` and `attempt` may be done twice. They raise IndexFailure for everything else that
    goes wrong (disk full, locked for longer than `busy`).
    """

    def __init__(self, path: Path, busy: float) -> None:
        """Open `path`, or make it; busy: seconds to wait for other processes."""
        self._link = path
        self._busy = busy
        try:
            self._db, self._file, self.fresh = database.open_current(path, busy)
        except (sqlite3.Error, OSError) as error:
            raise IndexFailure(self._failure(error)) from error

    fresh: bool
    """Whether it began empty."""

    def close(self) -> None:
        """End the connection."""
        self._db.close()

    def replaced(self) -> bool:
        """Whether the file has been removed, or another process has begun a new one."""
        return not database.same_file(self._link, self._file)

    def read(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Do one statement, and give its rows."""
        return self.run(lambda: self._db.execute(statement, values).fetchall())

    def write(self, work: Callable[[Gone], None]) -> Change:
        """Do it whole or not at all."""

        def transaction() -> Change:
            gone = Gone()
            # Immediate: a read that becomes a write later fails at once when another wrote between.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                objects, _, bytes = self._db.execute(TOTALS).fetchone()
                work(gone)
                objects_now, _, bytes_now = self._db.execute(TOTALS).fetchone()
                self._db.execute("COMMIT")
            except BaseException:
                # A damaged file may fail here too; what it failed with first tells more.
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            return Change(
                bytes_now - bytes, objects_now - objects, tuple(gone.rows), tuple(gone.keys)
            )

        return self.run(transaction)

    def attempt(self, work: Callable[[Gone], None]) -> Change | None:
        """Do it whole or not at all; None where it raises Undone."""
        try:
            return self.write(work)
        except Undone:
            return None

    def run(self, work: Callable[[], T]) -> T:
        """Do it, once more in an empty database if this one proves damaged."""
        try:
            return work()
        except sqlite3.Error as error:
            if not database.is_damage(error):
                raise IndexFailure(self._failure(error)) from error
            logger.warning("%s is damaged (%s): a new index is begun", self._file, error)
        self._db.close()
        try:
            self._db, self._file, self.fresh = database.make_new(self._link, self._file, self._busy)
            return work()
        except (sqlite3.Error, OSError) as error:
            raise IndexFailure(self._failure(error)) from error

    # Within what is given to the above.

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Do one statement; raises sqlite3.Error."""
        return self._db.execute(statement, values)

    def executemany(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Do one statement for each row of values; raises sqlite3.Error."""
        self._db.executemany(statement, rows)

    def create_function(
        self, name: str, function: Callable[..., str | int], arguments: int
    ) -> None:
        """Have statements call `function`, which gives the same for the same, by a name."""
        self._db.create_function(name, arguments, function, deterministic=True)

    def _failure(self, error: Exception) -> str:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"the index {self._link} cannot be used: {reason}"
