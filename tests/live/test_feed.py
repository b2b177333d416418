"""Streams of events: once a second for all, the newest first, and an end."""

import asyncio

import pytest

from aprp.live import feed as module
from aprp.live.feed import MOST_STREAMS, Event, Feed, Stream
from tests.cache.stores import until
from tests.loops import both_loops, turns


class Gatherer:
    """Makes events that count; `wait` keeps the next from being made."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self) -> Event:
        await self.free.wait()
        self.count += 1
        if self.fails:
            raise RuntimeError("planned")
        number = self.count
        return Event(lambda full: f"{number} {'all' if full else 'some'}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of a feed lasts for less here."""
    monkeypatch.setattr(module, "PERIOD", 0.01)
    monkeypatch.setattr(module, "_YOUNG", 60.0)


def opened(feed: Feed, full: bool = True) -> Stream:
    stream = feed.open(full=full)
    assert stream is not None
    return stream


@both_loops
async def test_each_sees_its_form_of_the_same_events() -> None:
    gather = Gatherer()
    feed = Feed(gather)
    assert not feed.running
    one, other = opened(feed), opened(feed, full=False)
    assert feed.running
    assert await one.next() == b"data: 1 all\n\n"
    assert await other.next() == b"data: 1 some\n\n"
    assert await one.next() == b"data: 2 all\n\n"
    one.close()
    other.close()
    assert not feed.running


@both_loops
async def test_one_who_comes_later_sees_the_last_at_once() -> None:
    gather = Gatherer()
    feed = Feed(gather)
    first = opened(feed)
    await first.next()
    gather.free.clear()
    late = opened(feed)
    assert await late.next() == b"data: 1 all\n\n"
    late.close()
    first.close()


@both_loops
async def test_who_is_slow_skips_events() -> None:
    gather = Gatherer()
    feed = Feed(gather)
    slow, quick = opened(feed), opened(feed)
    for number in range(1, 6):
        assert await quick.next() == b"data: %d all\n\n" % number
    assert await slow.next() == b"data: 5 all\n\n"
    slow.close()
    quick.close()


@both_loops
async def test_nothing_is_gathered_for_nobody() -> None:
    gather = Gatherer()
    feed = Feed(gather)
    stream = opened(feed)
    await stream.next()
    stream.close()
    count = gather.count
    await turns(5)
    # No task is left that could.
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # And again for one who comes then.
    stream = opened(feed)
    assert await stream.next() == b"data: %d all\n\n" % (count + 1)
    stream.close()


@both_loops
async def test_an_event_that_cannot_be_made_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gather = Gatherer()
    gather.fails = True
    feed = Feed(gather)
    stream = opened(feed)
    await until(lambda: gather.count >= 3)
    gather.fails = False
    assert (await stream.next() or b"").endswith(b" all\n\n")
    assert "planned" in caplog.text
    caplog.clear()
    stream.close()


@both_loops
async def test_the_end_wakes_who_waits() -> None:
    gather = Gatherer()
    gather.free.clear()
    feed = Feed(gather)
    waits, sends = opened(feed), opened(feed)
    event = asyncio.ensure_future(waits.next())
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sending = asyncio.ensure_future(sends.taken(never))
    await asyncio.sleep(0)
    feed.close()
    assert await event is None
    assert await sending is False
    waits.close()
    sends.close()
    # Nor does one begin.
    assert await opened(feed).next() is None


@both_loops
async def test_what_was_sent_is_waited_for() -> None:
    gather = Gatherer()
    feed = Feed(gather)
    stream = opened(feed)
    await stream.next()
    slow: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sending = asyncio.ensure_future(stream.taken(slow))
    await until(lambda: gather.count >= 4)
    assert not sending.done()
    slow.set_result(None)
    assert await sending is True
    stream.abort()
    assert await stream.next() is None
    stream.close()


@both_loops
async def test_there_is_an_end_of_streams() -> None:
    feed = Feed(Gatherer())
    streams = [opened(feed) for _ in range(MOST_STREAMS)]
    assert feed.open(full=True) is None
    streams[0].close()
    streams.append(opened(feed))
    for stream in streams:
        stream.close()
    assert not feed.running


async def _forms() -> None:
    made: list[bool] = []

    def make(full: bool) -> str:
        made.append(full)
        return "{}"

    event = Event(make)
    for full in (True, True, False):
        event.form(full)
    assert made == [True, False]


def test_a_form_is_made_once_and_only_if_wanted() -> None:
    asyncio.run(_forms())
