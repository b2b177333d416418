"""Freshness lifetime and age (RFC 9111 sections 4.2.1 to 4.2.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.cache_control import Get
from aprp.semantics.freshness import UNKNOWN_LIFETIME, Lifetime, policy
from tests.semantics.times import NOW, at, getting

DATE = ("Date", at(0))
DAY = 86400


def lifetime(get: Get, status: int = 200) -> Lifetime:
    """The lifetime of a response that came at once."""
    return policy(get, status, NOW, NOW).lifetime


def explicit(seconds: float) -> Lifetime:
    return Lifetime(seconds, explicit=True)


def heuristic(seconds: float) -> Lifetime:
    return Lifetime(seconds, heuristic=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param([], UNKNOWN_LIFETIME, id="nothing"),
        pytest.param([("ETag", '"x"')], UNKNOWN_LIFETIME, id="a validator that tells no time"),
        pytest.param([("Cache-Control", "max-age=60")], explicit(60), id="max-age"),
        pytest.param([("Cache-Control", "s-maxage=60")], explicit(60), id="s-maxage"),
        pytest.param(
            [("Cache-Control", "max-age=9, s-maxage=1")], explicit(1), id="s-maxage first"
        ),
        pytest.param([("Cache-Control", "s-maxage=9, max-age=1")], explicit(9), id="either order"),
        pytest.param(
            [("Cache-Control", "max-age=9"), ("Cache-Control", "s-maxage=1")],
            explicit(1),
            id="on two lines",
        ),
        pytest.param(
            [("Cache-Control", "max-age=60"), ("Expires", at(-9)), DATE],
            explicit(60),
            id="max-age before a past Expires",
        ),
        pytest.param(
            [("Cache-Control", "max-age=60"), ("Expires", "0"), DATE],
            explicit(60),
            id="max-age before an invalid Expires",
        ),
        pytest.param(
            [("Cache-Control", "max-age=0"), ("Expires", at(9)), DATE],
            explicit(0),
            id="max-age=0 before a future Expires",
        ),
        pytest.param(
            [("Cache-Control", "max-age=x"), ("Expires", at(9)), DATE],
            explicit(0),
            id="an invalid max-age before Expires",
        ),
        pytest.param(
            [("Cache-Control", "max-age=x"), ("Last-Modified", at(-DAY)), DATE],
            explicit(0),
            id="no guess beside an invalid max-age",
        ),
        pytest.param([("Expires", at(90)), DATE], explicit(90), id="Expires"),
        pytest.param([("Expires", at(90)), ("Date", at(-10))], explicit(100), id="a slow Date"),
        pytest.param([("Expires", at(20)), ("Date", at(10))], explicit(10), id="a fast Date"),
        pytest.param([("Expires", at(0)), DATE], explicit(0), id="Expires at once"),
        pytest.param([("Expires", at(300)), ("Date", at(400))], explicit(0), id="before Date"),
        pytest.param([("Expires", at(90))], explicit(90), id="Expires without Date"),
        pytest.param([("Expires", at(90)), ("Date", "foo")], explicit(90), id="an invalid Date"),
        pytest.param(
            [("Expires", "0"), DATE, ("Last-Modified", at(-DAY))], explicit(0), id="Expires: 0"
        ),
        pytest.param([("Expires", at(9)), ("Expires", at(9)), DATE], explicit(0), id="two Expires"),
        pytest.param(
            [("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "max-age=1"), ("Expires", "0")],
            explicit(60),
            id="CDN-Cache-Control",
        ),
        pytest.param(
            [("CDN-Cache-Control", "none"), ("Cache-Control", "max-age=9"), ("Expires", at(9))],
            UNKNOWN_LIFETIME,
            id="CDN-Cache-Control in place of Expires",
        ),
        pytest.param(
            [("CDN-Cache-Control", "max-age=60, &&"), ("Cache-Control", "max-age=1")],
            explicit(1),
            id="malformed CDN-Cache-Control",
        ),
        pytest.param([("Last-Modified", at(-1000)), DATE], heuristic(100), id="a tenth"),
        pytest.param([("Last-Modified", at(-1000))], heuristic(100), id="a tenth, no Date"),
        pytest.param([("Last-Modified", at(-99 * DAY)), DATE], heuristic(DAY), id="a day at most"),
        pytest.param([("Last-Modified", at(0)), DATE], UNKNOWN_LIFETIME, id="modified just now"),
        pytest.param([("Last-Modified", at(9)), DATE], UNKNOWN_LIFETIME, id="modified tomorrow"),
        pytest.param([("Last-Modified", "x"), DATE], UNKNOWN_LIFETIME, id="no valid date"),
    ],
)
def test_lifetime(fields: list[tuple[str, str]], expected: Lifetime) -> None:
    assert lifetime(getting(*fields)) == expected


@pytest.mark.parametrize("status", [200, 203, 204, 206, 300, 301, 308])
def test_statuses_with_a_guessed_lifetime(status: int) -> None:
    get = getting(("Last-Modified", at(-1000)), DATE)
    assert lifetime(get, status) == heuristic(100)


@pytest.mark.parametrize(
    "status", [201, 202, 299, 302, 303, 307, 400, 403, 404, 405, 410, 414, 500, 501, 503, 599]
)
def test_statuses_with_a_guessed_lifetime_only_if_public(status: int) -> None:
    fields = [("Last-Modified", at(-1000)), DATE]
    assert lifetime(getting(*fields), status) == UNKNOWN_LIFETIME
    public = getting(*fields, ("Cache-Control", "public"))
    assert lifetime(public, status) == heuristic(100)


def test_the_guess_has_a_limit() -> None:
    get = getting(("Last-Modified", at(-1000)), DATE)
    assert policy(get, 200, NOW, NOW, heuristic_max=60).lifetime == heuristic(60)


@pytest.mark.parametrize(
    "expires",
    [
        "Tue, 19 Jan 2038 14:14:08 GMT",
        "Sun, 21 Nov 2286 04:46:39 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug  8 02:01:18 2050",
        # Section 4.2: a cache should compare dates without case.
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "thursday, 18-aug-50 02:01:18 gmt",
        "thu aug  8 02:01:18 2050",
    ],
)
def test_dates_in_the_future(expires: str) -> None:
    assert lifetime(getting(("Expires", expires), DATE)).seconds > DAY


@pytest.mark.parametrize(
    "expires",
    [
        "",
        "0",
        "-1",
        "never",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:19 GMT",
        "x" * 70_000,
    ],
)
def test_an_invalid_expires_lies_in_the_past_5_3(expires: str) -> None:
    assert lifetime(getting(("Expires", expires), DATE)) == explicit(0)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, 0),
        ("0", 0),
        ("7200", 7200),
        (" 7200 ", 7200),
        ("7200, 0", 7200),
        ("0, 7200", 0),
        ("0, 0", 0),
        ("2147483647", 2**31 - 1),
        ("2147483649", 2**31),
        ("9" * 9000, 2**31),
        # Invalid, so ignored (section 5.1).
        ("abc", 0),
        ("-7200", 0),
        ("7200.0", 0),
        ("7200;foo=bar", 0),
        ("abc, 7200", 0),
        ("", 0),
    ],
)
def test_the_age_field(age: str | None, expected: int) -> None:
    fields = [DATE] if age is None else [DATE, ("Age", age)]
    assert policy(getting(*fields), 200, NOW, NOW).age(NOW) == expected


def test_of_two_age_lines_the_first_counts() -> None:
    get = getting(DATE, ("Age", "7200"), ("Age", "0"))
    assert policy(get, 200, NOW, NOW).age(NOW) == 7200


@pytest.mark.parametrize(
    ("fields", "asked", "came", "now", "expected"),
    [
        pytest.param([DATE], 0, 0, 50, 50, id="time in the cache"),
        pytest.param([("Date", at(-30))], 0, 0, 50, 80, id="apparent age"),
        pytest.param([("Date", at(30))], 0, 0, 50, 50, id="the origin's clock is fast"),
        pytest.param([("Age", "30"), DATE], 0, 0, 50, 80, id="age at a cache before"),
        pytest.param([("Age", "30"), ("Date", at(-40))], 0, 0, 50, 90, id="the greater of them"),
        pytest.param([("Age", "30"), ("Date", at(-20))], 0, 0, 50, 80, id="the greater, turned"),
        pytest.param([DATE], -5, 0, 50, 55, id="a slow answer"),
        pytest.param([("Age", "30"), DATE], -5, 0, 50, 85, id="a slow answer of a cache"),
        pytest.param([], -5, 0, 50, 55, id="without Date"),
        pytest.param([("Date", "foo")], 0, 0, 50, 50, id="an invalid Date"),
        pytest.param([DATE], 0, 0, -50, 0, id="the clock was set back"),
        pytest.param([DATE], 9, 0, 50, 50, id="the clock was set back while waiting"),
    ],
)
def test_age_4_2_3(
    fields: list[tuple[str, str]], asked: float, came: float, now: float, expected: float
) -> None:
    assert policy(getting(*fields), 200, NOW + asked, NOW + came).age(NOW + now) == expected


def test_a_policy_serves_at_any_time() -> None:
    found = policy(getting(DATE, ("Age", "7"), ("Cache-Control", "max-age=60")), 200, NOW, NOW)
    assert found.lifetime == explicit(60)
    assert [found.age(NOW + seconds) for seconds in (0, 1, 100)] == [7, 8, 107]


FIELD_VALUE = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.integers(-(10**12), 10**12).map(str),
    st.integers(-(10**9), 10**9).map(at),
)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("Cache-Control", "Expires", "Date", "Age", "Last-Modified"), FIELD_VALUE)
    ),
    st.integers(0, 10**6),
)
def test_nothing_makes_a_lifetime_or_an_age_negative(
    fields: dict[str, str | None], later: int
) -> None:
    found = policy(fields.get, 200, NOW, NOW)
    assert found.lifetime.seconds >= 0
    assert found.age(NOW + later) >= later
