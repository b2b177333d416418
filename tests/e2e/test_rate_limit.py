"""Bytes a second: at no moment more than a connection may have, and in the end all of them."""

import queue
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.e2e.certificates import Authority
from tests.e2e.clients import Connection
from tests.e2e.content import endless
from tests.e2e.floods import check_dropped, floods
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.tunnels import FORWARDS

RATE = 4 << 20
"""RATE_LIMIT, bytes a second."""
BURST = 4 << 20
"""RATE_LIMIT_AFTER, bytes."""
BODY = endless(0, 6 << 20)
FLAGS = ("--rate-limit", "4M", "--rate-limit-after", "4M")
# Pieces of a tenth of a second's worth, a few heads, and a millisecond here and there.
LEEWAY = RATE // 5


class Watch:
    """When how many bytes of bodies came, from the moment on at which it is made."""

    def __init__(self, burst: int = BURST) -> None:
        self.taken = 0
        self._burst = burst
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been."""
        return time.monotonic() - self._begun

    def take(self, connection: Connection, body: bytes) -> None:
        """Read a body to its end; at no time more has come than may have."""
        place = 0
        while place < len(body):
            piece = connection.read(min(65536, len(body) - place))
            assert piece == body[place : place + len(piece)] and piece
            place += len(piece)
            self.taken += len(piece)
            assert self.taken <= self._burst + RATE * self.seconds + LEEWAY

    def check_full_speed(self) -> None:
        """See that it was no slower than it has to be, by far."""
        due = (self.taken - self._burst) / RATE
        assert due - 0.3 < self.seconds < 3 * due + 2


def get(connection: Connection, watch: Watch, target: str, method: str = "GET") -> None:
    """Ask for the body, and take it."""
    connection.ask(target, method=method)
    reply = connection.read_head()
    assert (reply.status, reply.get("Content-Length")) == (200, str(len(BODY)))
    watch.take(connection, BODY)


@pytest.fixture(scope="module")
def limited(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with a cache and a limit."""
    flags = ("--upstream", shared_origin.url, *FLAGS)
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=True, **FORWARDS) as started:
        yield started


def test_what_is_fetched_and_what_is_stored(origin: ScriptedOrigin, limited: Proxy) -> None:
    path = origin.plays(serves(BODY, 'ETag: "1"', "Cache-Control: max-age=1000"))
    asked = 0
    for _ in range(2):
        with Connection(limited.port) as connection:
            watch = Watch()
            get(connection, watch, path)
            watch.check_full_speed()
        asked = asked or len(origin.asked(path))
    # The second came from the disk.
    assert len(origin.asked(path)) == asked


@pytest.mark.parametrize(
    ("method", "forward"), [("DELETE", False), ("DELETE", True), ("GET", True)]
)
def test_what_goes_through(
    origin: ScriptedOrigin, limited: Proxy, method: str, forward: bool
) -> None:
    path = origin.plays(serves(BODY, "Cache-Control: no-store"))
    with Connection(limited.port) as connection:
        watch = Watch()
        get(connection, watch, f"{origin.url if forward else ''}{path}", method)
        watch.check_full_speed()


def test_without_a_cache(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, *FLAGS)
    path = origin.plays(serves(BODY))
    with Connection(proxy.port) as connection:
        watch = Watch()
        get(connection, watch, path)
        watch.check_full_speed()


@pytest.mark.parametrize("cache", [False, True])
def test_over_tls(
    origin: ScriptedOrigin, start_proxy: StartProxy, authority: Authority, cache: bool
) -> None:
    cert, key = authority.files("site", "IP:127.0.0.1")
    secure = ("--tls-cert", str(cert), "--tls-key", str(key))
    proxy = start_proxy("--upstream", origin.url, *FLAGS, *secure, cache=cache)
    path = origin.plays(serves(BODY, 'ETag: "1"', "Cache-Control: max-age=1000"))
    context = ssl.create_default_context(cafile=str(authority.file))
    for _ in range(2):
        with Connection(proxy.port) as connection:
            connection.socket = context.wrap_socket(connection.socket, server_hostname="127.0.0.1")
            watch = Watch()
            get(connection, watch, path)
            watch.check_full_speed()


def test_all_requests_of_a_connection_count(origin: ScriptedOrigin, limited: Proxy) -> None:
    path = origin.plays(serves(BODY, 'ETag: "1"', "Cache-Control: max-age=1000"))
    with Connection(limited.port) as connection:
        watch = Watch()
        get(connection, watch, path)
        # There is no new burst for another request.
        connection.ask(path, "Range: bytes=0-4194303")
        assert connection.read_head().status == 206
        watch.take(connection, BODY[: 4 << 20])
        watch.check_full_speed()
    with Connection(limited.port) as connection:
        # But for another connection there is.
        watch = Watch()
        connection.ask(path, "Range: bytes=0-4194303")
        assert connection.read_head().status == 206
        watch.take(connection, BODY[: 4 << 20])
        assert watch.seconds < 1.0


def test_without_a_burst_it_holds_from_the_first_byte(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--rate-limit", "4M")
    path = origin.plays(serves(BODY[: RATE // 2]))
    with Connection(proxy.port) as connection:
        watch = Watch(burst=0)
        connection.ask(path)
        assert connection.read_head().status == 200
        watch.take(connection, BODY[: RATE // 2])
        watch.check_full_speed()


def test_small_answers_are_not_held_up(origin: ScriptedOrigin, limited: Proxy) -> None:
    path = origin.plays(serves(b"abc"))
    with Connection(limited.port) as connection:
        begun = time.monotonic()
        for _ in range(200):
            connection.ask(path)
            assert connection.read_reply().body == b"abc"
        assert time.monotonic() - begun < 4.0


def test_one_that_is_held_up_holds_up_nobody(origin: ScriptedOrigin, limited: Proxy) -> None:
    path, small = origin.plays(serves(endless(0, 8 << 20))), origin.plays(serves(b"abc"))
    with Connection(limited.port) as slow, Connection(limited.port) as other:
        slow.ask(path)
        assert slow.read(BURST)
        # What is left takes it a second.
        begun = time.monotonic()
        for _ in range(20):
            other.ask(small)
            assert other.read_reply().body == b"abc"
        assert time.monotonic() - begun < 0.9


# SEND_TIMEOUT is for clients that take nothing, and not for those that get nothing.


def test_a_client_is_not_dropped_for_being_held_up(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--rate-limit", "100K", "--send-timeout", "300ms")
    proxy = start_proxy("--upstream", origin.url, *flags)
    content = endless(0, 150_000)
    path = origin.plays(serves(content))
    begun = time.monotonic()
    assert proxy.get(path).body == content
    assert time.monotonic() - begun > 1.0


def test_a_client_that_takes_nothing_is_dropped_all_the_same(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    flags = ("--rate-limit", "64M", "--send-timeout", "500ms")
    check_dropped(start_proxy("--upstream", origin.url, *flags), origin, 0.5)


def test_a_client_that_leaves_while_it_is_held_up(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--rate-limit", "100K")
    broken: queue.Queue[float] = queue.Queue()
    path = origin.plays(floods(broken))
    with Connection(proxy.port) as connection:
        connection.ask(path)
        assert connection.read(1000)
        left = time.monotonic()
    assert broken.get(timeout=PATIENCE) - left < 2.0
    assert proxy.wait_idle()["transfers"]["active"] == 0
