"""Counters of several machines in a real Redis that hangs, dies and comes back empty."""

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import fetch
from tests.e2e.content import FILM
from tests.e2e.programs import wait_until
from tests.e2e.redis_servers import RedisServer, redis_server
from tests.e2e.servers import Proxy, StartProxy, only, refused_start, wait_replaced

PASSWORD = "hunter2hunter2"
PIECE = 100


class Machine(Proxy):
    """A proxy with two workers that is added up with others; it knows what it was asked."""

    def __init__(self, directory: Path, origin: str, redis: str) -> None:
        flags = ("--upstream", origin, "--workers", "2")
        often = {"APRP_REDIS_INTERVAL": "0.1", "APRP_REDIS_TIMEOUT": "1"}
        super().__init__(directory, *flags, cache=False, APRP_REDIS_URL=redis, **often)
        self.pieces = 0
        self.counter = 0
        """Requests so far, when it was last asked for them."""
        self._lock = threading.Lock()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        assert PASSWORD not in self.log() + self.stderr + self.stdout

    def status(self) -> dict[str, Any]:
        """What /status tells; this asking is counted in it."""
        told: dict[str, Any] = json.loads(fetch(self.url, "/status").body)
        self.counter = told["counter"]
        return told

    def wait_redis(self, state: str) -> str:
        """Wait until it stands so with Redis; the words for it."""
        wait_until(lambda: self.stats()["redis"]["state"] == state, f"redis is {state}")
        text: str = self.stats()["redis"]["text"]
        return text

    def ask(self) -> None:
        """Have a piece of the film sent."""
        reply = self.get("/film.bin", Range=f"bytes=0-{PIECE - 1}")
        assert (reply.status, reply.body) == (206, FILM[:PIECE])
        with self._lock:
            self.pieces += 1

    def wait_more(self, number: int) -> None:
        """Wait until it has sent so many pieces more."""
        enough = self.pieces + number
        wait_until(lambda: self.pieces >= enough, f"{number} requests more")

    def changes(self) -> list[str]:
        """What the log tells of Redis, in its order."""
        return re.findall(r"redis: (up|down|the last counts)", self.log())


@dataclass(frozen=True)
class Fleet:
    """The machines that are added up: those that run, and those that have ended."""

    running: list[Machine]
    ended: list[Machine] = field(default_factory=list)

    def wait_exact(self, *asked: Machine) -> None:
        """Wait until the sums of these machines, or of all, are what all have counted."""
        for machine in asked or self.running:
            machine.status()
        for machine in asked or self.running:
            # The others are asked nothing meanwhile, so that their counters stand still. A sum
            # that was too great once never comes down again.
            wait_until(partial(self._is_exact, machine), "the sums are exact")

    def pieces(self) -> int:
        """How many pieces were asked for."""
        return sum(each.pieces for each in self.running + self.ended)

    def _is_exact(self, machine: Machine) -> bool:
        everybody = self.running + self.ended
        received = machine.stats()["redis"]["sum"]["bytes_from_origins"]
        told = machine.status()["sum"]["counter"]
        return bool(
            received == self.pieces() * PIECE and told == sum(each.counter for each in everybody)
        )


class Load:
    """Clients that ask machines for pieces of the film until the block ends."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.faults: list[str] = []
        self._machines = machines
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(m,)) for m in [*machines] * 2]

    def _ask(self, machine: Machine) -> None:
        while not self._over.wait(0.02):
            try:
                machine.ask()
            except (AssertionError, OSError) as error:
                self.faults.append(repr(error))

    def wait_more(self, number: int = 20) -> None:
        """Wait until each machine has answered so many requests more."""
        for machine in self._machines:
            machine.wait_more(number)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with a password, for all tests here."""
    with redis_server(tmp_path_factory.mktemp("redis"), "--requirepass", PASSWORD) as server:
        yield server


StartMachine = Callable[[], Machine]


