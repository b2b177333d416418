"""Bodies on their way to a disk that takes its time."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.files import errors
from aprp.files.receiving import Left, Receiving
from aprp.files.upload import Progress
from aprp.upstream.outgoing import RequestBody

DONE = Progress("a", 1, 2)
PATIENCE = 10.0


class Disk:
    """Takes bytes when it is allowed to; notes what it was told, in turn."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.error = error

    def put(self, view: memoryview) -> None:
        self.busy.set()
        assert self.go_on.wait(PATIENCE)
        self.told.append(bytes(view).decode())
        if self.error is not None:
            raise self.error

    def finish(self) -> Progress:
        self.told.append("finish")
        return DONE

    def discard(self) -> None:
        self.told.append("discard")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def until(event: threading.Event) -> None:
    """Wait for the thread; that the loop runs meanwhile is what the test is about."""
    assert await asyncio.to_thread(event.wait, PATIENCE)


def test_the_client_waits_for_the_disk_and_nobody_else(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(4)
        running = asyncio.ensure_future(Receiving(disk, executor, block=4).run(body))
        # What comes before anybody takes it waits, too.
        first = body.feed(memoryview(b"ab"))
        assert first is not None
        await until(disk.busy)
        assert not first.done() and disk.told == []
        disk.go_on.set()
        await first
        second = body.feed(memoryview(b"cd"))
        assert second is not None
        await second
        body.end()
        assert await running is DONE
        assert disk.told == ["ab", "cd", "finish", "discard"]

    asyncio.run(main())


@pytest.mark.parametrize("length", [4, None, 0])
def test_a_client_that_was_gone_before(executor: ThreadPoolExecutor, length: int | None) -> None:
    async def main() -> None:
        disk = Disk()
        body = RequestBody(length) if length != 0 else None
        receiving = Receiving(disk, executor)
        receiving.abort()
        if body is not None:
            body.release()
        with pytest.raises(Left):
            await receiving.run(body)
        assert disk.told == ["discard"]

    asyncio.run(main())


def test_nothing_is_thrown_away_under_the_disk(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(4)
        receiving = Receiving(disk, executor, block=4)
        running = asyncio.ensure_future(receiving.run(body))
        await asyncio.sleep(0)
        writing = body.feed(memoryview(b"ab"))
        assert writing is not None
        await until(disk.busy)
        receiving.abort()
        body.release()
        await asyncio.sleep(0)
        # The memory is still in use, and the file still written to.
        assert not writing.done() and not running.done()
        disk.go_on.set()
        with pytest.raises(Left):
            await running
        assert disk.told == ["ab", "discard"]

    asyncio.run(main())


def test_a_disk_that_fails_ends_it_at_once(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(errors.NoRoom("full")), RequestBody(None)
        disk.go_on.set()
        running = asyncio.ensure_future(Receiving(disk, executor).run(body))
        body.feed(memoryview(b"ab"))
        with pytest.raises(errors.NoRoom):
            await running
        # What comes on is dropped.
        assert body.feed(memoryview(b"cd")) is None
        assert disk.told == ["ab", "discard"]

    asyncio.run(main())


def test_a_body_that_fails(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(10)
        running = asyncio.ensure_future(Receiving(disk, executor).run(body))
        await asyncio.sleep(0)
        body.fail(ValueError("broken"))
        with pytest.raises(ValueError, match="broken"):
            await running
        assert disk.told == ["discard"]

    asyncio.run(main())


def test_no_body(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk = Disk()
        assert await Receiving(disk, executor).run(None) is DONE
        assert disk.told == ["finish", "discard"]

    asyncio.run(main())


def test_small_pieces_are_joined(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(None)
        disk.go_on.set()
        running = asyncio.ensure_future(Receiving(disk, executor, block=8).run(body))
        await asyncio.sleep(0)
        memory = bytearray(3)
        for piece in (b"abc", b"def"):
            memory[:] = piece
            # The memory is free at once.
            assert body.feed(memoryview(memory)) is None
        # Where no more fits in, the client waits.
        third = body.feed(memoryview(b"ghi"))
        assert third is not None
        await third
        assert disk.told == ["abcdef", "ghi"]
        assert body.feed(memoryview(b"jkl")) is None
        body.end()
        assert await running is DONE
        assert disk.told == ["abcdef", "ghi", "jkl", "finish", "discard"]

    asyncio.run(main())


def test_small_pieces_do_not_wait_for_more(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(None)
        running = asyncio.ensure_future(Receiving(disk, executor, block=8).run(body))
        await asyncio.sleep(0)
        assert body.feed(memoryview(b"ab")) is None
        await until(disk.busy)
        # What comes meanwhile is behind it: small ones, and then a large one.
        assert body.feed(memoryview(b"cd")) is None
        large = body.feed(memoryview(b"efgh"))
        assert large is not None
        await asyncio.sleep(0)
        assert not large.done() and disk.told == []
        disk.go_on.set()
        await large
        assert disk.told == ["ab", "cd", "efgh"]
        body.end()
        assert await running is DONE

    asyncio.run(main())


def test_what_came_of_a_part_stays(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(None)
        disk.go_on.set()
        receiving = Receiving(disk, executor)
        running = asyncio.ensure_future(receiving.run(body))
        await asyncio.sleep(0)
        body.feed(memoryview(b"ab"))
        receiving.abort()
        # Nobody takes this.
        assert body.feed(memoryview(b"cd")) is None
        with pytest.raises(Left):
            await running
        assert disk.told == ["ab", "discard"]

    asyncio.run(main())


def test_one_who_gives_up_waits_for_the_disk(executor: ThreadPoolExecutor) -> None:
    async def main() -> None:
        disk, body = Disk(), RequestBody(None)
        running = asyncio.ensure_future(Receiving(disk, executor, block=2).run(body))
        await asyncio.sleep(0)
        writing = body.feed(memoryview(b"ab"))
        assert writing is not None
        await until(disk.busy)
        running.cancel()
        await asyncio.sleep(0)
        assert not writing.done() and not running.done()
        disk.go_on.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert running.cancelled() and writing.done()
        assert disk.told == ["ab", "discard"]

    asyncio.run(main())


@given(st.lists(st.binary(min_size=1, max_size=12), max_size=20), st.integers(1, 10))
def test_any_pieces_come_in_their_order(pieces: list[bytes], block: int) -> None:
    async def main(executor: ThreadPoolExecutor) -> None:
        disk, body = Disk(), RequestBody(None)
        disk.go_on.set()
        running = asyncio.ensure_future(Receiving(disk, executor, block).run(body))
        for piece in pieces:
            memory = bytearray(piece.hex().encode())
            waiting = body.feed(memoryview(memory))
            if waiting is not None:
                await waiting
            memory[:] = b"?" * len(memory)
        body.end()
        assert await running is DONE
        assert "".join(disk.told[:-2]) == b"".join(pieces).hex()

    with ThreadPoolExecutor(1) as executor:
        asyncio.run(main(executor))
