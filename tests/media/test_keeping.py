"""A body of which nobody knows the length, stored while it goes to a client."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from aprp.cache.cache import Cache
from aprp.cache.entry import Entry
from aprp.cache.extent import SLICES, Extent
from aprp.media.context import Context, Tuning
from aprp.media.keeping import Keeping
from aprp.media.plan import Grid
from aprp.media.tally import Tallies
from aprp.stats.counters import Count, Counters
from tests.cache.bytes_of import content
from tests.cache.stores import SLICE, disk_use, make_entry, running
from tests.loops import both_loops, turns

EXTENT = SLICES * SLICE
PLENTY = 1 << 30


@dataclass
class Kept:
    """A stream on its way into a cache."""

    cache: Cache
    counters: Counters
    keeping: Keeping

    async def pass_on(self, data: bytes, size: int) -> None:
        """The body comes in pieces; their memory is used again as soon as it may be."""
        buffer = bytearray(size)
        for begin in range(0, len(data), size):
            piece = data[begin : begin + size]
            buffer[: len(piece)] = piece
            waiting = self.keeping.take(memoryview(buffer)[: len(piece)], None)
            if waiting is not None:
                await waiting
            buffer[:] = b"?" * size

    async def found(self) -> list[Entry]:
        return await self.cache.find(self.keeping.entry.key)

    def stored(self, length: int) -> bytes:
        """What lies in the extents, as far as it may be read."""
        data = b""
        while len(data) < length:
            number, offset = divmod(len(data), EXTENT)
            extent = self.cache.extent(self.keeping.entry.id, number)
            assert extent is not None
            stop = extent.run(offset, min(length - extent.start, EXTENT))
            assert stop > offset, f"nothing is stored behind byte {len(data)}"
            data += bytes(extent.data[offset:stop])
        return data


@asynccontextmanager
async def keeping(
    directory: Path, *, combinable: bool = True, most: int = PLENTY, **options: Any
) -> AsyncIterator[Kept]:
    """An entry as an opening makes it: nothing is known of its length."""
    counters = Counters()
    async with running(directory, counters=counters, **options) as cache:
        context = Context(
            cache,
            counters,
            Tuning(4 * SLICE, 1, 0, 0.0, False),
            Grid(SLICE),
            Tallies(),
            asyncio.get_running_loop(),
            memoryview(bytearray(SLICE)),
        )
        fields = (("Content-Type", "video/mp4"), ("content-length", "0"), ("ETag", '"v1"'))
        entry = make_entry(length=0, combinable=False, fields=fields)
        purges = cache.purges(entry.key)
        yield Kept(cache, counters, Keeping(context, entry, combinable, most, purges))


# A body that comes to its end


@pytest.mark.parametrize("size", [4000, SLICE - 1, SLICE, 3 * SLICE + 5, 2 * EXTENT])
@pytest.mark.parametrize(
    "length", [1, SLICE - 1, SLICE, SLICE + 1, 9 * SLICE + 100, EXTENT, EXTENT + SLICE + 77]
)
@both_loops
async def test_what_passed_is_stored(tmp_path: Path, length: int, size: int) -> None:
    data = content(length)
    async with keeping(tmp_path) as kept:
        await kept.pass_on(data, size)
        entry = await kept.keeping.finish()
        assert entry is not None
        assert (entry.length, entry.complete, entry.combinable) == (length, True, True)
        assert await kept.found() == [entry]
        assert kept.stored(length) == data
        # Whole slices, summed up: they count after a restart, too.
        slices = -(-length // SLICE)
        assert kept.counters.total(Count.CACHE_SLICES_STORED) == slices
    async with running(tmp_path) as cache:
        for number in range(-(-length // EXTENT)):
            extent = cache.extent(entry.id, number)
            assert extent is not None
            count = -(-min(length - extent.start, EXTENT) // SLICE)
            assert all([await cache.verify(extent, n) for n in range(count)])


@both_loops
async def test_the_length_is_told_in_its_fields(tmp_path: Path) -> None:
    """As of a 200 with Content-Length, which ranges can be made of (RFC 9110 section 8.6)."""
    async with keeping(tmp_path) as kept:
        await kept.pass_on(content(5000), 1000)
        entry = await kept.keeping.finish()
        assert entry is not None
        assert entry.fields == (
            ("Content-Type", "video/mp4"),
            ("ETag", '"v1"'),
            ("Content-Length", "5000"),
        )


@both_loops
async def test_parts_are_combined_only_where_a_validator_allows_it(tmp_path: Path) -> None:
    async with keeping(tmp_path, combinable=False) as kept:
        await kept.pass_on(content(5000), 1000)
        entry = await kept.keeping.finish()
        assert entry is not None
        assert entry.complete
        assert not entry.combinable


@both_loops
async def test_a_body_of_no_bytes(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        entry = await kept.keeping.finish()
        assert entry is not None
        assert (entry.length, entry.complete) == (0, True)
        assert dict(entry.fields)["Content-Length"] == "0"
        assert await kept.found() == [entry]


# On the way


@both_loops
async def test_before_its_end_it_counts_for_nothing(tmp_path: Path) -> None:
    """Nobody may take it for an empty file, nor for a whole one."""
    async with keeping(tmp_path) as kept:
        await kept.pass_on(content(3 * SLICE + 9), SLICE)
        assert kept.keeping.position == 3 * SLICE + 9
        for entry in await kept.found():
            assert not entry.complete
            assert not entry.combinable
        await kept.keeping.drop()


@both_loops
async def test_the_client_is_waited_for(tmp_path: Path) -> None:
    """Its connection holds the same memory until it has sent it."""
    async with keeping(tmp_path) as kept:
        client: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Room has to be made first.
        both = kept.keeping.take(memoryview(content(SLICE)), client)
        assert both is not None
        while kept.keeping.position < SLICE:
            await turns(1)
        await turns(5)
        assert not both.done()
        client.set_result(None)
        await both
        # There is room now: what is waited for is the client alone.
        client = asyncio.get_running_loop().create_future()
        assert kept.keeping.take(memoryview(content(10)), client) is client
        assert kept.keeping.take(memoryview(content(10)), None) is None
        assert kept.keeping.position == SLICE + 20
        await kept.keeping.drop()


# A body that is not kept


async def nothing_is_left(kept: Kept, directory: Path) -> None:
    assert await kept.found() == []
    assert disk_use(directory) == kept.cache.used == 0


@both_loops
async def test_a_body_that_breaks_off_is_dropped(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.pass_on(content(EXTENT + 100), SLICE)
        assert disk_use(tmp_path) > EXTENT
        await kept.keeping.drop()
        # What the connection had read already is of no use.
        assert kept.keeping.take(memoryview(content(100)), None) is None
        assert kept.keeping.position == EXTENT + 100
        await nothing_is_left(kept, tmp_path)


@both_loops
async def test_one_that_broke_off_before_a_byte(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.keeping.drop()
        await nothing_is_left(kept, tmp_path)


@both_loops
async def test_a_stream_without_an_end_is_given_up(tmp_path: Path) -> None:
    async with keeping(tmp_path, most=8 * SLICE) as kept:
        await kept.pass_on(content(20 * SLICE), SLICE)
        assert kept.keeping.given_up
        assert kept.keeping.position == 8 * SLICE
        assert await kept.keeping.finish() is None
        await nothing_is_left(kept, tmp_path)


@both_loops
async def test_the_largest_that_is_kept(tmp_path: Path) -> None:
    async with keeping(tmp_path, most=8 * SLICE) as kept:
        await kept.pass_on(content(8 * SLICE), SLICE)
        entry = await kept.keeping.finish()
        assert entry is not None
        assert kept.stored(8 * SLICE) == content(8 * SLICE)


@both_loops
async def test_a_cache_that_cannot_store(tmp_path: Path) -> None:
    """Its directory cannot be made: the client gets its bytes all the same."""
    directory = tmp_path / "file"
    directory.touch()
    async with keeping(directory / "cache", retry=60.0) as kept:
        client: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        both = kept.keeping.take(memoryview(content(SLICE)), client)
        assert both is not None
        client.set_result(None)
        await both
        assert kept.keeping.given_up
        # From now on only the client is waited for.
        assert kept.keeping.take(memoryview(content(SLICE)), None) is None
        client = asyncio.get_running_loop().create_future()
        assert kept.keeping.take(memoryview(content(SLICE)), client) is client
        assert kept.keeping.position == 0
        assert await kept.keeping.finish() is None


@pytest.mark.parametrize("already", [0, 100])
@both_loops
async def test_a_disk_that_fails_does_not_fail_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, already: int
) -> None:
    """The first byte, for which room is made; and one for which there is room."""
    async with keeping(tmp_path, retry=60.0) as kept:
        await kept.pass_on(content(already), SLICE)

        def broken(extent: Extent, offset: int, view: memoryview) -> None:
            raise OSError(errno.EIO, "the disk fails")

        monkeypatch.setattr(Extent, "write", broken)
        await kept.pass_on(content(3 * SLICE), SLICE)
        assert kept.keeping.given_up
        assert kept.keeping.position == already
        assert kept.cache.problem is not None
        assert await kept.keeping.finish() is None


@both_loops
async def test_one_that_was_purged_on_its_way(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        await kept.pass_on(content(2 * SLICE), SLICE)
        assert await kept.cache.purge(kept.keeping.entry.key) == 1
        await kept.pass_on(content(9 * SLICE), SLICE)
        # No room is made for what is not there: it is noticed at the latest with the next slices.
        assert kept.keeping.given_up
        assert await kept.keeping.finish() is None
        await nothing_is_left(kept, tmp_path)


@pytest.mark.parametrize("length", [0, 100, 2 * SLICE])
@both_loops
async def test_one_that_was_purged_before_its_end(tmp_path: Path, length: int) -> None:
    """All that came has room already, or needs none."""
    async with keeping(tmp_path) as kept:
        await kept.pass_on(content(length), SLICE)
        assert await kept.cache.purge(kept.keeping.entry.key) == (1 if length else 0)
        assert await kept.keeping.finish() is None
        await nothing_is_left(kept, tmp_path)


@both_loops
async def test_two_of_the_same_key_do_not_meet(tmp_path: Path) -> None:
    """Two clients get a body each, of two versions perhaps; the later one to end is newest."""
    async with keeping(tmp_path) as kept:
        other = replace(make_entry(length=0, combinable=False), response_time=1_800_000_000.0)
        purges = kept.cache.purges(other.key)
        second = Kept(
            kept.cache, kept.counters, Keeping(kept.keeping._context, other, True, PLENTY, purges)
        )
        await kept.pass_on(content(SLICE + 5), 1000)
        await second.pass_on(content(3 * SLICE), 1000)
        await kept.pass_on(content(7), 1000)
        entries = [await kept.keeping.finish(), await second.keeping.finish()]
        assert kept.stored(SLICE + 12) == content(SLICE + 5) + content(7)
        assert second.stored(3 * SLICE) == content(3 * SLICE)
        assert await kept.found() == entries[::-1]
