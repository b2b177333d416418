"""The file that the index lies in: found, made, replaced when it is damaged, under one lock.

`index.sqlite` is a symbolic link to a file with a name of its own (`index-<hex>.sqlite`). SQLite
removes the write-ahead log by its name when a connection closes: if a new database took the name
of one that another process still has open, that process would remove the new one's log. So no name
is ever used twice.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

__all__ = ["SCHEMA_VERSION", "Damaged", "is_damage", "make_new", "open_current", "same_file"]

logger = logging.getLogger("aprp.cache")

SCHEMA_VERSION = 1
"""In the file's user_version; a file of another version is put aside and a new one begun."""

# A row of `extents` with number -1 stands for an entry that has no extent yet, so that it has a
# place in the order of use too, and a cost. `totals` is kept by triggers: counting a million rows
# takes long. WITHOUT ROWID: a table that is its own index.
_SCHEMA = """
CREATE TABLE objects (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, vary TEXT NOT NULL, status INTEGER NOT NULL,
    reason TEXT NOT NULL, fields TEXT NOT NULL, length INTEGER NOT NULL,
    request_time REAL NOT NULL, response_time REAL NOT NULL, ranges INTEGER NOT NULL,
    combinable INTEGER NOT NULL, complete INTEGER NOT NULL, target TEXT NOT NULL
);
CREATE INDEX objects_by_key ON objects (key);
CREATE TABLE extents (
    version INTEGER NOT NULL, number INTEGER NOT NULL, bytes INTEGER NOT NULL,
    last_used INTEGER NOT NULL, PRIMARY KEY (version, number)
) WITHOUT ROWID;
CREATE INDEX extents_by_use ON extents (last_used, version, number);
CREATE TABLE totals (
    one INTEGER PRIMARY KEY, objects INTEGER NOT NULL, extents INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0);
CREATE TRIGGER object_added AFTER INSERT ON objects BEGIN
    UPDATE totals SET objects = objects + 1;
END;
CREATE TRIGGER object_removed AFTER DELETE ON objects BEGIN
    UPDATE totals SET objects = objects - 1;
END;
CREATE TRIGGER extent_added AFTER INSERT ON extents BEGIN
    UPDATE totals SET extents = extents + (new.number >= 0), bytes = bytes + new.bytes;
END;
CREATE TRIGGER extent_removed AFTER DELETE ON extents BEGIN
    UPDATE totals SET extents = extents - (old.number >= 0), bytes = bytes - old.bytes;
END;
CREATE TRIGGER extent_grown AFTER UPDATE OF bytes ON extents BEGIN
    UPDATE totals SET bytes = bytes + new.bytes - old.bytes;
END;
"""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Damaged(sqlite3.DatabaseError):
    """A row that this program cannot have written."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file's content is no sound database."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:  # errors of the Python module have none
        return isinstance(error, Damaged) or "Could not decode" in str(error)
    return code & 0xFF in _DAMAGE


def open_current(link: Path, busy: float) -> tuple[sqlite3.Connection, Path, bool]:
    """Open the database that the link leads to, or a new one.

    busy: seconds that a statement waits for another process. Gives the connection, the file, and
    whether it is new. Raises sqlite3.Error and OSError.
    """
    with _locked(link):
        try:
            current = link.parent / link.readlink()
        except FileNotFoundError:
            return (*_create(link, busy), True)
        except OSError:
            logger.warning("%s is not what the cache has made: a new index is begun", link)
            return (*_create(link, busy), True)
        if not current.exists():
            return (*_create(link, busy), True)
        try:
            connection = _connect(current, busy)
            try:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
            except sqlite3.Error:
                connection.close()
                raise
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            logger.warning("%s is damaged (%s): a new index is begun", current, error)
        else:
            if version == SCHEMA_VERSION:
                return connection, current, False
            connection.close()
            logger.warning(
                "%s has the form %d and not %d: a new index is begun",
                current,
                version,
                SCHEMA_VERSION,
            )
        return (*_create(link, busy), True)


def make_new(link: Path, damaged: Path, busy: float) -> tuple[sqlite3.Connection, Path, bool]:
    """Begin a new database in place of one that has proved damaged.

    Another process may have done so already: then that one is opened.
    """
    with _locked(link):
        if same_file(link, damaged):
            return (*_create(link, busy), True)
    return open_current(link, busy)


def same_file(link: Path, file: Path) -> bool:
    """Whether the link still leads to that file, and the file is still there."""
    try:
        return link.parent / link.readlink() == file and file.exists()
    except OSError:
        return False


def _create(link: Path, busy: float) -> tuple[sqlite3.Connection, Path]:
    """Make an empty database and let the link lead to it; the one before is kept for people."""
    before = {link.parent / link.readlink()} if link.is_symlink() else set()
    name = f"index-{secrets.token_hex(8)}.sqlite"
    file = link.parent / name
    connection = _connect(file, busy)
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        temporary = link.parent / f"{name}.link"
        temporary.symlink_to(name)
        temporary.replace(link)
    except (sqlite3.Error, OSError):
        connection.close()
        raise
    for old in link.parent.glob("index-*.sqlite*"):
        if not any(old.name.startswith(kept.name) for kept in (file, *before)):
            old.unlink(missing_ok=True)
    return connection, file


def _connect(file: Path, busy: float) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=busy, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit may be lost with the power, never the file's soundness: the cache can bear that.
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _locked(link: Path) -> Iterator[None]:
    """Let one process at a time open or make the index."""
    lock = os.open(link.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
