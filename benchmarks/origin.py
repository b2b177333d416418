"""The origin's own account of its work: that a hit was one, and a miss one miss.

The origin writes the number of body bytes of each answer into a file. What has been added to it
while a proxy was measured must be what the kind of work means; a cache that asks the origin in the
middle of "hits", or does not keep what it fetched, has been measured doing something else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.scenarios import Kind

# Bytes that may be fetched for each byte of a miss.
MOST_FETCHED = 1.02
# Answers are logged when their last byte has left, which may be after the client has it.
_LOGGED_WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """Requests, and the bytes of the bodies in their answers."""

    requests: int
    bytes: int

    def __sub__(self, earlier: Work) -> Work:
        """What was done since."""
        return Work(self.requests - earlier.requests, self.bytes - earlier.bytes)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Reads the file in which the origin notes the bytes of each answer, a line each."""

    log: Path

    def total(self) -> Work:
        """All that has been answered so far."""
        # A line that is being written has no end yet and is not counted.
        lines = self.log.read_bytes().split(b"\n")[:-1]
        return Work(len(lines), sum(map(int, lines)))

    def since(self, before: Work, least: int = 0) -> Work:
        """What was answered since `before`, once that is `least` bytes or two seconds are over."""
        deadline = time.monotonic() + _LOGGED_WITHIN
        while True:
            work = self.total() - before
            if work.bytes >= least or time.monotonic() > deadline:
                return work
            time.sleep(0.01)


def verify(kind: Kind, asked: Work, fetched: Work, slice_size: int | None) -> None:
    """Raise BenchError unless what was `fetched` from the origin is right for what was `asked`.

    `slice_size` is the smallest range in bytes that the proxy fetches in a miss, None where it
    fetches an object in one request.
    """
    did = f"{asked.requests} requests for {asked.bytes} bytes, and the origin answered "
    did += f"{fetched.requests} with {fetched.bytes} bytes"
    if kind in ("pass", "upload"):
        if fetched.requests < asked.requests or fetched.bytes < asked.bytes:
            raise BenchError(f"not everything was passed through: {did}")
    elif kind == "hit":
        if fetched.requests:
            raise BenchError(f"not everything was a hit: {did}")
    else:
        if fetched.bytes < asked.bytes:
            raise BenchError(f"not everything was a miss: {did}")
        if fetched.bytes > MOST_FETCHED * asked.bytes:
            raise BenchError(f"bytes were fetched more than once: {did}")
        most = asked.requests
        if slice_size is not None:
            most = -(-asked.bytes // slice_size)
        if not asked.requests <= fetched.requests <= most:
            raise BenchError(f"expected {asked.requests} to {most} requests at the origin: {did}")
