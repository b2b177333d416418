"""Reading ranges: the Range header field and the proxy's own range parameter."""

import re
from typing import Final

from aprp.semantics.ranges.model import IntRange, RangeSet, RangeSpec, SuffixRange

MAX_DIGITS: Final = 18
"""Longest position that is read; it keeps every number below 2**63."""

MAX_MEMBERS: Final = 4096
"""Most list elements, empty ones included, that are looked at; a longer list is malformed."""

ACCEPTED_FORMS: Final = "bytes=0-99, 0-99, 100-, -500, or several with commas"

# range-spec (RFC 9110 section 14.1.1): int-range = first-pos "-" [ last-pos ],
# suffix-range = "-" suffix-length. [0-9] and not \d, which takes the digits of every script.
_SPEC: Final = r"(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))"
_match_single: Final = re.compile("[bB][yY][tT][eE][sS]=" + _SPEC).fullmatch
_match_spec: Final = re.compile(_SPEC).fullmatch
_match_unit: Final = re.compile(r"(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=)?(.*)", re.DOTALL).fullmatch
_has_long_number: Final = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}").search
_OWS: Final = " \t"


class MalformedRange(ValueError):
    """A range that was asked for outside the header cannot be read; the text says why."""


def parse_header(value: str) -> RangeSet | None:
    """Read the value of a Range header field; None means: answer as if it were not there.

    RFC 9110 section 14.2 has a server ignore a unit it does not know and lets it ignore an
    invalid set. A set is invalid as a whole if one member is: not of a form of section 14.1.1,
    last before first, or a number of more than MAX_DIGITS digits. The unit's name compares
    without case; empty list elements and blanks around commas are allowed (section 5.6.1), and
    after the "=" too (erratum 7306).
    """
    if match := _match_single(value):
        first, last, suffix = match.groups()
        if first is None:
            return RangeSet((SuffixRange(int(suffix)),))
        if last is None:
            return RangeSet((IntRange(int(first), None),))
        low, high = int(first), int(last)
        return RangeSet((IntRange(low, high),)) if low <= high else None
    unit, equals, members = value.strip(_OWS).partition("=")
    if not equals or unit.lower() != "bytes":
        return None
    specs = _read_members(members.lstrip(_OWS))
    return None if isinstance(specs, str) else RangeSet(specs)


def parse_parameter(value: str) -> RangeSet:
    """Read the decoded value of the range parameter: a Range header's, `bytes=` optional.

    Blanks are taken beside commas only: at either end they are more likely a "+" that was to be
    a sign. Raises MalformedRange, whose text names what is wrong and shows the accepted forms.
    """
    match = _match_unit(value)
    assert match is not None, "the pattern matches every text"
    unit, members = match.groups()
    if unit is not None and unit.lower() != "bytes":
        raise MalformedRange(_explain(value, f"the unit {shown(unit)} is not known"))
    specs = _read_members(members)
    if isinstance(specs, str):
        raise MalformedRange(_explain(value, specs))
    return RangeSet(specs)


def limit(range_set: RangeSet, max_ranges: int) -> RangeSet | None:
    """Give the set back, or None if it has more than `max_ranges` members: send the whole (200).

    Members are counted as they were asked, before overlapping ones are merged: a thousand
    times the same range is an attack (RFC 9110 section 17.15), not one range.
    """
    return range_set if len(range_set.specs) <= max_ranges else None


def shown(text: str, width: int = 60) -> str:
    """Quote text of a client for a message: printable ASCII, at most `width` characters of it."""
    return ascii(text if len(text) <= width else text[: width - 3] + "...")


def _explain(value: str, cause: str) -> str:
    return f"range {shown(value)}: {cause}; accepted are {ACCEPTED_FORMS}"


def _read_members(text: str) -> tuple[RangeSpec, ...] | str:
    """Read a range-set; a str that comes back is the reason why it is none."""
    if text.count(",") >= MAX_MEMBERS:
        return f"it has more than {MAX_MEMBERS} members"
    specs: list[RangeSpec] = []
    # RFC 9110 section 5.6.1.2: [ element ] *( OWS "," OWS [ element ] ), so no blanks before the
    # first element nor after the last.
    elements = text.split(",")
    final = len(elements) - 1
    for index, element in enumerate(elements):
        bare = element.lstrip(_OWS) if index else element
        bare = bare.rstrip(_OWS) if index < final else bare
        if not bare:
            continue
        if (match := _match_spec(bare)) is None:
            if _has_long_number(bare):
                return f"a number has more than {MAX_DIGITS} digits"
            return f"{shown(bare)} is not a range"
        first, last, suffix = match.groups()
        if first is None:
            specs.append(SuffixRange(int(suffix)))
        elif last is None:
            specs.append(IntRange(int(first), None))
        elif int(first) <= int(last):
            specs.append(IntRange(int(first), int(last)))
        else:
            return f"in {shown(bare)} the end is before the start"
    return tuple(specs) or "no range is given"
