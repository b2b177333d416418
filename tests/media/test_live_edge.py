"""Bytes that have just come, offered to a reader that waits for them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aprp.front.wire import ClientGone
from aprp.media.reader import SpanReader
from aprp.media.version import Version

SLICE = 1000


class Client:
    """Takes at most `room` bytes at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken = b""
        self.gone = False

    def write(self, *pieces: bytes | memoryview) -> None:
        raise AssertionError("nothing is written behind what is offered")

    def offer(self, view: memoryview) -> int:
        if self.gone:
            raise ClientGone
        self.taken += view[: self.room]
        return min(self.room, len(view))


class Waiting:
    """What a future is to a reader, without a loop."""

    def __init__(self) -> None:
        self.ended = False
        self.error: Exception | None = None

    def done(self) -> bool:
        return self.ended

    def set_result(self, result: None) -> None:
        self.ended = True

    def set_exception(self, error: Exception) -> None:
        self.ended, self.error = True, error


class Watched:
    """A reader that waits at `position`, and the client it reads for."""

    def __init__(self, position: int, stop: int, room: int = 1 << 20) -> None:
        self.moves = 0
        self.heat: list[tuple[int, int]] = []
        self.client = Client(room)
        context = SimpleNamespace(
            tuning=SimpleNamespace(read_ahead=0), grid=SimpleNamespace(size=SLICE)
        )
        version: Any = SimpleNamespace(
            context=context,
            is_sequel=lambda start: False,
            moved=self._moved,
            watched=lambda position, count: self.heat.append((position, count)),
        )
        self.reader = SpanReader(cast(Version, version), position, stop, self.client)
        self.reader.flows = True
        self.waiting = Waiting()
        self.reader.waiting = cast(Any, self.waiting)

    def _moved(self, reader: SpanReader) -> None:
        self.moves += 1

    @property
    def woken(self) -> bool:
        return self.waiting.ended

    def offer(self, begin: int, data: bytes) -> None:
        self.reader.offer(begin, memoryview(data))


DATA = bytes(range(256)) * 20


def test_what_the_client_takes_at_once_wakes_nobody() -> None:
    watched = Watched(100, 5000)
    watched.offer(100, DATA[100:900])
    assert watched.client.taken == DATA[100:900]
    assert (watched.reader.position, watched.woken, watched.moves) == (900, False, 0)
    watched.offer(900, DATA[900:1001])
    assert (watched.reader.position, watched.woken, watched.moves) == (1001, False, 1)
    assert watched.heat == [(100, 800), (900, 101)]


def test_what_stands_before_its_place_is_not_its() -> None:
    watched = Watched(300, 5000)
    watched.offer(100, DATA[100:900])
    assert watched.client.taken == DATA[300:900]
    assert watched.reader.position == 900


def test_it_ends_where_it_is_to_end() -> None:
    watched = Watched(100, 350)
    watched.offer(100, DATA[100:900])
    assert watched.client.taken == DATA[100:350]
    assert (watched.reader.position, watched.woken) == (350, True)


@pytest.mark.parametrize("room", [0, 10, 799])
def test_what_the_client_does_not_take_is_for_the_reader(room: int) -> None:
    watched = Watched(100, 5000, room)
    watched.offer(100, DATA[100:900])
    assert watched.client.taken == DATA[100 : 100 + room]
    assert (watched.reader.position, watched.woken) == (100 + room, True)
    assert watched.heat == ([(100, room)] if room else [])


@pytest.mark.parametrize("begin", [0, 901])
def test_bytes_of_another_place_only_wake_it(begin: int) -> None:
    watched = Watched(900, 5000)
    watched.offer(begin, DATA[begin : begin + 900])
    assert (watched.client.taken, watched.reader.position, watched.woken) == (b"", 900, True)


def test_before_the_head_is_sent_nothing_is() -> None:
    watched = Watched(100, 5000)
    watched.reader.flows = False
    watched.offer(100, DATA[100:900])
    assert (watched.client.taken, watched.reader.position, watched.woken) == (b"", 100, True)


def test_a_client_that_is_gone_ends_the_reader() -> None:
    watched = Watched(100, 5000)
    watched.client.gone = True
    watched.offer(100, DATA[100:900])
    assert watched.reader.position == 100
    assert isinstance(watched.waiting.error, ClientGone)
