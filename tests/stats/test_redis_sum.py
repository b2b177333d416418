"""Runs of the program that follow each other, in a real Redis."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from aprp.stats import machines
from aprp.stats.counters import Count, Counters
from aprp.stats.redis_sum import RedisSum
from aprp.stats.shared_sum import State
from tests.e2e.programs import PATIENCE
from tests.e2e.redis_servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def begin(redis: RedisServer, counters: Counters, key: str) -> RedisSum:
    return RedisSum(counters, redis.url, key, interval=0.05, timeout=2.0)


def counted(requests: int) -> Counters:
    counters = Counters()
    counters.add(Count.REQUESTS, requests)
    return counters


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def wait_sum(shared: RedisSum, requests: int) -> None:
    await until(lambda: shared.read().totals["requests"] == requests)


def test_many_runs_take_little_room(redis: RedisServer) -> None:
    """Forty starts of the program, of which most are folded into one record."""

    async def running() -> None:
        shared = begin(redis, counted(1000), "fold")
        shared.attach(0)
        shared.start()
        for number in range(1, 41):
            # As in a process of its own: the last thing that it does.
            await asyncio.to_thread(begin(redis, counted(number), "fold").finish)
        await wait_sum(shared, 1000 + sum(range(1, 41)))
        await until(lambda: redis.told("HLEN", "{fold}:runs") <= 33)
        await shared.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # One who comes later sees the same.
        later = begin(redis, counted(0), "fold")
        later.attach(0)
        later.start()
        await wait_sum(later, 1000 + sum(range(1, 41)))
        await later.stop()

    asyncio.run(running())


def test_only_the_first_worker_talks_to_redis(redis: RedisServer) -> None:
    async def running() -> None:
        shared = begin(redis, counted(1), "second")
        shared.attach(1)
        shared.start()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await shared.stop()

    asyncio.run(running())
    assert redis.told("EXISTS", "{second}:runs") == 0


def test_it_can_be_stopped_at_any_moment(redis: RedisServer) -> None:
    async def running() -> None:
        for turns in range(120):
            shared = begin(redis, counted(1), "stopped")
            shared.attach(0)
            shared.start()
            # From the first turn of the loop on, to where records have been exchanged.
            for _ in range(turns // 2):
                await asyncio.sleep(0.0001 if turns % 2 else 0)
            await asyncio.wait_for(shared.stop(), PATIENCE)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(running())


def test_a_last_write_in_the_millisecond_of_another(redis: RedisServer) -> None:
    async def running(shared: RedisSum) -> None:
        shared.attach(0)
        shared.start()
        await wait_sum(shared, 1)
        await until(lambda: redis.told("EXISTS", "{last}:runs") == 1)
        await shared.stop()

    with mock.patch("aprp.stats.redis_sum.time") as clock:
        clock.time.return_value = 1_800_000_000.0
        clock.monotonic.return_value = 1000.0
        counters = Counters(started=900.0)
        counters.add(Count.REQUESTS)
        shared = begin(redis, counters, "last")
        asyncio.run(running(shared))
        counters.add(Count.REQUESTS, 5)
        shared.finish()
    (record,) = redis.told("HVALS", "{last}:runs")
    run = machines.read_run(record)
    assert run is not None
    assert (run.order, run.over, run.totals) == (100_001, True, {"requests": 6})


def test_a_fault_of_ours_is_told(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def running() -> None:
        shared = begin(redis, counted(1), "fault")
        shared.attach(0)
        with mock.patch.object(machines.Ledger, "learn", side_effect=KeyError("odd")):
            shared.start()
            await until(lambda: shared.read().state is not State.CONNECTING)
        assert shared.read().state is State.DOWN
        await shared.stop()

    with caplog.at_level(logging.ERROR, "aprp"):
        asyncio.run(asyncio.wait_for(running(), PATIENCE))
    assert "redis: counters are no longer added up" in caplog.text
