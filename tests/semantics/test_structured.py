"""Structured fields (RFC 9651, RFC 8941)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.structured import (
    Other,
    Token,
    Value,
    parse_dictionary,
    write_string,
    write_word,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("   ", {}, id="blanks only"),
        # The examples of RFC 9651 section 3.2.
        pytest.param(
            'en="Applepie", da=:w4ZibGV0w6ZydGUK:',
            {"en": "Applepie", "da": Other(":w4ZibGV0w6ZydGUK:")},
            id="string and bytes",
        ),
        pytest.param("a=?0, b, c; foo=bar", {"a": False, "b": True, "c": True}, id="booleans"),
        pytest.param(
            "rating=1.5, feelings=(joy sadness)",
            {"rating": Other("1.5"), "feelings": Other("(joy sadness)")},
            id="decimal and inner list",
        ),
        pytest.param(
            "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid",
            {"a": Other("(1 2)"), "b": 3, "c": 4, "d": Other("(5 6)")},
            id="mixed",
        ),
        pytest.param("foo=1, bar=2", {"foo": 1, "bar": 2}, id="integers"),
        pytest.param("a=1,b=2", {"a": 1, "b": 2}, id="no blank"),
        pytest.param("a=1 \t,\t b=2", {"a": 1, "b": 2}, id="blanks and tabs around the comma"),
        pytest.param("  a=1  ", {"a": 1}, id="blanks around"),
        pytest.param("a=1, b=2, a=3", {"a": 3, "b": 2}, id="the last of two counts"),
        pytest.param("a=-15", {"a": -15}, id="negative"),
        pytest.param("a=999999999999999", {"a": 999_999_999_999_999}, id="15 digits"),
        pytest.param("a=tok/en:x", {"a": Token("tok/en:x")}, id="token"),
        pytest.param("a=*x", {"a": Token("*x")}, id="token with a star"),
        pytest.param(r'a="\"\\"', {"a": '"\\'}, id="escapes"),
        pytest.param('a="x, b=1"', {"a": "x, b=1"}, id="a comma in a string"),
        pytest.param('a=1;p="x,y";q', {"a": 1}, id="parameters are left out"),
        pytest.param("a=@1659578233", {"a": Other("@1659578233")}, id="date"),
        pytest.param('a=%"f%c3%bc"', {"a": Other('%"f%c3%bc"')}, id="display string"),
        pytest.param("a=( 1  2 )", {"a": Other("( 1  2 )")}, id="blanks in an inner list"),
        pytest.param("a=()", {"a": Other("()")}, id="empty inner list"),
        pytest.param("*a.b-c_d=1", {"*a.b-c_d": 1}, id="all that a key may hold"),
        # Malformed.
        pytest.param("a=1,", None, id="comma at the end"),
        pytest.param(",a=1", None, id="comma at the beginning"),
        pytest.param("a=1,,b=2", None, id="empty member"),
        pytest.param("a=1 b=2", None, id="no comma"),
        pytest.param("A=1", None, id="key in upper case"),
        pytest.param("1a=1", None, id="key that begins with a digit"),
        pytest.param("a =1", None, id="blank before ="),
        pytest.param("a= 1", None, id="blank after ="),
        pytest.param("a=", None, id="no value"),
        pytest.param("a=1.", None, id="nothing after the point"),
        pytest.param("a=1.2345", None, id="four digits after the point"),
        pytest.param("a=1234567890123.1", None, id="13 digits before the point"),
        pytest.param("a=1000000000000000", None, id="16 digits"),
        pytest.param("a=--1", None, id="two signs"),
        pytest.param('a="x', None, id="string not closed"),
        pytest.param(r'a="\x"', None, id="unknown escape"),
        pytest.param('a="\xe4"', None, id="string beyond ASCII"),
        pytest.param("a=(1", None, id="inner list not closed"),
        pytest.param("a=(1,2)", None, id="comma in an inner list"),
        pytest.param('a=("x""y")', None, id="no blank in an inner list"),
        pytest.param("a=?2", None, id="no boolean"),
        pytest.param("a=1;P", None, id="parameter in upper case"),
        pytest.param("a=1;p=", None, id="parameter without value"),
        pytest.param("a=1, &&&&&", None, id="unknown type"),
        pytest.param("a=\u0661", None, id="digit beyond ASCII"),
        pytest.param('a=%"\xfc"', None, id="display string beyond ASCII"),
    ],
)
def test_dictionary(value: str, expected: dict[str, Value] | None) -> None:
    found = parse_dictionary(value)
    assert found == expected
    if found is not None and expected is not None:  # True == 1, so types are looked at as well
        assert [type(each) for each in found.values()] == [type(each) for each in expected.values()]


@given(st.text(alphabet='ab1=,;"\\ \t()?:@%.-*', max_size=40))
def test_reading_never_raises(value: str) -> None:
    found = parse_dictionary(value)
    assert found is None or all(key and key == key.lower() for key in found)


@given(st.text())
def test_a_string_comes_back_as_far_as_it_can_be_written(text: str) -> None:
    written = write_string(text)
    read = parse_dictionary(f"a={written}")
    assert read is not None
    if text.isascii() and text.isprintable():
        assert read == {"a": text}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("aprp", "aprp"),
        ("cache-3.example.com", "cache-3.example.com"),
        ("CDN Company Here", '"CDN Company Here"'),
        ("", '""'),
        ("3x", '"3x"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("f\xfc\n", '"f%C3%BC%0A"'),
    ],
)
def test_words(text: str, written: str) -> None:
    assert write_word(text) == written
