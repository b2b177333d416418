"""Checks of hosts in settings; each returns the host as it is kept. All raise ValueError."""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
# Such a name would be taken for an IPv4 address, by each program in its way.
_NUMBER_AT_THE_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_PORT = re.compile(r"[0-9]{1,5}")
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")

ANY_PUBLIC = "*"
"""The word in FORWARD_ALLOW and TARGET_URL_ALLOW that stands for every public host."""


def name(entry: str) -> str:
    """Check the name of a host, and return it in lower case without a dot at its end."""
    host = entry.lower().removesuffix(".")
    # Some letters beyond ASCII have lower cases in it.
    if not entry.isascii() or not _NAME.fullmatch(host) or _NUMBER_AT_THE_END.fullmatch(host):
        raise ValueError
    return host


def pattern(entry: str) -> str:
    """Check a name, `*.` and a name, or an address; IPv6 may have brackets, which are taken off."""
    if entry.startswith("*."):
        return f"*.{name(entry[2:])}"
    if entry.startswith("[") and entry.endswith("]"):
        return str(ipaddress.IPv6Address(entry[1:-1]))
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return name(entry)


def reachable(entry: str) -> str:
    """Check what clients may have requests sent to: a pattern, an address, a network, or `*`."""
    if entry == ANY_PUBLIC:
        return entry
    return str(ipaddress.ip_network(entry)) if "/" in entry else pattern(entry)


def host_field(entry: str) -> str:
    """Check a Host field: a name or an address, with or without a port; it is kept as it is."""
    match = _HOST_AND_PORT.fullmatch(entry)
    if match is None or match[1].startswith("*"):
        raise ValueError
    pattern(match[1])
    if match[2]:
        port(match[2])
    return entry


def port(entry: str) -> int:
    """Check a TCP port."""
    if not _PORT.fullmatch(entry) or not 0 < int(entry) < 65536:
        raise ValueError
    return int(entry)