@pytest.fixture(scope="module")
def start_machine(
    nginx: str, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> StartMachine:
    """Make a machine, to be started with `with`."""
    return lambda: Machine(tmp_path_factory.mktemp("machine"), nginx, redis.url)


@pytest.fixture(scope="module")
def fleet(start_machine: StartMachine) -> Iterator[Fleet]:
    """Two machines."""
    with start_machine() as one, start_machine() as two:
        yield Fleet([one, two])


def test_the_sum_is_exact_after_redis_hung_and_died_and_came_back_empty(
    fleet: Fleet, redis: RedisServer
) -> None:
    with Load(fleet.running) as load:
        for machine in fleet.running:
            assert machine.wait_redis("up") == "redis: up"
        load.wait_more()
        redis.hang()
        for machine in fleet.running:
            assert machine.wait_redis("down").startswith("redis: down since 20")
            assert "\naprp_redis_up 0.0\n" in machine.get("/metrics").body.decode()
        load.wait_more()
        redis.go_on()
        for machine in fleet.running:
            machine.wait_redis("up")
        redis.kill()
        for machine in fleet.running:
            machine.wait_redis("down")
        load.wait_more()
        redis.start()
        for machine in fleet.running:
            machine.wait_redis("up")
            assert "\naprp_redis_up 1.0\n" in machine.get("/metrics").body.decode()
        load.wait_more()
    assert load.faults == []
    fleet.wait_exact()
    for machine in fleet.running:
        # Whichever worker answers.
        for worker in machine.workers():
            with only(machine, worker):
                told = machine.stats()["redis"]
            assert told["machines"] == 2
            assert told["sum"]["bytes_from_origins"] == fleet.pieces() * PIECE
        assert machine.changes() == ["up", "down", "up", "down", "up"]


def test_a_machine_that_ended_stays_in_the_sum(
    fleet: Fleet, start_machine: StartMachine, redis: RedisServer
) -> None:
    with start_machine() as third:
        fleet.running.append(third)
        third.ask()
        fleet.wait_exact()
        assert third.status()["sum"]["machines"] == 3
        # The stop writes what nobody has read yet.
        third.ask()
        third.status()
    fleet.ended.append(fleet.running.pop())
    fleet.wait_exact()
    assert fleet.running[0].status()["sum"]["machines"] == 2
    # Others know it, where Redis has forgotten it.
    redis.told("FLUSHALL")
    wait_until(lambda: redis.told("HLEN", "{aprp}:runs") == 3, "all runs are back")
    with start_machine() as fourth:
        fleet.running.append(fourth)
        fourth.ask()
        fleet.wait_exact()
        # Killed without a last write: what the others have read stays.
        fourth.status()
        fleet.wait_exact(*fleet.running[:2])
        fourth.expect_faults()
        for pid in (fourth.pid, *fourth.workers()):
            os.kill(pid, signal.SIGKILL)
        fourth.wait()
    fleet.ended.append(fleet.running.pop())
    fleet.wait_exact()


def test_a_worker_that_is_killed_takes_nothing_with_it(fleet: Fleet) -> None:
    machine = fleet.running[0]
    changes = machine.changes()
    for victim in machine.workers():
        os.kill(victim, signal.SIGKILL)
        wait_replaced(machine, victim)
        machine.ask()
        fleet.wait_exact()
    # All the time, for whoever asked.
    assert machine.changes() == changes


def test_a_stop_does_not_wait_for_redis_for_long(
    start_machine: StartMachine, redis: RedisServer
) -> None:
    with start_machine() as machine:
        machine.wait_redis("up")
        redis.hang()
        try:
            assert machine.stop() == 0
        finally:
            redis.go_on()
        assert "the last counts are not written: no answer within 1 s" in machine.log()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_redis_cannot_be_found(nginx: str, start_proxy: StartProxy, workers: str) -> None:
    """A program is there to serve; that its sum is missing is told, and no more."""
    address = f"redis://:{PASSWORD}@host.invalid"
    proxy = start_proxy("--upstream", nginx, "--workers", workers, APRP_REDIS_URL=address)
    assert proxy.get("/film.bin", Range="bytes=0-99").body == FILM[:100]
    wait_until(lambda: proxy.stats()["redis"]["state"] == "down", "redis is down")
    told = json.loads(proxy.get("/status").body)
    assert told["sum"] == {"counter": told["counter"], "machines": 1}
    assert proxy.get("/film.bin", Range="bytes=0-99").body == FILM[:100]
    assert proxy.stop() == 0
    lines = re.findall(r"redis: .*?(?=\")", proxy.log())
    assert lines[0].startswith("redis: down, counts are kept and added later: ")
    assert all("the host host.invalid is not found: " in line for line in lines)
    assert PASSWORD not in proxy.log() + proxy.stderr


def test_a_redis_that_says_nothing_from_the_start(nginx: str, start_proxy: StartProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        flags = ("--upstream", nginx, "--redis-timeout", "0.5")
        proxy = start_proxy(*flags, APRP_REDIS_URL=address)
        assert json.loads(proxy.get("/status").body)["redis"] == "redis: connecting"
        assert proxy.get("/film.bin", Range="bytes=0-99").body == FILM[:100]
        wait_until(lambda: proxy.stats()["redis"]["state"] == "down", "redis is down")
        assert proxy.stop() == 0


def test_without_redis_nothing_is_told_of_it(proxy: Proxy) -> None:
    assert proxy.stats()["redis"] is None
    assert json.loads(proxy.get("/status").body).keys() == {"counter", "uptime"}
    assert b"redis" not in proxy.get("/metrics").body


def test_a_wrong_url_ends_the_start(tmp_path: Path) -> None:
    line = refused_start(tmp_path, APRP_REDIS_URL=f"redis://:{PASSWORD}/x@host")
    assert line.startswith("aprp: REDIS_URL: what is given is not a URL such as redis://user:")
    assert PASSWORD not in line
