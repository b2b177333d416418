"""Where the bytes of a version are: in extents, or in the memory of a fill that does not store."""

import asyncio
from pathlib import Path

import pytest

from aprp.cache.extent import SLICES
from aprp.media.context import Context, Link, Tuning
from aprp.media.fill import Fill
from aprp.media.plan import Grid
from aprp.media.tally import Tallies
from aprp.media.version import Version
from aprp.stats.counters import Counters
from aprp.upstream.asking import Ask, Reader
from tests.cache.stores import SLICE, make_entry, running
from tests.loops import both_loops
from tests.media.sources import site_of

EDGE = SLICES * SLICE
"""Where the first extent ends."""


def ask_nobody(reader: Reader) -> Ask:
    raise AssertionError("nothing is to be fetched")


@pytest.mark.parametrize("begin", [EDGE - 10, EDGE - SLICE])
@both_loops
async def test_what_a_fill_has_in_memory_is_not_looked_for_on_the_disk(
    tmp_path: Path, begin: int
) -> None:
    async with running(tmp_path, counters=Counters()) as cache:
        context = Context(
            cache,
            Counters(),
            Tuning(0, 1, 0, 0.0, False),
            Grid(SLICE),
            Tallies(),
            asyncio.get_running_loop(),
            memoryview(bytearray(SLICE)),
        )
        entry = make_entry(length=2 * EDGE)
        await cache.add(entry)
        version = Version(context, entry, Link(site_of(ask_nobody), "/film", {}))
        version.opened(await cache.prepare(entry.id, 0, EDGE, 0, 1))
        fill = Fill(version, begin, EDGE + 10, exact=True)
        version.fills.append(fill)
        assert fill.scratch is not None
        view = fill.scratch.space(begin + 20)
        view[:] = bytes(range(20))
        fill.scratch.put(20)
        # They lie where the extent has a hole, and beyond its end.
        found = version.available(begin, begin + 20)
        assert found is not None and bytes(found) == bytes(range(20))
        assert version.warm(begin, 20) is None
