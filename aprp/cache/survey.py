"""What is stored of an object at one moment, read from the header pages of its extents.

Pages are read and not mapped: thousands are looked at, perhaps by somebody who may not write.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aprp.cache.entry import Entry
from aprp.cache.header import HEADER, SLICES, Header, boot_tag, extent_path
from aprp.cache.rows import ExtentRow
from aprp.cache.words import Words
from aprp.semantics.cache_control import NO_DIRECTIVES
from aprp.semantics.freshness import Fresh, judge, policy
from aprp.semantics.headers import Fields


@dataclass(frozen=True, slots=True)
class Look:
    """An extent at one moment: bytes by slice that are stored, and that were given to clients."""

    stored: tuple[int, ...]
    heat: tuple[int, ...]
    slice_size: int
    last_used: int
    """Unix time in seconds; 0 for never."""


NOTHING = Look((0,) * SLICES, (0,) * SLICES, 0, 0)
"""Of an extent that has no file, or a damaged one."""


def look(path: Path) -> Look:
    """Read the page of an extent. Raises OSError where it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return NOTHING
    try:
        page = os.pread(file, HEADER, 0)
        header = Header.parse(page, os.fstat(file).st_size)
    finally:
        os.close(file)
    if header is None:
        return NOTHING
    words = Words(memoryview(page), header.slice_size, header.size, boot_tag())
    return Look(tuple(words.amounts()), tuple(words.heat()), header.slice_size, words.last_used)


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored response at one moment."""

    entry: Entry
    looks: tuple[tuple[int, Look], ...]
    """Its extents by number."""
    present: int
    """Bytes of it that are stored."""
    heat: int
    """Bytes of it that were given to clients from its extents."""
    age: float
    """Seconds (RFC 9111 section 4.2.3)."""
    fresh: bool
    ttl: float
    """Seconds for which it stays fresh; negative: it has been stale for so long."""
    last_used: float
    """Unix time."""


def survey(
    entry: Entry, extents: Iterable[tuple[ExtentRow, Look]], now: float, heuristic_max: float
) -> Stored:
    """Put together what is known of a response; `now` is Unix time, `heuristic_max` seconds."""
    found = tuple(extents)
    stored_policy = policy(
        Fields(entry.fields).get,
        entry.status,
        entry.request_time,
        entry.response_time,
        heuristic_max=heuristic_max,
    )
    verdict = judge(stored_policy, NO_DIRECTIVES, now)
    present = sum(sum(seen.stored) for _, seen in found)
    return Stored(
        entry,
        looks=tuple((row.number, seen) for row, seen in found),
        present=min(present, entry.length),
        heat=sum(sum(seen.heat) for _, seen in found),
        age=verdict.age,
        fresh=isinstance(verdict, Fresh),
        ttl=verdict.ttl,
        last_used=max(
            entry.response_time, *(max(row.last_used, seen.last_used) for row, seen in found), 0.0
        ),
    )


def look_at(directory: Path, rows: Iterable[ExtentRow]) -> list[tuple[ExtentRow, Look]]:
    """Read the pages of extents in a cache directory. Raises OSError."""
    return [(row, look(extent_path(directory, row.version, row.number))) for row in rows]
