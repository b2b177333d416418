"""What one worker has under way, as it tells the others: transfers, readers, fills. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from heapq import nlargest
from typing import Any, Final

MOST_TRANSFERS: Final = 100
"""Transfers that are told one by one, the fastest first."""
MOST_OBJECTS: Final = 64
MOST_PLACES: Final = 50
"""Readers, and fills, that are told of an object."""
_LONGEST: Final = 500
_SHORT: Final = 100


@dataclass(frozen=True, slots=True)
class Transfer:
    """An answer on its way to a client."""

    id: str
    """That of the request."""
    client: str
    method: str
    target: str
    status: int
    """0 while the answer has not begun."""
    range: str | None
    """What is being sent, as in `bytes=0-99`; None: not a part."""
    sent: int
    """Bytes of the body that the client's side of the connection has taken."""
    length: int | None
    """Bytes of the whole body; None where it is not known."""
    seconds: float
    """Since the request's head came."""
    rate: float
    """Bytes a second since it was looked at before."""

    def cut(self) -> "Transfer":
        """Give it with texts of a bounded length, as clients can make them long."""
        return replace(
            self,
            id=shortened(self.id, _SHORT),
            client=shortened(self.client, _SHORT),
            method=shortened(self.method, _SHORT),
            target=shortened(self.target, _LONGEST),
        )

    def to_json(self, worker: int, *, full: bool) -> dict[str, object]:
        """Give the object that /stats/events tells.

        full: whether who looks may know the client's address and the query, which may hold a key.
        """
        return {
            "id": self.id,
            "client": self.client if full else None,
            "method": self.method,
            "target": self.target if full else without_query(self.target),
            "status": self.status,
            "range": self.range,
            "sent": self.sent,
            "length": self.length,
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate),
            "worker": worker,
        }


Place = tuple[int, int]
Progress = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Activity:
    """Who reads and fills one object: `position, stop` and `begin, position, stop` in bytes."""

    id: int
    readers: tuple[Place, ...] = ()
    fills: tuple[Progress, ...] = ()

    def and_also(self, other: "Activity") -> "Activity":
        """What two workers do with one object."""
        return Activity(
            self.id,
            (self.readers + other.readers)[:MOST_PLACES],
            (self.fills + other.fills)[:MOST_PLACES],
        )

    def to_json(self) -> dict[str, list[dict[str, int]]]:
        """Give the members `fills` and `readers` of an object's map."""
        return {
            "fills": [dict(zip(("begin", "position", "stop"), f, strict=True)) for f in self.fills],
            "readers": [dict(zip(("position", "stop"), r, strict=True)) for r in self.readers],
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One worker at a moment: `at` is of `time.monotonic`, `total` counts all transfers."""

    at: float
    total: int = 0
    transfers: tuple[Transfer, ...] = ()
    objects: tuple[Activity, ...] = ()

    @staticmethod
    def of(at: float, transfers: Iterable[Transfer], objects: Iterable[Activity]) -> "Row":
        """Choose what is told of all there is."""
        every = list(transfers)
        fastest = nlargest(MOST_TRANSFERS, every, key=lambda transfer: transfer.rate)
        return Row(
            at,
            len(every),
            tuple(transfer.cut() for transfer in fastest),
            tuple(nlargest(MOST_OBJECTS, objects, key=lambda found: len(found.readers))),
        )

    def encode(self, most: int) -> bytes:
        """Give at most `most` bytes; what does not fit is left out, the slowest first."""
        row = self
        while True:
            transfers = [astuple(transfer) for transfer in row.transfers]
            objects = [(found.id, found.readers, found.fills) for found in row.objects]
            content = json.dumps((row.at, row.total, transfers, objects)).encode()
            if len(content) <= most:
                return content
            if not transfers and not objects:
                raise ValueError(f"not even an empty row has room in {most} bytes")
            row = replace(
                row,
                transfers=row.transfers[: len(transfers) // 2],
                objects=row.objects[: len(objects) // 2],
            )

    @staticmethod
    def decode(content: bytes) -> "Row":
        """Read what `encode` gave."""
        at, total, transfers, objects = json.loads(content)
        return Row(
            at,
            total,
            tuple(Transfer(*values) for values in transfers),
            tuple(
                Activity(id, tuple(map(_place, readers)), tuple(map(_progress, fills)))
                for id, readers, fills in objects
            ),
        )


def _place(values: list[int]) -> Place:
    position, stop = values
    return position, stop


def _progress(values: list[int]) -> Progress:
    begin, position, stop = values
    return begin, position, stop


def activities(rows: Iterable[Row]) -> dict[int, Activity]:
    """What all workers together do with each object, the one with most readers first."""
    found: dict[int, Activity] = {}
    for row in rows:
        for each in row.objects:
            known = found.get(each.id)
            found[each.id] = each if known is None else known.and_also(each)
    order = sorted(found.values(), key=lambda each: (-len(each.readers), each.id))
    return {each.id: each for each in order}


def transfers_to_json(rows: Mapping[int, Row], *, full: bool) -> dict[str, Any]:
    """Give the member `transfers`, of rows by worker."""
    every = [(each, worker) for worker, row in rows.items() for each in row.transfers]
    shown = nlargest(MOST_TRANSFERS, every, key=lambda found: found[0].rate)
    return {
        "total": sum(row.total for row in rows.values()),
        "shown": [each.to_json(worker, full=full) for each, worker in shown],
    }


def shortened(text: str, most: int) -> str:
    """Give a text of at most `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def without_query(target: str) -> str:
    """Give a target of which only the path is told, and that there was more."""
    path, mark, _ = target.partition("?")
    return f"{path}?…" if mark else path


def range_of(content_range: str | None) -> str | None:
    """Give what is sent by its Content-Range: `bytes=0-99` for `bytes 0-99/1000`.

    Behind the first of several ranges may stand how many more there are.
    """
    if content_range is None or not content_range.startswith("bytes "):
        return None
    span, _, rest = content_range.removeprefix("bytes ").partition("/")
    _, gap, more = rest.partition(" ")
    return f"bytes={span}{gap}{more}"
