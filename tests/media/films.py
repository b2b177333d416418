"""Films whose index is fetched before anybody seeks, and the origin that has them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aprp.cache.cache import Cache
from aprp.media.context import Context, Link, Tuning
from aprp.media.plan import Grid
from aprp.media.tally import Tallies
from aprp.media.version import Version
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import Span, parse_header
from aprp.stats.counters import Counters
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin
from tests.cache.stores import SLICE, make_entry, running, until
from tests.media.scripted import ORIGIN, PlayedAsk
from tests.media.sources import site_of
from tests.semantics.boxes import FTYP, box, long_box

READ_AHEAD = 4 * SLICE
MOOV = box("moov", random.Random(2).randbytes(SLICE + 999))


def film(length: int = 20 * SLICE + 4321, index: bytes = MOOV) -> bytes:
    """An MP4 whose moov is its last box."""
    noise = random.Random(1).randbytes(length - len(FTYP) - len(index) - 16)
    return FTYP + long_box("mdat", noise) + index


@dataclass
class Source:
    """An origin of one file: answers ranges, and counts what it sends.

    `fails` says of the n-th request how it ends in place of an answer, `tag` is the ETag that it
    has by now.
    """

    data: bytes
    tag: str = '"v1"'
    fails: Callable[[int], Exception | None] = lambda number: None
    status: int = 206
    asked: list[Span] = field(default_factory=list)
    marks: list[str | None] = field(default_factory=list)
    sent: int = 0

    def __call__(self, reader: Reader) -> Ask:
        return cast(Ask, _Ask(self, reader))


class _Ask(PlayedAsk):
    def __init__(self, source: Source, reader: Reader) -> None:
        super().__init__(reader)
        self._source = source

    def has_others(self, avoid: Collection[Origin]) -> bool:
        return ORIGIN not in avoid

    async def send(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str],
        *,
        expects_placement: bool = False,
        avoid: Collection[Origin] = (),
    ) -> None:
        source = self._source
        asked = parse_header(fields["Range"])
        assert asked is not None
        (spec,) = asked.specs
        span = spec.select(len(source.data))
        assert span is not None, "nothing beyond the end is asked for"
        source.asked.append(span)
        source.marks.append(fields.get("X-Request-ID"))
        error = source.fails(len(source.asked))
        await asyncio.sleep(0)
        if error is not None:
            raise error
        told = Fields(
            [
                ("Content-Range", span.to_content_range(len(source.data))),
                ("Content-Length", str(span.length)),
                ("ETag", source.tag),
            ]
        )
        self._reader.on_origin(ORIGIN)
        self._reader.on_head(ResponseHead("HTTP/1.1", source.status, "Reason", told, True))
        place = span.start
        while place < span.stop and not self._over.is_set():
            assert self._placer is not None, "bodies are placed"
            room = self._placer.space()[: span.stop - place]
            room[:] = source.data[place : place + len(room)]
            place += len(room)
            source.sent += len(room)
            if (waiting := self._placer.placed(len(room))) is not None:
                await self._until(waiting)
            await asyncio.sleep(0)


@dataclass
class Stored:
    """A version of which nothing is stored yet, and the origin that has it."""

    cache: Cache
    version: Version
    source: Source
    counters: Counters

    async def quiet(self) -> None:
        """Nothing is fetched any more."""
        await until(lambda: not self.version.fills and not self.version.context.tasks)

    def holds(self, start: int, stop: int) -> bool:
        """Whether the bytes are stored, and are the right ones."""
        place = start
        while place < stop:
            view = self.version.available(place, stop)
            if view is None:
                return False
            assert view == self.source.data[place : place + len(view)]
            place += len(view)
        return True


@asynccontextmanager
async def stored(
    directory: Path,
    source: Source,
    *,
    target: str = "/film.mp4",
    content_type: str = "video/mp4",
    read_ahead: int = READ_AHEAD,
    **values: Any,
) -> AsyncIterator[Stored]:
    """A film in a cache that has nothing of it yet; `values` are for its entry."""
    counters = Counters()
    async with running(directory, counters=counters) as cache:
        context = Context(
            cache,
            counters,
            Tuning(read_ahead, 1, 1, 0.0, False),
            Grid(SLICE),
            Tallies(),
            asyncio.get_running_loop(),
            memoryview(bytearray(SLICE)),
        )
        fields = (("Content-Type", content_type), ("ETag", '"v1"'))
        entry = make_entry(
            **{"length": len(source.data), "target": target, "fields": fields, **values}
        )
        await cache.add(entry)
        site = site_of(source)
        try:
            yield Stored(cache, Version(context, entry, Link(site, target, {})), source, counters)
        finally:
            await context.close()
