"""Settings of ranges and of the cache."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import ValidationInfo, field_validator

from settings import lists
from settings.declare import option
from settings.kinds import GIB, KIB, MIB, Duration, RefusedError, Size, Switch, Whole
from settings.root import Root
from settings.texts import FileName, Text

_ranges = partial(option, group="Ranges")
_cache = partial(option, group="Cache")


class Caching(Root):
    """The groups Ranges and Cache."""

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
    CACHE_KEY_IGNORE: Annotated[Sequence[str], lists.PARAMETERS] = _cache(
        (),
        "query parameters that are no part of the cache key, such as the signatures of links; "
        "whoever knows the rest of a link is then served from the cache",
    )
    PURGE_ALLOW: Annotated[Sequence[str], lists.NETWORKS] = _cache(
        ("127.0.0.0/8", "::1/128"),
        "networks of clients that may remove files from the cache by PURGE, empty: none; a proxy "
        "in front on this machine has to send X-Forwarded-For, or all its clients may",
    )
    ADMIN_ALLOW: Annotated[Sequence[str], lists.NETWORKS] = _cache(
        ("127.0.0.0/8", "::1/128"),
        "networks of operators, who may remove and fetch files on the page /stats and see clients' "
        "addresses there, empty: none; as with PURGE_ALLOW, a proxy in front on this machine has "
        "to send X-Forwarded-For",
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

    @field_validator("DIRTY_LIMIT")
    @classmethod
    def _a_slice_may_be_dirty(cls, value: int, info: ValidationInfo) -> int:
        if value < (slice_size := info.data.get("SLICE_SIZE", 0)):
            said, least = Size().show(value), Size().show(slice_size)
            raise RefusedError(f"{said} is less than SLICE_SIZE ({least}): nothing would be cached")
        return value
