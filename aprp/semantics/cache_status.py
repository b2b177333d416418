"""What a cache did for a request, told to the client: Cache-Status (RFC 9211)."""

from typing import Final

from aprp.semantics.structured import write_string, write_word

FORWARD_REASONS: Final = frozenset(
    {"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
)
"""The values of fwd (section 2.2)."""


def cache_status(
    name: str,
    *,
    hit: bool = False,
    fwd: str | None = None,
    fwd_status: int | None = None,
    ttl: float | None = None,
    stored: bool = False,
    collapsed: bool = False,
    key: str | None = None,
    detail: str | None = None,
    existing: str | None = None,
) -> str:
    """Give the value of Cache-Status, `existing` (of caches nearer to the origin) before it.

    `name` is this cache's. `hit`: answered without asking the origin, else `fwd` says why it was
    asked, and `fwd_status` what it answered. `ttl` is the remaining lifetime in seconds, rounded
    down. `stored`: what it answered is kept. `collapsed`: that one request serves several clients.
    `key` helps an attacker; it is for clients that may know it (section 6).

    Raises ValueError for `hit` together with `fwd`, for neither, for an unknown `fwd`, and for
    what has a meaning only with `fwd` without it.
    """
    if hit == (fwd is not None):
        raise ValueError("Cache-Status: exactly one of hit and fwd is to be given")
    if fwd is None:
        if fwd_status is not None or stored or collapsed:
            raise ValueError("Cache-Status: fwd_status, stored and collapsed go only with fwd")
    elif fwd not in FORWARD_REASONS:
        raise ValueError(f"Cache-Status: fwd is {fwd!r}, not one of {sorted(FORWARD_REASONS)}")
    parts = [write_word(name), "hit" if fwd is None else f"fwd={fwd}"]
    if fwd_status is not None:
        parts.append(f"fwd-status={fwd_status}")
    if ttl is not None:
        parts.append(f"ttl={int(ttl // 1)}")
    if stored:
        parts.append("stored")
    if collapsed:
        parts.append("collapsed")
    if key is not None:
        parts.append(f"key={write_string(key)}")
    if detail is not None:
        parts.append(f"detail={write_word(detail)}")
    own = "; ".join(parts)
    return f"{existing}, {own}" if existing else own
