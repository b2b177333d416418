"""The index of a film, fetched before anybody seeks."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from aprp.media.context import Marked
from aprp.media.index import fetch_index, worth_seeking
from aprp.stats.counters import Count
from aprp.upstream.errors import ConnectFailed, OriginClosed, OriginFailure
from tests.cache.stores import SLICE, store_extent, until
from tests.loops import both_loops
from tests.media.films import MOOV, READ_AHEAD, Source, film, stored
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
