"""Hosts, ports and users in settings."""

import pytest

from settings import addresses, hosts
from settings.kinds import RefusedError
from settings.lists import PORTS, REACHABLE, USERS


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("*.example.org, 10.0.0.0/8, 127.0.0.1", ("*.example.org", "10.0.0.0/8", "127.0.0.1")),
        ("Media.Example.,*.X.ORG", ("media.example", "*.x.org")),
        ("[::1],::1,2001:DB8::/32", ("::1", "::1", "2001:db8::/32")),
        ("*", ("*",)),
        (
            "xn--bcher-kva.example,my_host,localhost",
            ("xn--bcher-kva.example", "my_host", "localhost"),
        ),
        (["a.example"], ("a.example",)),
        ("", ()),
    ],
)
def test_hosts_to_reach(value: object, kept: tuple[str, ...]) -> None:
    assert REACHABLE.parse(value) == kept


@pytest.mark.parametrize(
    "value",
    [
        "*.",
        "*example.org",
        "a.*.org",
        "*.10.0.0.1",
        "**",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "127.1",
        "0x7f.1",
        "256.1.1.1",
        "example.org:80",
        "http://example.org",
        "example.org/x",
        "b\xfccher.example",
        "\u212aelvin.example",
        "a b",
        "-a",
        "[::1",
        "[10.0.0.1]",
        "fe80::1%",
        "a\n",
    ],
)
def test_no_hosts_to_reach(value: str) -> None:
    with pytest.raises(RefusedError, match=r"is not a host name in ASCII without a port such as"):
        REACHABLE.parse([value])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("443", (443,)),
        ("443, 8443,563", (443, 8443, 563)),
        ([443, "8443"], (443, 8443)),
        ("", ()),
    ],
)
def test_ports(value: object, kept: tuple[int, ...]) -> None:
    assert PORTS.parse(value) == kept
    assert PORTS.parse(PORTS.show(kept)) == kept


@pytest.mark.parametrize(
    "value", ["0", "65536", "-1", "443-445", "x", "1e3", "\uff18\uff10", [0], [True], [4.0], 443]
)
def test_no_ports(value: object) -> None:
    with pytest.raises(RefusedError, match="is not a port from 1 to 65535"):
        PORTS.parse(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("ann:secret, bob:pass:word", ("ann:secret", "bob:pass:word")),
        (["ann:a,b"], ("ann:a,b",)),
        ("j\xfcrgen:\xa3", ("j\xfcrgen:\xa3",)),
        ("", ()),
    ],
)
def test_users(value: object, kept: tuple[str, ...]) -> None:
    assert USERS.parse(value) == kept
    assert USERS.show(kept) == ",".join("***" for _ in kept)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("hunter2", "entry 1"),
        ("ann:x,hunter2", "entry 2"),
        (":hunter2", "entry 1"),
        ("hunter2:", "entry 1"),
        (["ann:hunter2\n"], "entry 1"),
        (["ann:hunter2\x7f"], "entry 1"),
        (["ann:hunter2\udc80"], "entry 1"),
        ([("ann", "hunter2")], "entry 1"),
        (5, "what is given"),
    ],
)
def test_a_wrong_user_is_not_shown(value: object, told: str) -> None:
    with pytest.raises(RefusedError) as raised:
        USERS.parse(value)
    assert str(raised.value) == (
        f"{told} is not name:password, both not empty and without control characters"
    )


@pytest.mark.parametrize(
    "value", ["media.example", "Media.Example:80", "[::1]", "[::1]:80", "10.0.0.1:1"]
)
def test_host_fields(value: str) -> None:
    assert hosts.host_field(value) == value


@pytest.mark.parametrize(
    "value", ["", ":80", "a:", "a:0", "a:65536", "::1", "*.a", "a b", "a:b", "u@a"]
)
def test_no_host_fields(value: str) -> None:
    with pytest.raises(ValueError):
        hosts.host_field(value)


def test_a_user_comes_back_as_it_is() -> None:
    assert addresses.user("ann:secret") == "ann:secret"
