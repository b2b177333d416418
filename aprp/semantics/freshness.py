"""How long a stored response may be used, and what to do with it now (RFC 9111 section 4.2).

For a shared cache. `policy` says once for a stored response what its fields come to; `judge`
then weighs it against a request each time. All times are seconds since the epoch.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from aprp.semantics.cache_control import (
    NO_DIRECTIVES,
    TARGETED_FIELD,
    Directives,
    Get,
    chosen_directives,
    delta_seconds,
)
from aprp.semantics.dates import parse_date

HEURISTICALLY_CACHEABLE: Final = frozenset({200, 203, 204, 206, 300, 301, 308})
"""Statuses that may be used again though the origin states no lifetime.

RFC 9110 section 15.1 has 404, 405, 410, 414 and 501 too; here an error is kept only where the
origin says so.
"""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A freshness lifetime in seconds, stated or guessed; neither: the origin gave no hint."""

    seconds: float
    explicit: bool = False
    heuristic: bool = False


UNKNOWN_LIFETIME: Final = Lifetime(0)

# Of the time since Last-Modified; typical, says section 4.2.2.
_HEURISTIC_FRACTION: Final = 0.1


@dataclass(frozen=True, slots=True)
class Policy:
    """What the fields of a stored response come to."""

    directives: Directives
    lifetime: Lifetime
    initial_age: float
    """The age at `response_time`, in seconds (section 4.2.3, corrected_initial_age)."""
    response_time: float

    def age(self, now: float) -> float:
        """Give the current age in seconds; the Age field has it rounded down."""
        return self.initial_age + max(0.0, now - self.response_time)


@dataclass(frozen=True, slots=True)
class Fresh:
    """Use it as it is. `ttl` is negative where the client accepts a stale response (max-stale)."""

    age: float
    ttl: float


@dataclass(frozen=True, slots=True)
class StaleWhileRevalidating:
    """Use it now, and ask the origin meanwhile (RFC 5861 section 3)."""

    age: float
    ttl: float


@dataclass(frozen=True, slots=True)
class MustAsk:
    """Ask the origin first.

    `usable_on_error`: use it if the origin gives no answer or one of 500, 502, 503, 504.
    `reason` is "stale", or "request" where the client wants to be sure of a fresh response; both
    are values of fwd in Cache-Status.
    """

    age: float
    ttl: float
    usable_on_error: bool
    reason: str


Verdict: TypeAlias = Fresh | StaleWhileRevalidating | MustAsk


def policy(
    get: Get,
    status: int,
    request_time: float,
    response_time: float,
    *,
    heuristic_max: float = 86400,
) -> Policy:
    """Say what the fields of a response come to, for a shared cache.

    `request_time` and `response_time` are when its request was sent and when its head came. The
    lifetime is that of s-maxage, else of max-age, else of Expires (section 4.2.1). Else it is a
    tenth of the time since Last-Modified, at most `heuristic_max` seconds (section 4.2.2); 0 if
    that is missing or the status does not allow it.
    """
    return _policy(*_values(get), status, request_time, response_time, heuristic_max)


_Values: TypeAlias = tuple[str | None, str | None, str | None, str | None, str | None, str | None]


def _values(get: Get) -> _Values:
    return (
        get(TARGETED_FIELD),
        get("Cache-Control"),
        get("Expires"),
        get("Date"),
        get("Age"),
        get("Last-Modified"),
    )


# Few, for an origin may fill its fields with anything: who answers often keeps the policy.
@lru_cache(maxsize=256)
def _policy(
    targeted: str | None,
    general: str | None,
    expires: str | None,
    date_field: str | None,
    age_field: str | None,
    modified: str | None,
    status: int,
    request_time: float,
    response_time: float,
    heuristic_max: float,
) -> Policy:
    directives = chosen_directives(targeted, general)
    # A response without a valid Date counts as sent when it came (RFC 9110 section 6.6.1).
    stated = None if date_field is None else _date(date_field, response_time)
    date = response_time if stated is None else float(stated)
    age_value = 0 if age_field is None else delta_seconds(age_field.partition(",")[0].strip(" \t"))
    delay = max(0.0, response_time - request_time)
    initial_age = max(0.0, response_time - date, (age_value or 0) + delay)

    found = UNKNOWN_LIFETIME
    if directives.s_maxage is not None:
        found = Lifetime(directives.s_maxage, explicit=True)
    elif directives.max_age is not None:
        found = Lifetime(directives.max_age, explicit=True)
    elif expires is not None and not directives.targeted:
        # An invalid date, "0" above all, lies in the past (section 5.3).
        until = _date(expires, response_time)
        found = Lifetime(0 if until is None else max(0.0, until - date), explicit=True)
    elif modified is not None and (status in HEURISTICALLY_CACHEABLE or directives.public):
        since = _date(modified, response_time)
        if since is not None and since < date:
            guess = min(_HEURISTIC_FRACTION * (date - since), heuristic_max)
            found = Lifetime(guess, heuristic=True)
    return Policy(directives, found, initial_age, response_time)


