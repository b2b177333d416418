"""HTTP dates (RFC 9110 section 5.6.7)."""

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.dates import parse_date


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


RFC_EXAMPLE = 784_111_777  # Sun, 06 Nov 1994 08:49:37 GMT
IN_2025 = at(2025, 11, 21, 6, 0, 0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", RFC_EXAMPLE, id="IMF-fixdate"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", RFC_EXAMPLE, id="rfc850-date"),
        pytest.param("Sun Nov  6 08:49:37 1994", RFC_EXAMPLE, id="asctime-date"),
        pytest.param("Wed Nov 16 08:49:37 1994", RFC_EXAMPLE + 864_000, id="asctime, two digits"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0, id="the epoch"),
        pytest.param("Wed, 31 Dec 1969 23:59:59 GMT", -1, id="before the epoch"),
        pytest.param("Thu, 29 Feb 2024 12:00:00 GMT", at(2024, 2, 29, 12), id="leap day"),
        pytest.param("Sat, 31 Dec 2016 23:59:60 GMT", at(2017, 1, 1), id="leap second"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", at(9999, 12, 31, 23, 59, 59), id="last year"),
        pytest.param("Mon, 06 Nov 1994 08:49:37 GMT", RFC_EXAMPLE, id="weekday does not fit"),
    ],
)
def test_valid(value: str, expected: int) -> None:
    assert parse_date(value, IN_2025) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "784111777",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Foo, 06 Nov 1994 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
    ],
)
def test_invalid(value: str) -> None:
    assert parse_date(value, IN_2025) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("Friday, 21-Nov-25 06:00:00 GMT", at(2025, 11, 21, 6), id="this year"),
        pytest.param("Saturday, 01-Jan-00 00:00:00 GMT", at(2000, 1, 1), id="years ago"),
        pytest.param("Monday, 01-Jan-75 00:00:00 GMT", at(2075, 1, 1), id="50 years on, earlier"),
        pytest.param("Thursday, 21-Nov-75 06:00:00 GMT", at(2075, 11, 21, 6), id="50 years on"),
        pytest.param("Friday, 21-Nov-75 06:00:01 GMT", at(1975, 11, 21, 6, 0, 1), id="a second on"),
        pytest.param("Wednesday, 01-Jan-76 00:00:00 GMT", at(1976, 1, 1), id="51 years on"),
        pytest.param("Friday, 31-Dec-99 00:00:00 GMT", at(1999, 12, 31), id="past century"),
    ],
)
def test_two_digit_years_are_at_most_50_years_ahead(value: str, expected: int) -> None:
    assert parse_date(value, IN_2025) == expected


def test_a_two_digit_year_needs_now() -> None:
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT") is None
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT", RFC_EXAMPLE) == RFC_EXAMPLE
    # The year 94 of a hundred years later, now that this is in the past.
    assert parse_date("Saturday, 06-Nov-94 08:49:37 GMT", at(2095, 1, 1)) == at(
        2094, 11, 6, 8, 49, 37
    )


@given(st.integers(at(1000, 1, 1), at(9999, 12, 31)))
def test_round_trip(seconds: int) -> None:
    assert parse_date(formatdate(seconds, usegmt=True)) == seconds
    asctime = datetime.fromtimestamp(seconds, UTC).ctime()
    assert parse_date(asctime) == seconds


@given(st.one_of(st.text(), st.text("SunMayJan, 0123456789:-GT", max_size=40)))
def test_never_raises(value: str) -> None:
    assert parse_date(value, IN_2025) is None or len(value) >= 24
