"""Fetching a file through the proxy and dropping its bytes, so that the proxy stores it."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tornado.httpclient import AsyncHTTPClient

from aprp import __version__
from aprp.upstream.errors import ConnectFailed, OriginFailure, ResolveFailed
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin
from aprp.upstream.request import OriginRequest

if TYPE_CHECKING:
    import asyncio

# Seconds. The proxy may ask one origin after another before it answers, each for its own
# FIRST_BYTE_TIMEOUT, and take a broken transfer up again several times.
_CONNECT: Final = 10.0
_PATIENCE: Final = 300.0

# A problem's text is small; more is not looked at.
_MOST_OF_A_PROBLEM: Final = 65536

_members: Final = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*\Z)').split
_has_it: Final = re.compile(
    r";\s*(?:(?:hit|stored|collapsed)\s*(?:=\s*\?1\s*)?|fwd=partial|fwd-status=304)\s*(?:;|\Z)"
).search
_quoted: Final = re.compile(r'"[^"]*"')


class FetchFailed(Exception):
    """A file was not fetched, or not all of it; the text is one line."""


class Watcher(Protocol):
    """Who hears how far a fetch is."""

    def begun(self, total: int | None) -> None:
        """The answer has begun; `total` is the number of bytes that come, None: not known."""

    def received(self, count: int) -> None:
        """`count` more bytes have come."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched whole."""

    bytes: int
    seconds: float
    status: str | None
    """What the proxy says of it in Cache-Status (RFC 9211), if it says anything."""

    @property
    def stored(self) -> bool:
        """Whether the proxy has it now; True where it does not say."""
        return self.status is None or _has_it(_quoted.sub("", self.status)) is not None


async def fetch(client: AsyncHTTPClient, proxy: Origin, target: str, watcher: Watcher) -> Fetched:
    """GET a target through a proxy. Raises FetchFailed."""
    fetch = _Fetch(watcher)
    request = OriginRequest(
        f"{proxy.url}{target}",
        proxy.endpoint,
        headers={
            "Host": proxy.host,
            "User-Agent": f"aprp/{__version__} (cache warm)",
            # What is fetched in advance has not been watched.
            "Sec-Purpose": "prefetch",
        },
        on_head=fetch.on_head,
        on_body=fetch.on_body,
        connect_timeout=_CONNECT,
        first_byte_timeout=_PATIENCE,
        idle_timeout=_PATIENCE,
    )
    started = time.monotonic()
    try:
        await client.fetch(request, raise_error=False)
    except (ConnectFailed, ResolveFailed) as error:
        hint = "start the proxy, or say with --proxy where it is"
        raise FetchFailed(f"{_words(error)}; {hint}") from None
    except OriginFailure as error:
        raise FetchFailed(f"{_words(error)}, after {fetch.count:,} bytes") from None
    finally:
        # A fetch that is cancelled would go on; one that is over is not touched.
        request.abort()
    head = fetch.head
    assert head is not None
    if not 200 <= head.status < 300:
        raise FetchFailed(_refusal(head, bytes(fetch.problem)))
    said = head.fields.get("Cache-Status")
    # Every cache on the way adds itself at the end.
    status = None if said is None else _members(said)[-1].strip()
    return Fetched(fetch.count, time.monotonic() - started, status)


class _Fetch:
    """Head and number of bytes of one answer."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._good = False
        self.head: ResponseHead | None = None
        self.count = 0
        self.problem = bytearray()

    def on_head(self, head: ResponseHead) -> None:
        """The head has come."""
        self.head = head
        self._good = 200 <= head.status < 300
        if self._good:
            length = head.fields.get("Content-Length") or ""
            self._watcher.begun(int(length) if length.isdecimal() else None)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Body bytes have come."""
        self.count += len(view)
        if self._good:
            self._watcher.received(len(view))
        elif len(self.problem) < _MOST_OF_A_PROBLEM:
            self.problem += view
        return None


def _refusal(head: ResponseHead, body: bytes) -> str:
    """Say what the proxy answered in place of the file."""
    said = f"{head.status} {head.reason}".strip()
    location = head.fields.get("Location")
    if 300 <= head.status < 400 and location:
        return f"{said}: it is at {location}; redirects are not followed"
    if (head.fields.get("Content-Type") or "").startswith("application/problem+json"):
        try:
            problem = json.loads(body)
        except ValueError:
            return said
        if isinstance(problem, Mapping) and isinstance(problem.get("detail"), str):
            return f"{said}: {problem['detail']}"
    return said


def _words(error: Exception) -> str:
    text = str(getattr(error, "message", None) or getattr(error, "strerror", None) or error)
    return text or type(error).__name__
