"""The index of the cache: what is stored, and which extents hold its bytes (SQLite).

Several processes use one index at once. Opening it reads nothing of the tables, and every method
touches few rows by an index, so that neither depends on how much is stored.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from aprp.cache.connection import TOTALS, Connection, Undone
from aprp.cache.entry import Entry
from aprp.cache.rows import (
    COLUMNS,
    ENTRY_COST,
    NO_EXTENT,
    Change,
    ExtentRow,
    Gone,
    IndexFailure,
    entry_from,
    values_of,
)

__all__ = ["BUSY", "ENTRY_COST", "NO_EXTENT", "Change", "ExtentRow", "Index", "IndexFailure"]

BUSY = 5.0
"""Seconds to wait for other processes where nothing else is said."""

_PAGE = 256
_LAST_CHARACTER = chr(0x10FFFF)
ORDERS = {
    "name": "name, id",
    "size": "length, name, id",
    "used": "(SELECT max(last_used) FROM extents WHERE version = named.id), name, id",
}


class Index:
    """One connection to the index; used from one thread only.

    A damaged file is put aside, an empty one begun, and the log says so. Methods raise
    IndexFailure for everything else that goes wrong (disk full, locked for longer than `busy`).
    """

    def __init__(self, path: Path, *, busy: float = BUSY) -> None:
        """Open `path`, or make it; busy: seconds to wait for other processes."""
        self._db = Connection(path, busy)

    @property
    def fresh(self) -> bool:
        """Whether it began empty: files of extents that are there belong to nobody.

        False again where whoever has seen to these says so.
        """
        return self._db.fresh

    @fresh.setter
    def fresh(self, fresh: bool) -> None:
        self._db.fresh = fresh

    def close(self) -> None:
        """End the connection."""
        self._db.close()

    def replaced(self) -> bool:
        """Whether the file has been removed, or another process has begun a new one."""
        return self._db.replaced()

    # Objects

    def find(self, key: str) -> list[Entry]:
        """All that is stored under the key, the newest response first."""
        return self._entries("WHERE key = ? ORDER BY response_time DESC, id", (key,))

    def get(self, id: int) -> Entry | None:
        """The entry with this id."""
        return next(iter(self._entries("WHERE id = ?", (id,))), None)

    def ids_of(self, key: str) -> list[int]:
        """Ids of all entries under the key."""
        rows = self._db.read("SELECT id FROM objects WHERE key = ?", (key,))
        return [id for (id,) in rows]

    def ids_from(self, prefix: str, limit: int) -> list[int]:
        """Ids of some of the entries whose keys begin so."""
        rows = self._db.read(
            f"SELECT id FROM objects WHERE key >= ? AND key < ? ORDER BY key LIMIT {int(limit)}",
            (prefix, prefix + _LAST_CHARACTER),
        )
        return [id for (id,) in rows]

    def entries(self, prefix: str | None = None) -> Iterator[Entry]:
        """Every entry, or those whose key begins so, ordered by key.

        Read in pages: what is added or removed meanwhile may be among them or not.
        """
        low, high = prefix or "", (prefix or "") + _LAST_CHARACTER
        key, id = low, -1
        while True:
            page = self._entries(
                f"WHERE (key, id) > (?, ?) AND key < ? ORDER BY key, id LIMIT {_PAGE}",
                (key, id, high),
            )
            yield from page
            if len(page) < _PAGE:
                return
            key, id = page[-1].key, page[-1].id

    def choose(
        self, name: Callable[[str, str], str], wanted: Callable[[str], bool], order: str
    ) -> list[tuple[int, int]]:
        """Ids and lengths of all entries whose names are wanted.

        name: gives the name of a key and a target. order: a key of ORDERS. SQLite puts them in
        order, for it does so without the GIL; of each row it holds it for a moment.
        """

        def work() -> list[tuple[int, int]]:
            self._db.create_function("name_of", name, 2)
            self._db.create_function("wanted", wanted, 1)
            return self._db.execute(
                "WITH named AS MATERIALIZED"
                " (SELECT id, length, name_of(key, target) AS name FROM objects)"
                f" SELECT id, length FROM named WHERE wanted(name) ORDER BY {ORDERS[order]}"
            ).fetchall()

        return self._db.run(work)

    def put(
        self,
        entry: Entry,
        replacing: Sequence[int] = (),
        now: float | None = None,
        *,
        allowed: Callable[[], bool] = lambda: True,
    ) -> Change | None:
        """Write an entry anew and remove those whose ids are given, all or nothing.

        now: Unix time from which an entry without extents counts as unused; that of the response by
        default. allowed: asked while nobody else can write; where it says no, nothing is written,
        and None is given.
        """

        def work(gone: Gone) -> None:
            if not allowed():
                raise Undone
            self._remove(replacing, gone)
            values = values_of(entry)
            marks = ", ".join("?" * len(values))
            self._db.execute("DELETE FROM objects WHERE id = ?", (entry.id,))
            self._db.execute(f"INSERT INTO objects ({COLUMNS}) VALUES ({marks})", values)
            used = entry.response_time if now is None else now
            self._db.execute(
                "INSERT INTO extents SELECT ?1, ?2, ?3, ?4"
                " WHERE NOT EXISTS (SELECT 1 FROM extents WHERE version = ?1)",
                (entry.id, NO_EXTENT, ENTRY_COST, round(used, 3)),
            )

        return self._db.attempt(work)

    def refresh(
        self,
        id: int,
        fields: tuple[tuple[str, str], ...],
        request_time: float,
        response_time: float,
    ) -> None:
        """Write what a 304 (RFC 9111 section 4.3.4) changed."""
        self._db.read(
            "UPDATE objects SET fields = ?, request_time = ?, response_time = ? WHERE id = ?",
            (json.dumps(fields), request_time, response_time, id),
        )

    def completed(self, id: int, length: int) -> None:
        """Write that all bytes of an entry are stored, and how many they are."""
        self._db.read("UPDATE objects SET complete = 1, length = ? WHERE id = ?", (length, id))

    def keys_of(self, ids: Iterable[int]) -> list[str]:
        """The keys of those entries with these ids that are there."""
        question = "SELECT key FROM objects WHERE id = ?"
        return [key for id in ids for (key,) in self._db.read(question, (id,))]

    def wait_for_writers(self) -> None:
        """Return when who was writing is done: what it wrote is read from now on."""
        self._db.write(lambda gone: None)

    def remove(self, ids: Iterable[int]) -> Change:
        """Remove entries and the rows of their extents."""
        return self._db.write(lambda gone: self._remove(ids, gone))

    # Extents

    def note_extents(
        self, rows: Sequence[ExtentRow] | Callable[[], Iterable[ExtentRow]]
    ) -> Change | None:
        """Write extents of entries that are there; None, and nothing written, where one is not.

        rows: or what gives them while nobody else can write, so that the newest word is the last.
        """

        def work(_: Gone) -> None:
            for row in rows() if callable(rows) else rows:
                known = "SELECT 1 FROM objects WHERE id = ?"
                if not self._db.execute(known, (row.version,)).fetchone():
                    raise Undone
                self._db.execute(
                    "INSERT INTO extents VALUES (?, ?, ?, ?) ON CONFLICT (version, number)"
                    " DO UPDATE SET bytes = excluded.bytes, last_used = excluded.last_used",
                    row,
                )
                self._db.execute(
                    "DELETE FROM extents WHERE version = ? AND number = ?", (row.version, NO_EXTENT)
                )

        return self._db.attempt(work)

    def hold(self, id: int, now: float) -> Change:
        """Let an entry stay if its extents go, because another is about to be noted."""

        def work(_: Gone) -> None:
            self._db.execute(
                "INSERT OR IGNORE INTO extents SELECT id, ?, ?, ? FROM objects WHERE id = ?",
                (NO_EXTENT, ENTRY_COST, round(now, 3), id),
            )

        return self._db.write(work)

    def used_extents(self, uses: Iterable[tuple[int, int, int]]) -> None:
        """Write when extents (version, number, last_used) were used; those gone stay gone."""
        rows = [(last_used, version, number) for version, number, last_used in uses]

        def work(_: Gone) -> None:
            self._db.executemany(
                "UPDATE extents SET last_used = ? WHERE version = ? AND number = ?", rows
            )

        self._db.write(work)

    def forget_extents(self, extents: Iterable[tuple[int, int]]) -> Change:
        """Remove rows of extents, and the entries of which these were the last.

        Entries that have others are no longer complete.
        """

        def work(gone: Gone) -> None:
            for version, number in extents:
                rows = self._db.execute(
                    "DELETE FROM extents WHERE version = ? AND number = ? RETURNING *",
                    (version, number),
                ).fetchall()
                if not rows:
                    continue
                gone.rows += [ExtentRow(*row) for row in rows]
                left = "SELECT 1 FROM extents WHERE version = ? LIMIT 1"
                if self._db.execute(left, (version,)).fetchone():
                    self._mark_incomplete(version, gone)
                else:
                    self._remove((version,), gone)

        return self._db.write(work)

    def incomplete(self, id: int) -> Change:
        """Write that bytes of an entry are missing again."""
        return self._db.write(lambda gone: self._mark_incomplete(id, gone))

    def extent(self, version: int, number: int) -> ExtentRow | None:
        """The row of one extent."""
        rows = self._rows(
            "SELECT * FROM extents WHERE version = ? AND number = ?", (version, number)
        )
        return rows[0] if rows else None

    def extents_of(self, id: int) -> list[ExtentRow]:
        """The extents of an entry, in order."""
        return self._rows(
            "SELECT * FROM extents WHERE version = ? AND number >= 0 ORDER BY number", (id,)
        )

    def extents_after(self, after: ExtentRow | None, limit: int) -> list[ExtentRow]:
        """All extents in the order of their names, some at a time: those behind `after`."""
        place = (after.version, after.number) if after else (-1, NO_EXTENT)
        return self._rows(
            "SELECT * FROM extents WHERE (version, number) > (?, ?)"
            f" ORDER BY version, number LIMIT {int(limit)}",
            place,
        )

    def oldest_extents(self, limit: int, after: ExtentRow | None = None) -> list[ExtentRow]:
        """The extents longest unused, and entries without any; those behind `after` in that order.

        A row with number NO_EXTENT stands for an entry without extents.
        """
        place = (after.last_used, after.version, after.number) if after else (-1, -1, NO_EXTENT)
        return self._rows(
            "SELECT * FROM extents WHERE (last_used, version, number) > (?, ?, ?)"
            f" ORDER BY last_used, version, number LIMIT {int(limit)}",
            place,
        )

    def totals(self) -> tuple[int, int, int]:
        """Numbers of objects and of extents, and the bytes that all count for."""
        ((objects, extents, bytes),) = self._db.read(TOTALS)
        return objects, extents, bytes

    # Statements

    def _entries(self, where: str, values: tuple[object, ...]) -> list[Entry]:
        def work() -> list[Entry]:
            rows = self._db.execute(f"SELECT {COLUMNS} FROM objects {where}", values)
            return [entry_from(row) for row in rows]

        return self._db.run(work)

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[ExtentRow]:
        return [ExtentRow(*row) for row in self._db.read(statement, values)]

    def _remove(self, ids: Iterable[int], gone: Gone) -> None:
        for id in ids:
            keys = self._db.execute("DELETE FROM objects WHERE id = ? RETURNING key", (id,))
            gone.keys += [key for (key,) in keys]
            rows = self._db.execute("DELETE FROM extents WHERE version = ? RETURNING *", (id,))
            gone.rows += [ExtentRow(*row) for row in rows]

    def _mark_incomplete(self, id: int, gone: Gone) -> None:
        keys = self._db.execute("UPDATE objects SET complete = 0 WHERE id = ? RETURNING key", (id,))
        gone.keys += [key for (key,) in keys]
