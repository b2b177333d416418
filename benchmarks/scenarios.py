"""What is measured: the kinds of work, and the figure that each gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
FILE_SIZE = 320 * MIB

Kind = Literal["pass", "hit", "miss", "upload"]
"""pass: nothing is kept; hit: everything is in the cache; miss: every object is new, and stored;
upload: bodies of requests, which have another origin."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of work: `count` ranges of `size` bytes over some keep-alive connections.

    The ranges of a miss are each of another object; a warm-up is never of an object measured.
    Uploads are POSTs of `size` bytes, one after the other on one connection.
    """

    name: str
    title: str
    kind: Kind
    size: int
    connections: int
    warmup: int
    count: int
    quick_count: int
    unit: str  # "us/request" or "s/GiB"


SCENARIOS = (
    Scenario("1k", "1 KiB ranges", "pass", KIB, 8, 200, 8000, 2000, "us/request"),
    Scenario("64k", "64 KiB ranges", "pass", 64 * KIB, 8, 200, 6000, 1500, "us/request"),
    Scenario("1m", "1 MiB ranges", "pass", MIB, 8, 40, 1000, 200, "us/request"),
    Scenario("large", "256 MiB ranges", "pass", 256 * MIB, 1, 1, 4, 1, "s/GiB"),
    Scenario("upload-1g", "uploads of 1 GiB", "upload", GIB, 1, 1, 4, 1, "s/GiB"),
    Scenario("hit-1k", "hits of 1 KiB", "hit", KIB, 8, 200, 8000, 2000, "us/request"),
    Scenario("hit-64k", "hits of 64 KiB", "hit", 64 * KIB, 8, 200, 6000, 1500, "us/request"),
    Scenario("hit-1m", "hits of 1 MiB", "hit", MIB, 8, 40, 1000, 200, "us/request"),
    Scenario("hit-large", "hits of 256 MiB", "hit", 256 * MIB, 1, 1, 8, 2, "s/GiB"),
    Scenario("miss-large", "misses of 320 MiB, stored", "miss", FILE_SIZE, 1, 1, 4, 1, "s/GiB"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One peer's work in one scenario of one turn.

    `seconds` is the time it took by the clock, `cpu` the proxy's CPU time in seconds;
    `origin_requests` and `origin_bytes` (of bodies) are what the origin had to do meanwhile.
    """

    turn: int
    peer: str
    scenario: str
    requests: int
    bytes: int
    seconds: float
    cpu: float
    origin_requests: int = 0
    origin_bytes: int = 0

    def value(self, unit: str) -> float:
        """CPU time in the scenario's unit."""
        if unit == "s/GiB":
            return self.cpu / (self.bytes / GIB)
        return self.cpu / self.requests * 1e6
