"""Rows of the index, and what a write to it has done."""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aprp.cache.database import Damaged
from aprp.cache.entry import Entry

ENTRY_COST = 4096
"""Bytes that an entry without extents counts for: without a cost there would be no end of them."""
NO_EXTENT = -1
"""Number in the row that stands for an entry without extents."""

COLUMNS = (
    "id, key, vary, status, reason, fields, length, request_time, response_time, ranges,"
    " combinable, complete, target"
)


class IndexFailure(Exception):
    """The index cannot be read or written; the text says why."""


class ExtentRow(NamedTuple):
    """An extent as the index knows it."""

    version: int
    number: int
    bytes: int
    """What it counts for in the cache's size."""
    last_used: float
    """Unix time in seconds; the header of the extent may know better."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a write has done."""

    bytes: int = 0
    """By how much the sum of all extents' bytes changed; `State.used` must follow."""
    objects: int = 0
    """By how much the number of objects changed."""
    dropped: tuple[ExtentRow, ...] = ()
    """Rows that are gone; the extents' files must go."""
    keys: tuple[str, ...] = ()
    """Keys under which something is gone; their generations must change."""


@dataclass(slots=True)
class Gone:
    """What a transaction takes away."""

    rows: list[ExtentRow] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


def values_of(entry: Entry) -> tuple[object, ...]:
    """Give the values of COLUMNS."""
    return (
        entry.id,
        entry.key,
        json.dumps(entry.vary),
        entry.status,
        entry.reason,
        json.dumps(entry.fields),
        entry.length,
        entry.request_time,
        entry.response_time,
        entry.ranges,
        entry.combinable,
        entry.complete,
        entry.target,
    )


def entry_from(row: tuple[Any, ...]) -> Entry:
    """Make an entry of the values of COLUMNS; raises Damaged."""
    (id, key, vary, status, reason, fields, length, asked, came, ranges, combinable, *rest) = row
    try:
        return Entry(
            id=id,
            key=key,
            vary=tuple((name, value) for name, value in json.loads(vary)),
            status=status,
            reason=reason,
            fields=tuple((name, value) for name, value in json.loads(fields)),
            length=length,
            request_time=asked,
            response_time=came,
            ranges=bool(ranges),
            combinable=bool(combinable),
            complete=bool(rest[0]),
            target=rest[1],
        )
    except (TypeError, ValueError) as error:
        raise Damaged(f"entry {id} cannot be read: {error}") from error
