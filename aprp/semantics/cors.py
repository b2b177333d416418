"""Players on other sites: cross-origin answers as the Fetch standard defines them.

The functions give field lines to add to an answer. The policy is the proxy's: an origin's own
Access-Control fields are to be taken out before (`cors_fields`). Requests with cookies or
other credentials are not allowed for.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

from aprp.semantics.headers import Pair

ALLOWED_METHODS: Final = ("GET", "HEAD", "OPTIONS")
ALLOWED_HEADERS: Final = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
EXPOSED_HEADERS: Final = (
    "Content-Range",
    "Content-Length",
    "Accept-Ranges",
    "ETag",
    "X-Request-ID",
)

MAX_REQUESTED: Final = 64
"""Most names of Access-Control-Request-Headers that are looked at."""

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_EXPOSE: Final = ("Access-Control-Expose-Headers", ", ".join(EXPOSED_HEADERS))
_VARY: Final = ("Vary", "Origin")


def is_preflight(method: str, origin: str | None, requested_method: str | None) -> bool:
    """Tell a CORS preflight from any other request.

    `origin` and `requested_method` are the fields Origin and Access-Control-Request-Method.
    """
    return method == "OPTIONS" and origin is not None and requested_method is not None


def cors_fields(names: Iterable[str]) -> list[str]:
    """Give those of a response's field names, in lower case, that belong to the CORS protocol."""
    return [name for name in names if name.startswith("access-control-")]


def decorate(origin: str | None, allowed: Collection[str]) -> list[Pair]:
    """Give the fields to add to the answer of any request but a preflight.

    `origin` is the request's Origin field; `allowed` holds origins as browsers write them
    (`https://player.example`: no path, no default port), or `*` for all; empty switches CORS
    off. Unless all are allowed, every answer says `Vary: Origin`, that to a request without an
    Origin too: a cache may keep it and serve it to another site.
    """
    if not allowed:
        return []
    granted = _granted(origin, allowed)
    fields = [] if granted is None else [("Access-Control-Allow-Origin", granted), _EXPOSE]
    return fields if granted == "*" else [*fields, _VARY]


def preflight(
    origin: str, requested_headers: str | None, allowed: Collection[str], max_age: int
) -> list[Pair]:
    """Give the fields of the answer to a preflight, an empty 204.

    `requested_headers` is the field Access-Control-Request-Headers; names in it that are tokens
    are allowed besides ALLOWED_HEADERS, the first MAX_REQUESTED of them. `max_age` is for how
    many seconds the browser may rely on the answer. An origin that is not allowed is told
    nothing, which is a refusal. `allowed` is as for `decorate`.
    """
    granted = _granted(origin, allowed)
    vary = [] if granted == "*" else [_VARY]
    if granted is None:
        return vary
    return [
        ("Access-Control-Allow-Origin", granted),
        ("Access-Control-Allow-Methods", ", ".join(ALLOWED_METHODS)),
        ("Access-Control-Allow-Headers", ", ".join(_allowed_headers(requested_headers or ""))),
        ("Access-Control-Max-Age", str(max_age)),
        *vary,
    ]


def _granted(origin: str | None, allowed: Collection[str]) -> str | None:
    if "*" in allowed:
        return "*"
    return origin if origin in allowed else None


def _allowed_headers(requested: str) -> list[str]:
    names = {name.lower(): name for name in ALLOWED_HEADERS}
    for name in requested.split(",", MAX_REQUESTED)[:MAX_REQUESTED]:
        bare = name.strip(" \t")
        if _is_token(bare):
            names.setdefault(bare.lower(), bare)
    return list(names.values())
