"""How much a client may have: connections and requests, over all workers."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.clients import Connection, Reply, fetch
from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.programs import wait_until
from tests.e2e.scripted import ScriptedOrigin, serves
from tests.e2e.servers import Proxy, StartProxy, only, wait_replaced

ONE = "127.0.0.11"
ANOTHER = "127.0.0.12"
FRONT = "127.0.0.13"
"""Addresses of clients; the last is a proxy's."""

SELDOM = "0.0001"
"""Requests a second: the second of an address is refused, whenever the test is run."""


@pytest.fixture
def film(origin: ScriptedOrigin) -> str:
    """The path of a film."""
    return origin.plays(serves(FILM))


class Crowd(contextlib.ExitStack):
    """Connections to one proxy that stay open."""

    def __init__(self, proxy: Proxy, path: str) -> None:
        super().__init__()
        self._proxy = proxy
        self._path = path

    def ask(self, source: str = ONE, *lines: str) -> Reply:
        """Open a connection and ask on it; one that is refused is closed by the proxy."""
        connection = self.enter_context(Connection(self._proxy.port, source=source))
        connection.ask(self._path, "Range: bytes=0-9", *lines)
        reply = connection.read_reply()
        if reply.status == 206:
            assert reply.body == FILM[:10]
        else:
            assert reply.get("Connection") == "close"
            assert connection.at_end()
        return reply

    def served(self, source: str = ONE) -> bool:
        """Whether a connection more is served."""
        return self.ask(source).status == 206


@contextlib.contextmanager
def crowd(proxy: Proxy, path: str) -> Iterator[Crowd]:
    """Open connections, which are closed at the end."""
    with Crowd(proxy, path) as opened:
        yield opened


def check_refusal(reply: Reply, status: int, setting: str) -> int:
    """Check a refusal for a limit; the seconds to wait."""
    assert setting in check_problem(reply, status)
    assert reply.get("Cache-Control") == "no-store"
    seconds = reply.get("Retry-After")
    assert seconds is not None and seconds.isdecimal() and int(seconds) >= 1
    return int(seconds)


# Connections.


