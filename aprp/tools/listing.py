"""`aprp cache ls`: what is stored, how much of it, for how long it may be used."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aprp.cache.entry import Entry
from aprp.cache.header import HEADER, SLICES, Header, boot_tag
from aprp.cache.store import Store
from aprp.cache.words import Words
from aprp.semantics.cache_control import NO_DIRECTIVES
from aprp.semantics.freshness import Fresh, judge, policy
from aprp.semantics.headers import Fields
from aprp.tools.directory import opened
from aprp.tools.places import Places
from aprp.tools.texts import count_text, percent_text, size_text, span_text

if TYPE_CHECKING:
    from settings.base import Settings


@dataclass(frozen=True, slots=True)
class Item:
    """A stored response at one moment."""

    entry: Entry
    name: str
    """As `Places.name` has it."""
    present: int
    """Bytes of it that are stored."""
    age: float
    """Seconds (RFC 9111 section 4.2.3)."""
    fresh: bool
    ttl: float
    """Seconds for which it stays fresh; negative: it has been stale for so long."""
    last_used: float
    """Unix time."""

    def to_json(self) -> dict[str, object]:
        """Give the object that --json tells."""
        entry = self.entry
        return {
            "target": self.name,
            "vary": dict(entry.vary),
            "status": entry.status,
            "content_type": Fields(entry.fields).get("Content-Type"),
            "length": entry.length,
            "present": self.present,
            "percent": round(self.present / entry.length * 100, 2) if entry.length else 100.0,
            "complete": entry.complete,
            "age": int(self.age),
            "fresh": self.fresh,
            "fresh_for": int(self.ttl),
            "last_used": datetime.fromtimestamp(int(self.last_used), UTC).isoformat(),
            "key": entry.key,
            "id": f"{entry.id:016x}",
        }


_Order = Callable[[Item], Any]

_ORDERS: Final[dict[str, _Order]] = {
    "name": lambda item: (item.name, str(item.entry.vary), item.entry.id),
    "size": lambda item: -item.entry.length,
    "present": lambda item: -item.present,
    "age": lambda item: item.age,
    "used": lambda item: -item.last_used,
}


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what `ls` takes."""
    group.add_argument(
        "prefix",
        nargs="?",
        metavar="PREFIX",
        help="list only what begins so: a path such as /films/, or a URL of the proxy",
    )
    group.add_argument("--json", action="store_true", help="as JSON, for programs")
    group.add_argument(
        "--sort",
        choices=tuple(_ORDERS),
        default="name",
        help="name (the default), or largest, most present, youngest, last used first",
    )


def run(settings: "Settings", given: Any) -> bool:
    """Print the list. Raises UsageError."""
    places = Places(settings)
    chosen = places.choice(given.prefix) if given.prefix else None
    now = time.time()
    with opened(settings) as store:
        found = items(store, places, chosen, now, settings.HEURISTIC_MAX)
        listed = sorted(found, key=_ORDERS[given.sort])
        if given.json:
            print(json.dumps([item.to_json() for item in listed], indent=2))
            return True
        for line in _table(listed, now):
            print(line)
    return True


def items(
    store: Store,
    places: Places,
    chosen: Callable[[Entry], bool] | None,
    now: float,
    heuristic_max: float,
) -> Iterator[Item]:
    """Look at every stored response that is chosen, None: at all; `now` is Unix time."""
    boot = boot_tag()
    for entry in store.index.entries():
        if chosen is not None and not chosen(entry):
            continue
        used = entry.response_time
        present = 0
        for row in store.index.extents_of(entry.id):
            stored, last = _look(store.path(entry.id, row.number), boot)
            present += stored
            used = max(used, last, row.last_used)
        stored_policy = policy(
            Fields(entry.fields).get,
            entry.status,
            entry.request_time,
            entry.response_time,
            heuristic_max=heuristic_max,
        )
        verdict = judge(stored_policy, NO_DIRECTIVES, now)
        fresh = isinstance(verdict, Fresh)
        name = places.name(entry)
        yield Item(entry, name, min(present, entry.length), verdict.age, fresh, verdict.ttl, used)


def _look(path: Path, boot: int) -> tuple[int, int]:
    """Give the bytes an extent holds and when it was used last, from its first page.

    Read and not mapped: thousands are looked at, perhaps by somebody who may not write.
    """
    try:
        with path.open("rb", buffering=0) as file:
            page = file.read(HEADER)
            header = Header.parse(page, path.stat().st_size)
    except FileNotFoundError:
        return 0, 0
    if header is None:
        return 0, 0
    words = Words(memoryview(page), header.slice_size, header.size, boot)
    stored = (words.filled(n) or (words.length(n) if words.stored(n) else 0) for n in range(SLICES))
    return sum(stored), words.last_used


def _table(listed: Sequence[Item], now: float) -> Iterable[str]:
    """Give the lines for people: right-aligned figures, and names of any length after them."""
    titles = ("SIZE", "PRESENT", "AGE", "FRESH FOR", "LAST USED")
    rows = [(titles, "OBJECT")]
    for item in listed:
        entry = item.entry
        figures = (
            size_text(entry.length),
            percent_text(item.present, entry.length),
            span_text(item.age),
            span_text(item.ttl) if item.fresh else "stale",
            f"{span_text(now - item.last_used)} ago",
        )
        selected = "".join(f"  {name}: {value or ''}" for name, value in entry.vary)
        rows.append((figures, f"{item.name}{selected}"))
    if listed:
        widths = [max(len(cells[n]) for cells, _ in rows) for n in range(len(titles))]
        for cells, name in rows:
            aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
            yield "  ".join((*aligned, name))
    present = sum(item.present for item in listed)
    length = sum(item.entry.length for item in listed)
    yield f"{count_text(len(listed), 'object')}, {size_text(present)} of {size_text(length)} stored"
