"""Caches on disk as a proxy leaves them, made with the cache's own storage."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path

from aprp.cache.entry import Entry, new_id
from aprp.cache.extent import SLICES, Extent, extent_path
from aprp.cache.index import ExtentRow, Index
from aprp.cache.layout import index_path, state_path
from aprp.cache.state import State

SLICE = 64 * 1024
UPSTREAM = "http://origin.test:8080/films"


def content(length: int) -> bytes:
    """Bytes in which no two slices are the same."""
    return b"".join(b"%015d\n" % n for n in range(length // 16 + 1))[:length]


class Store:
    """A cache directory to put things into; several may be open on one directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.index = Index(index_path(directory))
        self.state = State(state_path(directory))

    def add(
        self,
        target: str,
        length: int,
        slices: Collection[int] | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        vary: tuple[tuple[str, str | None], ...] = (),
        since: float | None = None,
        used: float = 0.0,
        key: str | None = None,
    ) -> Entry:
        """Store the slices of an object that are named by number; all of them by default.

        since: when the response came, `used`: when its extents were used, both in Unix time.
        """
        came = time.time() if since is None else since
        entry = Entry(
            id=new_id(),
            key=UPSTREAM + target if key is None else key,
            vary=vary,
            status=200,
            reason="OK",
            fields=tuple((fields or {}).items()),
            length=length,
            request_time=came,
            response_time=came,
            ranges=True,
            combinable=True,
            complete=slices is None,
            target=target,
        )
        change = self.index.put(entry)
        assert change is not None
        self.state.add_used(change.bytes)
        data = content(length)
        count = -(-length // SLICE)
        wanted = range(count) if slices is None else sorted(slices)
        for number in sorted({n // SLICES for n in wanted}):
            first = number * SLICES
            start = first * SLICE
            size = min(SLICES * SLICE, length - start)
            path = extent_path(self.directory, entry.id, number)
            extent = Extent.create(path, entry.id, number, SLICE, size)
            for n in wanted:
                if first <= n < first + SLICES:
                    extent.allocate(n - first, 1)
                    place = n * SLICE
                    piece = data[place : place + SLICE]
                    extent.data[place - start : place - start + len(piece)] = piece
                    extent.complete(n - first)
            extent.touch(used)
            change = self.index.note_extents(
                [ExtentRow(entry.id, number, extent.counted, int(used))]
            )
            assert change is not None
            self.state.add_used(change.bytes)
            extent.close()
        return entry

    def extent(self, entry: Entry, number: int = 0) -> Extent | None:
        """Open an extent of an entry."""
        return Extent.open(extent_path(self.directory, entry.id, number))

    def targets(self) -> list[str]:
        """What is in the index."""
        return sorted(entry.target for entry in self.index.entries())

    def files(self) -> int:
        """How many files of extents there are."""
        return sum(path.is_file() for path in (self.directory / "extents").rglob("*"))

    def close(self) -> None:
        """Let go of the directory."""
        self.index.close()
        self.state.close()
