"""The files of a fault origin: their content, how they are served, and what was asked of them."""

import threading
from collections import deque
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

from tests.e2e.bodies import Body
from tests.e2e.content import MODIFIED
from tests.e2e.programs import wait_until
from tests.e2e.scripted import Request


@dataclass(frozen=True, slots=True)
class Plan:
    """How one answer is to go: as it stands here, without a fault."""

    status: str | None = None
    """Say this status, with a short text and none of the file: `503 Service Unavailable`."""
    hang_up: bool = False
    """Close instead of answering."""
    mute: bool = False
    """Answer nothing, and wait for the other end to close."""
    wait: threading.Event | None = None
    """Wait for the event before the answer begins."""
    hold: tuple[int, threading.Event] | None = None
    """After so many bytes of the body wait for the event."""
    cut: int | None = None
    """Close after so many bytes of the body."""
    reset: int | None = None
    """Break the connection after so many bytes of the body, when they have been taken."""
    stall: int | None = None
    """After so many bytes of the body send no more, and wait for the other end to close."""
    change: bool = False
    """When the answer has ended, in whichever way, the file is another version."""
    moved: int = 0
    """Content-Range tells a place that is so many bytes further on than the bytes are."""
    declared: int = 0
    """Content-Length is so many bytes more than are sent, or fewer."""
    total: str | None = None
    """What Content-Range tells as the whole length, `*` for instance."""
    ignores_range: bool = False
    """Answer 200 with the whole, whatever was asked."""
    fields: tuple[str, ...] = ()
    """Further lines of the head."""


NO_FAULT = Plan()


@dataclass(slots=True)
class Served:
    """A request and what became of it; `start` and `stop` are the bytes of the file asked for."""

    request: Request
    begun: float
    start: int = 0
    stop: int = 0
    status: int = 0
    sent: int = 0
    """Bytes of the body, those that the kernel has not sent yet included."""
    over: bool = False

    @property
    def range(self) -> tuple[int, int] | None:
        """The range asked for, half open, as the request says it with both ends; None if not."""
        first, _, last = (self.request.get("Range") or "").removeprefix("bytes=").partition("-")
        return (int(first), int(last) + 1) if first and last else None


@dataclass(slots=True)
class File:
    """A file of the origin, how it is served, and what was asked; a test may change the settings.

    `plans` are for the next GET requests, one for each; `always` for those after them. `delay`
    is in seconds before each head, `rate` in bytes a second for each connection.
    """

    path: str
    size: int
    shape: Literal["sized", "chunked", "closing", "http/1.0"] = "sized"
    ranges: bool = True
    etag: Literal["strong", "weak", "none"] = "strong"
    dated: bool = True
    fields: tuple[str, ...] = ("Cache-Control: max-age=3600",)
    delay: float = 0.0
    rate: float | None = None
    laid: tuple[tuple[int, bytes], ...] = ()
    run_out: set[str] = field(default_factory=set)
    """Queries that are refused: links whose time is over."""
    version: int = 1
    plans: deque[Plan] = field(default_factory=deque)
    always: Plan = NO_FAULT
    served: list[Served] = field(default_factory=list)
    at_once: int = 0
    """The most answers that were under way at once."""

    def body(self, version: int | None = None) -> Body:
        """The bytes of a version; of the present one by default."""
        return Body(self.path, version or self.version, self.size, self.laid)

    def tag_of(self, version: int) -> str | None:
        """The entity tag of a version; None where they have none."""
        if self.etag == "none":
            return None
        return f'{"W/" if self.etag == "weak" else ""}"v{version}"'

    def date_of(self, version: int) -> str:
        """When a version was written: each a day after the one before it."""
        return formatdate(MODIFIED + 86400 * (version - 1), usegmt=True)

    @property
    def requests(self) -> list[Request]:
        """The requests so far."""
        return [served.request for served in self.served]

    @property
    def sent(self) -> int:
        """Bytes of bodies sent so far."""
        return sum(served.sent for served in self.served)

    @property
    def ranges_asked(self) -> list[tuple[int, int] | None]:
        """The ranges of the GET requests so far, half open."""
        return [served.range for served in self.served if served.request.method == "GET"]

    def wait_requests(self, count: int) -> None:
        """Wait until so many requests have come."""
        wait_until(lambda: len(self.served) >= count, f"{count} requests for {self.path}")

    def wait_sent(self, size: int) -> None:
        """Wait until so many bytes have been sent."""
        wait_until(lambda: self.sent >= size, f"{size} bytes of {self.path} are sent")

    def wait_quiet(self) -> None:
        """Wait until no answer is under way."""
        wait_until(
            lambda: all(served.over for served in list(self.served)), f"no answer of {self.path}"
        )
