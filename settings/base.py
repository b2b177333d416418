"""Every setting of aprp: its type, bounds, default, unit and meaning.

A class of your own derives from `Settings` and gives new defaults (`PORT = 9000`) or adds settings
(`STUDIO: str = "A"`). `docs/settings.md` is made from this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from settings import addresses
from settings.declare import SettingsMeta, option
from settings.kinds import (
    GIB,
    KIB,
    MIB,
    Choice,
    Duration,
    RefusedError,
    Size,
    Switch,
    Whole,
    shown,
)
from settings.texts import PROJECT, FileName, Listed, Text

# RFC 9110 section 5.6.2: token.
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"
# Two colons at least: `0.0.0.0:8000` is no IPv6 address, and the port has a setting of its own.
_IPV6 = r"(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._-]{1,32})?"
_HOST = rf"|{_IPV6}|[A-Za-z0-9][A-Za-z0-9._-]{{0,252}}"

_Upstreams = Listed(
    entry=addresses.upstream,
    meaning="an http or https URL without user, query and fragment, such as "
    "http://origin:8080/films, or the word embedded",
    missing="not set: give the address of an origin, such as --upstream http://origin:8080",
)
_Origins = Listed(
    entry=addresses.web_origin,
    meaning="an origin without a path, such as https://player.example, or *",
)
_Networks = Listed(
    entry=addresses.network,
    meaning="an IP address or network such as 10.0.0.0/8 or 2001:db8::/32",
)
_Parameters = Listed(
    entry=addresses.parameter,
    meaning="the name of a query parameter, such as token, or its beginning with * behind it, "
    "such as X-Amz-*",
)

_general = partial(option, group="General")
_origin = partial(option, group="Origin")
_ranges = partial(option, group="Ranges")
_cache = partial(option, group="Cache")
_clients = partial(option, group="Clients")
_logging = partial(option, group="Logging")


class Settings(BaseSettings, metaclass=SettingsMeta):
    """What an operator may change, with defaults that are safe and need an origin to be named.

    `Settings(PORT=0)` takes what it is given and the class's defaults, nothing else: it reads no
    environment, and raises pydantic's ValidationError for a wrong value. `settings.load` adds
    the environment and the flags. Lists are kept as tuples, sizes in bytes, durations in seconds.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=True)

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
        "", "path before /stats, /status and /healthz, for origins that have such paths themselves"
    )

    UPSTREAM: Annotated[Sequence[str], _Upstreams] = _origin(
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

    RANGE_PARAM: Annotated[
        str, Text(r"[A-Za-z0-9._~-]{0,64}", "a name of letters, digits, . _ ~ and -, or empty")
    ] = _ranges("range", "query parameter that carries a range, as in ?range=0-99; empty: off")
    RANGE_PATH: Annotated[bool, Switch()] = _ranges(
        True, "take a range from the end of the path, as in /film.mp4/0/99"
    )
    MAX_RANGES: Annotated[int, Whole(1, unit="ranges")] = _ranges(
        16, "most ranges in one request; with more, the whole file is sent"
    )

    CACHE_DIR: Annotated[Path | None, FileName("the path of a directory", optional=True)] = _cache(
        Path("cache"), "directory that holds the cache; empty: nothing is cached"
    )
    CACHE_SIZE: Annotated[int, Size()] = _cache(
        10 * GIB,
        "most that the cache takes on the disk; what was used longest ago makes room for what is "
        "new; 0: nothing is cached",
    )
    SLICE_SIZE: Annotated[int, Size(64 * KIB, 16 * MIB, power_of_two=True)] = _cache(
        MIB, "unit in which files are fetched and cached: any range is filled in whole slices"
    )
    DIRTY_LIMIT: Annotated[int, Size(MIB)] = _cache(
        256 * MIB,
        "most bytes put into the cache and not yet on the disk, in each worker; beyond it, what "
        "comes from an origin is passed on and not cached",
    )
    READ_AHEAD: Annotated[int, Size()] = _cache(
        8 * MIB,
        "how far ahead of a client that reads on the cache is filled; 0: not beyond what is asked",
    )
    PARALLEL_FETCHES: Annotated[int, Whole(1, 16, "requests")] = _cache(
        3, "most requests to an origin at once for one client that reads on, on slow lines"
    )
    RETRIES: Annotated[int, Whole(0, 100, "times")] = _cache(
        5,
        "how often a broken transfer from an origin is taken up again where it stopped; the count "
        "begins anew with each byte that comes",
    )
    RETRY_BACKOFF: Annotated[float, Duration()] = _cache(
        0.25, "wait before a broken transfer is taken up again; it doubles each time, up to 8 s"
    )
    CACHE_WITHOUT_VALIDATOR: Annotated[bool, Switch()] = _cache(
        False,
        "combine parts of files that have neither ETag nor Last-Modified if the length of the "
        "file is the same; a file that changed and kept its length is then served mixed",
    )
    CACHE_KEY_IGNORE: Annotated[Sequence[str], _Parameters] = _cache(
        (),
        "query parameters that are no part of the cache key, such as the signatures of links; "
        "whoever knows the rest of a link is then served from the cache",
    )
    PURGE_ALLOW: Annotated[Sequence[str], _Networks] = _cache(
        ("127.0.0.0/8", "::1/128"),
        "networks of clients that may remove files from the cache by PURGE, empty: none; a proxy "
        "in front on this machine has to send X-Forwarded-For, or all its clients may",
    )
    STALE_WHILE_REVALIDATE: Annotated[float, Duration(low=0.0)] = _cache(
        0.0,
        "how long a stale file is still served at once while its origin is asked whether it "
        "changed, where the origin does not say (stale-while-revalidate)",
    )
    STALE_IF_ERROR: Annotated[float, Duration(low=0.0)] = _cache(
        86400.0,
        "how long a stale file is still served while no origin gives a usable answer, where the "
        "origin does not say (stale-if-error)",
    )
    HEURISTIC_MAX: Annotated[float, Duration(low=0.0)] = _cache(
        86400.0,
        "most that a file counts as fresh where its origin gives no lifetime: a tenth of its age "
        "by Last-Modified, up to this; 0: its origin is asked each time",
    )

    CORS_ORIGINS: Annotated[Sequence[str], _Origins] = _clients(
        (), "sites whose players may read answers, such as https://player.example, or * for all"
    )
    TRUSTED_PROXIES: Annotated[Sequence[str], _Networks] = _clients(
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

    LOG_FILE: Annotated[Path | None, FileName(optional=True)] = _logging(
        Path("aprp.log"), "log file; empty: none"
    )
    LOG_LEVEL: Annotated[str, Choice(("DEBUG", "INFO", "WARNING", "ERROR"))] = _logging(
        "INFO", "least severity that is logged"
    )
    LOG_FORMAT: Annotated[str, Choice(("text", "json", "combined"))] = _logging(
        "text", "how a line is written; combined is Apache's access format"
    )
    LOG_MAX_BYTES: Annotated[int, Size()] = _logging(
        10 * MIB, "size at which the log file is rotated; 0: never"
    )
    LOG_BACKUP_COUNT: Annotated[int, Whole(0, 10000, "files")] = _logging(
        5, "rotated log files that are kept; 0: the log file is never rotated"
    )
    LOG_DELAY: Annotated[float, Duration(low=0.0)] = _logging(
        0.05,
        "how long lines of INFO and below may wait so that many are written at once, which costs "
        "less; 0: each is written at once",
    )
    LOG_CONSOLE: Annotated[bool, Switch()] = _logging(False, "log to the standard error too")
    ACCESS_LOG: Annotated[bool, Switch()] = _logging(True, "log a line for each request")
    VIA_NAME: Annotated[str, Text(_TOKEN, "a name without spaces, such as aprp")] = _logging(
        "aprp", "name of this proxy in the Via field"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller only; `settings.load` gives it environment and flags.

        A class of your own may add a source behind it, such as a TOML file of pydantic-settings.
        """
        return (init_settings,)

    @field_validator("DIRTY_LIMIT")
    @classmethod
    def _a_slice_may_be_dirty(cls, value: int, info: ValidationInfo) -> int:
        if value < (slice_size := info.data.get("SLICE_SIZE", 0)):
            said, least = Size().show(value), Size().show(slice_size)
            raise RefusedError(f"{said} is less than SLICE_SIZE ({least}): nothing would be cached")
        return value

    @field_validator("MEDIA_DIR")
    @classmethod
    def _media_dir_exists(cls, value: Path, info: ValidationInfo) -> Path:
        if addresses.EMBEDDED in info.data.get("UPSTREAM", ()) and not value.is_dir():
            raise RefusedError(
                f"{shown(value)} is not an existing directory (UPSTREAM has the word embedded)"
            )
        return value
