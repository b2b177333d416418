"""Names and addresses of hosts as requests carry them, brought to one form.

RFC 3986 sections 3.2.2 and 6.2.2.1; names in ASCII only, others as their A-labels (RFC 5890).
"""

import ipaddress
import re
from typing import Final, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_is_name: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*").fullmatch
# Programs take such a name for an IPv4 address, each in its way: 127.1, 0x7f000001, 017700000001.
_ends_in_number: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.DOTALL).fullmatch
_is_zone: Final = re.compile(r"[A-Za-z0-9._~-]{1,32}").fullmatch
_match_authority: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5})?)?").fullmatch


def canonical_host(host: str) -> str | None:
    """Give a host in the form in which hosts are compared; None if it is no host.

    `host` is a name or an address, of IPv6 with or without brackets, without a port. A name comes
    back in lower case and without the dot at its end; an address in its shortest form, without
    brackets, with its zone if it has one (RFC 6874). Names beyond ASCII, percent escapes, and
    names that could be read as an address although they are not written as one are no hosts.
    """
    if host.startswith("[") and host.endswith("]"):
        address = _ipv6(host[1:-1].replace("%25", "%", 1))
        return None if address is None else str(address)
    if ":" in host:
        return None if (address := _ipv6(host)) is None else str(address)
    name = host.lower().removesuffix(".")
    # Some letters beyond ASCII have lower cases in it.
    if not host.isascii() or not _is_name(name):
        return None
    if _ends_in_number(name):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            return None
    return name


def split_authority(authority: str) -> tuple[str, int | None] | None:
    """Split `host:port`, as Host, a URL and CONNECT have it; None if it is none.

    The host comes in its canonical form; the port is None where none is given, from 1 to 65535
    otherwise. User names are not taken (RFC 9110 section 4.2.4).
    """
    match = _match_authority(authority)
    if match is None or (host := canonical_host(match[1])) is None:
        return None
    if match[2] is None:
        return host, None
    port = int(match[2])
    return (host, port) if 0 < port < 65536 else None


def address_of(host: str) -> Address | None:
    """Give the address that a canonical host is, without its zone; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def as_ipv4(address: Address) -> Address:
    """Give the IPv4 address that is written as one of IPv6 (RFC 4291 section 2.5.5.2), or it."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _ipv6(text: str) -> ipaddress.IPv6Address | None:
    _, percent, zone = text.partition("%")
    if percent and not _is_zone(zone):
        return None
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        return None