def test_connections_in_all(origin: ScriptedOrigin, film: str, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--max-connections", "3")
    with crowd(proxy, film) as clients:
        assert [clients.ask(source).status for source in (ONE, ANOTHER, ONE)] == [206] * 3
        before = len(origin.requests)
        check_refusal(clients.ask(ONE), 503, "MAX_CONNECTIONS")
        check_refusal(clients.ask(ANOTHER), 503, "MAX_CONNECTIONS")
        assert len(origin.requests) == before
    # Whoever leaves makes room.
    with crowd(proxy, film) as clients:
        wait_until(lambda: clients.served(), "there is room again")


def test_connections_of_an_address(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--max-connections-per-address", "2")
    with crowd(proxy, film) as another:
        with crowd(proxy, film) as one:
            assert [one.ask(ONE).status for _ in range(2)] == [206] * 2
            check_refusal(one.ask(ONE), 429, "MAX_CONNECTIONS_PER_ADDRESS")
            assert [another.ask(ANOTHER).status for _ in range(2)] == [206] * 2
            check_refusal(another.ask(ANOTHER), 429, "MAX_CONNECTIONS_PER_ADDRESS")
        wait_until(lambda: another.served(ONE), "there is room again")
        check_refusal(another.ask(ANOTHER), 429, "MAX_CONNECTIONS_PER_ADDRESS")


@pytest.mark.parametrize(
    ("flag", "status", "others"),
    [("--max-connections", 503, 503), ("--max-connections-per-address", 429, 206)],
)
def test_workers_count_together_and_one_that_dies_counts_no_more(
    origin: ScriptedOrigin,
    film: str,
    start_proxy: StartProxy,
    flag: str,
    status: int,
    others: int,
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--workers", "2", flag, "3")
    proxy.expect_faults()
    wait_until(lambda: len(proxy.workers()) == 2, "both workers run")
    first, second = proxy.workers()
    with crowd(proxy, film) as clients:
        with only(proxy, first):
            assert [clients.ask().status for _ in range(2)] == [206] * 2
        with only(proxy, second):
            assert clients.ask().status == 206
            assert clients.ask().status == status
        with only(proxy, first):
            assert clients.ask().status == status
            assert clients.ask(ANOTHER).status == others
        os.kill(first, signal.SIGKILL)
        wait_replaced(proxy, first)
        third = next(pid for pid in proxy.workers() if pid != second)
        with crowd(proxy, film) as later:
            # The connection to the second worker is still there: two are free.
            with only(proxy, third):
                assert later.ask().status == 206
            with only(proxy, second):
                assert later.ask().status == 206
                assert later.ask().status == status


def test_a_refused_upload_gets_its_answer(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--max-connections", "1")
    with crowd(proxy, film) as clients:
        assert clients.served()
        before = len(origin.requests)
        for line in ("Content-Length: 20000000", "Transfer-Encoding: chunked"):
            with Connection(proxy.port) as connection:
                connection.ask(film, line, method="PUT")
                # It is still sending when it is refused.
                with contextlib.suppress(ConnectionError):
                    for _ in range(19):
                        connection.send(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                check_refusal(connection.read_reply(), 503, "MAX_CONNECTIONS")
        assert len(origin.requests) == before


def test_refusals_are_logged(origin: ScriptedOrigin, film: str, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--max-connections-per-address", "1")
    with crowd(proxy, film) as clients:
        assert clients.served()
        with Connection(proxy.port, source=ONE) as connection:
            connection.ask("/refused")
            assert connection.read_reply().status == 429
        line = proxy.wait_access_line("/refused")
        assert (line["client"], line["status"], line["origin"]) == (ONE, 429, None)


# Requests.


def ask(connection: Connection, path: str, *lines: str) -> Reply:
    """Ask once more on a connection, which stays whatever the answer is."""
    connection.ask(path, "Range: bytes=0-9", *lines)
    reply = connection.read_reply()
    assert reply.get("Connection") is None
    return reply


def test_requests_of_an_address_are_counted_by_all_workers(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--workers", "2", "--request-rate", SELDOM)
    wait_until(lambda: len(proxy.workers()) == 2, "both workers run")
    first, second = proxy.workers()
    with only(proxy, first), Connection(proxy.port, source=ONE) as connection:
        assert ask(connection, film).body == FILM[:10]
        before = len(origin.requests)
        assert check_refusal(ask(connection, film), 429, "REQUEST_RATE") <= 10_000
    with only(proxy, second), Connection(proxy.port, source=ONE) as connection:
        for _ in range(2):
            check_refusal(ask(connection, film), 429, "REQUEST_RATE")
        connection.ask(film, method="HEAD")
        assert connection.read_reply("HEAD").status == 429
    assert len(origin.requests) == before
    with Connection(proxy.port, source=ANOTHER) as connection:
        assert ask(connection, film).status == 206
        check_refusal(ask(connection, film), 429, "REQUEST_RATE")


def test_after_the_time_that_is_told_there_is_an_answer(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--request-rate", "2")
    with Connection(proxy.port) as connection:
        while (reply := ask(connection, film)).status == 206:
            pass
        # What the client was told to wait for.
        threading.Event().wait(check_refusal(reply, 429, "REQUEST_RATE"))
        assert ask(connection, film).status == 206


def test_the_rate_of_one_that_always_asks(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--workers", "2", "--request-rate", "100")
    begun = time.monotonic()
    served = refused = 0
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(proxy.port)) for _ in range(8)]
        while time.monotonic() - begun < 2:
            for connection in connections:
                status = ask(connection, film).status
                served += status == 206
                refused += status == 429
    seconds = time.monotonic() - begun
    # A window's worth at once, and then as many as the rate lets through.
    assert 100 <= served <= 100 * (seconds + 1)
    assert refused > 0


# Whom they are counted for.


def test_a_trusted_proxy_is_not_counted_but_its_clients_are(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    limits = ("--max-connections", "1", "--max-connections-per-address", "1")
    flags = (*limits, "--request-rate", SELDOM, "--trusted-proxies", FRONT)
    proxy = start_proxy("--upstream", origin.url, *flags)
    with crowd(proxy, film) as clients:
        for client in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "[2001:db8:1::1]:80"):
            assert clients.ask(FRONT, f"X-Forwarded-For: {client}").status == 206
        assert clients.ask(FRONT, "Forwarded: for=192.0.2.3").status == 206
        # Theirs do not fill what there is for others.
        assert clients.ask(ONE).status == 206
        check_refusal(clients.ask(ANOTHER), 503, "MAX_CONNECTIONS")
    with Connection(proxy.port, source=FRONT) as connection:
        for client in (
            *("192.0.2.1", "198.51.100.1, 192.0.2.2", "2001:db8::2", f"192.0.2.1, {FRONT}"),
            "192.0.2.2:4711",
        ):
            reply = ask(connection, film, f"X-Forwarded-For: {client}")
            check_refusal(reply, 429, "REQUEST_RATE")
        # Asking for itself it is not limited at all.
        for _ in range(3):
            assert ask(connection, film).status == 206


def test_what_others_say_of_themselves_is_not_believed(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(
        *("--upstream", origin.url, "--request-rate", SELDOM, "--trusted-proxies", FRONT)
    )
    lines = ("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1")
    with Connection(proxy.port, source=ONE) as connection:
        assert ask(connection, film, *lines).status == 206
        for name in ("192.0.2.2", FRONT, "127.0.0.1", ""):
            lines = (f"X-Forwarded-For: {name}", f"Forwarded: for={name}")
            check_refusal(ask(connection, film, *lines), 429, "REQUEST_RATE")
    assert {line["client"] for line in proxy.access_lines()} == {ONE}
    (asked,) = origin.asked(film)
    assert asked.get("X-Forwarded-For") == ONE


def test_the_client_in_the_log_and_at_the_origin(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--trusted-proxies", f"{FRONT},192.0.2.0/24")
    told = "203.0.113.9, 198.51.100.7, 192.0.2.1"
    with Connection(proxy.port, source=FRONT) as connection:
        assert ask(connection, film, f"X-Forwarded-For: {told}").status == 206
    assert proxy.wait_access_line(film)["client"] == "198.51.100.7"
    (asked,) = origin.asked(film)
    assert asked.get("X-Forwarded-For") == f"{told}, {FRONT}"


def test_who_may_purge_through_a_trusted_proxy(
    origin: ScriptedOrigin, film: str, start_proxy: StartProxy
) -> None:
    flags = ("--trusted-proxies", FRONT, "--purge-allow", "192.0.2.0/24")
    proxy = start_proxy("--upstream", origin.url, *flags, cache=True)
    assert fetch(proxy.url, film).body == FILM

    def purge(source: str, *lines: str) -> int:
        with Connection(proxy.port, source=source) as connection:
            connection.ask(film, *lines, method="PURGE")
            return connection.read_reply().status

    assert purge(ONE, "X-Forwarded-For: 192.0.2.1") == 403
    assert purge(FRONT) == 403
    assert purge(FRONT, "X-Forwarded-For: 203.0.113.9") == 403
    assert purge(FRONT, "X-Forwarded-For: 192.0.2.1, 203.0.113.9") == 403
    assert purge(FRONT, f"X-Forwarded-For: 192.0.2.1, 203.0.113.9, {FRONT}") == 403
    assert purge(FRONT, "X-Forwarded-For: 203.0.113.9, 192.0.2.1") == 200
    assert purge(FRONT, "X-Forwarded-For: 192.0.2.1") == 404
