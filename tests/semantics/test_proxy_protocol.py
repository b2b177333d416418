"""PROXY headers: HAProxy's specification, and not a byte beyond the header's end."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.proxy_protocol import Header, Incomplete, MalformedHeader, parse_header

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
BEHIND = b"GET / HTTP/1.1\r\n\r\n"


def version_2(command: int, family: int, content: bytes, length: int | None = None) -> bytes:
    """A header as section 2.2 has it; `length` where it says something wrong."""
    size = len(content) if length is None else length
    return SIGNATURE + bytes((command, family)) + struct.pack(">H", size) + content


def inet(source: str, destination: str = "192.0.2.1", ports: tuple[int, int] = (5, 80)) -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    to = "2001:db8::1" if ":" in source else destination
    packed = socket.inet_pton(family, source) + socket.inet_pton(family, to)
    return packed + struct.pack(">HH", *ports)


UNIX = b"/run/client".ljust(108, b"\0") + b"/run/proxy".ljust(108, b"\0")
TLVS = b"\x03\x00\x04abcd" + b"\x20\x00\x01x"

GOOD = [
    # The examples of section 2.1.
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    (
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    (b"PROXY UNKNOWN\r\n", None),
    (
        b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        None,
    ),
    (b"PROXY UNKNOWN \xff\0 what \r ever\r\n", None),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4"),
    (b"PROXY TCP6 :: :: 1 1\r\n", "::"),
    (b"PROXY TCP6 2001:DB8::0:1 ::1 1 1\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 1\r\n", "192.0.2.7"),
    (version_2(0x21, 0x11, inet("192.0.2.9")), "192.0.2.9"),
    (version_2(0x21, 0x12, inet("192.0.2.9")), "192.0.2.9"),
    (version_2(0x21, 0x21, inet("2001:db8::9")), "2001:db8::9"),
    (version_2(0x21, 0x22, inet("2001:db8::9")), "2001:db8::9"),
    (version_2(0x21, 0x21, inet("::ffff:192.0.2.9")), "192.0.2.9"),
    (version_2(0x21, 0x11, inet("192.0.2.9") + TLVS), "192.0.2.9"),
    (version_2(0x21, 0x21, inet("2001:db8::9") + TLVS), "2001:db8::9"),
    (version_2(0x21, 0x11, inet("192.0.2.9") + bytes(65535 - 12)), "192.0.2.9"),
    (version_2(0x21, 0x31, UNIX), "unix"),
    (version_2(0x21, 0x32, UNIX + TLVS), "unix"),
    (version_2(0x21, 0x00, b""), None),
    (version_2(0x21, 0x00, TLVS), None),
    # LOCAL: the family is ignored, and the block is skipped.
    (version_2(0x20, 0x00, b""), None),
    (version_2(0x20, 0x11, b"short"), None),
    (version_2(0x20, 0xFF, inet("192.0.2.9")), None),
]


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_a_whole_header(header: bytes, client: str | None) -> None:
    assert parse_header(header) == Header(len(header), client)
    assert parse_header(header + BEHIND) == Header(len(header), client)
    assert parse_header(header + b"\r\n" * 100) == Header(len(header), client)


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_what_is_missing_is_never_more_than_there_is(header: bytes, client: str | None) -> None:
    # By every way of reading as much as is said: from each place on.
    for length in {*range(min(len(header), 300)), len(header) - 1}:
        told = parse_header(header[:length])
        assert isinstance(told, Incomplete)
        assert 0 < told.missing <= len(header) - length


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_reading_as_much_as_is_said_ends_with_the_header(header: bytes, client: str | None) -> None:
    stream = header + BEHIND
    read = reads = 0
    while isinstance(told := parse_header(stream[:read]), Incomplete):
        read += told.missing
        reads += 1
    assert told == Header(read, client)
    assert read == len(header)
    # Version 2 says its length; a line's end has to be felt for.
    assert reads <= (3 if header.startswith(SIGNATURE) else 50)


MALFORMED = [
    b"GET / HTTP/1.1\r\n",
    b"P\r\n",
    b"POST / HTTP/1.1\r\n",
    b"PROXY\r\n",
    b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\nGET / HTTP/1.1\r\n\r\n",
    b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0",
    b"PROXY \r\n         ",
    b"PROXY TCP4\r\n         ",
    b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY UNKNOWNS 1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
    b"PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.x 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2 padding\r\n",
    b"PROXY TCP4 1.2.3.\xc2\xb2 5.6.7.8 1 2\r\n",
    b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
    b"PROXY TCP6 1:2:3 ::1 1 2\r\n",
    b"PROXY TCP6 ::g ::1 1 2\r\n",
    b"PROXY TCP6 [::1] [::1] 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1_0 2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n",
    # Section 2.1: 107 bytes at most, the line end included.
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY UNKNOWN " + b"x" * 200,
    version_2(0x11, 0x11, inet("192.0.2.9")),
    version_2(0x31, 0x11, inet("192.0.2.9")),
    version_2(0x22, 0x11, inet("192.0.2.9")),
    version_2(0x2F, 0x11, inet("192.0.2.9")),
    version_2(0x01, 0x11, inet("192.0.2.9")),
    version_2(0x21, 0x01, inet("192.0.2.9")),
    version_2(0x21, 0x10, inet("192.0.2.9")),
    version_2(0x21, 0x13, inet("192.0.2.9")),
    version_2(0x21, 0x41, UNIX),
    version_2(0x21, 0x11, inet("192.0.2.9"), 11),
    version_2(0x21, 0x11, b""),
    version_2(0x21, 0x21, inet("192.0.2.9")),
    version_2(0x21, 0x31, UNIX, 215),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedHeader):
        parse_header(data)
    # What it asked for before never reaches beyond what had to be there.
    for length in range(len(data)):
        try:
            told = parse_header(data[:length])
        except MalformedHeader:
            break
        assert isinstance(told, Incomplete)


def test_the_longest_line() -> None:
    line = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(line) == 107
    assert parse_header(line) == Header(107, None)


def test_nothing_has_come() -> None:
    # The shortest header there is has 15 bytes.
    assert parse_header(b"") == Incomplete(15)


def is_plain(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is None


addresses_4 = st.ip_addresses(v=4)
addresses_6 = st.ip_addresses(v=6)
ports = st.integers(0, 65535)
plain_6 = addresses_6.filter(is_plain)


@given(
    st.one_of(st.tuples(addresses_4, addresses_4), st.tuples(plain_6, addresses_6)), ports, ports
)
def test_any_addresses(
    pair: tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address], source: int, target: int
) -> None:
    kind = pair[0].version
    line = f"PROXY TCP{kind} {pair[0]} {pair[1]} {source} {target}\r\n".encode()
    packed = pair[0].packed + pair[1].packed + struct.pack(">HH", source, target)
    for header in (line, version_2(0x21, 0x11 if kind == 4 else 0x21, packed)):
        assert parse_header(header + BEHIND) == Header(len(header), str(pair[0]))
        for length in range(len(header)):
            told = parse_header(header[:length])
            assert isinstance(told, Incomplete) and told.missing <= len(header) - length


@given(
    st.one_of(st.binary(), st.binary().map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__))
)
def test_any_bytes(data: bytes) -> None:
    try:
        told = parse_header(data)
    except MalformedHeader:
        # More of it does not make it better.
        with pytest.raises(MalformedHeader):
            parse_header(data + b"\r\n")
        return
    if isinstance(told, Header):
        assert 15 <= told.size <= len(data)
        assert parse_header(data[: told.size]) == told
    else:
        assert told.missing > 0


@given(st.sampled_from(GOOD), st.integers(0, 1 << 32), st.binary(min_size=1, max_size=1))
def test_a_changed_byte_is_no_crash(good: tuple[bytes, object], place: int, byte: bytes) -> None:
    at = place % min(len(good[0]), 60)
    data = good[0][:at] + byte + good[0][at + 1 :]
    try:
        told = parse_header(data)
    except MalformedHeader:
        return
    assert isinstance(told, Header | Incomplete)
