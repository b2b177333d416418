"""Checks of what lists of settings hold, addresses mostly; each returns the entry as it is kept.

All raise ValueError for an entry that is not allowed.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

EMBEDDED = "embedded"
"""The word in UPSTREAM that stands for the origin inside aprp, which serves MEDIA_DIR."""

# A name that has an empty label, or one of more than 63 letters, cannot even be looked up.
_LABEL = r"[A-Za-z0-9_-]{1,63}"
NAME = rf"(?=[A-Za-z0-9]){_LABEL}(?:\.{_LABEL})*(?<=[A-Za-z0-9])\.?"
"""A regular expression for what may be the name of a host, or an IPv4 address."""
_HOST = rf"(?:\[[0-9A-Fa-f:.]+\]|{NAME})"
# RFC 3986: what a path may hold; the query and the fragment are left out on purpose.
_URL = re.compile(rf"https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._~!$&'()*+;=:@%/-]*)?", re.I)
# RFC 6454 section 6.2, as browsers send it; apps on phones have schemes of their own.
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{_HOST}(?::[0-9]{{1,5}})?", re.IGNORECASE)
# RFC 6838 section 4.2.
_MEDIA_TYPE = re.compile(
    r"\*/\*|[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/(?:\*|[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126})"
)
# RFC 3986: what a query may hold but its separators; and brackets, which many send unescaped.
_PARAMETER = re.compile(r"(?=.)(?:[A-Za-z0-9._~!$'():@/?;+\[\]-]|%[0-9A-Fa-f]{2}){0,128}\*?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def upstream(entry: str) -> str:
    """Check an origin: the word `embedded`, or an http or https URL that may have a base path."""
    if entry.lower() == EMBEDDED:
        return EMBEDDED
    if not _URL.fullmatch(entry):
        raise ValueError
    _check_authority(entry)
    return entry


def web_origin(entry: str) -> str:
    """Check an origin in the browser's sense, `https://player.example`, or `*`; in lower case."""
    if entry == "*":
        return entry
    if not _ORIGIN.fullmatch(entry):
        raise ValueError
    _check_authority(entry)
    return entry.lower()


def network(entry: str) -> str:
    """Check an IP address or network and return it as a network: `10.0.0.7` as `10.0.0.7/32`."""
    return str(ipaddress.ip_network(entry))


def parameter(entry: str) -> str:
    """Check the name of a query parameter as URLs carry it; `*` behind it is any ending."""
    if not _PARAMETER.fullmatch(entry):
        raise ValueError
    return entry


def media_type(entry: str) -> str:
    """Check a media type without parameters, or all of a kind as in `video/*`; in lower case."""
    if not _MEDIA_TYPE.fullmatch(entry):
        raise ValueError
    return entry.lower()


def user(entry: str) -> str:
    """Check `name:password` of Basic authentication (RFC 7617 section 2)."""
    name, _, password = entry.partition(":")
    # Bytes of the environment that are no UTF-8 come as surrogates.
    entry.encode()
    if not name or not password or _CONTROL.search(entry):
        raise ValueError
    return entry


def _check_authority(url: str) -> None:
    parts = urlsplit(url)
    if parts.port == 0:
        raise ValueError
    if parts.netloc.startswith("["):
        ipaddress.IPv6Address(parts.hostname or "")
