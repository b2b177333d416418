"""The PROXY protocol: a proxy in front tells, before the first byte of a connection, whose it is.

Versions 1 and 2 of HAProxy's specification (proxy-protocol.txt, sections 2.1 and 2.2).
"""

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from aprp.semantics.hosts import as_ipv4

_V1_SIGNATURE: Final = b"PROXY "
_V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED: Final = 16

# Section 2.1: the longest line of version 1, its line end included.
_V1_LONGEST: Final = 107
_V1_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")

# The least that the words of a line can have: PROXY, family, two addresses, two ports.
_V1_LEAST: Final = {b"TCP4": (5, 4, 7, 7, 1, 1), b"TCP6": (5, 4, 2, 2, 1, 1)}

# Section 2.2: family and transport in one byte, to the bytes that its addresses take.
_UNSPECIFIED: Final = 0x00
_INET: Final = (0x11, 0x12)
_INET6: Final = (0x21, 0x22)
_UNIX: Final = (0x31, 0x32)
_ADDRESS_BYTES: Final = (
    {_UNSPECIFIED: 0}
    | dict.fromkeys(_INET, 12)
    | dict.fromkeys(_INET6, 36)
    | dict.fromkeys(_UNIX, 216)
)
_LOCAL: Final = 0x20
_PROXIED: Final = 0x21


class MalformedHeader(ValueError):
    """There is no PROXY header where one has to be, or it breaks the rules."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header of `size` bytes.

    `client` is the address of the connection's client, `unix` if it came by a Unix socket. None:
    the header names nobody (LOCAL, UNKNOWN, UNSPEC), and the connection is what it is itself.
    """

    size: int
    client: str | None


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The header has at least `missing` bytes more; none of those is beyond its end."""

    missing: int


def parse_header(data: bytes) -> Header | Incomplete:
    """Read the header that `data`, the first bytes of a connection, begins with.

    What follows the header may be in `data` too. Raises MalformedHeader.
    """
    if not data:
        return Incomplete(_V1_SHORTEST)
    if _V1_SIGNATURE.startswith(data[: len(_V1_SIGNATURE)]):
        return _version_1(data)
    if _V2_SIGNATURE.startswith(data[: len(_V2_SIGNATURE)]):
        return _version_2(data)
    raise MalformedHeader("it does not begin with a PROXY header")


def _version_1(data: bytes) -> Header | Incomplete:
    line, end, _ = data[:_V1_LONGEST].partition(b"\r\n")
    if not end:
        if len(data) >= _V1_LONGEST:
            raise MalformedHeader(f"a line of more than {_V1_LONGEST} bytes")
        if len(data) < _V1_SHORTEST:
            return Incomplete(_V1_SHORTEST - len(data))
        return Incomplete(_missing(line))
    size = len(line) + 2
    match line.split(b" "):
        case [b"PROXY", b"UNKNOWN", *_]:
            # Whatever stands behind it has no meaning.
            return Header(size, None)
        case [b"PROXY", b"TCP4" | b"TCP6" as family, source, destination, *ports]:
            client = _address(source, family)
            _address(destination, family)
            if len(ports) != 2 or not all(map(_is_port, ports)):
                raise MalformedHeader("its ports are malformed")
            return Header(size, client)
    raise MalformedHeader("its line is neither of TCP4, nor of TCP6, nor UNKNOWN")


def _missing(line: bytes) -> int:
    """The least number of bytes to a line's end, which has not come."""
    if line.endswith(b"\r"):
        return 1
    words = line.split(b" ")
    least = _V1_LEAST.get(words[1]) if len(words) > 1 else None
    if least is None:
        return 2
    begun = max(least[len(words) - 1] - len(words[-1]), 0) if len(words) <= len(least) else 0
    return begun + sum(1 + each for each in least[len(words) :]) + 2


def _address(text: bytes, family: bytes) -> str:
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    try:
        # A zone, which Python takes, belongs to one machine alone.
        if b"%" in text:
            raise AddressValueError("a zone")
        return str(as_ipv4(kind(text.decode("ascii"))))
    except (AddressValueError, UnicodeDecodeError):
        raise MalformedHeader(f"it has no address of {family.decode()}") from None


def _is_port(text: bytes) -> bool:
    if not text.isdigit() or len(text) > 5 or (text[:1] == b"0" and text != b"0"):
        return False
    return int(text) <= 65535


def _version_2(data: bytes) -> Header | Incomplete:
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXIED):
        raise MalformedHeader("its version or command is unknown")
    if len(data) < _V2_FIXED:
        return Incomplete(_V2_FIXED - len(data))
    length = int.from_bytes(data[14:16], "big")
    proxied = data[12] == _PROXIED
    family = data[13]
    if proxied and family not in _ADDRESS_BYTES:
        raise MalformedHeader("its address family is unknown")
    if proxied and length < _ADDRESS_BYTES[family]:
        raise MalformedHeader("it is too short for its addresses")
    size = _V2_FIXED + length
    if len(data) < size:
        return Incomplete(size - len(data))
    # What is behind the addresses are TLVs, of which none has a meaning here.
    if not proxied or family == _UNSPECIFIED:
        return Header(size, None)
    if family in _UNIX:
        return Header(size, "unix")
    if family in _INET:
        return Header(size, str(IPv4Address(data[16:20])))
    return Header(size, str(as_ipv4(IPv6Address(data[16:32]))))