def _date(value: str, now: float) -> int | None:
    """Read a date, also in other than the right case: section 4.2 wants caches to be lenient."""
    found = parse_date(value, int(now))
    if found is None and len(value) < 64:
        found = parse_date(value.title().replace("Gmt", "GMT"), int(now))
    return found


def judge(
    stored: Policy,
    request: Directives,
    now: float,
    *,
    default_stale_while_revalidate: float = 0,
    default_stale_if_error: float = 0,
) -> Verdict:
    """Say what to do with a stored response (RFC 9111 sections 4.2.4 and 5.2, RFC 5861).

    The defaults, in seconds past the lifetime, stand in where the origin states no such
    directive; the first not where the lifetime is 0 or not known. must-revalidate,
    proxy-revalidate and s-maxage, which implies the latter (section 5.2.2.10), rule out any use
    of it when stale, whatever else is stated. only-if-cached is left to the caller, who answers
    504 instead of asking the origin (section 5.2.1.7).
    """
    directives = stored.directives
    age = stored.age(now)
    ttl = stored.lifetime.seconds - age
    if ttl > 0 and not directives.no_cache:
        if request is NO_DIRECTIVES or not _refused(request, directives, age, ttl):
            return Fresh(age, ttl)
        # What clients state here is advice (section 5.2.1): better a fresh response than none.
        return MustAsk(age, ttl, True, "request")
    if directives.no_cache or _never_stale(directives):
        return MustAsk(age, ttl, False, "stale")

    staleness = -ttl
    known = stored.lifetime.explicit or stored.lifetime.heuristic
    if known and _accepts_stale(request, staleness) and not _refused(request, directives, age, ttl):
        window: float | None = directives.stale_while_revalidate
        if window is None and stored.lifetime.seconds > 0:
            window = default_stale_while_revalidate
        if staleness < (window or 0):
            return StaleWhileRevalidating(age, ttl)
        if request.max_stale is not None:
            return Fresh(age, ttl)
    window = directives.stale_if_error
    allowed = max(default_stale_if_error if window is None else window, request.stale_if_error or 0)
    return MustAsk(age, ttl, staleness < allowed, "stale")


def may_collapse(stored: Policy, request: Directives, now: float) -> bool:
    """Whether the answer to a question may do for a request that came after it had been asked.

    Not where each use needs a validation of its own (RFC 9111 sections 4, 5.2.1.4, 5.2.2.2 and
    5.2.2.4). One that is no more than stale on arrival may.
    """
    directives = stored.directives
    if directives.no_cache or request.no_cache:
        return False
    return stored.lifetime.seconds > stored.age(now) or not _never_stale(directives)


def _never_stale(directives: Directives) -> bool:
    """Whether the response is never to be used when stale."""
    return (
        directives.must_revalidate or directives.proxy_revalidate or directives.s_maxage is not None
    )


def _accepts_stale(request: Directives, staleness: float) -> bool:
    """Whether the client takes a response this long past its lifetime (section 5.2.1.2)."""
    if request.max_stale is not None:
        return staleness <= request.max_stale
    return request.max_age is None  # with max-age alone it wants none (section 5.2.1.1)


def _refused(request: Directives, stored: Directives, age: float, ttl: float) -> bool:
    """Whether the client wants a newer response (section 5.2.1)."""
    if request is NO_DIRECTIVES:
        return False
    if request.no_cache or (request.min_fresh is not None and ttl < request.min_fresh):
        return True
    # A plain reload asks with max-age=0; what never changes need not be asked for until it is
    # stale (RFC 8246 section 2).
    if request.max_age is None or (stored.immutable and ttl > 0):
        return False
    return age > request.max_age
