"""Which of several stored responses fits a request: Vary (RFC 9111 section 4.1)."""

import re
from functools import lru_cache
from typing import Final, TypeAlias

from aprp.semantics.cache_control import Get

Vary: TypeAlias = tuple[tuple[str, str | None], ...]
"""The request fields that selected a response: name in lower case, value as `normalized`, None
where the request had no such field. In order of names."""

_is_field_name: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# Blanks around a comma, unless the comma stands in a quoted string; with a quotation mark that
# is not closed nothing more is changed.
_parts: Final = re.compile(
    r'"(?:[^"\\]|\\.?)*+"?|[ \t]*+,[ \t]*+|[^",\t ]++|[ \t]++', re.DOTALL
).findall

# The cache itself answers ranges from whatever the origin sent.
_NOT_SELECTING: Final = frozenset({"range", "if-range"})
# The order of the members says nothing (RFC 9110 section 12.5): weights do. Case says nothing
# either, in Accept only before the parameters.
_WEIGHTED: Final = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
# No lists: each character counts.
_VERBATIM: Final = frozenset({"authorization", "cookie"})


def vary_of(response_get: Get, request_get: Get) -> Vary | None:
    """Give what a response was selected by; None if no other request can be known to fit it.

    That is so for `*` and for a malformed Vary. A response with a content coding counts as
    selected by Accept-Encoding too: an origin that does not say so would have it sent to
    clients that cannot decode it.
    """
    names = {name.strip(" \t").lower() for name in (response_get("Vary") or "").split(",")} - {""}
    if "*" in names or not all(map(_is_field_name, names)):
        return None
    if (response_get("Content-Encoding") or "identity").strip().lower() != "identity":
        names.add("accept-encoding")
    names -= _NOT_SELECTING
    return tuple((name, normalized(name, request_get(name))) for name in sorted(names))


def selected(vary: Vary, request_get: Get) -> bool:
    """Say whether a stored response fits a request."""
    return all(normalized(name, request_get(name)) == value for name, value in vary)


def normalized(name: str, value: str | None) -> str | None:
    """Give a request field's value without the differences that mean nothing.

    `name` is in lower case. Blanks around commas go; in Accept and its like also those around
    ";", the order of members, case, and the ways to write a weight.
    """
    if value is None or name in _VERBATIM:
        return value
    return _normalized(name, value) if len(value) <= 512 else _normalized.__wrapped__(name, value)


@lru_cache(maxsize=512)
def _normalized(name: str, value: str) -> str:
    parts = ["," if part.strip(" \t") == "," else part for part in _parts(value.strip(" \t"))]
    # Quoted strings are rare in those, and may hold commas and semicolons.
    if name not in _WEIGHTED or '"' in value:
        return "".join(parts)
    members: list[str] = [""]
    for part in parts:
        if part == ",":
            members.append("")
        else:
            members[-1] += part
    return ",".join(sorted({_member(name, member) for member in members} - {""}))


def _member(name: str, member: str) -> str:
    value, *parameters = (part.strip(" \t") for part in member.split(";"))
    if name != "accept":
        parameters = [parameter.lower() for parameter in parameters]
    return ";".join([value.lower(), *(p for p in map(_parameter, parameters) if p)])


def _parameter(parameter: str) -> str:
    """Write a weight in its shortest form, "" for 1; leave other parameters as they are."""
    name, _, weight = parameter.partition("=")
    if name.lower() != "q":
        return parameter
    if "." in weight:
        weight = weight.rstrip("0").rstrip(".")
    return "" if weight == "1" else f"q={weight}"
