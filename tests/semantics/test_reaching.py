"""Whom a client may have requests sent to.

What is public is taken from the IANA registries of special-purpose addresses (RFC 6890) and the
RFCs that the cases name.
"""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.reaching import Reach, is_public

PUBLIC = (
    "93.184.215.14",
    "8.8.8.8",
    "1.1.1.1",
    "223.255.255.255",
    "172.32.0.1",
    "11.0.0.1",
    "169.253.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
)
NOT_PUBLIC = (
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",  # RFC 6598, shared
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",  # metadata of clouds
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",  # RFC 4291 section 2.5.5.1, deprecated
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",  # RFC 8215
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "2001::1",  # Teredo
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
    "5f00::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached_unless_a_list_leaves_them_out(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert Reach.of(()).address_allowed(address, named=False)
    assert Reach.of(["*"]).address_allowed(address, named=False)
    assert Reach.of(["10.0.0.0/8", "*"]).address_allowed(address, named=False)
    assert not Reach.of(["10.0.0.0/8"]).address_allowed(address, named=False)
    assert not Reach.of(["other.example"]).address_allowed(address, named=False)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_reached_only_if_they_or_their_host_are_listed(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address.partition("%")[0]))
    for words in ((), ("*",), ("media.example", "*.example.org"), ("8.0.0.0/8",)):
        assert not Reach.of(words).address_allowed(address, named=False)
    assert Reach.of(()).address_allowed(address, named=True)
    assert Reach.of([address]).address_allowed(address, named=False)


@pytest.mark.parametrize(
    ("word", "address", "allowed"),
    [
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1/32", "127.0.0.1", True),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("127.0.0.1", "::1", False),
        ("0.0.0.0/0", "127.0.0.1", True),
        ("0.0.0.0/0", "::1", False),
        # Packets to these arrive at the IPv4 address.
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.0.0.0/8", "64:ff9b::10.0.0.1", True),
        ("10.0.0.0/8", "2002:a00:1::1", False),
        ("::ffff:0:0/96", "10.0.0.1", False),
        ("::ffff:0:0/96", "::ffff:10.0.0.1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("fe80::1%eth1", "fe80::1%eth0", True),
        ("fe80::/10", "fe80::1%", True),
    ],
)
def test_listed_addresses(word: str, address: str, allowed: bool) -> None:
    assert Reach.of([word]).address_allowed(address, named=False) is allowed


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "10.0.0.0/8", "1.2.3.4:80", "[::1]"])
def test_what_is_no_address_is_not_connected_to(address: str) -> None:
    for words in ((), ("0.0.0.0/0", "::/0", "localhost")):
        assert not Reach.of(words).address_allowed(address, named=True)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("media.example", True),
        ("MEDIA.Example.", True),
        ("a.media.example", False),
        ("media.example.org", True),
        ("a.b.example.org", True),
        ("A.EXAMPLE.ORG.", True),
        ("example.org", False),
        ("badexample.org", False),
        ("example.org.evil.example", False),
        ("xn--bcher-kva.example", True),
        ("bücher.example", False),
        ("10.9.8.7", True),
        ("::ffff:10.9.8.7", True),
        ("[::ffff:a09:807]", True),
        ("8.8.8.8", False),
        ("::1", False),
        ("", False),
        ("media.example:80", False),
        ("*.example.org", False),
    ],
)
def test_named_hosts(host: str, named: bool) -> None:
    words = ("Media.Example.", "*.Example.ORG", "xn--bcher-kva.example", "10.0.0.0/8")
    assert Reach.of(words).named(host) is named
    # Every public host is not a name that somebody vouches for.
    assert Reach.of((*words, "*")).named(host) is named


@pytest.mark.parametrize(
    ("words", "host", "allowed"),
    [
        ((), "example.org", True),
        ((), "localhost", True),  # its addresses decide
        ((), "8.8.8.8", True),
        ((), "127.0.0.1", False),
        ((), "[::1]", False),
        ((), "127.1", False),
        ((), "0x7f.1", False),
        ((), "bücher.example", False),
        ((), "", False),
        (("*",), "example.org", True),
        (("*",), "10.0.0.1", False),
        (("*.example.org",), "a.example.org", True),
        (("*.example.org",), "other.example", False),
        (("*.example.org",), "8.8.8.8", False),
        (("*.example.org", "10.0.0.0/8"), "other.example", True),  # its addresses decide
        (("10.0.0.0/8",), "10.0.0.1", True),
        (("10.0.0.0/8",), "8.8.8.8", False),
        (("127.0.0.1",), "127.0.0.1.", True),
    ],
)
def test_hosts(words: tuple[str, ...], host: str, allowed: bool) -> None:
    assert Reach.of(words).host_allowed(host) is allowed


@pytest.mark.parametrize(
    "word",
    ["", "a b", "*.", "*.10.0.0.1", "*example.org", "a.*.org", "10.0.0.1/8", "a:80", "bücher.de"],
)
def test_no_words(word: str) -> None:
    with pytest.raises(ValueError):
        Reach.of([word])


def test_equal_lists_are_equal() -> None:
    words = ("a.example", "*.b.example", "10.0.0.0/8")
    assert Reach.of(words) == Reach.of(list(words))
    assert hash(Reach.of(words)) == hash(Reach.of(words))
    assert Reach.of(words) != Reach.of(words[:2])


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_what_the_address_is(address: ipaddress.IPv4Address) -> None:
    for words in ((), ("10.0.0.0/8",), ("*", "127.0.0.1")):
        reach = Reach.of(words)
        allowed = reach.address_allowed(str(address), named=False)
        assert reach.address_allowed(f"::ffff:{address}", named=False) is allowed
        assert reach.address_allowed(f"64:ff9b::{address}", named=False) is allowed


@given(st.ip_addresses())
def test_what_is_not_global_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global and getattr(address, "ipv4_mapped", None) is None:
        assert not is_public(address)
