"""What this worker has under way, read off its exchanges and versions while somebody looks."""

import os
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from aprp.live.rows import MOST_PLACES, Activity, Row, Transfer, range_of

if TYPE_CHECKING:
    from aprp.media.version import Version

_CPUCLOCK_SCHED: Final = 2


class Sending(Protocol):
    """An exchange, as far as transfers are concerned."""

    request_id: str
    client: str
    method: str
    target: str
    status: int
    range_text: str | None
    started: float

    @property
    def is_transfer(self) -> bool:
        """Whether it carries bytes between a client and a site, and is no tunnel."""

    @property
    def delivered(self) -> int:
        """Bytes of the body that the client's side of the connection has taken."""

    @property
    def promised(self) -> int | None:
        """Bytes of the whole body."""


class Watcher:
    """Makes this worker's rows; remembers how far transfers had come."""

    def __init__(self) -> None:
        """Begin with no memory."""
        # By the exchange's place in memory, with when it began, for another may come to be there.
        self._before: dict[int, tuple[float, float, int]] = {}

    def row(self, exchanges: Collection[Sending], versions: Iterable["Version"], now: float) -> Row:
        """Read what is under way; `now` is of the clock of `Sending.started`."""
        before, self._before = self._before, {}
        transfers = []
        for sending in exchanges:
            if sending.is_transfer:
                sent = sending.delivered
                told = before.get(id(sending))
                known = told is not None and told[0] == sending.started
                at, had = (told[1], told[2]) if told is not None and known else (sending.started, 0)
                self._before[id(sending)] = sending.started, now, sent
                rate = max(sent - had, 0) / (now - at) if now > at else 0.0
                transfers.append(_transfer(sending, sent, now, rate))
        return Row.of(time.monotonic(), transfers, filter(None, map(_activity, versions)))

    def forget(self) -> None:
        """Nobody looks any more."""
        if self._before:
            self._before = {}


def _transfer(sending: Sending, sent: int, now: float, rate: float) -> Transfer:
    return Transfer(
        sending.request_id,
        sending.client,
        sending.method,
        sending.target,
        sending.status,
        range_of(sending.range_text),
        sent,
        sending.promised,
        now - sending.started,
        rate,
    )


def _activity(version: "Version") -> Activity | None:
    """What is done with a version; None where the proxy only looks something up in it."""
    readers = [(reader.position, reader.stop) for reader in version.readers if not reader.own]
    fills = [(fill.begin, fill.position, fill.stop) for fill in version.fills if not fill.over]
    if not readers and not fills:
        return None
    return Activity(version.entry.id, tuple(readers[:MOST_PLACES]), tuple(fills[:MOST_PLACES]))


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used; 0 where there is none.

    By the kernel's CPU clock of another process (clock_getcpuclockid(3)).
    """
    if pid == os.getpid():
        return time.process_time()
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED) if pid else 0.0
    except OSError:
        return 0.0
