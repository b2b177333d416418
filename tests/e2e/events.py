"""A client of the dashboard: reads its events, asks its pages, as the page itself does."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlencode

from tests.e2e import clients
from tests.e2e.clients import Connection, Reply
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy

STRANGER = "203.0.113.9"
"""A client that is no operator."""


class EventStream:
    """An open /stats/events."""

    def __init__(self, proxy: Proxy, *lines: str, prefix: str = "", version: str = "1.1") -> None:
        self.connection = Connection(proxy.port)
        head = (f"GET {prefix}/stats/events HTTP/{version}", f"Host: 127.0.0.1:{proxy.port}")
        self.connection.send("\r\n".join((*head, *lines, "", "")).encode())
        self.head = self.connection.read_head()
        self._held = b""

    def next(self) -> dict[str, Any] | None:
        """The data of the next event; None at the end."""
        while True:
            event, end, rest = self._held.partition(b"\n\n")
            if not end:
                chunked = self.head.get("Transfer-Encoding") == "chunked"
                piece = self.connection.read_chunk() if chunked else self.connection.read_some()
                if not piece:
                    return None
                self._held += piece
                continue
            self._held = rest
            if event == b"retry: 2000":
                continue
            assert event.startswith(b"data: ") and b"\n" not in event, event
            told: dict[str, Any] = json.loads(event.removeprefix(b"data: "))
            return told

    def until(
        self, condition: Callable[[dict[str, Any]], object], most: int = 15
    ) -> dict[str, Any]:
        """The first event of which something holds; fails where it does of none of the next."""
        seen = []
        for _ in range(most):
            event = self.next()
            assert event is not None, "the stream has ended"
            if condition(event):
                return event
            seen.append(event)
        raise AssertionError(f"in no event: {json.dumps(seen[-1], indent=1)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.connection.close()


def request(
    proxy: Proxy, method: str, target: str, body: bytes | None = None, **fields: str
) -> Reply:
    """Ask as a browser does that was led to the proxy's address."""
    host = fields.pop("Host", "")
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return clients.request(proxy.port, method, target, body, *lines, host=host)


def objects(proxy: Proxy, **query: object) -> dict[str, Any]:
    """What /stats/objects tells."""
    reply = request(proxy, "GET", f"/stats/objects?{urlencode(query)}")
    assert reply.status == 200, reply.body
    told: dict[str, Any] = json.loads(reply.body)
    return told


def one_object(proxy: Proxy, path: str) -> dict[str, Any]:
    """The only object of /stats/objects whose name holds this."""
    (found,) = objects(proxy, search=path)["objects"]
    told: dict[str, Any] = found
    return told


def act(proxy: Proxy, what: str, ids: list[str], **fields: str) -> Reply:
    """POST ids to /stats/purge or /stats/warm with a good token, unless `fields` say otherwise."""
    token: Mapping[str, str] = {"X_CSRF_Token": objects(proxy, limit=1)["admin"]["token"]}
    body = json.dumps({"ids": ids}).encode()
    return request(proxy, "POST", f"/stats/{what}", body, **{**token, **fields})


def held(source: FaultOrigin, size: int, after: int) -> tuple[File, threading.Event]:
    """A file whose origin waits in the middle of the first answer."""
    file = source.add(size)
    go_on = threading.Event()
    file.plans.append(Plan(hold=(after, go_on)))
    return file, go_on


def cors_fields(reply: Reply) -> list[str]:
    """The names of the fields that let other sites' pages read the answer."""
    return [name for name, _ in reply.fields if name.lower().startswith("access-control-")]


def start_pair(start: StartProxy, source: FaultOrigin) -> Proxy:
    """Start a proxy with two workers and a cache; everybody's pages may read what it serves."""
    flags = ("--upstream", source.url, "--workers", "2", "--cors-origins", "*")
    proxy = start(*flags, cache=True)
    wait_until(lambda: len(proxy.workers()) == 2, "two workers run")
    return proxy
