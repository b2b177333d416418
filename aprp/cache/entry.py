"""What is known of one stored response, and why one cannot be stored."""

import secrets
from dataclasses import dataclass

__all__ = ["CannotStore", "Entry", "new_id"]

_ID_BITS = 62


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored response: one version of one representation. Its bytes lie in extents."""

    id: int
    """The version id, a random positive number of 62 bits (`new_id`)."""
    key: str
    """The cache key: which requests it may answer."""
    vary: tuple[tuple[str, str | None], ...]
    """Lower-case names of request fields, and the values that selected it; None: not sent."""
    status: int
    """200 for stored parts too (RFC 9111 section 3.3)."""
    reason: str
    fields: tuple[tuple[str, str], ...]
    """End-to-end fields of the response as of a 200: no Content-Range."""
    length: int
    """Bytes of the whole representation."""
    request_time: float
    """When the request was made that it answered, in seconds of Unix time."""
    response_time: float
    """When its head came, or a 304 freshened it (RFC 9111 section 4.2.3), in Unix time."""
    ranges: bool
    """Whether the origin answers ranges of it."""
    combinable: bool
    """Whether its validators let parts of different responses be combined (RFC 9111 section 3.4).

    If not, it counts only when it is complete.
    """
    complete: bool
    """Whether all bytes have been stored."""
    target: str
    """Path and query as asked of the origin, for people and for revalidation."""


class CannotStore(Exception):
    """Nothing can be stored now; the text says why and what to do. Serving goes on without."""


def new_id() -> int:
    """Make a version id that no other process makes."""
    return secrets.randbits(_ID_BITS) or 1
