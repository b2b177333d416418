"""What a shared cache keeps, and how later messages change it (RFC 9111 sections 3 and 4.4)."""

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urljoin, urlsplit

from aprp.semantics.cache_control import Directives, Get, request_directives
from aprp.semantics.conditions import Validators
from aprp.semantics.freshness import HEURISTICALLY_CACHEABLE, policy
from aprp.semantics.headers import Fields, Pair, end_to_end
from aprp.semantics.vary import vary_of

# Statuses that speak of this one request and its fields, its client or its connection, rather
# than of the target: kept, they would answer requests they do not fit. RFC 6585 forbids to store
# 428, 429, 431 and 511; a 304 updates what is stored (section 4.3.4).
_OF_THE_REQUEST: Final = frozenset(
    {304, 401, 407, 408, 412, 416, 417, 421, 425, 426, 428, 429, 431, 511}
)
# Statuses of RFC 9110 that need nothing more of a cache than is done here (must-understand).
_UNDERSTOOD: Final = (
    frozenset({200, 201, 202, 203, 204, 206, 300, 301, 302, 303, 307, 308})
    | frozenset({400, 402, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422})
    | frozenset({500, 501, 502, 503, 504, 505})
)
_PROXY_FIELDS: Final = frozenset({"proxy-authentication-info"})
# What the stored bytes are cannot change without them (section 3.2).
_NOT_UPDATED: Final = frozenset({"content-encoding", "content-length", "content-range"})
# These tell how old a message is. Those of the old one would make the new one look as old.
_OF_ONE_MESSAGE: Final = frozenset({"age", "date"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
_default_port: Final = re.compile(r":(?:80|443)?\Z").sub


def storable(
    method: str, request_get: Get, status: int, response_get: Get, response_time: float
) -> str | None:
    """Say why a shared cache must not store a response; None if it may (section 3).

    `response_time`, in seconds since the epoch, is when its head came. The reason is one of the
    tokens "method", "status", "request-no-store", "no-store", "must-understand", "private",
    "authorization", "vary", "set-cookie", "no-freshness" and "no-validator". What may be stored
    without a lifetime must be validated before each use: `freshness.judge` says so.
    """
    if method != "GET":
        return "method"
    partial_of_unknown = status == 206 and response_get("Content-Range") is None
    if not 200 <= status <= 599 or status in _OF_THE_REQUEST or partial_of_unknown:
        return "status"
    if request_directives(request_get).no_store:
        return "request-no-store"
    known = policy(response_get, status, response_time, response_time)
    directives = known.directives
    if directives.must_understand and status not in _UNDERSTOOD:
        return "must-understand"
    # must-understand takes the force from a no-store beside it (section 5.2.2.3).
    if directives.no_store and not directives.must_understand:
        return "no-store"
    if directives.private:
        return "private"
    shared = directives.public or directives.s_maxage is not None
    authorized = request_get("Authorization") is not None
    if authorized and not (shared or directives.must_revalidate):  # section 3.5
        return "authorization"
    if vary_of(response_get, request_get) is None:
        return "vary"
    if response_get("Set-Cookie") is not None and not (shared or _without_cookies(directives)):
        return "set-cookie"
    return _of_no_use(
        status,
        directives,
        explicit=known.lifetime.explicit,
        seconds=known.lifetime.seconds,
        validators=Validators.from_headers(response_get, int(response_time)),
    )


def _without_cookies(directives: Directives) -> bool:
    """Whether an origin that sends a cookie all the same means the response for every client."""
    for_caches_like_this = directives.targeted and directives.max_age is not None
    return for_caches_like_this or "set-cookie" in directives.left_out


def _of_no_use(
    status: int,
    directives: Directives,
    *,
    explicit: bool,
    seconds: float,
    validators: Validators,
) -> str | None:
    if not (explicit or directives.public or status in HEURISTICALLY_CACHEABLE):
        return "no-freshness"
    if validators.etag is not None or validators.last_modified is not None:
        return None
    if directives.no_cache:
        return "no-validator"
    stale = (directives.stale_while_revalidate or 0) + (directives.stale_if_error or 0)
    if seconds > 0 or stale > 0:
        return None
    return "no-validator" if explicit else "no-freshness"


def storable_fields(pairs: Iterable[Pair], connection: str | None) -> list[Pair]:
    """Give the fields of a response that are stored with it (section 3.1).

    `connection` is the value of its Connection field, if any. Left out are fields of the
    connection and of proxies, and those that no-cache= and private= name.
    """
    fields = Fields(pairs)
    directives = policy(fields.get, 200, 0, 0).directives
    return end_to_end(fields.get_all(), connection, _PROXY_FIELDS | directives.left_out)


def updated_fields(stored: Sequence[Pair], new: Sequence[Pair]) -> list[Pair]:
    """Give the stored fields with those of a 304, or of another newer response (section 3.2).

    Each field of the new one takes the place of all stored lines of that name. Not taken over
    are those that `storable_fields` leaves out and those that describe the stored bytes. Nor is
    a cookie, unless the response would be stored with it: it is for one client. Age and Date of
    the stored response go in any case; where the new one has no Date, it is when it came.
    """
    fields = Fields(new)
    directives = policy(fields.get, 200, 0, 0).directives
    not_taken = _PROXY_FIELDS | _NOT_UPDATED | directives.left_out
    if not (directives.public or directives.s_maxage is not None):
        not_taken |= {"set-cookie", "set-cookie2"}
    lines: dict[str, list[Pair]] = {}
    for pair in end_to_end(new, fields.get("Connection"), not_taken):
        lines.setdefault(pair[0].lower(), []).append(pair)
    replaced = lines.keys()
    gone = _OF_ONE_MESSAGE | directives.left_out
    result: list[Pair] = []
    written: set[str] = set()
    for pair in stored:
        key = pair[0].lower()
        if key not in replaced:
            if key not in gone:
                result.append(pair)
        elif key not in written:
            written.add(key)
            result += lines[key]
    return result + [pair for key in lines if key not in written for pair in lines[key]]


def selects_for_update(stored_get: Get, new_get: Get) -> bool:
    """Say whether a 304 speaks of this stored response (section 4.3.4).

    A strong entity tag must be the same, both strong; a weak one, and Last-Modified, need only
    be the same. A 304 without any validator is taken at its word: it answers a question that
    named the validator of this response and no other.
    """
    stored, new = Validators.from_headers(stored_get), Validators.from_headers(new_get)
    if new.etag is not None:
        if stored.etag is not None:
            return (
                new.etag.weakly_equals(stored.etag)
                if new.etag.weak
                else new.etag.strongly_equals(stored.etag)
            )
        if not new.etag.weak:
            return False
    if new.last_modified is not None:
        return new.last_modified == stored.last_modified
    return new.etag is None


def invalidated_targets(
    method: str, status: int, request_target: str, response_get: Get, origin_authority: str
) -> list[str]:
    """Give the targets, path and query, whose stored responses are no longer valid (4.4).

    Those are the target of a request with an unsafe method, known or unknown, that did not
    fail (2xx or 3xx), and what Location and Content-Location name at the same host and port,
    `origin_authority`. Whether they say http or https is not compared.
    """
    if method in _SAFE_METHODS or not 200 <= status <= 399:
        return []
    targets = [request_target]
    for name in ("Location", "Content-Location"):
        reference = response_get(name)
        found = None if reference is None else _resolve(reference, request_target, origin_authority)
        if found is not None and found not in targets:
            targets.append(found)
    return targets


def _resolve(reference: str, base_target: str, authority: str) -> str | None:
    """Give the path and query a URI reference leads to; None if elsewhere, or malformed."""
    try:
        url = urlsplit(urljoin(f"http://{authority}{base_target}", reference.strip()))
    except ValueError:  # brackets of an IPv6 address that do not match
        return None
    if url.scheme not in ("http", "https"):
        return None
    if _default_port("", url.netloc.lower()) != _default_port("", authority.lower()):
        return None
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
