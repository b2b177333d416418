"""Settings of the program, of the origins, and of the sites behind it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import ValidationInfo, field_validator

from settings import addresses, lists
from settings.declare import option
from settings.kinds import Duration, RefusedError, Switch, Whole, shown
from settings.root import Root
from settings.routes import Route, Routes
from settings.texts import PROJECT, FileName, Text

# Two colons at least: `0.0.0.0:8000` is no IPv6 address, and the port has a setting of its own.
_IPV6 = r"(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?"
_HOST = rf"|{_IPV6}|(?=.{{1,253}}\Z){addresses.NAME}"

_general = partial(option, group="General")
_origin = partial(option, group="Origin")
_sites = partial(option, group="Sites")


class General(Root):
    """The groups General, Origin and Sites."""

    DEBUG: Annotated[bool, Switch()] = _general(
        False, "show causes in detail in error answers; not for the open internet"
    )
    PORT: Annotated[int, Whole(0, 65535)] = _general(
        8000, "TCP port to listen on; 0 takes any free one", also=("ASYNC_PROXY_SERVER_PORT",)
    )
    ADDRESS: Annotated[
        str, Text(_HOST, "a host name or an IP address without a port, or empty")
    ] = _general("", "host name or IP address to listen on; empty: all interfaces")
    WORKERS: Annotated[int, Whole(0, 1024)] = _general(
        1, "processes that serve; 0 starts one for each core"
    )
    DRAIN_TIMEOUT: Annotated[float, Duration(low=0.0)] = _general(
        30.0, "how long a stop waits for running transfers before it cuts them off"
    )
    ADMIN_PREFIX: Annotated[
        str,
        Text(
            r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*",
            "a path that begins with / and does not end with /, such as /_aprp, or empty",
        ),
    ] = _general(
        "",
        "path before /stats, /stats.json, /status, /metrics, /healthz and /play, for origins that "
        "have such paths themselves",
    )

    UPSTREAM: Annotated[Sequence[str], lists.UPSTREAMS] = _origin(
        (addresses.EMBEDDED,),
        "URLs of the origins, the first that can be reached serves, and each may carry a base "
        "path; the word embedded stands for a built-in origin that serves MEDIA_DIR",
    )
    UPSTREAM_CA: Annotated[
        Path | None, FileName("a file that can be read", optional=True, readable=True)
    ] = _origin(
        None,
        "PEM file of the authorities that sign the origins' certificates; empty: the system's",
    )
    MEDIA_DIR: Annotated[Path, FileName("the path of a directory")] = _origin(
        PROJECT / "media",
        "directory that the embedded origin serves (the default lies beside runserver.py)",
    )
    CONNECT_TIMEOUT: Annotated[float, Duration()] = _origin(
        5.0, "longest wait for a connection to an origin, TLS included"
    )
    FIRST_BYTE_TIMEOUT: Annotated[float, Duration()] = _origin(
        30.0, "longest wait for the first byte of an origin's answer; 504 after it"
    )
    IDLE_TIMEOUT: Annotated[float, Duration()] = _origin(
        30.0, "longest gap between two bytes of an origin's body; the transfer ends after it"
    )
    ORIGIN_KEEPALIVE: Annotated[float, Duration(low=0.0)] = _origin(
        55.0, "how long an idle connection to an origin is kept for the next request"
    )
    ORIGIN_MAX_IDLE: Annotated[int, Whole(0, 65536, "connections")] = _origin(
        64, "idle connections kept for each origin, in each worker"
    )
    ORIGIN_MAX_CONNECTIONS: Annotated[int, Whole(1, 1048576, "connections")] = _origin(
        1024, "most connections to all origins, in each worker"
    )
    ORIGIN_RETRY_AFTER: Annotated[float, Duration(low=0.0)] = _origin(
        10.0, "how long an origin that could not be reached is tried last"
    )

    ROUTES: Annotated[Sequence[Route], Routes()] = _sites(
        (),
        "other origins for a host, a path or both, each with headers, timeouts and cache rules of "
        "its own; what no route is for goes to UPSTREAM",
    )

    @field_validator("MEDIA_DIR")
    @classmethod
    def _media_dir_exists(cls, value: Path, info: ValidationInfo) -> Path:
        if addresses.EMBEDDED in info.data.get("UPSTREAM", ()) and not value.is_dir():
            raise RefusedError(
                f"{shown(value)} is not an existing directory (UPSTREAM has the word embedded)"
            )
        return value
