"""Who may act on the dashboard, by name and address."""

import socket
from types import SimpleNamespace
from typing import Any, TypedDict, cast

import pytest

from aprp.handlers.admin import told_to, why_not
from aprp.handlers.exchange import Exchange
from aprp.live.tokens import Tokens
from aprp.semantics.headers import Fields
from aprp.semantics.networks import Networks

OWN = socket.gethostname()


class Sent(TypedDict, total=False):
    """Fields by which a browser tells whose page asks."""

    Sec_Fetch_Site: str
    Origin: str


def asked(
    host: str | None = "127.0.0.1:8000",
    *,
    peer: str = "127.0.0.1",
    scheme: str = "http",
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128"),
    **fields: str,
) -> Exchange:
    values: dict[str, Any] = {
        "settings": SimpleNamespace(ADMIN_ALLOW=allow),
        "is_trusted": Networks(()),
        "clients": SimpleNamespace(seen_as=lambda exchange: (scheme, host)),
        "tokens": Tokens(bytes(32)),
    }
    headers = Fields([(name.replace("_", "-"), value) for name, value in fields.items()])
    app = SimpleNamespace(**values)
    return cast(Exchange, SimpleNamespace(app=app, headers=headers, peer=peer, client=peer))


@pytest.mark.parametrize(
    ("host", "scheme", "allowed"),
    [
        ("127.0.0.1:8000", "http", True),
        ("192.0.2.7", "http", True),
        ("[2001:db8::1]:8000", "http", True),
        ("localhost", "http", True),
        ("LOCALHOST.:8000", "http", True),
        ("films.localhost:8000", "http", True),
        (f"{OWN}:8000", "http", True),
        # Who owns the name says where it leads.
        ("elsewhere.test", "http", False),
        ("localhost.elsewhere.test", "http", False),
        ("127.0.0.1.elsewhere.test", "http", False),
        ("", "http", False),
        (None, "http", False),
        ("a b", "http", False),
        # With https the certificate says who it is.
        ("media.example", "https", True),
    ],
)
def test_names_of_the_proxy(host: str | None, scheme: str, allowed: bool) -> None:
    why = why_not(asked(host, scheme=scheme))
    assert (why is None) is allowed
    if not allowed:
        assert why is not None and "https" in why


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({}, True),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Origin": "http://127.0.0.1:8000"}, True),
        ({"Origin": "http://127.0.0.1:8001"}, False),
        ({"Origin": "https://127.0.0.1:8000"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_pages_of_others(fields: Sent, allowed: bool) -> None:
    why = why_not(asked(**fields))
    assert (why is None) is allowed
    if not allowed:
        assert why is not None and "another page" in why


@pytest.mark.parametrize(
    ("peer", "allow", "fields", "allowed"),
    [
        ("127.0.0.1", ("127.0.0.0/8",), {}, True),
        ("192.0.2.1", ("127.0.0.0/8",), {}, False),
        ("192.0.2.1", ("192.0.2.0/24",), {}, True),
        ("127.0.0.1", (), {}, False),
        ("127.0.0.1", ("127.0.0.0/8",), {"X_Forwarded_For": "192.0.2.1"}, False),
        ("", ("0.0.0.0/0",), {}, False),
    ],
)
def test_addresses(
    peer: str, allow: tuple[str, ...], fields: dict[str, str], allowed: bool
) -> None:
    exchange = asked(peer=peer, allow=allow, **fields)
    told = told_to(exchange)
    assert told["allowed"] is allowed
    assert (told["token"] is not None) is allowed
    assert (told["why"] is None) is allowed
    if not allowed:
        assert told["why"] == "Your address is not in ADMIN_ALLOW."
