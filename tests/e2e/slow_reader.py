"""A client that reads a large file slowly, and what the proxy is seen to hold meanwhile."""

import os
import threading
import time
from typing import Self

from tests.e2e.clients import Connection
from tests.e2e.programs import PATIENCE, anonymous_memory
from tests.e2e.servers import Proxy

RATE = 1_000_000
"""Bytes a second."""
_STEP = 0.1

_LONG = os.environ.get("CI") == "true" or os.environ.get("APRP_LONG") == "1"
SECONDS = float(os.environ.get("SLOW_READER_SECONDS", "40" if _LONG else "5"))
"""How long it reads."""


class SlowReader:
    """Reads in a thread of its own until its time is over; the attributes tell what it saw.

    `proxy` is what it reads through, `length` the Content-Length of the answer, `read` the bytes
    read, `wrong` whether one of them was not zero, `memory` the most anonymous memory of the proxy
    in bytes, `ahead` the most bytes by which the proxy's reading was before this client's.
    """

    def __init__(self, proxy: Proxy, target: str) -> None:
        self.length: str | None = None
        self.read = self.memory = self.ahead = 0
        self.wrong = False
        self.proxy = proxy
        self._target = target
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)

    def wait(self) -> None:
        """Wait until its time is over; raises what went wrong."""
        self._thread.join(SECONDS + PATIENCE)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with Connection(self.proxy.port, receive_buffer=65536) as connection:
                connection.ask(self._target)
                self.length = connection.read_head().get("Content-Length")
                self._read_on(connection)
        except Exception as error:
            self._error = error

    def _read_on(self, connection: Connection) -> None:
        begun = time.monotonic()
        step = 0
        while step * _STEP < SECONDS:
            piece = connection.read(int(RATE * _STEP))
            self.read += len(piece)
            self.wrong |= piece != bytes(int(RATE * _STEP))
            step += 1
            if step % 5 == 0:
                self._look()
            # Pacing is what this client is for; its end need not be waited for.
            if self._stop.wait(max(begun + step * _STEP - time.monotonic(), 0)):
                return

    def _look(self) -> None:
        self.memory = max(self.memory, anonymous_memory(self.proxy.pid))
        fetched = self.proxy.stats()["bytes_from_origins"]["bytes"]
        self.ahead = max(self.ahead, fetched - self.read)
