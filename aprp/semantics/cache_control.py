"""Cache directives: Cache-Control (RFC 9111 section 5.2) and what may stand for it.

That is CDN-Cache-Control in responses (RFC 9213) and Pragma in requests (RFC 9111 section 5.4).
What is malformed is read the careful way: a lifetime that is no number of seconds is none, and
a list of field names that cannot be read stands for the whole response.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from aprp.semantics.structured import Token, Value, parse_dictionary

Get: TypeAlias = Callable[[str], str | None]
"""Gives the value of a field by its name, repeated lines joined with commas; None: not there."""

LONGEST_DELTA: Final = 2**31
"""What more seconds than that count as (RFC 9111 section 1.2.2)."""

TARGETED_FIELD: Final = "CDN-Cache-Control"

# Without these a cache could not keep the response right: where `private` or `no-cache` names
# one of them, the whole response is meant.
_NOT_TO_BE_LEFT_OUT: Final = frozenset(
    {
        "age",
        "cache-control",
        "cdn-cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "expires",
        "vary",
    }
)
# A value longer than this is parsed each time, so that what is kept of them stays small.
_LONGEST_KEPT: Final = 512

# One directive and what follows it up to the next comma. Blanks around "=" are against the
# grammar; they are kept in the argument, which makes a number of seconds invalid. A quotation
# mark that is never closed is a character like another.
_match_directive: Final = re.compile(
    r"""
    [ \t,]*+
    (?: (?P<name>[^ \t,="]++) (?P<gap>[ \t]*+)
        (?: =(?P<lead>[ \t]*+) (?: "(?P<quoted>(?:[^"\\]|\\.)*+)" | (?P<token>[^,]*+) ) )?
      | "(?:[^"\\]|\\.)*+"
      | [^,]
    )
    (?P<junk>[^,]*+)
    """,
    re.VERBOSE | re.DOTALL,
).match
_unescape: Final = re.compile(r"\\(.)", re.DOTALL).sub
_is_field_name: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch

_SECONDS: Final = frozenset(
    {"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "max-stale", "min-fresh"}
)
_FLAGS: Final = frozenset(
    {
        "no-store",
        "public",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "only-if-cached",
    }
)


@dataclass(frozen=True, slots=True)
class Directives:
    """The cache directives of one message; times in seconds.

    `max_age` and `s_maxage` are 0 if they are stated and invalid; other invalid times count as
    not stated. Of a directive that is stated twice the first counts.
    """

    max_age: int | None = None
    s_maxage: int | None = None
    no_store: bool = False
    no_cache: bool = False
    """For the whole response; `no_cache_fields` are those of its other form."""
    no_cache_fields: frozenset[str] = frozenset()
    """Names in lower case of fields not to be used again without asking (section 5.2.2.4)."""
    private: bool = False
    """For the whole response; `private_fields` are those of its other form."""
    private_fields: frozenset[str] = frozenset()
    """Names in lower case of fields that a shared cache does not store (section 5.2.2.7)."""
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    immutable: bool = False
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    max_stale: float | None = None
    """Of a request; `math.inf`: however stale."""
    min_fresh: int | None = None
    only_if_cached: bool = False
    others: tuple[tuple[str, str | None], ...] = ()
    """Directives not known here: the name in lower case, and the argument without quotes."""
    targeted: bool = False
    """Whether they come from CDN-Cache-Control."""

    @staticmethod
    def parse(value: str | None) -> "Directives":
        """Read a Cache-Control value; NO_DIRECTIVES if there is none. Never raises."""
        if value is None:
            return NO_DIRECTIVES
        return _kept(value) if len(value) <= _LONGEST_KEPT else _build(_members(value))

    @property
    def left_out(self) -> frozenset[str]:
        """Names in lower case of the fields that a shared cache leaves out of what it stores."""
        return self.no_cache_fields | self.private_fields


NO_DIRECTIVES: Final = Directives()
"""Nothing stated; `Directives.parse(None)` gives this very object."""

_NO_CACHE: Final = Directives(no_cache=True)


def request_directives(get: Get) -> Directives:
    """Give the directives of a request; NO_DIRECTIVES, this very object, if it has none.

    `Pragma: no-cache` counts where there is no Cache-Control (section 5.4).
    """
    if (value := get("Cache-Control")) is not None:
        return Directives.parse(value)
    if (pragma := get("Pragma")) is not None and Directives.parse(pragma).no_cache:
        return _NO_CACHE
    return NO_DIRECTIVES


def response_directives(get: Get) -> Directives:
    """Give the directives of a response that a shared cache goes by.

    A valid CDN-Cache-Control that is not empty takes the place of Cache-Control, and of Expires
    (RFC 9213 section 2.2; `targeted` tells). A malformed one counts as absent.
    """
    return chosen_directives(get(TARGETED_FIELD), get("Cache-Control"))


def chosen_directives(targeted: str | None, general: str | None) -> Directives:
    """Do as `response_directives` does, with the values of the two fields."""
    if targeted is not None:
        read = _of_target if len(targeted) <= _LONGEST_KEPT else _of_target.__wrapped__
        if (found := read(targeted)) is not None:
            return found
    return Directives.parse(general)


@lru_cache(maxsize=1024)
def _kept(value: str) -> Directives:
    return _build(_members(value))


def _members(value: str) -> list[tuple[str, str | None]]:
    """Take a Cache-Control value apart: names in lower case, and arguments without quotes."""
    found: list[tuple[str, str | None]] = []
    place = 0
    while match := _match_directive(value, place):
        place = match.end()
        if match["name"] is None:
            continue
        if match["lead"] is None:
            argument = None
        elif match["quoted"] is not None:
            junk = match["junk"].rstrip(" \t")
            argument = f'"{match["quoted"]}"{junk}' if junk else _unescape(r"\1", match["quoted"])
        else:
            argument = match["token"].rstrip(" \t")
        if argument is not None:
            argument = match["gap"] + match["lead"] + argument
        found.append((match["name"].lower(), argument))
    return found


@lru_cache(maxsize=256)
def _of_target(value: str) -> Directives | None:
    members = parse_dictionary(value)
    if not members:
        return None
    return _build(
        ((name, _argument(name, value)) for name, value in members.items() if value is not False),
        targeted=True,
    )


def _argument(name: str, value: Value) -> str | None:
    """Give a member's value as text; "", which is no valid argument, if its type is wrong."""
    match value:
        case True:
            return None
        case int():
            return str(value)
        case str() | Token() if name in _SECONDS:
            return ""
        case str():
            return value
    return value.text


