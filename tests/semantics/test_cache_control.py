"""Cache directives (RFC 9111 section 5.2, RFC 9213)."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.cache_control import (
    LONGEST_DELTA,
    NO_DIRECTIVES,
    Directives,
    request_directives,
    response_directives,
)
from aprp.semantics.headers import Fields

parse = Directives.parse


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, Directives(), id="no field"),
        pytest.param("", Directives(), id="empty"),
        pytest.param(" , ,\t,", Directives(), id="empty members"),
        pytest.param("max-age=3600", Directives(max_age=3600), id="max-age"),
        pytest.param('max-age="3600"', Directives(max_age=3600), id="quoted"),
        pytest.param("MaX-aGe=3600", Directives(max_age=3600), id="without case"),
        pytest.param("max-age=003600", Directives(max_age=3600), id="leading zeros"),
        pytest.param("max-age=0", Directives(max_age=0), id="zero"),
        pytest.param("max-age=00", Directives(max_age=0), id="only zeros"),
        pytest.param(",max-age=3600 ,\tno-store", Directives(max_age=3600, no_store=True), id="b"),
        pytest.param("max-age=2147483648", Directives(max_age=LONGEST_DELTA), id="2**31"),
        pytest.param("max-age=99999999999", Directives(max_age=LONGEST_DELTA), id="beyond 2**31"),
        pytest.param(f"max-age={'9' * 9000}", Directives(max_age=LONGEST_DELTA), id="very long"),
        pytest.param(f"max-age={'0' * 9000}7", Directives(max_age=7), id="long with zeros"),
        pytest.param("s-maxage=5, max-age=9", Directives(s_maxage=5, max_age=9), id="s-maxage"),
        pytest.param("no-store", Directives(no_store=True), id="no-store"),
        pytest.param("No-StOrE", Directives(no_store=True), id="no-store without case"),
        pytest.param("no-cache", Directives(no_cache=True), id="no-cache"),
        pytest.param("public", Directives(public=True), id="public"),
        pytest.param("private", Directives(private=True), id="private"),
        pytest.param("immutable", Directives(immutable=True), id="immutable"),
        pytest.param("must-revalidate", Directives(must_revalidate=True), id="must-revalidate"),
        pytest.param("proxy-revalidate", Directives(proxy_revalidate=True), id="proxy-revalidate"),
        pytest.param("must-understand", Directives(must_understand=True), id="must-understand"),
        pytest.param("only-if-cached", Directives(only_if_cached=True), id="only-if-cached"),
        pytest.param("stale-if-error=5", Directives(stale_if_error=5), id="stale-if-error"),
        pytest.param(
            "stale-while-revalidate=5", Directives(stale_while_revalidate=5), id="stale-while-"
        ),
        pytest.param("min-fresh=5", Directives(min_fresh=5), id="min-fresh"),
        pytest.param("max-stale=5", Directives(max_stale=5), id="max-stale"),
        pytest.param("max-stale", Directives(max_stale=math.inf), id="max-stale, however long"),
    ],
)
def test_what_is_stated(value: str | None, expected: Directives) -> None:
    assert parse(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "max-age",
        "max-age=",
        'max-age=""',
        "max-age='3600'",
        "max-age=a3600",
        "max-age=3600a",
        "max-age=-3600",
        "max-age=+3600",
        "max-age=3600.0",
        "max-age=3_600",
        "max-age=\u0663\u0666",
        "max-age=\xb2",
        "max-age =3600",
        "max-age= 3600",
        'max-age= "3600"',
        'max-age="3600"0',
        'max-age="3600',
        "max-age 3600",
        "max-age=abc, max-age=3600",
    ],
)
def test_an_invalid_lifetime_is_none_4_2_1(value: str) -> None:
    assert parse(value).max_age == 0
    assert parse(value.replace("max-age", "s-maxage")).s_maxage == 0


@pytest.mark.parametrize("name", ["stale-if-error", "stale-while-revalidate", "min-fresh"])
@pytest.mark.parametrize("argument", ["", "=", "=-1", "=x", "= 5"])
def test_other_invalid_times_count_as_not_stated(name: str, argument: str) -> None:
    assert parse(name + argument) == NO_DIRECTIVES


def test_an_invalid_max_stale_does_not_stand_for_any() -> None:
    assert parse("max-stale=x").max_stale is None
    assert parse("max-stale=").max_stale is None


@pytest.mark.parametrize(("value", "first"), [("1800, max-age=1", 1800), ("1, max-age=1800", 1)])
def test_the_first_of_two_counts_4_2_1(value: str, first: int) -> None:
    assert parse(f"max-age={value}").max_age == first


@pytest.mark.parametrize(
    "value",
    [
        'extension="max-age=100", max-age=1',
        'max-age=1, extension="max-age=100"',
        'extension="max-age=100", max-age="1"',
        'extension="a\\", max-age=100", max-age=1',
        '"max-age=100", max-age=1',
        '"", max-age=1',
        "=max-age=100, max-age=1",
    ],
)
def test_what_stands_in_quotation_marks_is_no_directive(value: str) -> None:
    assert parse(value).max_age == 1


def test_a_quotation_mark_that_is_not_closed_hides_nothing() -> None:
    assert parse('extension="abc, no-store').no_store
    assert parse('"abc, no-store').no_store
    assert parse('private="abc, no-store').private


def test_unknown_directives_are_kept() -> None:
    found = parse('Community="UCI, x", max-age=60, foo, bar=baz, empty=""')
    assert found.max_age == 60
    assert found.others == (
        ("community", "UCI, x"),
        ("foo", None),
        ("bar", "baz"),
        ("empty", ""),
    )


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ('"Set-Cookie"', {"set-cookie"}),
        ('"A, b ,\tc"', {"a", "b", "c"}),
        ('",a,,"', {"a"}),
        ("Set-Cookie", {"set-cookie"}),
        (r'"\a"', {"a"}),
    ],
)
def test_directives_for_fields_5_2_2_4(argument: str, names: set[str]) -> None:
    assert parse(f"no-cache={argument}") == Directives(no_cache_fields=frozenset(names))
    assert parse(f"private={argument}") == Directives(private_fields=frozenset(names))


@pytest.mark.parametrize("argument", ["", '""', '","', '"a b"', '"a\xe4"', '"a', '"Vary"'])
def test_unreadable_field_names_stand_for_the_whole_response(argument: str) -> None:
    assert parse(f"no-cache={argument}").no_cache
    assert parse(f"private={argument}").private


def test_both_forms_together() -> None:
    found = parse('no-cache="a", no-cache="b", private="c"')
    assert not found.no_cache
    assert found.left_out == {"a", "b", "c"}
    assert parse('no-cache="a", no-cache').no_cache


def test_what_is_parsed_is_kept_unless_it_is_long() -> None:
    assert parse("max-age=7, public") is parse("max-age=7, public")
    long = "max-age=7, x=" + "y" * 600
    assert parse(long) == parse(long)
    assert parse(long) is not parse(long)


@given(st.text(alphabet='max-age=0123, "\\\t;no-store\xe4', max_size=60))
def test_parsing_never_raises_and_stays_within_bounds(value: str) -> None:
    found = parse(value)
    assert found.max_age is None or 0 <= found.max_age <= LONGEST_DELTA
    assert all(name and name == name.lower() for name, _ in found.others)


@given(
    st.lists(
        st.sampled_from(
            ["max-age=60", 'private="a"', "no-store", "PUBLIC", 'x="1, 2"', "s-maxage=5", "y"]
        ),
        unique=True,
    ),
    st.sampled_from([",", ", ", " ,\t", ",,"]),
)
def test_order_and_blanks_between_different_directives_do_not_count(
    members: list[str], comma: str
) -> None:
    found, turned = parse(comma.join(members)), parse(", ".join(reversed(members)))
    assert replace(found, others=()) == replace(turned, others=())
    assert sorted(found.others) == sorted(turned.others)


@given(st.integers(0, 10**12))
def test_seconds_up_to_the_longest(seconds: int) -> None:
    assert parse(f"max-age={seconds}").max_age == min(seconds, 2**31)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], NO_DIRECTIVES),
        ([("Cache-Control", "max-age=0")], Directives(max_age=0)),
        (
            [("Cache-Control", "max-age=0"), ("cache-control", "no-store")],
            parse("max-age=0,no-store"),
        ),
        ([("Pragma", "no-cache")], Directives(no_cache=True)),
        ([("Pragma", "x, No-Cache")], Directives(no_cache=True)),
        ([("Pragma", "unrecognised-extension")], NO_DIRECTIVES),
        ([("Pragma", "max-age=5")], NO_DIRECTIVES),
        ([("Pragma", "no-cache"), ("Cache-Control", "max-age=5")], Directives(max_age=5)),
        ([("CDN-Cache-Control", "no-store")], NO_DIRECTIVES),
    ],
)
def test_requests_5_4(fields: list[tuple[str, str]], expected: Directives) -> None:
    found = request_directives(Fields(fields).get)
    assert found == expected
    if expected is NO_DIRECTIVES:
        assert found is NO_DIRECTIVES


@pytest.mark.parametrize(
    ("targeted", "expected"),
    [
        pytest.param("max-age=600", Directives(max_age=600, targeted=True), id="max-age"),
        pytest.param("max-age=99999999999", Directives(max_age=2**31, targeted=True), id="long"),
        pytest.param(
            "none", Directives(others=(("none", None),), targeted=True), id="unknown directive"
        ),
        pytest.param(
            'private="a, b", no-cache=c',
            Directives(
                private_fields=frozenset("ab"), no_cache_fields=frozenset("c"), targeted=True
            ),
            id="field names",
        ),
        pytest.param(
            "no-store, max-age=5;x=1", Directives(no_store=True, max_age=5, targeted=True), id="p"
        ),
        pytest.param("no-store=?0", Directives(targeted=True), id="false"),
        pytest.param("max-age=1, max-age=2", Directives(max_age=2, targeted=True), id="last"),
        pytest.param('max-age="60"', Directives(max_age=0, targeted=True), id="a string"),
        pytest.param("max-age=60.5", Directives(max_age=0, targeted=True), id="a decimal"),
        pytest.param("max-age=-1", Directives(max_age=0, targeted=True), id="negative"),
        pytest.param("max-age", Directives(max_age=0, targeted=True), id="no value"),
        pytest.param("private=(a b)", Directives(private=True, targeted=True), id="a list"),
    ],
)
def test_a_targeted_field_takes_the_place_of_cache_control(
    targeted: str, expected: Directives
) -> None:
    fields = Fields([("Cache-Control", "s-maxage=1, public"), ("CDN-Cache-Control", targeted)])
    assert response_directives(fields.get) == expected


@pytest.mark.parametrize(
    "targeted",
    ["", " ", "max-age=10000, &&&&&", "max-age =100", "max-age= 100", "MaX-aGe=3600", "max-age=1,"],
)
def test_an_invalid_or_empty_targeted_field_is_ignored(targeted: str) -> None:
    fields = Fields([("Cache-Control", "no-store"), ("CDN-Cache-Control", targeted)])
    assert response_directives(fields.get) == Directives(no_store=True)


def test_a_long_targeted_field_is_read_too() -> None:
    fields = Fields([("CDN-Cache-Control", "max-age=5, x=" + "y" * 600)])
    assert response_directives(fields.get).max_age == 5
