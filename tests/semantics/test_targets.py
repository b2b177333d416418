"""Paths and queries that may go to an origin, and those that may not."""

import time
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.headers import BadTarget, safe_query, safe_target


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/film.mp4",
        "/a/b/c/film.mp4",
        "/a//b/",
        "/-._~!$&'()*+,;=:@",
        '/[a]{b}|c^d`e"f<g>h',
        "/film%20one.mp4",
        "/%E4%B8%AD.mp4",
        "/%e4%b8%ad.mp4",
        "/%80%ff",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/100%25",
        "/.",
        "/./a",
        "/...",
        "/..a",
        "/a..",
        "/a../b",
        "/a..b/..c/d..",
        "/.../...",
        "/.hidden",
        "/..%20",
        "/%2e%2e%2e",
        "/%252e%252e/etc",
        "/%252e%252e%252fetc",
        "/%2500",
        "/a%3b..",
        "/a?b",
    ],
)
def test_harmless_paths_pass_unchanged(path: str) -> None:
    assert safe_target(path) == path


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/\xe4\xb8\xad.mp4", "/%E4%B8%AD.mp4"),
        ("/\xff\x80", "/%FF%80"),
        ("/a b", "/a%20b"),
        ("/%e4\xb8%ad", "/%e4%B8%ad"),
        ("/\xa0", "/%A0"),
    ],
)
def test_raw_bytes_are_percent_encoded(path: str, sent: str) -> None:
    assert safe_target(path) == sent


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        *[(f"/a{chr(code)}b", "control character") for code in (*range(0x20), 0x7F)],
        *[
            (f"/a%{code:02x}b", "percent-encoded control character")
            for code in (*range(0x20), 0x7F)
        ],
        ("/a%0D%0Ab", "percent-encoded control character"),
        ("/a%7F", "percent-encoded control character"),
        ("/..", "'..' segment"),
        ("/../", "'..' segment"),
        ("/../etc/passwd", "'..' segment"),
        ("/a/..", "'..' segment"),
        ("/a/../b", "'..' segment"),
        ("/a/b/c/../../../..", "'..' segment"),
        ("//../a", "'..' segment"),
        ("/%2e%2e/a", "'..' segment"),
        ("/%2E%2E/a", "'..' segment"),
        ("/.%2e/a", "'..' segment"),
        ("/%2e./a", "'..' segment"),
        ("/%2e%2e%2fa", "'..' segment"),
        ("/..%2fa", "'..' segment"),
        ("/..%2Fa", "'..' segment"),
        ("/a%2f..%2fb", "'..' segment"),
        ("/a%2f..", "'..' segment"),
        ("/..\\a", "'..' segment"),
        ("/a\\..\\b", "'..' segment"),
        ("/a\\..", "'..' segment"),
        ("/..%5ca", "'..' segment"),
        ("/a%5C%2e%2e%5Cb", "'..' segment"),
        ("/..;/a", "'..' segment"),
        ("/..;x=1/a", "'..' segment"),
        ("/..%3b/a", "'..' segment"),
        ("/\xe4/../b", "'..' segment"),
        ("/%", "invalid percent escape, '%'"),
        ("/%2", "invalid percent escape, '%2'"),
        ("/%2g", "invalid percent escape, '%2g'"),
        ("/%g2", "invalid percent escape, '%g2'"),
        ("/%%41", "invalid percent escape, '%%4'"),
        ("/a%20%zz", "invalid percent escape, '%zz'"),
        ("/%\xe4", "invalid percent escape"),
        ("/%u002e", "invalid percent escape"),
        ("/%+1", "invalid percent escape"),
        ("/a#b", "'#'"),
        ("/\u4e2d", "no byte of the wire"),
        ("", "does not begin with '/'"),
        ("a", "does not begin with '/'"),
        ("*", "does not begin with '/'"),
        ("\\a", "does not begin with '/'"),
        ("http://a/b", "does not begin with '/'"),
        ("%2fa", "does not begin with '/'"),
    ],
)
def test_bad_paths_name_the_cause(path: str, cause: str) -> None:
    with pytest.raises(BadTarget) as caught:
        safe_target(path)
    message = str(caught.value)
    assert cause in message
    assert message.isascii() and message.isprintable()


@given(st.one_of(st.text("/.\\%2eEfF5cC;a0dD\r\x00\xe4 ", max_size=30), st.text(max_size=20)))
def test_what_passes_is_harmless_after_one_decoding(tail: str) -> None:
    try:
        sent = safe_target("/" + tail)
    except BadTarget:
        return
    assert sent.isascii() and sent.isprintable() and " " not in sent
    decoded = unquote_to_bytes(sent)
    assert not any(byte < 0x20 or byte == 0x7F for byte in decoded)
    segments = decoded.replace(b"\\", b"/").split(b"/")
    assert b".." not in segments
    assert b".." not in [segment.split(b";")[0] for segment in segments]
    assert decoded == unquote_to_bytes(("/" + tail).encode("latin-1"))
    assert safe_target(sent) == sent


@given(st.lists(st.text(st.characters(max_codepoint=0xFF), min_size=1, max_size=8), max_size=4))
def test_every_well_encoded_name_passes(names: list[str]) -> None:
    harmless = [
        name
        for name in names
        if name.split(";")[0] not in ("..",) and not any(ord(c) < 32 or ord(c) == 127 for c in name)
    ]
    path = "/" + "/".join(
        "".join(f"%{ord(c):02X}" for c in name) for name in harmless if not set(name) & set("/\\")
    )
    assert safe_target(path) == path


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", ""),
        ("a=1&b=%2e%2e/..&c=%0d%0a&d=%zz&e=%", "a=1&b=%2e%2e/..&c=%0d%0a&d=%zz&e=%"),
        ("q=\xe4\xb8\xad x", "q=%E4%B8%AD%20x"),
    ],
)
def test_queries_are_the_origins_own(query: str, sent: str) -> None:
    assert safe_query(query) == sent


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("a\r\nX: y", "control character"),
        ("a\x00", "control character"),
        ("a\x7f", "control character"),
        ("a#b", "'#'"),
        ("\u4e2d", "no byte of the wire"),
    ],
)
def test_bad_queries_name_the_cause(query: str, cause: str) -> None:
    with pytest.raises(BadTarget, match=cause):
        safe_query(query)


@pytest.mark.parametrize(
    "path",
    [
        "/" * 1_000_000,
        "/." * 500_000,
        "/%2e" * 300_000,
        "/" + "a%41" * 300_000 + "%",
        "/" + "\xe4" * 500_000,
    ],
    ids=["slashes", "dots", "encoded dots", "escapes", "raw bytes"],
)
def test_work_is_linear(path: str) -> None:
    began = time.perf_counter()
    try:
        safe_target(path)
    except BadTarget as error:
        assert "escape" in str(error)
    assert time.perf_counter() - began < 5, "quadratic work takes minutes here"
