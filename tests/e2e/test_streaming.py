"""Back-pressure, clients that leave, and clients that do not disturb each other."""

import queue
import threading
import time

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import BIG, FILM, SIZE, endless
from tests.e2e.floods import check_dropped
from tests.e2e.programs import PATIENCE, anonymous_memory, socket_buffers
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, head, serves
from tests.e2e.servers import Proxy, StartProxy

LONG = 1 << 30
READ = 1 << 20


SIZED = head("200 OK", f"Content-Length: {LONG}")
PART = head(
    "206 Partial Content",
    f"Content-Length: {LONG}",
    f"Content-Range: bytes 0-{LONG - 1}/{LONG}",
)
CHUNKED = head("200 OK", "Transfer-Encoding: chunked") + b"%x\r\n" % LONG


@pytest.mark.parametrize(
    ("before", "asked"),
    [(SIZED, None), (PART, "bytes=0-"), (CHUNKED, None), (SIZED, "bytes=0-")],
    ids=["sized", "206", "chunked", "cut out"],
)
def test_the_origin_sends_no_faster_than_the_client_reads(
    origin: ScriptedOrigin, scripted_proxy: Proxy, before: bytes, asked: str | None
) -> None:
    sent: queue.Queue[int] = queue.Queue()

    def script(peer: Peer) -> None:
        peer.kept = False
        peer.send(before)
        # A while without a byte taken: the way is full.
        place = peer.send_endless(0, LONG, patience=0.5)
        sent.put(place)
        peer.send_endless(place, LONG)

    path = origin.plays(script)
    memory = anonymous_memory(scripted_proxy.pid)
    with Connection(scripted_proxy.port, receive_buffer=65536) as connection:
        connection.ask(path, *([f"Range: {asked}"] if asked else []))
        reply = connection.read_head()
        chunked = reply.get("Transfer-Encoding") == "chunked"
        take = connection.read_chunk if chunked else lambda: connection.read(READ)
        read = bytearray(take())
        held_back = sent.get(timeout=PATIENCE)
        assert len(read) <= held_back < len(read) + socket_buffers()
        assert anonymous_memory(scripted_proxy.pid) < memory + (8 << 20)
        # It goes on where it stood still, and nothing is lost.
        while len(read) < held_back + READ:
            read += take()
    assert read == endless(0, len(read))


def floods(peer: Peer) -> None:
    peer.send(SIZED)
    peer.send_endless(0, LONG)


def falls_silent(peer: Peer) -> None:
    peer.send(SIZED + endless(0, READ))


def says_nothing(peer: Peer) -> None:
    """Not even a head comes."""


def begins(peer: Peer) -> None:
    peer.send(SIZED)


@pytest.mark.parametrize(
    ("behaves", "read"),
    [
        pytest.param(floods, READ, id="while bytes flow"),
        pytest.param(floods, 0, id="while the way is full"),
        pytest.param(falls_silent, READ, id="while the origin is silent"),
        pytest.param(begins, 0, id="after the head"),
        pytest.param(says_nothing, -1, id="before the head"),
    ],
)
def test_a_client_that_leaves_ends_the_origins_transfer_within_a_second(
    origin: ScriptedOrigin, scripted_proxy: Proxy, behaves: Script, read: int
) -> None:
    arrived = threading.Event()
    broken: queue.Queue[float] = queue.Queue()

    def script(peer: Peer) -> None:
        arrived.set()
        try:
            behaves(peer)
            peer.wait_broken()
        except ConnectionError:
            peer.kept = False
        broken.put(time.monotonic())

    before = scripted_proxy.wait_idle()["transfers"]["aborted_by_clients"]
    path = origin.plays(script)
    with Connection(scripted_proxy.port, receive_buffer=65536) as connection:
        connection.ask(path)
        assert arrived.wait(PATIENCE)
        if read >= 0:
            assert connection.read_head().status == 200
            assert connection.read(read) == endless(0, read)
        connection.close()
        left = time.monotonic()
    assert broken.get(timeout=PATIENCE) - left < 1.0
    assert scripted_proxy.wait_access_line(path)["end"] == "client went away"
    assert scripted_proxy.wait_idle()["transfers"]["aborted_by_clients"] == before + 1


