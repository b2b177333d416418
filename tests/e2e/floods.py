"""Origins that send without an end, to clients that take nothing of it."""

import queue
import time

from tests.e2e.clients import Connection
from tests.e2e.programs import PATIENCE
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, head
from tests.e2e.servers import Proxy

_LONG = 1 << 40


def floods(broken: "queue.Queue[float]") -> Script:
    """A script that sends until it is broken off, and puts the time of it by `time.monotonic`."""

    def script(peer: Peer) -> None:
        peer.send(head("200 OK", f"Content-Length: {_LONG}"))
        try:
            peer.send_endless(0, _LONG)
        finally:
            broken.put(time.monotonic())

    return script


def check_dropped(proxy: Proxy, origin: ScriptedOrigin, seconds: float) -> None:
    """A client that takes nothing is dropped, and not before so many seconds."""
    broken: queue.Queue[float] = queue.Queue()
    path = origin.plays(floods(broken))
    with Connection(proxy.port, receive_buffer=4096) as connection:
        connection.ask(path)
        begun = time.monotonic()
        assert broken.get(timeout=PATIENCE) - begun >= seconds
    assert proxy.wait_access_line(path)["end"] == "client took no bytes"
