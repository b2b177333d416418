"""Addresses and networks."""

import pytest

from aprp.semantics.networks import Networks


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8::1", True),
        ("2001:0DB8:0::2", True),
        ("2001:db9::1", False),
        # RFC 4291 section 2.5.5.2.
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("unix", False),
        ("_hidden", False),
        ("", False),
    ],
)
def test_an_address_in_a_network(address: str, inside: bool) -> None:
    assert Networks(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"])(address) is inside
