"""Settings of the counters of several machines, added up in Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar
from urllib.parse import parse_qsl, urlsplit

from settings import hosts
from settings.declare import option
from settings.kinds import HIDDEN, Duration, Kind
from settings.root import Root
from settings.texts import Text

_redis = partial(option, group="Redis")

_SCHEMES = ("redis", "rediss", "unix")
# What may stand behind the question mark; the rest of the client's parameters are aprp's business.
_PARAMETERS = {
    "db": r"[0-9]{1,5}",
    "cluster": r"true|false",
    "ssl_ca_certs": r"[^\0]+",
    "ssl_certfile": r"[^\0]+",
    "ssl_keyfile": r"[^\0]+",
}


@dataclass(frozen=True, slots=True)
class RedisURL(Kind):
    """The URL of a Redis, which may have a password in it; empty for none.

    It is shown without user and password, and not at all where it is not allowed.
    """

    metavar: ClassVar[str] = "URL"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return (
            "a URL such as redis://user:password@host:6379/0, rediss://host (TLS) or "
            "unix:///path/to/socket, which may have ?cluster=true, ?db=, ?ssl_ca_certs=, "
            "?ssl_certfile= and ?ssl_keyfile=; or empty for none"
        )

    def read(self, value: object) -> str:
        """See Kind."""
        if not isinstance(value, str):
            raise TypeError
        if value:
            _check(value)
        return value

    def show(self, value: str) -> str:
        """Return the URL without user and password."""
        before, at, rest = value.rpartition("@")
        return f"{before.partition('://')[0]}://{HIDDEN}@{rest}" if at else value

    def told(self, value: object) -> str:
        """See Kind."""
        return "what is given"


def _check(url: str) -> None:
    """Raise ValueError for a URL that cannot be one of a Redis."""
    # Bytes of the environment that are no UTF-8 come as surrogates.
    url.encode()
    parts = urlsplit(url)
    if not url.isprintable() or " " in url or parts.scheme not in _SCHEMES or parts.fragment:
        raise ValueError
    given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    if len(dict(given)) != len(given):
        raise ValueError
    for name, text in given:
        if not re.fullmatch(_PARAMETERS.get(name, r"(?!)"), text):
            raise ValueError
    # An unescaped @ of a password would make another host of it.
    if parts.netloc.count("@") > 1:
        raise ValueError
    cluster = dict(given).get("cluster") == "true"
    if parts.scheme == "unix":
        if parts.hostname or len(parts.path) < 2 or cluster:
            raise ValueError
        return
    # A cluster has no numbered databases.
    if cluster and (parts.path.strip("/0") or dict(given).get("db", "0").strip("0")):
        raise ValueError
    if parts.port == 0 or not re.fullmatch(r"(?:/[0-9]{0,5})?", parts.path, re.ASCII):
        raise ValueError
    host = parts.hostname or ""
    hosts.pattern(f"[{host}]" if ":" in host else host)
    if host.startswith("*"):
        raise ValueError


class Counting(Root):
    """The group Redis."""

    REDIS_URL: Annotated[str, RedisURL()] = _redis(
        "",
        "Redis or Valkey in which the counters of several machines are added up; empty: none; "
        "with a password better given in the environment than as a flag, which others on this "
        "machine can see",
        secret=True,
    )
    REDIS_KEY: Annotated[
        str, Text(r"[A-Za-z0-9._:-]{1,64}", "1 to 64 letters, digits, '.', '_', ':' or '-'")
    ] = _redis(
        "aprp",
        "what the names of the keys in Redis begin with, as {aprp}; proxies with the same one are "
        "added up",
    )
    REDIS_INTERVAL: Annotated[float, Duration(low=0.05, high=20.0)] = _redis(
        1.0, "how often counters are written to Redis and those of others are read"
    )
    REDIS_TIMEOUT: Annotated[float, Duration(low=0.05, high=60.0)] = _redis(
        2.0,
        "longest wait for Redis, connecting included; no request waits for it, but a stop does",
    )
