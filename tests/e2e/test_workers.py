"""Several workers: one set of counters, and another worker where one dies."""

import os
import signal

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM, SIZE
from tests.e2e.programs import wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, head, serves
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced


@pytest.fixture
def pair(origin: ScriptedOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy with two workers before the scripted origin."""
    proxy = start_proxy("--upstream", origin.url, "--workers", "2")
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    return proxy


def test_counters_are_sums_over_all_workers(origin: ScriptedOrigin, pair: Proxy) -> None:
    path = origin.plays(serves(FILM))
    for number, worker in enumerate(pair.workers(), 1):
        with only(pair, worker):
            for _ in range(5 * number):
                assert pair.get(path, Range="bytes=0-99").status == 206
            assert pair.get(f"{path}?range=bad").status == 400
            assert pair.get("/nothing.bin").status == 404
    # Whichever worker answers: the same, but for the asking itself.
    for number, worker in enumerate(pair.workers(), 1):
        with only(pair, worker):
            told = pair.stats()
        assert told["workers"] == 2
        assert told["requests"] == 5 + 10 + 4 + number
        assert told["responses"] == {
            "1xx": 0,
            "2xx": 15 + number - 1,
            "3xx": 0,
            "4xx": 4,
            "5xx": 0,
        }
        assert told["bytes_from_origins"]["bytes"] == 15 * 100
        assert told["origins"]["requests"] == 15 + 2
        # Each worker keeps a connection of its own.
        assert told["origins"]["connects"] == 2
    lines = pair.access_lines()
    assert len(lines) == 15 + 4 + 2
    assert {line["pid"] for line in lines} == set(pair.workers())


def test_bytes_and_active_transfers_are_exact(origin: ScriptedOrigin, pair: Proxy) -> None:
    path = origin.plays(serves(FILM))
    connections = [Connection(pair.port) for _ in range(20)]
    for connection in connections:
        connection.ask(path, "Range: bytes=1-")
    for connection in connections:
        assert connection.read_reply().body == FILM[1:]
        connection.close()
    told = pair.wait_idle()
    assert told["bytes_from_origins"]["bytes"] == 20 * (SIZE - 1)
    assert told["responses"]["5xx"] == 0
    sent = sum(line["sent"] for line in pair.access_lines() if line["target"] == path)
    assert sent == 20 * (SIZE - 1)


def test_another_takes_the_place_of_a_worker_that_is_killed(
    origin: ScriptedOrigin, pair: Proxy
) -> None:
    path = origin.plays(serves(FILM))

    def stalls(peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {SIZE}") + FILM[:1000])
        peer.wait_broken()

    stalling = origin.plays(stalls)
    victim, other = pair.workers()
    with only(pair, victim):
        lost = Connection(pair.port)
        lost.ask(stalling)
        assert lost.read_head().status == 200
        assert lost.read(1000) == FILM[:1000]
        assert pair.stats()["transfers"]["active"] == 1
    before = pair.stats()["requests"]
    os.kill(victim, signal.SIGKILL)
    wait_replaced(pair, victim)
    # Its client sees that the rest is missing.
    with lost:
        assert lost.read_all() == b""
    assert other in pair.workers()
    (new,) = set(pair.workers()) - {other}
    for worker in (other, new):
        with only(pair, worker):
            for _ in range(3):
                assert pair.get(path, Range="bytes=0-9").body == FILM[:10]
    told = pair.stats()
    # Nothing that was counted is lost, and what the dead one had under way is over.
    assert told["requests"] == before + 6 + 1
    assert told["transfers"]["active"] == 0
    assert "signal SIGKILL" in pair.log()


def test_a_worker_that_dies_again_and_again_is_replaced_each_time(pair: Proxy) -> None:
    for _ in range(3):
        victim = pair.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_replaced(pair, victim)
        assert pair.get("/status").status == 200


def test_workers_share_the_embedded_origin(start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", "embedded", "--workers", "2")
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    for worker in proxy.workers():
        with only(proxy, worker):
            assert proxy.get("/sample.mp4", Range="bytes=4-7").body == b"ftyp"
