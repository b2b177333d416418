"""The origins of UPSTREAM: which one is asked, in which order."""

import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aprp.upstream.dial import Endpoint, Guard

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that holds media: `url` without a slash at its end, `host` as in Host."""

    url: str
    base_path: str
    host: str
    endpoint: Endpoint

    @classmethod
    def parse(cls, url: str, tls: ssl.SSLContext | None, guard: Guard | None = None) -> "Origin":
        """Read a validated http or https URL; `tls` is used for https."""
        parsed = urlsplit(url)
        assert parsed.hostname is not None
        port = parsed.port or _DEFAULT_PORTS[parsed.scheme]
        context = tls if parsed.scheme == "https" else None
        return cls(
            url.rstrip("/"),
            parsed.path.rstrip("/"),
            parsed.netloc.rpartition("@")[2],
            Endpoint(parsed.hostname, port, context, guard=guard),
        )


class Origins:
    """Origins in the order of preference; those that could not be reached go to the end.

    `retry_after` is in seconds: so long an origin that failed to connect is tried last.
    """

    def __init__(self, origins: Sequence[Origin], retry_after: float) -> None:
        """At least one origin is needed."""
        assert origins
        self.origins = tuple(origins)
        self.retry_after = retry_after
        self._down_until: dict[Origin, float] = {}

    def candidates(self, now: float, avoid: Collection[Origin] = ()) -> Sequence[Origin]:
        """The origins to try, in order; `now` is in seconds of any steady clock.

        Those in `avoid` have failed in another way than by not being reached, for the caller
        alone: they are tried after the others, but before those that could not be reached.
        """
        if not self._down_until and not avoid:
            return self.origins
        for origin, until in list(self._down_until.items()):
            if until <= now:
                del self._down_until[origin]
        return sorted(self.origins, key=lambda o: (o in self._down_until, o in avoid))

    def failed(self, origin: Origin, now: float) -> None:
        """Note that an origin could not be reached."""
        self._down_until[origin] = now + self.retry_after

    def reached(self, origin: Origin) -> None:
        """Note that an origin answered."""
        if self._down_until:
            self._down_until.pop(origin, None)


def origin_tls(ca_file: str | None) -> ssl.SSLContext:
    """The TLS context for https origins; certificates are verified, against `ca_file` if given.

    Raises OSError or ssl.SSLError where the file cannot be used.
    """
    return ssl.create_default_context(cafile=ca_file)
