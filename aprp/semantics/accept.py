"""What a client would rather have: the Accept field (RFC 9110 section 12.5.1)."""

import re
from typing import Final

_is_quality: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)").fullmatch


def quality(accept: str, kind: str, subtype: str) -> float:
    """Say how much the media type `kind/subtype` is wanted, from 0 (not at all) to 1.

    `accept` is the field's value; empty means that all is welcome. The most specific range that
    fits decides; a malformed weight counts as 1.
    """
    if not accept.strip():
        return 1.0
    names = {f"{kind}/{subtype}": 3, f"{kind}/*": 2, "*/*": 1}
    best, wanted = 0, 0.0
    for member in accept.split(","):
        name, *parameters = (part.strip().lower() for part in member.split(";"))
        if names.get(name, 0) > best:
            best, wanted = names[name], _weight(parameters)
    return wanted


def ranked(accept: str) -> list[str]:
    """Give the members of the field as they stand, the most wanted first, the refused left out.

    For those who know what to make of a member's parameters; `accept` is the field's value.
    """
    weighed = []
    for member in accept.split(","):
        parameters = [part.strip().lower() for part in member.split(";")[1:]]
        if member.strip() and (weight := _weight(parameters)):
            weighed.append((weight, member.strip()))
    return [member for _, member in sorted(weighed, key=lambda pair: pair[0], reverse=True)]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _is_quality(value.strip()) else 1.0
    return 1.0
