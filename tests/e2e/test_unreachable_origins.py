"""Origins that cannot be reached or do not answer, and one in the place of another."""

import json
import queue
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.content import FILM
from tests.e2e.problems import check_problem
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, ScriptedOrigin, serves
from tests.e2e.servers import StartProxy


@contextmanager
def refusing() -> Iterator[str]:
    """The URL of a port on which nobody listens and which nobody else can take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_a_name_without_an_address(start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", "http://origin.invalid:9000")
    assert "no address" in check_problem(proxy.get("/film.bin"), 502)
    assert proxy.wait_access_line("/film.bin")["origin"] == "http://origin.invalid:9000"


def test_a_refused_connection(start_proxy: StartProxy) -> None:
    with refusing() as url:
        proxy = start_proxy("--upstream", url)
        for fields in ({}, {"Range": "bytes=0-9"}):
            assert "refused" in check_problem(proxy.get("/film.bin", **fields), 502)
        assert proxy.head("/film.bin").status == 502
        stats = proxy.stats()
    assert (stats["origins"]["failures"], stats["responses"]["5xx"]) == (3, 3)


def test_with_debug_the_cause_is_told(start_proxy: StartProxy) -> None:
    with refusing() as url:
        reply = start_proxy("--upstream", url, "--debug").get("/film.bin")
    check_problem(reply, 502, debug=True)
    assert url in json.loads(reply.body)["cause"]


def test_no_first_byte(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--first-byte-timeout", "300ms")
    broken: queue.Queue[float] = queue.Queue()
    path = origin.plays(lambda peer: broken.put(peer.wait_broken()))
    begun = time.monotonic()
    assert "FIRST_BYTE_TIMEOUT" in check_problem(proxy.get(path), 504)
    assert broken.get(timeout=PATIENCE) - begun >= 0.3
    assert proxy.stats()["origins"]["timeouts"] == 1


def test_half_a_head_and_then_silence(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", origin.url, "--first-byte-timeout", "300ms")

    def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-")
        peer.wait_broken()

    check_problem(proxy.get(origin.plays(script)), 504)


@contextmanager
def full_backlog() -> Iterator[str]:
    """The URL of a server that neither accepts nor refuses: its queue of connections is full."""
    with socket.socket() as listening, ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(20):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listening.getsockname())
            except TimeoutError:
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
                return
        pytest.skip("this system queues connections without end")


def test_a_connection_that_does_not_come_about(start_proxy: StartProxy) -> None:
    with full_backlog() as url:
        proxy = start_proxy("--upstream", url, "--connect-timeout", "300ms")
        assert "CONNECT_TIMEOUT" in check_problem(proxy.get("/film.bin"), 504)


def test_the_first_that_connects_serves(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    path = origin.plays(serves(FILM))
    with refusing() as first:
        proxy = start_proxy("--upstream", f"{first},http://origin.invalid,{origin.url}")
        for _ in range(3):
            assert proxy.get(path, Range="bytes=0-99").body == FILM[:100]
        told = proxy.stats()["origins"]
    # Those that failed are tried last for a while.
    assert (told["failovers"], told["failures"], told["requests"]) == (2, 2, 5)
    assert [line["origin"] for line in proxy.access_lines()][:3] == [origin.url] * 3


def test_the_preferred_one_serves_again_when_it_is_back(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    path = origin.plays(serves(FILM))
    with refusing() as first:
        port = int(first.rpartition(":")[2])
        upstream = f"{first},{origin.url}"
        proxy = start_proxy("--upstream", upstream, "--origin-retry-after", "0")
        assert proxy.get(path).body == FILM
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.settimeout(PATIENCE)
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(1024).startswith(f"GET {path} ".encode())


def test_an_answer_is_an_answer_even_if_it_is_an_error(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    # Only an origin that cannot be reached is passed over: the question may have had an effect.
    with ExitStack() as stack:
        second = ScriptedOrigin()
        stack.callback(second.close)
        proxy = start_proxy("--upstream", f"{origin.url},{second.url}")
        assert proxy.get("/not-there.bin").status == 404
        path = origin.plays(lambda peer: peer.close())
        assert proxy.get(path).status == 502
        assert second.requests == []


def test_too_many_connections(origin: ScriptedOrigin, start_proxy: StartProxy) -> None:
    flags = ("--origin-max-connections", "1", "--connect-timeout", "200ms")
    proxy = start_proxy("--upstream", origin.url, *flags)
    held: queue.Queue[Peer] = queue.Queue()

    def script(peer: Peer) -> None:
        held.put(peer)
        peer.wait_broken()

    path = origin.plays(script)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        held.get(timeout=PATIENCE)
        reply = proxy.get(path)
    check_problem(reply, 503)
    assert reply.get("Retry-After") == "1"
    # Free again.
    proxy.wait_idle()
    assert proxy.get(origin.plays(serves(FILM))).body == FILM
