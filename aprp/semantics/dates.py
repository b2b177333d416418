"""HTTP dates (RFC 9110 section 5.6.7), as whole seconds since the epoch."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)
_SECOND: Final = timedelta(seconds=1)
_LONGEST: Final = len("Wednesday, 06-Nov-94 08:49:37 GMT")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME: Final = r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_DAY_NAME: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY_NAME: Final = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"

# Names compare with case; a weekday that does not fit the date is not held against it.
_FORMS: Final = tuple(
    re.compile(pattern).fullmatch
    for pattern in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        rf"{_DAY_NAME}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        # rfc850-date: Sunday, 06-Nov-94 08:49:37 GMT
        rf"{_LONG_DAY_NAME}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        # asctime-date: Sun Nov  6 08:49:37 1994
        rf"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def parse_date(value: str, now: int | None = None) -> int | None:
    """Read an HTTP-date in any of its three forms; None if it is none or names no real day.

    The year of an rfc850-date has two digits: it is the latest that lies at most 50 years after
    `now` (seconds since the epoch). Without `now` such a date cannot be told and gives None.
    """
    if len(value) > _LONGEST:
        return None
    # Only rfc850-dates have "-"; for the others `now` must not stand in the way of the cache.
    return _parse(value, now if "-" in value else None)


# Every answer of an origin has two dates, and most have been seen before.
@lru_cache(maxsize=256)
def _parse(value: str, now: int | None) -> int | None:
    for form in _FORMS:
        if match := form(value):
            break
    else:
        return None
    month, year = _MONTHS[match["month"]], int(match["year"])
    day, hour, minute, second = (int(match[name]) for name in ("day", "hour", "minute", "second"))
    if len(match["year"]) == 2:
        if now is None:
            return None
        year = _full_year(year, (month, day, hour, minute, second), now)
    try:
        moment = datetime(year, month, day, hour, minute)
    except ValueError:  # 31 Feb, or the year 0
        return None
    # Seconds are added last: a leap second, 23:59:60, is the next 00:00:00.
    return (moment - _EPOCH) // _SECOND + second


def _full_year(two_digits: int, clock: tuple[int, int, int, int, int], now: int) -> int:
    present = _EPOCH + now * _SECOND
    horizon = present.year + 50
    year = horizon - (horizon - two_digits) % 100
    if (year, *clock) > (horizon, *present.timetuple()[1:6]):
        year -= 100
    return year
