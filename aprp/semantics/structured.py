"""Structured fields (RFC 9651, before it RFC 8941): reading a Dictionary, writing an Item.

Strict, as those RFCs want it: a field that breaks the grammar anywhere has no value at all.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Token:
    """A word written without quotation marks, such as the `x` of `a=x` (section 3.3.4)."""

    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """A value of a type that no caller looks into: inner list, bytes, date, decimal and so on."""

    text: str


Value: TypeAlias = bool | int | str | Token | Other

_KEY: Final = r"[a-z*][a-z0-9_\-.*]*+"
# Section 4.2.4: at most 15 digits, of a decimal at most 12 before the point and 3 after it.
_NUMBER: Final = r"-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})(?![0-9.])"
_TOKEN: Final = r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"
_STRING: Final = r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*+"'
_BARE_ITEM: Final = "|".join(
    (
        _NUMBER,
        _TOKEN,
        _STRING,
        r":[A-Za-z0-9+/]*+={0,2}:",  # bytes, in base64
        r"\?[01]",
        r"@-?[0-9]{1,15}(?![0-9.])",  # a date
        r'%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*+"',  # a display string
    )
)
_PARAMETERS: Final = rf"(?:;\x20*+{_KEY}(?:=(?:{_BARE_ITEM}))?)*+"
_ITEM: Final = rf"(?:{_BARE_ITEM}){_PARAMETERS}"
_INNER_LIST: Final = rf"\(\x20*+(?:{_ITEM}(?:\x20++{_ITEM})*+\x20*+)?\)"

_match_member: Final = re.compile(
    rf"(?P<key>{_KEY})"
    rf"(?:=(?:(?P<number>{_NUMBER})|(?P<token>{_TOKEN})|(?P<string>{_STRING})"
    rf"|(?P<boolean>\?[01])|(?P<other>{_BARE_ITEM}|{_INNER_LIST})))?{_PARAMETERS}"
).match
_match_comma: Final = re.compile(r"[ \t]*+,[ \t]*+").match
_is_token: Final = re.compile(_TOKEN).fullmatch
_unescape: Final = re.compile(r"\\(.)").sub
_not_for_strings: Final = re.compile(r"[^\x20-\x7e]").sub
_needs_backslash: Final = re.compile(r'(["\\])').sub


def parse_dictionary(value: str) -> dict[str, Value] | None:
    """Read a Dictionary (section 4.2.2); None if it is malformed, {} if it is empty.

    Of a key that comes twice the last counts. Parameters are checked and left out.
    """
    value = value.strip(" ")
    members: dict[str, Value] = {}
    place = 0
    while place < len(value):
        if (match := _match_member(value, place)) is None:
            return None
        members[match["key"]] = _value_of(match)
        if (place := match.end()) == len(value):
            break
        if (comma := _match_comma(value, place)) is None or comma.end() == len(value):
            return None
        place = comma.end()
    return members


def _value_of(match: re.Match[str]) -> Value:
    if (number := match["number"]) is not None:
        return Other(number) if "." in number else int(number)
    if match["token"] is not None:
        return Token(match["token"])
    if match["string"] is not None:
        return _unescape(r"\1", match["string"][1:-1])
    if match["other"] is not None:
        return Other(match["other"])
    return match["boolean"] != "?0"  # a key alone stands for true


def write_string(text: str) -> str:
    """Give `text` as a String (section 4.1.6); what a String cannot hold is percent-encoded."""
    visible = _not_for_strings(
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace")), text
    )
    return '"' + _needs_backslash(r"\\\1", visible) + '"'


def write_word(text: str) -> str:
    """Give `text` as a Token where it can be one, else as a String."""
    return text if _is_token(text) else write_string(text)
