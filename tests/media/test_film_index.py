"""The index of a film, fetched before anybody seeks."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aprp.cache.cache import Cache
from aprp.media.context import Context, Link, Marked, Tuning
from aprp.media.index import fetch_index, worth_seeking
from aprp.media.plan import Grid
from aprp.media.tally import Tallies
from aprp.media.version import Version
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import Span, parse_header
from aprp.stats.counters import Count, Counters
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.errors import ConnectFailed, OriginClosed, OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin
from aprp.upstream.receiver import Placer
from tests.cache.stores import SLICE, make_entry, running, store_extent, until
from tests.loops import both_loops
from tests.media.scripted import ORIGIN
from tests.media.sources import site_of
from tests.semantics.boxes import (
    CLUSTER,
    CUES,
    FTYP,
    HEADER,
    SEGMENT,
    box,
    element,
    long_box,
    seek_head,
)

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
        return _Ask(self, reader)  # type: ignore[return-value]


class _Ask:
    origin = ORIGIN
    surplus = False

    def __init__(self, source: Source, reader: Reader) -> None:
        self._source = source
        self._reader = reader
        self._placer: Placer | None = None
        self._over = asyncio.Event()

    def place(self, placer: Placer | None) -> None:
        self._placer = placer

    def abort(self) -> None:
        self._over.set()

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
                over = asyncio.ensure_future(self._over.wait())
                await asyncio.wait({waiting, over}, return_when=asyncio.FIRST_COMPLETED)
                over.cancel()
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


# Finding and fetching


@both_loops
async def test_the_index_at_the_end_is_there_before_anybody_seeks(tmp_path: Path) -> None:
    data = film()
    place = len(data) - len(MOOV)
    async with stored(tmp_path, Source(data)) as film_of:
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.holds(place, len(data))
        # The beginning, and the slices of the index: nothing between them.
        edge = place // SLICE * SLICE
        assert film_of.holds(0, SLICE)
        assert all(span.stop <= SLICE or span.start >= edge for span in film_of.source.asked)
        assert film_of.source.sent == SLICE + len(data) - edge
        # No client has asked for any of it.
        assert film_of.counters.total(Count.BYTES_FROM_CACHE) == 0


@both_loops
async def test_what_is_stored_is_looked_at_where_it_is(tmp_path: Path) -> None:
    data = film()
    async with stored(tmp_path, Source(data)) as film_of:
        await store_extent(film_of.cache, film_of.version.entry, data=data)
        await fetch_index(film_of.version)
        assert film_of.source.asked == []


@both_loops
async def test_the_index_of_a_webm(tmp_path: Path) -> None:
    """RFC 9559 section 5.1.5: its SeekHead says where the Cues are."""
    cues = element(CUES, bytes(3000))
    cluster = element(CLUSTER, random.Random(3).randbytes(12 * SLICE))
    head_length = len(seek_head((CUES, 0)))
    segment = element(SEGMENT, seek_head((CUES, head_length + len(cluster))) + cluster + cues)
    data = HEADER + segment
    source = Source(data)
    async with stored(tmp_path, source, target="/film.webm", content_type="video/webm") as film_of:
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.holds(len(data) - len(cues), len(data))
        assert source.sent <= 3 * SLICE


@both_loops
async def test_no_more_is_fetched_of_an_index_than_is_read_ahead(tmp_path: Path) -> None:
    """A file may call nearly all of itself an index."""
    data = film(60 * SLICE, box("moov", bytes(40 * SLICE)))
    async with stored(tmp_path, Source(data)) as film_of:
        # Clients have asked for all of it, so that the account allows a lot.
        film_of.version.tally.asked = len(data)
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert 0 < film_of.source.sent <= READ_AHEAD + 2 * SLICE


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(random.Random(4).randbytes(20 * SLICE), id="no film at all"),
        pytest.param(FTYP + long_box("mdat", bytes(20 * SLICE)), id="no index"),
        pytest.param(FTYP + box("free") * 5000 + bytes(20 * SLICE), id="boxes without an end"),
        pytest.param(FTYP + box("mdat", bytes(20 * SLICE), size=1 << 31), id="beyond the end"),
    ],
)
@both_loops
async def test_a_file_without_an_index_costs_little(tmp_path: Path, data: bytes) -> None:
    async with stored(tmp_path, Source(data)) as film_of:
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.source.sent <= SLICE


@both_loops
async def test_it_is_sought_once(tmp_path: Path) -> None:
    """With the first touch, beside the client that touches it."""
    data = film()
    async with stored(tmp_path, Source(data)) as film_of:
        film_of.version.touched()
        await film_of.quiet()
        assert film_of.holds(len(data) - len(MOOV), len(data))
        asked = len(film_of.source.asked)
        film_of.version.touched()
        await film_of.quiet()
        assert len(film_of.source.asked) == asked


@both_loops
async def test_it_is_sought_in_the_name_of_the_request_that_touched_it(tmp_path: Path) -> None:
    async with stored(tmp_path, Source(film())) as film_of:
        film_of.version.touched(Marked({"X-Request-ID": "first"}))
        film_of.version.touched(Marked({"X-Request-ID": "second"}))
        await film_of.quiet()
        assert len(film_of.source.marks) > 1
        assert set(film_of.source.marks) == {"first"}


# Where it cannot be had, nobody hears of it: whoever reads the film will


@pytest.mark.parametrize(
    ("first", "error"),
    [
        pytest.param(1, ConnectFailed("refused"), id="nobody there"),
        pytest.param(1, OriginClosed("closed"), id="closed"),
        pytest.param(2, OriginClosed("closed"), id="closed at the index"),
    ],
)
@both_loops
async def test_an_origin_that_fails(tmp_path: Path, first: int, error: OriginFailure) -> None:
    source = Source(film(), fails=lambda number: error if number >= first else None)
    async with stored(tmp_path, source) as film_of:
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert len(source.asked) >= first
        assert film_of.holds(0, SLICE) == (first == 2)
        assert not film_of.version.readers


@pytest.mark.parametrize("status", [404, 403, 503])
@both_loops
async def test_an_origin_that_refuses(tmp_path: Path, status: int) -> None:
    async with stored(tmp_path, Source(film(), status=status)) as film_of:
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.source.sent == 0


@both_loops
async def test_a_film_that_has_changed(tmp_path: Path) -> None:
    """RFC 9110 section 15.3.7: nothing of the new one is stored with the old one."""
    async with stored(tmp_path, Source(film(), tag='"v2"')) as film_of:
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.version.changed
        assert not film_of.holds(0, 1)
        assert await film_of.cache.find(film_of.version.entry.key) == []


@both_loops
async def test_a_film_that_was_seen_to_change_before(tmp_path: Path) -> None:
    async with stored(tmp_path, Source(film())) as film_of:
        film_of.version.supersede()
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.source.asked == []


@both_loops
async def test_a_cache_that_cannot_store(tmp_path: Path) -> None:
    """Nothing is fetched that nobody has asked for and nobody will find."""
    async with stored(tmp_path, Source(film())) as film_of:
        film_of.cache.failed(OSError(28, "the disk is full"))
        assert film_of.cache.problem is not None
        await fetch_index(film_of.version)
        await film_of.quiet()
        assert film_of.source.sent == 0


@both_loops
async def test_a_stop_in_the_middle(tmp_path: Path) -> None:
    async with stored(tmp_path, Source(film())) as film_of:
        film_of.version.touched()
        await until(lambda: film_of.source.asked != [])
        await film_of.version.context.close()
        assert film_of.version.fills == []


@both_loops
async def test_a_stop_ends_what_has_only_just_begun(tmp_path: Path) -> None:
    """It has leases to give back, and others wait for it."""
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with stored(tmp_path, Source(film())) as film_of:
        film_of.version.context.spawn(work())
        await film_of.version.context.close()
        assert ended == [True]


# Which files


@pytest.mark.parametrize(
    ("values", "worth"),
    [
        ({}, True),
        ({"content_type": "application/octet-stream"}, True),
        ({"content_type": "video/webm", "target": "/watch?v=1"}, True),
        ({"content_type": "application/octet-stream", "target": "/a.bin?name=film.mp4"}, False),
        ({"content_type": "text/plain", "target": "/a.txt"}, False),
        # It would have to be read from its beginning.
        ({"ranges": False}, False),
        # What was fetched could not be added to the rest.
        ({"combinable": False}, False),
        # Reading ahead is switched off.
        ({"read_ahead": 0}, False),
        # It is there before anybody seeks in it.
        ({"length": 4 * SLICE}, False),
        ({"length": 4 * SLICE + 1}, True),
    ],
)
@both_loops
async def test_which_files_are_worth_it(
    tmp_path: Path, values: dict[str, Any], worth: bool
) -> None:
    async with stored(tmp_path, Source(film()), **values) as film_of:
        assert worth_seeking(film_of.version) == worth
        film_of.version.touched()
        await film_of.quiet()
        assert (film_of.source.asked != []) == worth
