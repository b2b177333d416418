"""What stands at the other end of a tunnel: a server that is played with from the test."""

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator

from tests.e2e.clients import Connection, Reply
from tests.e2e.programs import PATIENCE, wait_until
from tests.e2e.servers import Proxy, StartProxy

FORWARDS = {"APRP_FORWARD": "on", "APRP_FORWARD_ALLOW": "127.0.0.1,localhost"}
"""Settings of a forward proxy for hosts on loopback."""


class FarEnd:
    """Listens; each connection is handed to the test as a socket."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.authority = f"127.0.0.1:{self.port}"
        self._came: queue.Queue[socket.socket] = queue.Queue()
        self._all: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many connections have come so far."""
        return len(self._all)

    def accept(self) -> socket.socket:
        """The next connection."""
        return self._came.get(timeout=PATIENCE)

    def close(self) -> None:
        """Close everything."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(PATIENCE)
        for sock in self._all:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                # Closed: the test is over.
                return
            sock.settimeout(PATIENCE)
            self._all.append(sock)
            self._came.put(sock)


@contextlib.contextmanager
def far_end() -> Iterator[FarEnd]:
    """Listen on a free port of loopback."""
    end = FarEnd()
    try:
        yield end
    finally:
        end.close()


def forwarding(start: StartProxy, *ports: int, **environ: str) -> Proxy:
    """Start a proxy that makes tunnels to these ports of loopback, and to no other host."""
    listed = {"APRP_CONNECT_PORTS": ",".join(map(str, ports))} if ports else {}
    return start("--upstream", "http://127.0.0.1:9", **FORWARDS | listed | environ)


def connect(proxy: Proxy, authority: str, *lines: str, early: bytes = b"") -> Connection:
    """Open a tunnel; the connection comes with nothing of the tunnel read."""
    connection = Connection(proxy.port)
    head = (f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *lines, "", "")
    connection.send("\r\n".join(head).encode() + early)
    reply = connection.read_head()
    assert reply.status == 200, reply
    return connection


def refused(proxy: Proxy, authority: str, *lines: str) -> Reply:
    """Ask for a tunnel that is not made; the whole answer."""
    with Connection(proxy.port) as connection:
        head = (f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *lines, "", "")
        connection.send("\r\n".join(head).encode())
        return connection.read_reply()


def receive(sock: socket.socket, size: int) -> bytes:
    """Receive so many bytes."""
    taken = bytearray()
    while len(taken) < size:
        piece = sock.recv(min(size - len(taken), 1 << 20))
        assert piece, f"ended after {len(taken)} bytes"
        taken += piece
    return bytes(taken)


def wait_tunnels(proxy: Proxy, number: int) -> dict[str, object]:
    """Wait until so many tunnels are open; what /stats tells of tunnels then."""
    told: dict[str, object] = {}

    def reached() -> bool:
        told.update(proxy.stats()["tunnels"])
        return told["open"] == number

    wait_until(reached, f"{number} tunnels are open")
    return told


def at_rest(proxy: Proxy) -> Proxy:
    """Wait until the proxy has no tunnel open and no transfer under way; the proxy."""
    wait_tunnels(proxy, 0)
    proxy.wait_idle()
    return proxy
