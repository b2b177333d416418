"""Upgrade on its way through a proxy (RFC 9110 section 7.8, RFC 6455, RFC 9113 section 3.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.headers import Fields, Pair
from aprp.semantics.upgrades import is_answer, offer, upgrade_fields, wants_upgrade


@pytest.mark.parametrize(
    ("upgrade", "goes_on"),
    [
        pytest.param("websocket", "websocket", id="6455 1.3"),
        pytest.param("WebSocket", "WebSocket", id="case is kept"),
        pytest.param("SPDY/3.1", "SPDY/3.1", id="a version"),
        pytest.param("IRC/6.9, RTA/x11", "IRC/6.9, RTA/x11", id="7.8 several, in their order"),
        pytest.param("a ,,\tb", "a, b", id="5.6.1 empty members"),
        pytest.param("h2c", None, id="9113 3.1 h2c"),
        pytest.param("H2C", None, id="names compare without case"),
        pytest.param("h2c, websocket", "websocket", id="h2c first"),
        pytest.param("websocket,h2c", "websocket", id="h2c last"),
        pytest.param("h2c, h2", None, id="nothing left"),
        pytest.param("HTTP/2.0, SHTTP/1.3, IRC/6.9", "SHTTP/1.3, IRC/6.9", id="7.8 HTTP itself"),
        pytest.param("h2c/1", None, id="with a version"),
        pytest.param("h2c;q=1", None, id="no protocol"),
        pytest.param(" h2c", None, id="a blank before"),
        pytest.param("TLS/1.0", None, id="2817 TLS"),
        pytest.param("web socket", None, id="a blank inside"),
        pytest.param("websocket/", None, id="an empty version"),
        pytest.param("a/b/c", None, id="two versions"),
        pytest.param('"h2c"', None, id="quoted"),
        pytest.param("h2c\xa0", None, id="a blank that is none"),
        pytest.param("", None, id="empty"),
    ],
)
def test_protocols(upgrade: str, goes_on: str | None) -> None:
    fields = Fields([("Connection", "Upgrade"), ("Upgrade", upgrade)])
    assert wants_upgrade(fields.get, "HTTP/1.1", "GET") == goes_on


@pytest.mark.parametrize(
    ("connection", "asked"),
    [
        (None, False),
        ("", False),
        ("close", False),
        ("keep-alive, Upgrade", True),
        ("UPGRADE", True),
        ("upgrade\t,HTTP2-Settings", True),
        ("upgrades", False),
        ("not upgrade", False),
    ],
)
def test_connection_has_to_list_it(connection: str | None, asked: bool) -> None:
    fields = Fields([("Upgrade", "websocket")])
    if connection is not None:
        fields.add("Connection", connection)
    assert (wants_upgrade(fields.get, "HTTP/1.1", "GET") is not None) is asked


def test_lines_of_both_fields_count_as_one_list() -> None:
    fields = Fields(
        [
            ("Connection", "keep-alive"),
            ("Upgrade", "h2c"),
            ("Connection", "upgrade"),
            ("Upgrade", "websocket"),
        ]
    )
    assert wants_upgrade(fields.get, "HTTP/1.1", "GET") == "websocket"


@pytest.mark.parametrize(
    ("version", "method", "upgrade", "goes_on"),
    [
        pytest.param("HTTP/1.0", "GET", "websocket", None, id="7.8 ignored in HTTP/1.0"),
        pytest.param("HTTP/1.1", "POST", "websocket", None, id="6455 4.1 GET alone"),
        pytest.param("HTTP/1.1", "get", "websocket", None, id="methods have case"),
        pytest.param("HTTP/1.1", "POST", "tcp", "tcp", id="others with any method"),
        pytest.param("HTTP/1.1", "POST", "tcp, websocket", "tcp", id="one of two"),
        pytest.param("HTTP/1.1", "CONNECT", "tcp", None, id="a tunnel is none to upgrade"),
    ],
)
def test_version_and_method(version: str, method: str, upgrade: str, goes_on: str | None) -> None:
    fields = Fields([("Connection", "upgrade"), ("Upgrade", upgrade)])
    assert wants_upgrade(fields.get, version, method) == goes_on


def test_no_upgrade() -> None:
    assert wants_upgrade(Fields([("Connection", "upgrade")]).get, "HTTP/1.1", "GET") is None


PROTOCOLS = st.sampled_from(["websocket", "h2c", "H2c", "HTTP/2.0", "tls/1.2", "x/1", "h2", "y"])
BLANKS = st.sampled_from(["", " ", "\t", "  "])


@given(st.lists(st.tuples(BLANKS, PROTOCOLS, BLANKS), max_size=6))
def test_no_form_of_http_goes_on(members: list[tuple[str, str, str]]) -> None:
    upgrade = ",".join("".join(member) for member in members)
    fields = Fields([("Connection", "upgrade"), ("Upgrade", upgrade)])
    expected = [name for _, name, _ in members if name in ("websocket", "x/1", "y")]
    assert wants_upgrade(fields.get, "HTTP/1.1", "GET") == (", ".join(expected) or None)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF)))
def test_what_goes_on_is_a_list_of_protocols(upgrade: str) -> None:
    fields = Fields([("Connection", "upgrade"), ("Upgrade", upgrade)])
    goes_on = wants_upgrade(fields.get, "HTTP/1.1", "GET")
    if goes_on is not None:
        again = Fields([("Connection", "upgrade"), ("Upgrade", goes_on)])
        assert wants_upgrade(again.get, "HTTP/1.1", "GET") == goes_on
        assert goes_on.isascii() and is_answer(goes_on, goes_on)


@pytest.mark.parametrize(
    ("upgrade", "asked", "fits"),
    [
        pytest.param("websocket", "websocket", True, id="the one"),
        pytest.param("WebSocket", "websocket", True, id="another case"),
        pytest.param("b/2", "a/1, b/2", True, id="one of two"),
        pytest.param("b/2, a/1", "a/1, b/2", True, id="7.8 layers"),
        pytest.param("h2c", "websocket", False, id="7.8 not asked for"),
        pytest.param("websocket, h2c", "websocket", False, id="one not asked for"),
        pytest.param(None, "websocket", False, id="15.2.2 must be there"),
        pytest.param("", "websocket", False, id="empty"),
        pytest.param(" , ", "websocket", False, id="an empty list"),
    ],
)
def test_is_answer(upgrade: str | None, asked: str, fits: bool) -> None:
    assert is_answer(upgrade, asked) is fits


HANDSHAKE: list[Pair] = [
    ("Host", "server.example.com"),
    ("upgrade", "h2c, websocket"),
    ("Connection", "keep-alive, Upgrade, HTTP2-Settings, X-Hop"),
    ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("X-Hop", "1"),
    ("Origin", "http://example.com"),
    ("sec-websocket-protocol", "chat, superchat"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ("Sec-WebSocket-Extensions", "x"),
]


def test_a_handshake_goes_on() -> None:
    fields = Fields(HANDSHAKE)
    upgrade = wants_upgrade(fields.get, "HTTP/1.1", "GET")
    assert upgrade is not None
    assert upgrade_fields(fields.get_all(), fields.get("Connection"), upgrade) == [
        ("Host", "server.example.com"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Origin", "http://example.com"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Extensions", "x"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
    ]


def test_settings_of_http2_never_go_on() -> None:
    pairs = [("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]
    assert upgrade_fields(pairs, "upgrade", "x") == [("Connection", "Upgrade"), ("Upgrade", "x")]


@pytest.mark.parametrize(
    ("status", "upgrade", "told"),
    [
        (426, "HTTP/3.0, websocket , own/2", [("Upgrade", "websocket, own/2")]),
        (426, "h2c", []),
        (426, None, []),
        (200, "websocket", []),
    ],
)
def test_what_an_answer_offers(status: int, upgrade: str | None, told: list[Pair]) -> None:
    assert offer(status, upgrade) == told
