"""`aprp cache ls`: what is stored, how much of it, for how long it may be used."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aprp.cache.entry import Entry
from aprp.cache.store import Store
from aprp.cache.survey import Stored, look_at, survey
from aprp.pages.sizes import size_text
from aprp.semantics.headers import Fields
from aprp.tools.directory import opened
from aprp.tools.places import Places
from aprp.tools.texts import count_text, percent_text, span_text

if TYPE_CHECKING:
    from settings.base import Settings


@dataclass(frozen=True, slots=True)
class Item:
    """A stored response at one moment, and its name as `Places.name` has it."""

    stored: Stored
    name: str

    def to_json(self) -> dict[str, object]:
        """Give the object that --json tells."""
        stored = self.stored
        entry = stored.entry
        return {
            "target": self.name,
            "vary": dict(entry.vary),
            "status": entry.status,
            "content_type": Fields(entry.fields).get("Content-Type"),
            "length": entry.length,
            "present": stored.present,
            "percent": round(stored.present / entry.length * 100, 2) if entry.length else 100.0,
            "complete": entry.complete,
            "age": int(stored.age),
            "fresh": stored.fresh,
            "fresh_for": int(stored.ttl),
            "last_used": datetime.fromtimestamp(int(stored.last_used), UTC).isoformat(),
            "key": entry.key,
            "id": f"{entry.id:016x}",
        }


_Order = Callable[[Item], Any]

_ORDERS: Final[dict[str, _Order]] = {
    "name": lambda item: (item.name, str(item.stored.entry.vary), item.stored.entry.id),
    "size": lambda item: -item.stored.entry.length,
    "present": lambda item: -item.stored.present,
    "age": lambda item: item.stored.age,
    "used": lambda item: -item.stored.last_used,
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
    for entry in store.index.entries():
        if chosen is not None and not chosen(entry):
            continue
        extents = look_at(store.directory, store.index.extents_of(entry.id))
        yield Item(survey(entry, extents, now, heuristic_max), places.name(entry))


def _table(listed: Sequence[Item], now: float) -> Iterable[str]:
    """Give the lines for people: right-aligned figures, and names of any length after them."""
    titles = ("SIZE", "PRESENT", "AGE", "FRESH FOR", "LAST USED")
    rows = [(titles, "OBJECT")]
    for item in listed:
        stored, entry = item.stored, item.stored.entry
        figures = (
            size_text(entry.length),
            percent_text(stored.present, entry.length),
            span_text(stored.age),
            span_text(stored.ttl) if stored.fresh else "stale",
            f"{span_text(now - stored.last_used)} ago",
        )
        selected = "".join(f"  {name}: {value or ''}" for name, value in entry.vary)
        rows.append((figures, f"{item.name}{selected}"))
    if listed:
        widths = [max(len(cells[n]) for cells, _ in rows) for n in range(len(titles))]
        for cells, name in rows:
            aligned = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
            yield "  ".join((*aligned, name))
    present = sum(item.stored.present for item in listed)
    length = sum(item.stored.entry.length for item in listed)
    yield f"{count_text(len(listed), 'object')}, {size_text(present)} of {size_text(length)} stored"
