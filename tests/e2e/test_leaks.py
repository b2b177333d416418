"""After many transfers that ended in every way there is, nothing is left behind."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM, SIZE
from tests.e2e.programs import wait_until
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer, head, says, serves
from tests.e2e.servers import Proxy, StartProxy


def open_files(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def stalls(sent: bytes) -> Script:
    """A script that sends and then waits for the proxy to go away."""

    def script(peer: Peer) -> None:
        peer.send(sent)
        peer.wait_broken()

    return script


def endings(origin: ScriptedOrigin, proxy: Proxy) -> list[Callable[[], None]]:
    """Ways in which a transfer can end."""
    sized = head("200 OK", f"Content-Length: {SIZE}")
    good = origin.plays(serves(FILM))
    whole = origin.plays(serves(FILM, ranges=False))
    broken = origin.plays(says(sized + FILM[:1000], close=True))
    refused = origin.plays(says(answer("206 Partial Content", b"")))
    silent = [origin.plays(stalls(sent)) for sent in (b"", sized, sized + FILM[:1000])]

    def read(path: str, *lines: str, size: int | None = None) -> Callable[[], None]:
        def run() -> None:
            with Connection(proxy.port, receive_buffer=65536) as connection:
                connection.ask(path, *lines, "Connection: close")
                if size is None:
                    connection.read_all()
                else:
                    connection.read(size)

        return run

    ways = [read(good), read(good, "Range: bytes=5-9"), read(whole, "Range: bytes=5-9")]
    ways += [read(good, "Range: bytes=0-9,500000-599999"), read(good, "Range: bytes=9999999-")]
    ways += [read(whole, "Range: bytes=0-9,500000-599999"), read(broken), read(refused)]
    ways += [read(good, 'If-Match: "other"'), read(good, "If-None-Match: *"), read("/nothing")]
    # Clients that leave: at once, in the middle, while others are still to come.
    ways += [read(path, size=0) for path in (good, whole, *silent)]
    ways += [read(path, size=200_000) for path in (good, whole)]
    ways += [read(good, "Range: bytes=0-400000,500000-", size=100_000)]
    return ways


@pytest.mark.parametrize("cache", [False, True])
def test_nothing_is_left_of_transfers_that_are_over(
    origin: ScriptedOrigin, start_proxy: StartProxy, cache: bool
) -> None:
    # So few connections that each one lost would be missed at once.
    flags: tuple[str, ...] = ("--upstream", origin.url, "--origin-max-connections", "3")
    # With a cache, a stream without ranges is read on when its client has left; until it stalls.
    flags += ("--idle-timeout", "200ms", "--retries", "0")
    proxy = start_proxy(*flags, "--origin-max-idle", "2", cache=cache)
    ways = endings(origin, proxy)
    for way in ways:
        way()
    proxy.wait_idle()
    before = open_files(proxy.pid)
    order = random.Random(3)
    for _ in range(200):
        order.choice(ways)()
    told = proxy.wait_idle()
    assert told["transfers"]["active"] == 0
    assert told["transfers"]["aborted_by_clients"] > (30 if cache else 50)
    # Idle connections to the origin, and this client's own, may differ.
    wait_until(lambda: open_files(proxy.pid) <= before + 3, "files and sockets are closed")
    held = [Connection(proxy.port) for _ in range(3)]
    path = origin.plays(stalls(head("200 OK", f"Content-Length: {SIZE}")))
    for connection in held:
        connection.ask(path)
        assert connection.read_head().status == 200
    for connection in held:
        connection.close()
