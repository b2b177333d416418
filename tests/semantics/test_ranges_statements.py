"""The proxy's own ways to ask: `?range=`, `/file/<start>/<end>`; and what all ways say together."""

import time
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.ranges import (
    IntRange,
    MalformedRange,
    RangesDisagree,
    RangeSet,
    Statement,
    parse_header,
    parse_parameter,
    reconcile,
    split_path,
    take_parameter,
)


def one(first: int, last: int | None) -> RangeSet:
    return RangeSet((IntRange(first, last),))


@pytest.mark.parametrize(
    ("query", "rest", "value"),
    [
        pytest.param("", "", None, id="no query"),
        pytest.param("a=1&b=2", "a=1&b=2", None, id="not there"),
        pytest.param("range=0-99", "", "0-99", id="alone"),
        pytest.param("range=0-99&b=2", "b=2", "0-99", id="first"),
        pytest.param("a=1&range=0-99&b=2", "a=1&b=2", "0-99", id="in the middle"),
        pytest.param("a=1&range=0-99", "a=1", "0-99", id="last"),
        pytest.param("range=bytes=0-99", "", "bytes=0-99", id="equals sign in the value"),
        pytest.param("range=bytes%3D0-99", "", "bytes=0-99", id="equals sign encoded"),
        pytest.param("range=0-0%2C+5-9", "", "0-0, 5-9", id="comma and plus decoded"),
        pytest.param("range=%30-9", "", "0-9", id="digit encoded"),
        pytest.param("r%61nge=0-9&x=1", "x=1", "0-9", id="name encoded"),
        pytest.param("x=1&%72ange=0-9", "x=1", "0-9", id="name encoded, behind another"),
        pytest.param("range=", "", "", id="empty value"),
        pytest.param("range", "", "", id="no value"),
        pytest.param("range=0-9&range=0-9", "", "0-9", id="twice the same text"),
        pytest.param("range=0-9&x&range=bytes%3d00-9", "x", "0-9", id="twice the same range"),
        pytest.param("orange=1&ranges=2&Range=3", "orange=1&ranges=2&Range=3", None, id="similar"),
        pytest.param("x=range=0-9", "x=range=0-9", None, id="within another's value"),
        pytest.param("x=%26range%3D0-9", "x=%26range%3D0-9", None, id="encoded in another's value"),
        pytest.param("&&range=0-9&&", "&&&", "0-9", id="empty pairs stay"),
        pytest.param(
            "q=%c3%A4+%2B&sig=a%2fb%zz;c=%&range=1-2&b=&c",
            "q=%c3%A4+%2B&sig=a%2fb%zz;c=%&b=&c",
            "1-2",
            id="the rest is not re-encoded",
        ),
        pytest.param("\xe4=\xf6&range=1-2", "\xe4=\xf6", "1-2", id="raw bytes stay"),
    ],
)
def test_take_parameter(query: str, rest: str, value: str | None) -> None:
    assert take_parameter(query, "range") == (rest, value)


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("range=0-9&range=0-8", "'0-9' and '0-8'"),
        ("range=0-9&range=bytes=0-9&x=1&range=-9", "'0-9' and '-9'"),
        ("range=0-9&range=abc", "'abc' is not a range"),
        ("range=0-9&range", "no range is given"),
    ],
)
def test_a_parameter_that_contradicts_itself(query: str, part: str) -> None:
    with pytest.raises(MalformedRange) as caught:
        take_parameter(query, "range")
    assert part in str(caught.value)


def test_the_name_of_the_parameter_may_be_any() -> None:
    assert take_parameter("range=0-9&byte%5Bs%5D=1-2", "byte[s]") == ("range=0-9", "1-2")


@given(
    st.lists(st.text("ab=%+&;2", max_size=6), max_size=6),
    st.lists(st.text("ab=%+&;2", max_size=6), max_size=6),
)
def test_the_rest_of_a_query_is_untouched(before: list[str], after: list[str]) -> None:
    left, right = "&".join(before), "&".join(after)
    query = "&".join([*before, "range=0-9", *after])
    rest, value = take_parameter(query, "range")
    assert value == "0-9"
    assert rest == "&".join([*before, *after])
    assert [*parse_qsl(left), *parse_qsl(right)] == parse_qsl(rest)


@given(st.text("0123456789-,= bytes+%&", max_size=30))
def test_an_encoded_value_comes_back(value: str) -> None:
    query = f"a=1&range={quote_plus(value)}"
    assert take_parameter(query, "range") == ("a=1", value)


