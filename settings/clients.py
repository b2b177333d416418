"""Settings of the clients' side: their connections, TLS, and how much of everything they get."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import ValidationInfo, field_validator

from settings import lists
from settings.declare import option
from settings.kinds import KIB, MIB, Duration, Rate, RefusedError, Size, Switch, Whole
from settings.root import Root
from settings.texts import FileName

_clients = partial(option, group="Clients")
_tls = partial(option, group="TLS")
_limits = partial(option, group="Limits")

_PEM = FileName("a file that can be read", optional=True, readable=True)


class Clients(Root):
    """The groups Clients, TLS and Limits."""

    CORS_ORIGINS: Annotated[Sequence[str], lists.ORIGINS] = _clients(
        (), "sites whose players may read answers, such as https://player.example, or * for all"
    )
    TRUSTED_PROXIES: Annotated[Sequence[str], lists.NETWORKS] = _clients(
        (), "networks of proxies in front of aprp whose X-Forwarded-* and Forwarded are believed"
    )
    KEEPALIVE_TIMEOUT: Annotated[float, Duration()] = _clients(
        75.0, "how long an idle connection of a client is kept"
    )
    SEND_TIMEOUT: Annotated[float, Duration()] = _clients(
        600.0, "a client that takes no byte for so long is dropped"
    )
    MAX_HEADER_SIZE: Annotated[int, Size(KIB, 16 * MIB)] = _clients(
        32 * KIB, "most bytes in the header section of a request"
    )
    BUFFER_SIZE: Annotated[int, Size(16 * KIB, 64 * MIB)] = _clients(
        MIB, "most bytes read from an origin at once; for slow clients it is a quarter of it"
    )

    TLS_CERT: Annotated[Path | None, _PEM] = _tls(
        None,
        "PEM file of the certificate, followed by those of the authorities between; clients then "
        "have to use https; read again on SIGHUP; empty: no TLS",
    )
    TLS_KEY: Annotated[Path | None, _PEM] = _tls(
        None, "PEM file of the certificate's private key, without a passphrase"
    )
    PROXY_PROTOCOL: Annotated[bool, Switch()] = _tls(
        False,
        "take a PROXY protocol header, version 1 or 2, before anything else on connections of "
        "TRUSTED_PROXIES, and the client's address from it",
    )

    HEADER_TIMEOUT: Annotated[float, Duration()] = _limits(
        30.0, "longest time for the head of a request to come as a whole; 408 after it"
    )
    BODY_TIMEOUT: Annotated[float, Duration()] = _limits(
        60.0, "longest gap between two bytes of a request's body; 408 after it"
    )
    MAX_BODY_SIZE: Annotated[int, Size()] = _limits(
        0, "most bytes in the body of a request, 413 above it; 0: no limit"
    )
    MAX_CONNECTIONS: Annotated[int, Whole(0, 10_000_000, "connections")] = _limits(
        0,
        "most connections of clients, over all workers; 503 above it; those of TRUSTED_PROXIES "
        "do not count, here and below; 0: no limit",
    )
    MAX_CONNECTIONS_PER_ADDRESS: Annotated[int, Whole(0, 10_000_000, "connections")] = _limits(
        0,
        "most connections of one client address, over all workers; 429 above it; an IPv6 "
        "network of 64 bits counts as one; 0: no limit",
    )
    REQUEST_RATE: Annotated[float, Rate()] = _limits(
        0.0,
        "most requests a second of one client address, behind TRUSTED_PROXIES the one that they "
        "name; 429 above it; 0: no limit",
    )
    RATE_LIMIT: Annotated[int, Size()] = _limits(
        0, "most bytes a second that one connection is sent, tunnels aside; 0: no limit"
    )
    RATE_LIMIT_AFTER: Annotated[int, Size()] = _limits(
        0, "bytes of a connection that are sent at full speed before RATE_LIMIT holds"
    )

    @field_validator("TLS_KEY")
    @classmethod
    def _certificate_and_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "TLS_CERT" in info.data and (info.data["TLS_CERT"] is None) != (value is None):
            named, other = ("TLS_KEY", "TLS_CERT") if value else ("TLS_CERT", "TLS_KEY")
            raise RefusedError(f"{named} is set and {other} is not: give both, or neither")
        return value
