"""Names that clients choose. What is allowed comes from the issue, not from the code."""

import re
import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.filenames import (
    BadName,
    clean_name,
    disposition,
    name_from_form,
    name_from_url,
    path_of,
    spellings,
)


@pytest.mark.parametrize(
    "name",
    [
        "film.mp4",
        "a b.mp4",
        "größe.webm",
        "映画.mkv",
        "50%.mp3",
        "a;b=c&d?e#f.ogg",
        '"q".txt',
        "a..b",
        "x" * 255,
        "é" * 127,
        "👩\u200d👩\u200d👧.png",
        "نمونه\u200cها.mp4",
        "~",
        "-",
        "CON",
    ],
    ids=ascii,
)
def test_names_that_are_taken(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        (".", "dot"),
        ("..", "dot"),
        (".hidden", "dot"),
        ("../x", "slash"),
        ("a/../../b", "slash"),
        ("a/b", "slash"),
        ("/etc/passwd", "slash"),
        ("a\\b", "slash"),
        ("..\\x", "slash"),
        ("nul\0", "control"),
        ("a\nb", "control"),
        ("a\rb", "control"),
        ("a\x7fb", "control"),
        ("a\x85b", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        ("x" * 256, "256 bytes"),
        ("é" * 128, "256 bytes"),
        ("a\u202egpj.exe", "direction"),
        ("a\u2066b", "direction"),
        ("a\u200fb", "direction"),
        ("a\u061cb", "direction"),
        ("\ufefffilm.mp4", "nobody sees"),
        ("film\u200b.mp4", "nobody sees"),
        (" ", "blank"),
        ("film.mp4 ", "blank"),
        ("\u3000film.mp4", "blank"),
    ],
    ids=ascii,
)
def test_names_that_are_refused(name: str, why: str) -> None:
    with pytest.raises(BadName, match=why):
        clean_name(name)


def test_what_looks_the_same_is_the_same() -> None:
    # e and a combining acute accent, as macOS writes it.
    assert clean_name("cafe\u0301.mp4") == "caf\u00e9.mp4"
    # 255 bytes are counted of what is kept: in its own form this one has 384.
    assert clean_name("e\u0301" * 127) == "\u00e9" * 127


@given(st.text(max_size=300))
def test_what_is_taken_is_one_visible_segment(text: str) -> None:
    try:
        name = clean_name(text)
    except BadName:
        return
    assert clean_name(name) == name == unicodedata.normalize("NFC", text)
    assert 0 < len(name.encode()) <= 255
    assert name[0] != "." and not {"/", "\\", "\0", "\n"} & set(name)
    # It comes back as it was from each way of writing it down.
    assert name_from_url(path_of(name)) == name
    assert all(unquote(way) == f"/{name}" for way in spellings(f"/{name}"))
    assert name_from_url(quote(name, safe="").replace("%20", "+"), form=True) == name
    written = disposition("attachment", name)
    assert written.isascii() and written.isprintable()
    match = re.fullmatch(r"attachment; filename=\"([^\"\\%]+)\"; filename\*=UTF-8''(\S+)", written)
    assert match is not None and unquote(match[2]) == name


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("a%20b.mp4", "a b.mp4"),
        ("a+b.mp4", "a+b.mp4"),
        ("%C3%BC.mp4", "ü.mp4"),
        # Raw bytes, as some clients send them.
        ("\u00c3\u00bc.mp4", "ü.mp4"),
        # Decoded once: this is a name with an escape in it.
        ("%252e%252e", "%2e%2e"),
        ("100%25.txt", "100%.txt"),
    ],
)
def test_names_in_paths(segment: str, name: str) -> None:
    assert name_from_url(segment) == name


@pytest.mark.parametrize(
    "segment",
    [
        "%2e%2e%2f",
        "%2e%2e",
        "..%2Fx",
        "a%2Fb",
        "a%5Cb",
        "nul%00",
        "%FF.mp4",
        "%E2%80%AEx",
        "",
        "日",
    ],
)
def test_paths_that_are_no_names(segment: str) -> None:
    with pytest.raises(BadName):
        name_from_url(segment)


def test_names_in_parameters() -> None:
    assert name_from_url("a+b%2Bc.mp4", form=True) == "a b+c.mp4"


def test_names_in_forms() -> None:
    # HTML, "multipart/form-data encoding algorithm": a quote, and nothing else that may stay.
    assert name_from_form("a%22b.txt") == 'a"b.txt'
    assert name_from_form("50%25.txt") == "50%25.txt"
    assert name_from_form("Ã¼.txt") == "ü.txt"
    for text in ("a%0D%0Ab", "a/b", "\u00ff"):
        with pytest.raises(BadName):
            name_from_form(text)


def test_a_name_that_old_clients_can_read() -> None:
    # RFC 6266 section 5, and RFC 8187 section 3.2.2.
    assert disposition("attachment", "€ rates.txt") == (
        "attachment; filename=\"rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt"
    )
    assert disposition("inline", "映画").startswith('inline; filename="file"; ')
    assert disposition("attachment", "映画.mp4").startswith('attachment; filename="file.mp4"; ')
    assert 'filename="a_b_c_.txt"' in disposition("attachment", 'a"b%c%.txt')
