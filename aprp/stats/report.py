"""What is told of the counters: the answers of /stats and /status.

Pure: counters and a time in, values and text out. The fields are described in docs/stats.md.
"""

from dataclasses import dataclass

from aprp import __version__
from aprp.stats.cache import CacheReport, Figures, cache_report
from aprp.stats.counters import Count, Counters
from aprp.stats.shared_sum import Sum
from aprp.stats.units import Volume


@dataclass(frozen=True, slots=True)
class Report:
    """The counters at one moment, summed over the workers."""

    version: str
    uptime: float
    """Seconds since the start."""
    workers: int
    target: str | None
    """The upstream that `?target_url=` has set, None where it is UPSTREAM."""
    requests: int
    responses: tuple[int, int, int, int, int]
    """Answers by status class, 1xx first."""
    to_clients: Volume
    from_origins: Volume
    active_transfers: int
    client_aborts: int
    origin_breaks: int
    origin_requests: int
    origin_connects: int
    origin_reuses: int
    origin_failures: int
    origin_timeouts: int
    origin_failovers: int
    origin_surplus: int
    origin_rejected: int
    tunnels_open: int
    tunnels: int
    tunnels_up: Volume
    tunnels_down: Volume
    cache: CacheReport
    redis: Sum | None
    """The counters of all machines; None without REDIS_URL."""

    def to_json(self) -> dict[str, object]:
        """Give the object that /stats answers with."""
        return {
            "version": self.version,
            "uptime": {"seconds": round(self.uptime, 3), "text": uptime_text(self.uptime)},
            "workers": self.workers,
            "target": self.target,
            "requests": self.requests,
            "responses": {f"{n}xx": count for n, count in enumerate(self.responses, 1)},
            "bytes_to_clients": self.to_clients.to_json(),
            "bytes_from_origins": self.from_origins.to_json(),
            "transfers": {
                "active": self.active_transfers,
                "aborted_by_clients": self.client_aborts,
                "broken_by_origins": self.origin_breaks,
            },
            "origins": {
                "requests": self.origin_requests,
                "connects": self.origin_connects,
                "reuses": self.origin_reuses,
                "failures": self.origin_failures,
                "timeouts": self.origin_timeouts,
                "failovers": self.origin_failovers,
                "surplus": self.origin_surplus,
                "rejected": self.origin_rejected,
            },
            "tunnels": {
                "open": self.tunnels_open,
                "opened": self.tunnels,
                "bytes_up": self.tunnels_up.to_json(),
                "bytes_down": self.tunnels_down.to_json(),
            },
            "cache": self.cache.to_json(),
            "redis": None if self.redis is None else self.redis.to_json(),
        }


def report(
    counters: Counters,
    now: float,
    figures: Figures | None = None,
    *,
    target: str | None = None,
    redis: Sum | None = None,
    version: str = __version__,
) -> Report:
    """Read the counters; `now` is of the clock of `Counters.started` (`time.monotonic`).

    `figures` are those of the cache's directory; None where there is no cache. `target` is the
    upstream in place of UPSTREAM, if there is one, `redis` what all machines have counted, if they
    are added up.
    """
    total = counters.total
    return Report(
        version=version,
        uptime=counters.uptime(now),
        workers=counters.workers,
        target=target,
        requests=total(Count.REQUESTS),
        responses=(
            total(Count.RESPONSES_1XX),
            total(Count.RESPONSES_2XX),
            total(Count.RESPONSES_3XX),
            total(Count.RESPONSES_4XX),
            total(Count.RESPONSES_5XX),
        ),
        to_clients=Volume(total(Count.BYTES_TO_CLIENTS)),
        from_origins=Volume(total(Count.BYTES_FROM_ORIGINS)),
        active_transfers=total(Count.ACTIVE_TRANSFERS),
        client_aborts=total(Count.CLIENT_ABORTS),
        origin_breaks=total(Count.ORIGIN_BREAKS),
        origin_requests=total(Count.ORIGIN_REQUESTS),
        origin_connects=total(Count.ORIGIN_CONNECTS),
        origin_reuses=total(Count.ORIGIN_REUSES),
        origin_failures=total(Count.ORIGIN_FAILURES),
        origin_timeouts=total(Count.ORIGIN_TIMEOUTS),
        origin_failovers=total(Count.ORIGIN_FAILOVERS),
        origin_surplus=total(Count.ORIGIN_SURPLUS),
        origin_rejected=total(Count.ORIGIN_REJECTED),
        tunnels_open=total(Count.TUNNELS_OPEN),
        tunnels=total(Count.TUNNELS),
        tunnels_up=Volume(total(Count.TUNNEL_BYTES_UP)),
        tunnels_down=Volume(total(Count.TUNNEL_BYTES_DOWN)),
        cache=cache_report(counters, figures),
        redis=redis,
    )


def status(counters: Counters, now: float, redis: Sum | None = None) -> dict[str, object]:
    """Give the object that /status answers with: requests so far, and seconds since the start.

    With `redis` also the requests of all machines, and how it stands with Redis.
    """
    told: dict[str, object] = {
        "counter": counters.total(Count.REQUESTS),
        "uptime": round(counters.uptime(now), 3),
    }
    if redis is not None:
        told["sum"] = {"counter": redis.totals["requests"], "machines": redis.machines}
        told["redis"] = redis.text
    return told


def uptime_text(seconds: float) -> str:
    """Give `N days, HH:MM:SS`; the word is `days` for one day too, so that programs can read it."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days} days, {hour:02}:{minute:02}:{second:02}"