@pytest.mark.parametrize(
    ("path", "file", "asked"),
    [
        pytest.param("/film.mp4/0/99", "/film.mp4", one(0, 99), id="start and end"),
        pytest.param("/film.mp4/100/", "/film.mp4", one(100, None), id="start alone"),
        pytest.param("/film.mp4/0/0", "/film.mp4", one(0, 0), id="one byte"),
        pytest.param("/film.mp4/007/099", "/film.mp4", one(7, 99), id="leading zeros"),
        pytest.param("/a/b/c/film.mp4/0/99", "/a/b/c/film.mp4", one(0, 99), id="nested"),
        pytest.param("/a/b/film.mp4/5/", "/a/b/film.mp4", one(5, None), id="nested, start alone"),
        pytest.param("/2024/05/12", "/2024", one(5, 12), id="the file's name is a number"),
        pytest.param("/film/0/99/", "/film/0", one(99, None), id="slash behind the end"),
        pytest.param("/f%20%c3%a4.mp4/0/9", "/f%20%c3%a4.mp4", one(0, 9), id="stays encoded"),
        pytest.param("/f\xc3\xa4.mp4/0/9", "/f\xc3\xa4.mp4", one(0, 9), id="raw bytes stay"),
        pytest.param("/f%2F1/0/9", "/f%2F1", one(0, 9), id="encoded slash in the name"),
        pytest.param("//film.mp4/0/9", "//film.mp4", one(0, 9), id="two slashes first"),
        pytest.param(
            "/film/0/999999999999999999", "/film", one(0, 10**18 - 1), id="eighteen digits"
        ),
    ],
)
def test_path_with_a_range(path: str, file: str, asked: RangeSet) -> None:
    assert split_path(path) == (file, asked)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "///",
        "/film.mp4",
        "/film.mp4/",
        "/film.mp4/5",
        "/1/2",
        "/1/",
        "/7",
        "//1/2",
        "/dir//1/2",
        "/film.mp4//",
        "/film.mp4/0//9",
        "/film.mp4/0/9//",
        "/film.mp4//9",
        "/film.mp4/-0/9",
        "/film.mp4/0/-9",
        "/film.mp4/+0/9",
        "/film.mp4/1_0/20",
        "/film.mp4/a/9",
        "/film.mp4/0/9a",
        "/film.mp4/a0/9",
        "/film.mp4/0/9.5",
        "/film.mp4/%30/9",
        "/film.mp4/0/%39",
        "/film.mp4/0%2F9",
        "/film.mp4/ 0/9",
        "/film.mp4/\u0660/\u0669",
        "/film.mp4/\uff10/9",
        "/film.mp4/\u00b2/9",
        "/film.mp4/\u00b2/",
        "*",
        "1/2",
    ],
)
def test_path_that_is_the_origins_own(path: str) -> None:
    assert split_path(path) == (path, None)


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("/film.mp4/9/5", "the end is before the start"),
        ("/film.mp4/0/" + "9" * 19, "a number has more than 18 digits"),
        ("/film.mp4/" + "0" * 19 + "/", "a number has more than 18 digits"),
        ("/film.mp4/" + "9" * 5000 + "/1", "a number has more than 18 digits"),
    ],
)
def test_malformed_path_names_the_cause(path: str, cause: str) -> None:
    with pytest.raises(MalformedRange) as caught:
        split_path(path)
    message = str(caught.value)
    assert cause in message
    assert "/<file>/<start>/<end>" in message
    assert len(message) < 300


@given(
    st.from_regex(r"(/[a-z0-9.%]{1,5}){1,4}", fullmatch=True),
    st.integers(0, 10**17),
    st.one_of(st.none(), st.integers(0, 10**17)),
)
def test_a_range_put_behind_a_file_is_found(file: str, first: int, more: int | None) -> None:
    last = None if more is None else first + more
    path = f"{file}/{first}/{'' if last is None else last}"
    assert split_path(path) == (file, one(first, last))


def said(source: str, text: str) -> Statement:
    asked = parse_parameter(text)
    return Statement(source, text, asked)


HEADER = said("the Range header", "bytes=0-99")
PARAMETER = said("the parameter 'range'", "0-99")
PATH = Statement("the path", "/0/099", one(0, 99))


@pytest.mark.parametrize(
    "statements", [(HEADER,), (HEADER, PARAMETER), (PATH, HEADER), (HEADER, PARAMETER, PATH)]
)
def test_statements_that_agree(statements: tuple[Statement, ...]) -> None:
    assert reconcile(*statements) == parse_header("bytes=0-99")


def test_no_statement_is_no_range() -> None:
    assert reconcile() is None


@pytest.mark.parametrize(
    "other",
    [
        said("the path", "0-98"),
        said("the path", "1-99"),
        said("the path", "0-"),
        said("the path", "-100"),
        said("the path", "0-99,200-"),
    ],
)
def test_statements_that_differ_are_all_named(other: Statement) -> None:
    for statements in ((HEADER, PARAMETER, other), (other, HEADER, PARAMETER)):
        with pytest.raises(RangesDisagree) as caught:
            reconcile(*statements)
        assert caught.value.statements == statements
        for statement in statements:
            assert f"{statement.source} says '{statement.text}'" in str(caught.value)


def test_they_are_named_in_one_sentence() -> None:
    error = RangesDisagree((HEADER, said("path", "5-9")))
    expected = f"The ranges of the request disagree: {HEADER.source} says '{HEADER.text}', "
    assert str(error) == expected + "path says '5-9'."


def test_a_message_holds_no_line_end_of_the_client() -> None:
    hostile = Statement("the path", "/0/9\r\nSet-Cookie: \xe4" + "x" * 9000, one(0, 9))
    message = str(RangesDisagree((HEADER, hostile)))
    assert message.isascii() and message.isprintable() and len(message) < 300


@pytest.mark.parametrize(
    "query",
    [
        "&" * 500_000,
        "range=0-9&" * 100_000,
        "%72ang=1&" * 100_000,
        "range" * 200_000,
        "%" * 500_000,
    ],
    ids=["pairs", "repeats", "encoded names", "one name", "escapes"],
)
def test_work_is_linear(query: str) -> None:
    began = time.perf_counter()
    take_parameter(query, "range")
    split_path("/film" + query + "/1/2")
    assert time.perf_counter() - began < 5, "quadratic work takes minutes here"
