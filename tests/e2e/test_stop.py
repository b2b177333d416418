"""The stop: running transfers finish, nothing new is taken, and what bounds the wait."""

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM, SIZE
from tests.e2e.programs import PATIENCE, alive, wait_until
from tests.e2e.scripted import Peer, ScriptedOrigin, head
from tests.e2e.servers import Proxy, StartProxy

HALF = SIZE // 2
pytestmark = pytest.mark.parametrize("workers", ["1", "2"])


class HalfSent:
    """A transfer that stands still in the middle until `finish` is set."""

    def __init__(self, origin: ScriptedOrigin, proxy: Proxy) -> None:
        self.finish = threading.Event()
        self.path = origin.plays(self._script)
        self.connection = Connection(proxy.port)
        self.connection.ask(self.path)
        self.reply = self.connection.read_head()
        assert self.reply.get("Content-Length") == str(SIZE)
        self.read = self.connection.read(HALF)

    def _script(self, peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {SIZE}") + FILM[:HALF])
        if self.finish.wait(PATIENCE):
            peer.send(FILM[HALF:])

    def read_rest(self) -> bytes:
        """All that was read, up to the end of the connection."""
        return self.read + self.connection.read_all()


Begin = Callable[[Proxy], HalfSent]


@pytest.fixture
def begin(origin: ScriptedOrigin) -> Iterator[Begin]:
    """Begin a transfer that stands still in the middle."""
    begun = []

    def begin_one(proxy: Proxy) -> HalfSent:
        begun.append(HalfSent(origin, proxy))
        return begun[-1]

    yield begin_one
    for transfer in begun:
        transfer.finish.set()
        transfer.connection.close()


def refuses(port: int) -> bool:
    """Whether nobody listens on a port any more."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # It was in the queue of a socket that has just been closed.
        return False
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_transfer_finishes(
    origin: ScriptedOrigin,
    begin: Begin,
    start_proxy: StartProxy,
    workers: str,
    number: signal.Signals,
) -> None:
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags)
    transfers = [begin(proxy) for _ in range(3)]
    proxy.signal(number)
    # It is still running, and takes nothing new.
    wait_until(lambda: refuses(proxy.port), "new connections are refused", 5)
    assert proxy.process.poll() is None
    for transfer in transfers:
        transfer.finish.set()
    for transfer in transfers:
        assert transfer.read_rest() == FILM
    assert proxy.wait(5) == 0
    ends = {line["target"]: line["end"] for line in proxy.access_lines()}
    assert ends == dict.fromkeys((transfer.path for transfer in transfers), None)


def test_a_signal_to_the_whole_group_is_one_request(
    origin: ScriptedOrigin, begin: Begin, start_proxy: StartProxy, workers: str
) -> None:
    # As a terminal's Ctrl-C and service managers do it.
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags)
    transfer = begin(proxy)
    for pid in (*proxy.workers(), proxy.pid):
        os.kill(pid, signal.SIGINT)
    wait_until(lambda: refuses(proxy.port), "new connections are refused", 5)
    transfer.finish.set()
    assert transfer.read_rest() == FILM
    assert proxy.wait() == 0


def test_the_wait_for_transfers_is_bounded(
    origin: ScriptedOrigin, begin: Begin, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "300ms")
    proxy = start_proxy(*flags)
    transfer = begin(proxy)
    begun = time.monotonic()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(5) == 0
    assert time.monotonic() - begun >= 0.3
    transfer.finish.set()
    assert transfer.read_rest() == FILM[:HALF]


def test_a_second_signal_ends_it_at_once(
    origin: ScriptedOrigin, begin: Begin, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags)
    transfer = begin(proxy)
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: refuses(proxy.port), "new connections are refused", 5)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(5) == 0
    assert proxy.workers() == []
    transfer.finish.set()
    assert transfer.read_rest() == FILM[:HALF]


def test_idle_connections_do_not_hold_it(
    origin: ScriptedOrigin, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags)
    with Connection(proxy.port) as fresh, Connection(proxy.port) as used:
        used.ask("/healthz")
        assert used.read_reply().status == 200
        fresh.send(b"GET /healthz HTTP/1.1\r\nHo")
        # A round trip on another connection: what was sent before it has been read.
        assert proxy.get("/status").status == 200
        proxy.signal(signal.SIGTERM)
        assert proxy.wait(5) == 0
        assert used.at_end() and fresh.at_end()


def test_a_transfer_of_a_slow_client_finishes_too(
    origin: ScriptedOrigin, start_proxy: StartProxy, workers: str
) -> None:
    # The origin is done and the proxy holds the end of the body.
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags)
    sent: queue.Queue[bool] = queue.Queue()

    def script(peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {8 * SIZE}") + FILM * 8)
        sent.put(True)

    with Connection(proxy.port, receive_buffer=4096) as connection:
        connection.ask(origin.plays(script))
        assert connection.read_head().status == 200
        proxy.signal(signal.SIGTERM)
        wait_until(lambda: refuses(proxy.port), "new connections are refused", 5)
        assert connection.read_all() == FILM * 8
    assert sent.get(timeout=PATIENCE)
    assert proxy.wait(5) == 0


def test_a_signal_right_after_the_start_line(start_proxy: StartProxy, workers: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        proxy = start_proxy("--upstream", "embedded", "--workers", workers)
        proxy.signal(number)
        assert proxy.wait(5) == 0


def test_several_signals_are_no_crash(start_proxy: StartProxy, workers: str) -> None:
    proxy = start_proxy("--upstream", "embedded", "--workers", workers)
    assert proxy.get("/status").status == 200
    for _ in range(3):
        proxy.signal(signal.SIGTERM)
    assert proxy.wait(5) == 0


def test_workers_do_not_outlive_a_parent_that_is_killed(
    origin: ScriptedOrigin, begin: Begin, start_proxy: StartProxy, workers: str
) -> None:
    flags = ("--upstream", origin.url, "--workers", workers, "--drain-timeout", "60")
    proxy = start_proxy(*flags)
    proxy.expect_faults()
    transfer = begin(proxy)
    left = proxy.workers()
    assert len(left) == (0 if workers == "1" else 2)
    proxy.signal(signal.SIGKILL)
    transfer.finish.set()
    if left:
        assert transfer.read_rest() == FILM
    else:
        assert FILM.startswith(transfer.read_rest())
    wait_until(lambda: not any(map(alive, left)), "the workers end")