def test_a_slow_client_holds_up_nobody_else(
    origin: ScriptedOrigin, scripted_proxy: Proxy, proxy: Proxy
) -> None:
    slow = origin.plays(floods)
    quick = origin.plays(serves(FILM))
    connections = [Connection(scripted_proxy.port, receive_buffer=4096) for _ in range(8)]
    try:
        for connection in connections:
            connection.ask(slow)
            assert connection.read_head().status == 200
        started = time.monotonic()
        for _ in range(20):
            assert scripted_proxy.get(quick).body == FILM
        assert time.monotonic() - started < 5.0
        # None of them was given up meanwhile.
        for connection in connections:
            assert connection.read(READ) == endless(0, READ)
    finally:
        for connection in connections:
            connection.close()
    scripted_proxy.wait_idle()


def test_many_slow_clients_get_every_byte_right(proxy: Proxy) -> None:
    # Each of them waits again and again while others are served from the same buffers.
    content = endless(0, BIG)
    connections = [Connection(proxy.port, receive_buffer=16384) for _ in range(12)]
    got = [bytearray() for _ in connections]
    try:
        for number, connection in enumerate(connections):
            connection.ask("/big.bin", f"Range: bytes={number}-")
            assert connection.read_head().status == 206
        for _ in range(40):
            for number, connection in enumerate(connections):
                got[number] += connection.read(50_000)
    finally:
        for connection in connections:
            connection.close()
    for number, read in enumerate(got):
        assert read == content[number : number + 40 * 50_000]
    proxy.wait_idle()


def test_an_origin_without_ranges_is_read_no_further_than_needed(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    sent: queue.Queue[int] = queue.Queue()

    def script(peer: Peer) -> None:
        peer.kept = False
        peer.send(SIZED)
        place = 0
        try:
            while place < LONG:
                place = peer.send_endless(place, place + 65536)
        finally:
            sent.put(place)

    path = origin.plays(script)
    reply = scripted_proxy.get(path, Range="bytes=100000-199999")
    assert (reply.status, reply.get("Content-Range")) == (206, f"bytes 100000-199999/{LONG}")
    assert reply.body == endless(100000, 200000)
    assert origin.asked(path)[0].get("Range") == "bytes=100000-199999"
    assert sent.get(timeout=PATIENCE) < socket_buffers()


def test_a_body_of_exactly_the_range_leaves_the_connection_open(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    path = origin.plays(serves(FILM, ranges=False))
    for _ in range(2):
        reply = scripted_proxy.get(path, Range=f"bytes=5-{SIZE - 1}")
        assert (reply.status, reply.body) == (206, FILM[5:])
    assert len({request.connection for request in origin.asked(path)}) == 1


def test_a_client_that_leaves_with_more_requests_sent(
    origin: ScriptedOrigin, scripted_proxy: Proxy
) -> None:
    # So many that the proxy reads no more of them before their turn.
    broken: queue.Queue[float] = queue.Queue()

    def script(peer: Peer) -> None:
        falls_silent(peer)
        broken.put(peer.wait_broken())

    path = origin.plays(script)
    with Connection(scripted_proxy.port) as connection:
        connection.ask(path)
        assert connection.read_head().status == 200
        assert connection.read(READ) == endless(0, READ)
        for _ in range(2000):
            connection.ask("/healthz", "X-Filler: " + "a" * 100)
        left = time.monotonic()
    assert broken.get(timeout=PATIENCE) - left < 1.0


def test_a_client_that_takes_nothing_is_dropped_after_a_while(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--send-timeout", "500ms")
    check_dropped(proxy, origin, 0.5)


def test_a_client_that_takes_a_little_now_and_then_stays(
    origin: ScriptedOrigin, start_proxy: StartProxy
) -> None:
    proxy = start_proxy("--upstream", origin.url, "--send-timeout", "500ms")
    path = origin.plays(floods)
    read = bytearray()
    with Connection(proxy.port, receive_buffer=4096) as connection:
        connection.ask(path)
        assert connection.read_head().status == 200
        begun = time.monotonic()
        while time.monotonic() - begun < 1.5:
            read += connection.read(65536)
            # The pace of this client: a step well within the time limit.
            threading.Event().wait(0.1)
    assert read == endless(0, len(read))
