"""Objects that are fetched whole because an operator wants them stored: some at once, in turn."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from aprp.cache.entry import Entry
from aprp.media.request import Request
from aprp.media.whole import NotFetched
from aprp.semantics.answer import Asked
from aprp.semantics.headers import add_via
from aprp.sites.site import Site

_log = logging.getLogger("aprp")

AT_ONCE: Final = 2
MOST: Final = 10_000
"""Objects that may wait in one worker."""


class TooMany(Exception):
    """More objects wait than may."""


class Warmer:
    """A queue of entries, and the tasks that fetch them."""

    def __init__(self, fetch: Callable[[Entry], Awaitable[None]]) -> None:
        """`fetch` has one stored whole; raises NotFetched."""
        self._fetch = fetch
        self._waiting: OrderedDict[int, Entry] = OrderedDict()
        self._running: dict[int, asyncio.Task[None]] = {}

    def put(self, entries: Iterable[Entry]) -> int:
        """Have them fetched; how many of them are under way or wait now. Raises TooMany."""
        wanted = {entry.id: entry for entry in entries}
        fresh = {id: entry for id, entry in wanted.items() if id not in self._running}
        if len(self._waiting.keys() | fresh.keys()) > MOST:
            raise TooMany(f"{len(self._waiting)} objects wait to be fetched")
        self._waiting.update(fresh)
        self._go_on()
        return len(wanted)

    async def close(self) -> None:
        """Give up what waits and what is under way."""
        self._waiting.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            id, entry = self._waiting.popitem(last=False)
            task = asyncio.get_running_loop().create_task(self._run(entry))
            self._running[id] = task
            task.add_done_callback(partial(self._over, id))

    def _over(self, id: int, _: object) -> None:
        del self._running[id]
        self._go_on()

    async def _run(self, entry: Entry) -> None:
        try:
            await self._fetch(entry)
        except NotFetched as error:
            _log.warning("%s was not fetched whole: %s", entry.key, error)
        except Exception:
            _log.exception("error while %s was fetched whole", entry.key)


def request_of(entry: Entry, site: Site, via: str, agent: str) -> Request:
    """A request for the whole of what is stored, as a client of its kind would make it.

    `via` is the name of this proxy, `agent` its User-Agent.
    """
    selecting = {name: value for name, value in entry.vary if value is not None}

    def make_fields() -> dict[str, str]:
        fields = {"User-Agent": agent, "Via": add_via(None, "HTTP/1.1", via)}
        own = {name.lower() for name in fields} | {name.lower() for name, _ in site.fields}
        fields |= {name: value for name, value in selecting.items() if name not in own}
        fields |= dict(site.fields)
        if site.host is not None:
            fields["Host"] = site.host
        return fields

    asked = Asked("GET", None, None, None)
    return Request(
        site.source,
        asked,
        entry.target,
        entry.key,
        lambda name: selecting.get(name.lower()),
        make_fields,
    )
