"""Conditional requests (RFC 9110 section 13)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.conditions import (
    UNCONDITIONAL,
    Conditions,
    ETag,
    NotModified,
    PreconditionFailed,
    Proceed,
    TagList,
    Validators,
    evaluate,
    if_range_matches,
)

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
A_SECOND_BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
A_SECOND_LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
MUCH_LATER = "Mon, 07 Nov 1994 08:49:37 GMT"

STRONG = {"ETag": '"v1"', "Last-Modified": MODIFIED, "Date": MUCH_LATER}
WEAK = {"ETag": 'W/"v1"', "Last-Modified": MODIFIED, "Date": MUCH_LATER}
TAG_ONLY = {"ETag": '"v1"'}
DATE_ONLY = {"Last-Modified": MODIFIED, "Date": MUCH_LATER}
NOTHING: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ('"xyzzy"', ETag("xyzzy", weak=False)),
        ('W/"xyzzy"', ETag("xyzzy", weak=True)),
        ('""', ETag("", weak=False)),
        ('W/""', ETag("", weak=True)),
        ('"a,b"', ETag("a,b", weak=False)),
        ('"!#~"', ETag("!#~", weak=False)),
        ('"a\\b"', ETag("a\\b", weak=False)),
        ('"\x80\xff"', ETag("\x80\xff", weak=False)),
        ("xyzzy", None),
        ("", None),
        ('"', None),
        ('"xyzzy', None),
        ('xyzzy"', None),
        ('w/"xyzzy"', None),
        ('W"xyzzy"', None),
        ('W/ "xyzzy"', None),
        ('"xy zzy"', None),
        ('"xy\x7fzzy"', None),
        ('"xy"zzy"', None),
        ('"xyzzy"\n', None),
        ('"\u0100"', None),
        ("*", None),
    ],
)
def test_entity_tag_syntax_8_8_3(text: str, tag: ETag | None) -> None:
    assert ETag.parse(text) == tag
    if tag is not None:
        assert str(tag) == text


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        pytest.param('W/"1"', 'W/"1"', False, True, id="both weak"),
        pytest.param('W/"1"', 'W/"2"', False, False, id="both weak, other value"),
        pytest.param('W/"1"', '"1"', False, True, id="one weak"),
        pytest.param('"1"', '"1"', True, True, id="both strong"),
    ],
)
def test_comparison_table_8_8_3_2(one: str, other: str, strong: bool, weak: bool) -> None:
    left, right = ETag.parse(one), ETag.parse(other)
    assert left is not None and right is not None
    assert left.strongly_equals(right) is right.strongly_equals(left) is strong
    assert left.weakly_equals(right) is right.weakly_equals(left) is weak


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ('"a"', [ETag("a")]),
        ('"a", "b"', [ETag("a"), ETag("b")]),
        ('"a","b"', [ETag("a"), ETag("b")]),
        ('"a",W/"b"', [ETag("a"), ETag("b", weak=True)]),
        ('"a,b", "c, \t"', None),
        ('"a,b", "c,"', [ETag("a,b"), ETag("c,")]),
        (', ,"a" ,\t, W/"b",', [ETag("a"), ETag("b", weak=True)]),
        (" ", []),
        ("", []),
        (",", []),
        ('"a" "b"', None),
        ('"a"; "b"', None),
        ('"a", b', None),
        ('"a", "b', None),
        ('*, "a"', None),
        ('"a", *', None),
        ("a", None),
    ],
)
def test_tag_list_syntax_13_1(value: str, tags: list[ETag] | None) -> None:
    assert TagList.parse(value) == TagList(any_tag=False, tags=tuple(tags or ()))


def test_any_tag() -> None:
    assert TagList.parse("*") == TagList(any_tag=True)


@given(
    st.lists(st.tuples(st.from_regex(r"[\x21\x23-\x7e\x80-\xff]*", fullmatch=True), st.booleans()))
)
def test_tag_list_round_trip(parts: list[tuple[str, bool]]) -> None:
    tags = tuple(ETag(value, weak) for value, weak in parts)
    assert TagList.parse(", ".join(map(str, tags))).tags == tags


@given(st.text('W/"a, \t*', max_size=30))
def test_tag_list_never_raises(value: str) -> None:
    parsed = TagList.parse(value)
    assert parsed.any_tag == (value == "*")
    assert all(str(tag) in value for tag in parsed.tags)


@pytest.mark.parametrize(
    "value",
    [" " * 1_000_000 + "x", '"a",' * 200_000 + "x", '"' * 1_000_001, "W/" * 500_000],
    ids=["blanks", "tags", "quotation marks", "weak marks"],
)
def test_tag_list_work_is_linear(value: str) -> None:
    began = time.perf_counter()
    TagList.parse(value)
    assert time.perf_counter() - began < 5, "quadratic work takes minutes here"


def verdict(method: str, request: dict[str, str], response: dict[str, str]) -> str:
    result = evaluate(
        method, Conditions.from_headers(request.get), Validators.from_headers(response.get)
    )
    match result:
        case Proceed():
            return "proceed"
        case NotModified():
            return "304"
        case PreconditionFailed(field):
            return f"412 {field}"


@pytest.mark.parametrize(
    ("request_fields", "response", "get", "put"),
    [
        pytest.param({}, STRONG, "proceed", "proceed", id="13.2.2 no preconditions"),
        # Step 1
        pytest.param({"If-Match": '"v1"'}, STRONG, "proceed", "proceed", id="13.1.1 matches"),
        pytest.param(
            {"If-Match": '"v2"'}, STRONG, "412 If-Match", "412 If-Match", id="13.1.1 differs"
        ),
        pytest.param(
            {"If-Match": '"v0", "v1"'}, STRONG, "proceed", "proceed", id="13.1.1 one of a list"
        ),
        pytest.param({"If-Match": "*"}, STRONG, "proceed", "proceed", id="13.1.1 any"),
        pytest.param({"If-Match": "*"}, NOTHING, "proceed", "proceed", id="13.1.1 any, no ETag"),
        pytest.param(
            {"If-Match": '"v1"'}, WEAK, "412 If-Match", "412 If-Match", id="13.1.1 weak ETag"
        ),
        pytest.param(
            {"If-Match": 'W/"v1"'}, WEAK, "412 If-Match", "412 If-Match", id="13.1.1 both weak"
        ),
        pytest.param(
            {"If-Match": '"v1"'}, DATE_ONLY, "412 If-Match", "412 If-Match", id="13.1.1 no ETag"
        ),
        pytest.param(
            {"If-Match": "v1"}, STRONG, "412 If-Match", "412 If-Match", id="13.1.1 malformed"
        ),
        # Step 2
        pytest.param(
            {"If-Unmodified-Since": MODIFIED}, STRONG, "proceed", "proceed", id="13.1.4 same date"
        ),
        pytest.param(
            {"If-Unmodified-Since": A_SECOND_LATER},
            STRONG,
            "proceed",
            "proceed",
            id="13.1.4 later date",
        ),
        pytest.param(
            {"If-Unmodified-Since": A_SECOND_BEFORE},
            STRONG,
            "412 If-Unmodified-Since",
            "412 If-Unmodified-Since",
            id="13.1.4 modified since",
        ),
        pytest.param(
            {"If-Unmodified-Since": "yesterday"}, STRONG, "proceed", "proceed", id="13.1.4 no date"
        ),
        pytest.param(
            {"If-Unmodified-Since": A_SECOND_BEFORE},
            TAG_ONLY,
            "proceed",
            "proceed",
            id="13.1.4 no Last-Modified",
        ),
        pytest.param(
            {"If-Match": '"v1"', "If-Unmodified-Since": A_SECOND_BEFORE},
            STRONG,
            "proceed",
            "proceed",
            id="13.2.2 If-Match makes If-Unmodified-Since void",
        ),
        # Step 3
        pytest.param(
            {"If-None-Match": '"v1"'}, STRONG, "304", "412 If-None-Match", id="13.1.2 matches"
        ),
        pytest.param({"If-None-Match": '"v2"'}, STRONG, "proceed", "proceed", id="13.1.2 differs"),
        pytest.param(
            {"If-None-Match": '"a,b", W/"v1"'},
            STRONG,
            "304",
            "412 If-None-Match",
            id="13.1.2 one of a list, weakly",
        ),
        pytest.param(
            {"If-None-Match": '"v1"'}, WEAK, "304", "412 If-None-Match", id="13.1.2 weak ETag"
        ),
        pytest.param({"If-None-Match": "*"}, STRONG, "304", "412 If-None-Match", id="13.1.2 any"),
        pytest.param(
            {"If-None-Match": "*"}, NOTHING, "304", "412 If-None-Match", id="13.1.2 any, no ETag"
        ),
        pytest.param(
            {"If-None-Match": '"v1"'}, DATE_ONLY, "proceed", "proceed", id="13.1.2 no ETag"
        ),
        pytest.param({"If-None-Match": "v1"}, STRONG, "proceed", "proceed", id="13.1.2 malformed"),
        pytest.param(
            {"If-Match": '"v1"', "If-None-Match": '"v1"'},
            STRONG,
            "304",
            "412 If-None-Match",
            id="13.2.2 step 1 goes on to step 3",
        ),
        pytest.param(
            {"If-Match": '"v2"', "If-None-Match": '"v1"'},
            STRONG,
            "412 If-Match",
            "412 If-Match",
            id="13.2.2 step 1 comes before step 3",
        ),
        # Step 4
        pytest.param({"If-Modified-Since": MODIFIED}, STRONG, "304", "proceed", id="13.1.3 same"),
        pytest.param(
            {"If-Modified-Since": MUCH_LATER}, STRONG, "304", "proceed", id="13.1.3 later"
        ),
        pytest.param(
            {"If-Modified-Since": A_SECOND_BEFORE},
            STRONG,
            "proceed",
            "proceed",
            id="13.1.3 modified since",
        ),
        pytest.param(
            {"If-Modified-Since": "yesterday"}, STRONG, "proceed", "proceed", id="13.1.3 no date"
        ),
        pytest.param(
            {"If-Modified-Since": f"{MODIFIED}, {MODIFIED}"},
            STRONG,
            "proceed",
            "proceed",
            id="13.1.3 two dates",
        ),
        pytest.param(
            {"If-Modified-Since": MUCH_LATER},
            TAG_ONLY,
            "proceed",
            "proceed",
            id="13.1.3 no Last-Modified",
        ),
        pytest.param(
            {"If-None-Match": '"v2"', "If-Modified-Since": MUCH_LATER},
            STRONG,
            "proceed",
            "proceed",
            id="13.2.2 If-None-Match makes If-Modified-Since void",
        ),
        pytest.param(
            {"If-Unmodified-Since": A_SECOND_LATER, "If-Modified-Since": MODIFIED},
            STRONG,
            "304",
            "proceed",
            id="13.2.2 step 2 goes on to step 4",
        ),
    ],
)
def test_evaluation(
    request_fields: dict[str, str], response: dict[str, str], get: str, put: str
) -> None:
    assert verdict("GET", request_fields, response) == get
    assert verdict("HEAD", request_fields, response) == get
    assert verdict("PUT", request_fields, response) == put
    for method in ("CONNECT", "OPTIONS", "TRACE"):  # 13.2.1
        assert verdict(method, request_fields, response) == "proceed"


@pytest.mark.parametrize(
    ("value", "response", "matches"),
    [
        pytest.param('"v1"', STRONG, True, id="13.1.5 the same strong tag"),
        pytest.param('"v1"', TAG_ONLY, True, id="13.1.5 the same, no dates"),
        pytest.param('"v2"', STRONG, False, id="13.1.5 another tag"),
        pytest.param('W/"v1"', STRONG, False, id="13.1.5 weak tag asked"),
        pytest.param('"v1"', WEAK, False, id="13.1.5 weak tag of the file"),
        pytest.param('W/"v1"', WEAK, False, id="13.1.5 both weak"),
        pytest.param('"v1"', DATE_ONLY, False, id="13.1.5 the file has no tag"),
        pytest.param('"v1", "v2"', STRONG, False, id="13.1.5 a list is no entity-tag"),
        pytest.param("*", STRONG, False, id="13.1.5 any is no entity-tag"),
        pytest.param("v1", STRONG, False, id="13.1.5 no quotation marks"),
        pytest.param("", NOTHING, False, id="13.1.5 empty"),
        pytest.param(MODIFIED, STRONG, True, id="13.1.5 the very date"),
        pytest.param(MODIFIED, WEAK, True, id="13.1.5 the very date, though the tag is weak"),
        pytest.param("Sun Nov  6 08:49:37 1994", STRONG, True, id="13.1.5 the very date, asctime"),
        pytest.param(A_SECOND_LATER, STRONG, False, id="13.1.5 a later date does not do"),
        pytest.param(A_SECOND_BEFORE, STRONG, False, id="13.1.5 an earlier date"),
        pytest.param(MODIFIED, TAG_ONLY, False, id="13.1.5 the file has no date"),
        pytest.param("yesterday", STRONG, False, id="13.1.5 malformed date"),
        pytest.param(
            "yesterday", {"Last-Modified": "yesterday"}, False, id="13.1.5 malformed on both sides"
        ),
        pytest.param(
            MODIFIED,
            {"Last-Modified": MODIFIED, "Date": A_SECOND_LATER},
            True,
            id="8.8.2.2 Date one second later",
        ),
        pytest.param(
            MODIFIED,
            {"Last-Modified": MODIFIED, "Date": MODIFIED},
            False,
            id="8.8.2.2 Date in the same second",
        ),
        pytest.param(
            MODIFIED,
            {"Last-Modified": MODIFIED, "Date": A_SECOND_BEFORE},
            False,
            id="8.8.2.2 Date before Last-Modified",
        ),
        pytest.param(MODIFIED, {"Last-Modified": MODIFIED}, False, id="8.8.2.2 no Date"),
    ],
)
def test_if_range(value: str, response: dict[str, str], matches: bool) -> None:
    assert if_range_matches(value, Validators.from_headers(response.get)) is matches


def test_two_digit_years_are_read_where_now_is_given() -> None:
    old_style = "Sunday, 06-Nov-94 08:49:37 GMT"
    validators = Validators.from_headers(STRONG.get)
    now = 784_111_777
    assert not if_range_matches(old_style, validators)
    assert if_range_matches(old_style, validators, now)
    asked = Conditions.from_headers({"If-Modified-Since": old_style}.get, now)
    assert asked.if_modified_since == now
    assert Validators.from_headers({"Last-Modified": old_style}.get, now).last_modified == now


def test_no_preconditions_are_one_object() -> None:
    assert Conditions.from_headers({"If-Range": '"v1"'}.get) is UNCONDITIONAL
    assert Conditions.from_headers({"If-Match": '"v1"'}.get) is not UNCONDITIONAL
