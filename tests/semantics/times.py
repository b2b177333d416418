"""A moment for tests of caching, and fields that name moments around it."""

from collections.abc import Callable
from email.utils import formatdate

from aprp.semantics.headers import Fields

NOW = 1_763_700_000.0
"""When a response came, in seconds since the epoch (November 2025)."""


def at(seconds: float) -> str:
    """Give the HTTP-date that lies `seconds` after NOW."""
    return formatdate(NOW + seconds, usegmt=True)


def getting(*pairs: tuple[str, str]) -> Callable[[str], str | None]:
    """Give what finds the value of a field in `pairs`."""
    return Fields(pairs).get
