"""Forwarded (RFC 7239) and the X-Forwarded fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.forwarded import (
    FORWARDING_FIELDS,
    forward_fields,
    forwarded_element,
    last_sender,
)
from aprp.semantics.headers import Fields


@pytest.mark.parametrize(
    ("for_", "by", "host", "proto", "element"),
    [
        pytest.param("192.0.2.43", None, None, None, "for=192.0.2.43", id="4 address, a token"),
        pytest.param(
            "192.0.2.60",
            "203.0.113.43",
            None,
            "http",
            "for=192.0.2.60;by=203.0.113.43;proto=http",
            id="4 several pairs",
        ),
        pytest.param(
            "2001:db8:cafe::17", None, None, None, 'for="[2001:db8:cafe::17]"', id="6 IPv6 address"
        ),
        pytest.param("fe80::1%eth0", None, None, None, 'for="[fe80::1]"', id="6 zone left out"),
        pytest.param("unknown", None, None, None, "for=unknown", id="6.2 unknown"),
        pytest.param("_hidden", "_SEVKISEK", None, None, "for=_hidden;by=_SEVKISEK", id="6.3"),
        pytest.param(None, "::1", None, None, 'by="[::1]"', id="5.1 by alone"),
        pytest.param(None, None, "a.example", None, "host=a.example", id="5.3 host, a token"),
        pytest.param(None, None, "a.example:80", None, 'host="a.example:80"', id="5.3 with port"),
        pytest.param(None, None, "[::1]:80", None, 'host="[::1]:80"', id="5.3 IPv6 host"),
        pytest.param(None, None, 'a"b\\c', None, r'host="a\"b\\c"', id="4 quotation escaped"),
        pytest.param("", "", "", "https", "proto=https", id="5.4 proto alone"),
        pytest.param(
            None, None, "a;for=1.2.3.4", None, 'host="a;for=1.2.3.4"', id="4 no injection"
        ),
    ],
)
def test_element(
    for_: str | None, by: str | None, host: str | None, proto: str | None, element: str
) -> None:
    assert forwarded_element(for_, by, host, proto) == element


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_a_host_can_be_read_back(host: str) -> None:
    text = forwarded_element(None, None, host, None).removeprefix("host=")
    if not text.startswith('"'):
        assert text == host
        return
    assert text.endswith('"')
    plain, escaped = "", False
    for character in text[1:-1]:
        if escaped or character != "\\":
            assert escaped or character != '"'
            plain, escaped = plain + character, False
        else:
            escaped = True
    assert plain == host and not escaped


INCOMING = Fields(
    [
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-For", "198.51.100.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "films.example"),
        ("Forwarded", "for=198.51.100.1;proto=https"),
    ]
)


def test_an_untrusted_client_is_not_believed() -> None:
    assert forward_fields("192.0.2.7", "http", "proxy.example:8000", INCOMING.get, False) == {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "proxy.example:8000",
        "Forwarded": 'for=192.0.2.7;host="proxy.example:8000";proto=http',
    }


def test_a_trusted_client_is_continued() -> None:
    assert forward_fields("2001:db8::7", "http", "proxy.example", INCOMING.get, True) == {
        "X-Forwarded-For": "198.51.100.1, 198.51.100.2, 2001:db8::7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "films.example",
        "Forwarded": "for=198.51.100.1;proto=https, "
        'for="[2001:db8::7]";host=proxy.example;proto=http',
    }


def test_a_trusted_client_that_says_nothing() -> None:
    for told in (Fields(), Fields((name, "") for name in FORWARDING_FIELDS)):
        fields = forward_fields("192.0.2.7", "https", "a.example", told.get, True)
        assert fields == forward_fields("192.0.2.7", "https", "a.example", told.get, False)


def test_a_request_without_host_or_address() -> None:
    assert forward_fields("", "http", None, INCOMING.get, False) == {
        "X-Forwarded-For": "unknown",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=unknown;proto=http",
    }


def test_all_fields_are_in_the_list_to_take_out() -> None:
    fields = forward_fields("192.0.2.7", "http", "a.example", INCOMING.get, True)
    assert set(fields) == set(FORWARDING_FIELDS)


@pytest.mark.parametrize(
    ("forwarded_for", "forwarded", "senders"),
    [
        pytest.param(None, None, [], id="nobody"),
        pytest.param("192.0.2.1", None, ["192.0.2.1"], id="one"),
        pytest.param("192.0.2.1, 198.51.100.2", None, ["198.51.100.2"], id="the nearest is last"),
        pytest.param("192.0.2.1,2001:db8::1 ", None, ["2001:db8::1"], id="IPv6"),
        pytest.param("192.0.2.1:4711", None, ["192.0.2.1"], id="with a port"),
        pytest.param("[2001:db8::1]:4711", None, ["2001:db8::1"], id="in brackets"),
        pytest.param("", None, [""], id="empty"),
        pytest.param("192.0.2.1, ", None, [""], id="empty at the end"),
        pytest.param(None, "for=192.0.2.43", ["192.0.2.43"], id="7239 4"),
        pytest.param(
            None, 'For="[2001:db8:cafe::17]:4711"', ["2001:db8:cafe::17"], id="7239 4 IPv6 and port"
        ),
        pytest.param(
            None, "for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"], id="7239 4 pairs"
        ),
        pytest.param(
            None,
            'for=192.0.2.43, for="[2001:db8:cafe::17]"',
            ["2001:db8:cafe::17"],
            id="7239 4 two",
        ),
        pytest.param(None, 'for="_gazonk"', ["_gazonk"], id="7239 6.3"),
        pytest.param(None, "for=unknown", ["unknown"], id="7239 6.2"),
        pytest.param(None, "by=192.0.2.1;proto=http", [""], id="an element without for"),
        pytest.param("192.0.2.1", "for=192.0.2.2", ["192.0.2.1", "192.0.2.2"], id="both fields"),
    ],
)
def test_last_sender(forwarded_for: str | None, forwarded: str | None, senders: list[str]) -> None:
    assert last_sender(forwarded_for, forwarded) == senders


@given(st.ip_addresses())
def test_last_sender_is_what_forward_fields_told(address: object) -> None:
    fields = forward_fields(str(address).partition("%")[0], "http", None, lambda _: None, False)
    told = last_sender(fields["X-Forwarded-For"], fields["Forwarded"])
    assert told == [str(address).partition("%")[0]] * 2
