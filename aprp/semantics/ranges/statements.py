"""The other two ways to ask for a range, `?range=` and `/file/<start>/<end>`, and their union.

Both are the proxy's own: what is left of the query and of the path after taking them out goes
to the origin byte for byte, and is the part that names the file in a cache.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from aprp.semantics.ranges.model import IntRange, RangeSet
from aprp.semantics.ranges.syntax import MAX_DIGITS, MalformedRange, parse_parameter, shown

_LAST_OF_RANGE: Final = frozenset("0123456789/")
_has_escaped_name: Final = re.compile(r"(?:^|&)[^&=%]*%").search
_PATH_FORMS: Final = "accepted are /<file>/<start>/<end> and /<file>/<start>/"


@dataclass(frozen=True, slots=True)
class Statement:
    """One way in which a request says its range.

    `source` names the way in a message ("the Range header"), `text` is what stood there.
    """

    source: str
    text: str
    range: RangeSet


class RangesDisagree(ValueError):
    """A request asks for different ranges in different ways; one sentence names each (416)."""

    def __init__(self, statements: tuple[Statement, ...]) -> None:
        """Keep the statements, in the order in which they were given."""
        said = ", ".join(f"{s.source} says {shown(s.text)}" for s in statements)
        super().__init__(f"The ranges of the request disagree: {said}.")
        self.statements = statements


def reconcile(*statements: Statement) -> RangeSet | None:
    """Give the one range all statements ask for; None if there are no statements.

    Parsed values are compared, so `bytes=0-99` and `/0/099` agree. Raises RangesDisagree.
    """
    if not statements:
        return None
    asked = statements[0].range
    for other in statements[1:]:
        if other.range != asked:
            raise RangesDisagree(statements)
    return asked


def take_parameter(query: str, name: str) -> tuple[str, str | None]:
    """Take the parameter `name` out of a raw query string.

    Returns the rest of the query, each byte and the order as they were, and the decoded value
    (None: not there; `name` without `=` has the value ""). Names and values are decoded as HTML
    forms encode them: percent escapes, and `+` for a blank. Raises MalformedRange if the
    parameter stands there more than once and the ranges differ, or one of them cannot be read.
    """
    if name not in query and not ("%" in query and _has_escaped_name(query)):
        return query, None
    rest: list[str] = []
    values: list[str] = []
    for pair in query.split("&"):
        raw_name, _, raw_value = pair.partition("=")
        if raw_name == name or unquote_plus(raw_name) == name:
            values.append(unquote_plus(raw_value))
        else:
            rest.append(pair)
    if not values:
        return query, None
    first, *others = dict.fromkeys(values)
    for other in others:
        if parse_parameter(other) != parse_parameter(first):
            said = f"{shown(first)} and {shown(other)}"
            raise MalformedRange(f"the parameter {shown(name)} says {said}; give it once")
    return "&".join(rest), first


def split_path(path: str) -> tuple[str, RangeSet | None]:
    """Split `/<file>/<start>/<end>` or `/<file>/<start>/` into the file's path and the range.

    Works on the raw, percent-encoded path and gives the file's part back unchanged. The last
    two segments count as a range if they are ASCII digits (the second may be empty) and the
    segment before them is not empty; every other path comes back whole, with None. The file
    may hold slashes, so `/film.mp4/0/99/` is the file `/film.mp4/0` from byte 99 on.

    Raises MalformedRange if the end is before the start or a number has more than MAX_DIGITS
    digits.
    """
    # Most paths end in a letter; the last character spares them the rest.
    if path[-1:] not in _LAST_OF_RANGE:
        return path, None
    parts = path.rsplit("/", 2)
    if len(parts) < 3:
        return path, None
    file, first, last = parts
    if not _is_number(first) or (last and not _is_number(last)):
        return path, None
    if not file or file.endswith("/"):
        return path, None
    if len(first) > MAX_DIGITS or len(last) > MAX_DIGITS:
        cause = f"a number has more than {MAX_DIGITS} digits"
    elif last and int(last) < int(first):
        cause = "the end is before the start"
    else:
        return file, RangeSet((IntRange(int(first), int(last) if last else None),))
    raise MalformedRange(f"range in the path, {shown(f'/{first}/{last}')}: {cause}; {_PATH_FORMS}")


def _is_number(segment: str) -> bool:
    # isdigit alone takes superscripts, which arrive as Latin-1 from the wire.
    return segment.isdigit() and segment.isascii()
