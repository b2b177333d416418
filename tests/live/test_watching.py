"""This worker's row: transfers with their rates, what is read and filled, CPU time."""

import os
import signal
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aprp.live.rows import Activity, Row
from aprp.live.watching import Watcher, cpu_seconds
from aprp.media.version import Version
from tests.stats.forks import ended, in_worker


@dataclass(eq=False)
class Exchange:
    """As much of an exchange as is looked at."""

    request_id: str = "id"
    client: str = "192.0.2.1"
    method: str = "GET"
    target: str = "/a"
    status: int = 206
    range_text: str | None = "bytes 0-99/1000"
    started: float = 10.0
    delivered: int = 0
    promised: int | None = 100
    is_transfer: bool = True


@dataclass
class Place:
    position: int
    stop: int
    begin: int = 0
    own: bool = False
    over: bool = False


@dataclass
class Known:
    """As much of a version as is looked at."""

    id: int
    readers: list[Place] = field(default_factory=list)
    fills: list[Place] = field(default_factory=list)

    @property
    def entry(self) -> Any:
        return SimpleNamespace(id=self.id)


def row(watcher: Watcher, exchanges: list[Exchange], now: float) -> Row:
    return watcher.row(exchanges, [], now)


def test_rates_are_since_the_look_before() -> None:
    watcher = Watcher()
    one, other = Exchange(delivered=500), Exchange(started=12.0)
    # At first, since the begin.
    assert row(watcher, [one], 12.0).transfers[0].rate == 250.0
    one.delivered, other.delivered = 600, 30
    rates = {each.sent: each.rate for each in row(watcher, [one, other], 12.5).transfers}
    assert rates == {600: 200.0, 30: 60.0}
    assert row(watcher, [one], 13.5).transfers[0].rate == 0.0
    # What was taken back by the socket is no negative rate, and no time no endless one.
    one.delivered = 590
    assert row(watcher, [one], 14.5).transfers[0].rate == 0.0
    assert row(watcher, [one], 14.5).transfers[0].rate == 0.0


def test_what_is_not_looked_at_is_forgotten() -> None:
    watcher = Watcher()
    one = Exchange(delivered=500)
    row(watcher, [one], 12.0)
    watcher.forget()
    assert row(watcher, [one], 20.0).transfers[0].rate == 50.0
    row(watcher, [], 21.0)
    assert row(watcher, [one], 22.0).transfers[0].rate == 500 / 12


def test_another_exchange_at_the_same_place_in_memory() -> None:
    watcher = Watcher()
    one = Exchange(delivered=500)
    row(watcher, [one], 12.0)
    one.started, one.delivered = 12.5, 10
    assert row(watcher, [one], 13.0).transfers[0].rate == 20.0


def test_what_is_no_transfer() -> None:
    found = row(Watcher(), [Exchange(is_transfer=False), Exchange(request_id="b")], 11.0)
    assert found.total == 1
    (transfer,) = found.transfers
    assert (transfer.id, transfer.range, transfer.length) == ("b", "bytes=0-99", 100)


def test_what_is_read_and_filled() -> None:
    versions = [
        Known(
            1, [Place(5, 9), Place(0, 4, own=True)], [Place(7, 8, begin=6), Place(1, 2, over=True)]
        ),
        Known(2, [Place(0, 4, own=True)], [Place(1, 2, over=True)]),
        Known(3, fills=[Place(3, 4, begin=2)]),
    ]
    found = Watcher().row([], cast("list[Version]", versions), 11.0)
    assert found.objects == (Activity(1, ((5, 9),), ((6, 7, 8),)), Activity(3, (), ((2, 3, 4),)))


def test_processor_time_of_others() -> None:
    before = cpu_seconds(os.getpid())
    read, write = os.pipe()

    def works() -> None:
        while time.process_time() < 0.05:
            pass
        os.write(write, b".")
        signal.pause()

    pid = in_worker(works)
    try:
        assert os.read(read, 1) == b"."
        assert 0.05 <= cpu_seconds(pid) < 5
    finally:
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        os.close(read)
        os.close(write)
    assert cpu_seconds(pid) == 0.0
    assert cpu_seconds(0) == 0.0
    assert cpu_seconds(os.getpid()) >= before


@pytest.mark.parametrize("count", [0, 1])
def test_the_row_is_of_now(count: int) -> None:
    before = time.monotonic()
    assert before <= row(Watcher(), [Exchange()] * count, 11.0).at <= time.monotonic()
