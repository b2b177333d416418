"""What tests of bad input share: the doors that a request can take, and a request hidden in one."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.clients import fetch
from tests.e2e.servers import Proxy
from tests.e2e.tunnels import FORWARDS
from tests.e2e.witness import Witness

WAYS = ("passthrough", "cache", "stored", "forward", "forward, cache")
"""The doors. To those of the cache a request goes by GET, and without a body."""

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
"""A request that nobody means to send: it stands behind one that is refused."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Way:
    """One request's way: its method, its target as it is written, and its path at the origin."""

    method: str
    target: str
    path: str
    host: str

    def fill(self, form: str) -> bytes:
        """A form as bytes: START is the request line and Host, METHOD, TARGET, HOST parts of it."""
        start = "METHOD TARGET HTTP/1.1\r\nHost: HOST\r\n"
        text = form.replace("START", start).replace("METHOD", self.method)
        return text.replace("TARGET", self.target).replace("HOST", self.host).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Stage:
    """A proxy with a cache that forwards too, and the origin behind it."""

    origin: Witness
    proxy: Proxy

    def way(self, name: str) -> Way:
        """A way to a path that no other request has."""
        path = f"/{'kept' if name == 'stored' else 'w'}/{next(_numbers)}"
        if name == "stored":
            assert fetch(self.proxy.url, path).status == 200
        authority = f"127.0.0.1:{self.origin.port}"
        forward = name.startswith("forward")
        return Way(
            "POST" if name in ("passthrough", "forward") else "GET",
            f"http://{authority}{path}" if forward else path,
            path,
            authority if forward else "media.example",
        )

    def settle(self) -> None:
        """Wait until the origin has what was sent to it before; nothing malformed has come."""
        path = f"/settled/{next(_numbers)}"
        assert fetch(self.proxy.url, path).status == 200
        assert len(self.origin.asked(path)) == 1
        self.origin.check()


@contextmanager
def stage(directory: Path, **environ: str) -> Iterator[Stage]:
    """Start both; at the end nothing malformed has come to the origin."""
    origin = Witness()
    try:
        flags = ("--upstream", origin.url)
        with Proxy(directory, *flags, cache=True, **FORWARDS | environ) as proxy:
            yield Stage(origin, proxy)
        origin.check()
    finally:
        origin.close()
