"""Answers that were asked for before a purge go to who asked for them, and to nobody else."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.cache.stores import SLICE, until
from tests.loops import PATIENCE, both_loops
from tests.media.libraries import TARGET, HeldOrigin, Worker, workers

OLD, NEW = b"old" * 1000, b"new" * 1000

PURGES: dict[str, Callable[[Worker], Awaitable[int]]] = {
    "key": lambda worker: worker.library.purge(worker.source, TARGET),
    "prefix": lambda worker: worker.library.purge_prefix(worker.source, "/"),
}
purges = pytest.mark.parametrize("purge", PURGES)
purgers = pytest.mark.parametrize("purger", [0, 1], ids=["itself", "another"])


async def is_stored(worker: Worker, data: bytes, asked: int, origin: HeldOrigin) -> None:
    """A client gets it without that the origin is asked once more."""
    await until(lambda: not worker.library._context.tasks)
    assert await worker.get() == data
    assert len(origin.asked) == asked


@purges
@purgers
@both_loops
async def test_a_head_that_comes_after_a_purge(tmp_path: Path, purge: str, purger: int) -> None:
    origin = HeldOrigin()
    async with workers(tmp_path, origin) as made:
        first = asyncio.ensure_future(made[0].ask())
        question = await origin.question(0)
        assert await PURGES[purge](made[purger]) == 0
        question.answer(OLD)
        sink = await first
        assert (sink.answer.status, sink.body) == (200, OLD)
        assert sink.answer.fields["Cache-Status"] == "test; fwd=miss; fwd-status=200; detail=purged"
        assert await made[0].cache.find(made[0].key) == []
        # Those who come now have one question in common: nothing is wrong with the key.
        others = [asyncio.ensure_future(worker.get()) for worker in made * 2]
        (await origin.question(1)).answer(NEW)
        assert await asyncio.gather(*others) == [NEW] * 4
        for worker in made:
            await is_stored(worker, NEW, 2, origin)


@purges
@purgers
@both_loops
async def test_who_comes_after_a_purge_does_not_wait_for_what_was_before(
    tmp_path: Path, purge: str, purger: int
) -> None:
    origin = HeldOrigin()
    async with workers(tmp_path, origin) as made:
        first = [asyncio.ensure_future(worker.get()) for worker in made * 2]
        question = await origin.question(0)
        await PURGES[purge](made[purger])
        later = [asyncio.ensure_future(worker.get()) for worker in made * 2]
        (await origin.question(1)).answer(NEW)
        assert await asyncio.gather(*later) == [NEW] * 4
        question.answer(OLD)
        # Who waited with the one that had asked may have the one or the other.
        got = await asyncio.gather(*first)
        assert OLD in got and set(got) <= {OLD, NEW}
        for worker in made:
            await is_stored(worker, NEW, 2, origin)


@purges
@purgers
@both_loops
async def test_a_purge_while_an_answer_is_on_its_way_into_the_index(
    tmp_path: Path, purge: str, purger: int
) -> None:
    origin = HeldOrigin()
    go_on = threading.Event()
    async with workers(tmp_path, origin) as made:
        # The disk's thread is busy with something that takes its time.
        busy = asyncio.ensure_future(made[0].cache._disk.run(lambda store: go_on.wait(PATIENCE)))
        first = asyncio.ensure_future(made[0].get())
        question = await origin.question(0)
        question.head(200, Content_Length=str(len(OLD)), Cache_Control="max-age=1000")
        # It is in memory now, and others would be given it.
        shelf = made[0].library._in_memory[made[0].key]
        assert len(shelf.unrecorded) == len(shelf.versions) == 1
        purging = asyncio.ensure_future(PURGES[purge](made[purger]))
        if purger == 0:
            # It waits behind what is to be stored.
            go_on.set()
        await purging
        later = asyncio.ensure_future(made[0].get())
        (await origin.question(1)).answer(NEW)
        go_on.set()
        assert await later == NEW
        question.body(OLD)
        question.end()
        assert await first == OLD
        assert await busy
        for worker in made:
            await is_stored(worker, NEW, 2, origin)


@both_loops
async def test_what_was_to_be_replaced_is_found_again(tmp_path: Path) -> None:
    origin = HeldOrigin()
    go_on = threading.Event()
    async with workers(tmp_path, origin) as made:
        first = asyncio.ensure_future(made[0].get())
        (await origin.question(0)).answer(OLD, Cache_Control="max-age=0")
        assert await first == OLD
        await until(lambda: not made[0].library._context.tasks)
        busy = asyncio.ensure_future(made[0].cache._disk.run(lambda store: go_on.wait(PATIENCE)))
        second = asyncio.ensure_future(made[0].get())
        question = await origin.question(1)
        question.head(200, Content_Length=str(len(NEW)), ETag='"w"')
        # Everything of another path is purged: as many openings as are under way may suffer.
        await made[1].library.purge_prefix(made[1].source, "/other/")
        go_on.set()
        question.body(NEW)
        question.end()
        assert await second == NEW and await busy
        await until(lambda: not made[0].library._context.tasks)
        third = asyncio.ensure_future(made[0].get())
        question = await origin.question(2)
        assert question.fields["If-None-Match"] == '"v"'
        question.answer(NEW, ETag='"w"')
        assert await third == NEW
        await is_stored(made[0], NEW, 3, origin)


@purges
@purgers
@pytest.mark.parametrize("before", [0, 100, 2 * SLICE])
@both_loops
async def test_a_body_of_unknown_length(
    tmp_path: Path, purge: str, purger: int, before: int
) -> None:
    origin = HeldOrigin()
    data = bytes(range(256)) * (3 * SLICE // 256)
    async with workers(tmp_path, origin) as made:
        first = asyncio.ensure_future(made[0].get())
        question = await origin.question(0)
        question.head(200, Cache_Control="max-age=1000", ETag='"v"')
        if before:
            question.body(data[:before])
            await until(lambda: made[0].cache.used > 0)
        assert await PURGES[purge](made[purger]) == (1 if before else 0)
        question.body(data[before:])
        question.end()
        assert await first == data
        await until(lambda: not made[0].library._context.tasks)
        assert await made[0].cache.find(made[0].key) == []
        assert made[0].cache.used == 0


@purges
@purgers
@pytest.mark.parametrize("status", [304, 200])
@both_loops
async def test_an_answer_to_whether_what_is_purged_is_still_valid(
    tmp_path: Path, purge: str, purger: int, status: int
) -> None:
    origin = HeldOrigin()
    async with workers(tmp_path, origin) as made:
        first = asyncio.ensure_future(made[0].get())
        (await origin.question(0)).answer(OLD, Cache_Control="max-age=0")
        assert await first == OLD
        await until(lambda: not made[0].library._context.tasks)
        second = asyncio.ensure_future(made[0].get())
        question = await origin.question(1)
        assert question.fields["If-None-Match"] == '"v"'
        assert await PURGES[purge](made[purger]) == 1
        if status == 304:
            question.head(304, ETag='"v"', Cache_Control="max-age=1000")
            question.end()
            # Its bytes are gone; who asked before the purge may be given those of now.
            (await origin.question(2)).answer(OLD)
        else:
            question.answer(OLD)
        assert await second == OLD
        assert await made[0].cache.find(made[0].key) == []
        asked = len(origin.asked)
        third = asyncio.ensure_future(made[0].get())
        question = await origin.question(asked)
        assert "If-None-Match" not in question.fields
        question.answer(NEW)
        assert await third == NEW
        await is_stored(made[0], NEW, asked + 1, origin)