def _build(members: Iterable[tuple[str, str | None]], *, targeted: bool = False) -> Directives:
    found: dict[str, str | None] = {}
    flags: set[str] = set()
    fields: dict[str, frozenset[str]] = {"no-cache": frozenset(), "private": frozenset()}
    others: list[tuple[str, str | None]] = []
    for name, argument in members:
        if name in _SECONDS:
            found.setdefault(name, argument)
        elif name in fields:
            if names := _field_names(argument):
                fields[name] |= names
            else:
                flags.add(name)
        elif name in _FLAGS:
            flags.add(name)
        else:
            others.append((name, argument))
    seconds = {name: _seconds(argument) for name, argument in found.items()}
    max_stale: float | None = seconds.get("max-stale")
    if found.get("max-stale", "") is None:
        max_stale = math.inf
    return Directives(
        max_age=(seconds["max-age"] or 0) if "max-age" in found else None,
        s_maxage=(seconds["s-maxage"] or 0) if "s-maxage" in found else None,
        no_store="no-store" in flags,
        no_cache="no-cache" in flags,
        no_cache_fields=fields["no-cache"],
        private="private" in flags,
        private_fields=fields["private"],
        public="public" in flags,
        must_revalidate="must-revalidate" in flags,
        proxy_revalidate="proxy-revalidate" in flags,
        must_understand="must-understand" in flags,
        immutable="immutable" in flags,
        stale_while_revalidate=seconds.get("stale-while-revalidate"),
        stale_if_error=seconds.get("stale-if-error"),
        max_stale=max_stale,
        min_fresh=seconds.get("min-fresh"),
        only_if_cached="only-if-cached" in flags,
        others=tuple(others),
        targeted=targeted,
    )


def delta_seconds(text: str) -> int | None:
    """Read delta-seconds (RFC 9111 section 1.2.2), at most LONGEST_DELTA; None: they are none."""
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    return LONGEST_DELTA if len(digits) > 10 else min(int(digits or "0"), LONGEST_DELTA)


def _seconds(argument: str | None) -> int | None:
    return None if argument is None else delta_seconds(argument)


def _field_names(argument: str | None) -> frozenset[str]:
    """Read a list of field names; empty if the directive is meant for the whole response."""
    if argument is None:
        return frozenset()
    names = {name.strip(" \t").lower() for name in argument.split(",")} - {""}
    if names & _NOT_TO_BE_LEFT_OUT or not all(map(_is_field_name, names)):
        return frozenset()
    return frozenset(names)
