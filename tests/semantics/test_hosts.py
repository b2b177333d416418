"""Hosts in one form: RFC 3986 sections 3.2.2 and 6.2.2.1, RFC 6874, RFC 5890."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.hosts import address_of, canonical_host, split_authority

LABELS = st.from_regex(r"\A[a-z_][a-z0-9_-]{0,20}[a-z]\Z")
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.Org", "example.org"),
        ("example.org.", "example.org"),
        ("localhost", "localhost"),
        ("my_host.x-y.1a", "my_host.x-y.1a"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.2.3.example", "1.2.3.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[2001:DB8::A]", "2001:db8::a"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("[fe80::1%25eth0]", "fe80::1%eth0"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
    ],
)
def test_hosts(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical
    assert canonical_host(canonical) == canonical


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "example..org",
        ".example.org",
        "example.org..",
        "-a.example",
        "a-.example",
        "a b",
        "a\nb",
        "example.org\n",
        "a/b",
        "a@b",
        "*.example.org",
        "ex%61mple.org",
        "bücher.example",
        "\u212aelvin.example",  # the Kelvin sign is k in lower case
        "\uff41.example",
        "example\u3002org",
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
        "example.org:80",
        "[::1",
        "::1]",
        "[]",
        "[127.0.0.1]",
        "[example.org]",
        ":::",
        "1::2::3",
        "fe80::1%",
        "fe80::1%e/0",
        "[::1]:80",
        # What inet_aton takes for an address, and others do not.
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.256",
        "1.2.3.4.5",
        "example.1",
        "a.0x",
    ],
)
def test_no_hosts(host: str) -> None:
    assert canonical_host(host) is None


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("example.org", ("example.org", None)),
        ("Example.org.:8080", ("example.org", 8080)),
        ("example.org:", ("example.org", None)),
        ("example.org:65535", ("example.org", 65535)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]", ("::1", None)),
        ("[::1]:443", ("::1", 443)),
        ("[fe80::1%25eth0]:443", ("fe80::1%eth0", 443)),
        ("example.org:0443", ("example.org", 443)),
        ("", None),
        (":80", None),
        ("::1", None),
        ("example.org:0", None),
        ("example.org:65536", None),
        ("example.org:100000", None),
        ("example.org:8O", None),
        ("example.org:-1", None),
        ("example.org:80:80", None),
        ("user@example.org", None),
        ("user:secret@example.org:80", None),
        ("example.org/x", None),
        ("[::1]x:80", None),
        ("x[::1]:80", None),
        ("example.org:\uff18\uff10", None),
    ],
)
def test_authorities(authority: str, parts: tuple[str, int | None] | None) -> None:
    assert split_authority(authority) == parts


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("example.org", None),
        ("127.0.0.1", ipaddress.ip_address("127.0.0.1")),
        ("fe80::1%eth0", ipaddress.ip_address("fe80::1")),
        ("", None),
    ],
)
def test_addresses(host: str, address: object) -> None:
    assert address_of(host) == address


@given(NAMES, st.integers(1, 65535))
def test_a_name_and_its_port_come_apart_again(name: str, port: int) -> None:
    assert split_authority(f"{name.upper()}.:{port}") == (name, port)


@given(st.ip_addresses())
def test_every_address_is_a_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    written = f"[{address}]" if address.version == 6 else str(address)
    canonical = canonical_host(written)
    assert canonical is not None
    assert address_of(canonical) == address
    assert split_authority(f"{written}:80") == (canonical, 80)


@given(st.text(max_size=30))
def test_whatever_comes_is_a_host_in_ascii_or_none(text: str) -> None:
    canonical = canonical_host(text)
    assert canonical is None or (canonical.isascii() and canonical_host(canonical) == canonical)
