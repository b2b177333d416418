"""Conditional requests (RFC 9110 section 13): validators, preconditions, If-Range."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from aprp.semantics.dates import parse_date

# RFC 9110 section 8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE; a field value comes from
# the wire as Latin-1, so that obs-text is \x80-\xff here.
_ENTITY_TAG: Final = r'(?P<weak>W/)?"(?P<value>[\x21\x23-\x7e\x80-\xff]*)"'
_match_tag: Final = re.compile(_ENTITY_TAG).fullmatch
# One element of the list and the comma after it, or the end. The blanks are possessive: a long
# run of them is looked at once.
_match_element: Final = re.compile(rf"[ \t]*+(?:{_ENTITY_TAG})?[ \t]*+(?:,|\Z)").match

# Methods that neither select nor change a representation (RFC 9110 section 13.2.1).
_UNCONDITIONAL_METHODS: Final = frozenset({"CONNECT", "OPTIONS", "TRACE"})

FieldGetter: TypeAlias = Callable[[str], str | None]
"""Gives the value of a field by its name, repeated lines joined with commas; None: not there."""


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag; `value` is what stands between the quotation marks."""

    value: str
    weak: bool = False

    @staticmethod
    def parse(text: str) -> "ETag | None":
        """Read one entity-tag; None if it is malformed, such as one without quotation marks."""
        match = _match_tag(text)
        return None if match is None else ETag(match["value"], match["weak"] is not None)

    def strongly_equals(self, other: "ETag") -> bool:
        """Compare as RFC 9110 section 8.8.3.2 does for ranges: both strong, and the same."""
        return not self.weak and not other.weak and self.value == other.value

    def weakly_equals(self, other: "ETag") -> bool:
        """Compare as RFC 9110 section 8.8.3.2 does for caches: the same, weak or not."""
        return self.value == other.value

    def __str__(self) -> str:
        """Give the tag as it stands in a field."""
        return f'W/"{self.value}"' if self.weak else f'"{self.value}"'


@dataclass(frozen=True, slots=True)
class TagList:
    """The value of If-Match or If-None-Match: `*`, or tags (none if it was malformed)."""

    any_tag: bool
    tags: tuple[ETag, ...] = ()

    @staticmethod
    def parse(value: str) -> "TagList":
        """Read `*` or a list of entity tags; commas inside tags do not separate.

        A malformed list names no tag, so that If-Match fails and If-None-Match holds: what was
        meant is not known, and neither a 304 nor a change of the file may follow from it.
        """
        if value == "*":
            return TagList(any_tag=True)
        tags: list[ETag] = []
        place = 0
        while place < len(value):
            if (match := _match_element(value, place)) is None:
                return TagList(any_tag=False)
            if match["value"] is not None:
                tags.append(ETag(match["value"], match["weak"] is not None))
            place = match.end()
        return TagList(any_tag=False, tags=tuple(tags))

    def matches(self, etag: ETag | None, *, strong: bool) -> bool:
        """Say whether the list names an existing representation that has this tag, or none."""
        if self.any_tag or etag is None:
            return self.any_tag
        return any(map(etag.strongly_equals if strong else etag.weakly_equals, self.tags))


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one version of a representation from another; times in seconds since the epoch.

    `date` is when the origin sent it; it decides whether `last_modified` is a strong validator.
    """

    etag: ETag | None = None
    last_modified: int | None = None
    date: int | None = None

    @classmethod
    def from_headers(cls, get: FieldGetter, now: int | None = None) -> "Validators":
        """Read ETag, Last-Modified and Date of a response; malformed ones count as absent.

        `now` is needed only for dates with two-digit years (see `parse_date`).
        """
        etag = get("ETag")
        return cls(
            etag=None if etag is None else ETag.parse(etag),
            last_modified=_date(get("Last-Modified"), now),
            date=_date(get("Date"), now),
        )

    @property
    def last_modified_is_strong(self) -> bool:
        """Whether the file cannot have changed again within the second of `last_modified`.

        RFC 9110 section 8.8.2.2, for an intermediary: the response has a Date at least one
        second later (RFC 2616 asked for 60). Without a Date nothing can be deduced, and the
        answer is no; a caller that adds the Date a response lacks (section 6.6.1) gets a yes.
        """
        return (
            self.last_modified is not None
            and self.date is not None
            and self.date > self.last_modified
        )


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of a request other than If-Range, dates in seconds since the epoch."""

    if_match: TagList | None = None
    if_unmodified_since: int | None = None
    if_none_match: TagList | None = None
    if_modified_since: int | None = None

    @classmethod
    def from_headers(cls, get: FieldGetter, now: int | None = None) -> "Conditions":
        """Read the precondition fields of a request; malformed dates count as absent.

        `now` is needed only for dates with two-digit years (see `parse_date`).
        """
        if_match, if_none_match = get("If-Match"), get("If-None-Match")
        since, unmodified = get("If-Modified-Since"), get("If-Unmodified-Since")
        if if_match is if_none_match is since is unmodified is None:
            return UNCONDITIONAL
        return cls(
            if_match=None if if_match is None else TagList.parse(if_match),
            if_unmodified_since=_date(unmodified, now),
            if_none_match=None if if_none_match is None else TagList.parse(if_none_match),
            if_modified_since=_date(since, now),
        )


UNCONDITIONAL: Final = Conditions()
"""No preconditions; `Conditions.from_headers` gives this very object if none are stated."""


@dataclass(frozen=True, slots=True)
class Proceed:
    """The preconditions hold: answer as if there were none; If-Range and Range come next."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """The client has this version already (304)."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """The client wants no answer from this version (412); `field` is the one that says so."""

    field: str


Verdict: TypeAlias = Proceed | NotModified | PreconditionFailed


def evaluate(method: str, conditions: Conditions, validators: Validators) -> Verdict:
    """Weigh the preconditions in the order of RFC 9110 section 13.2.2, steps 1 to 4.

    To be asked only if the answer without preconditions would be a 2xx, so a representation
    exists and `*` stands for it (section 13.2.1). A date counts only if the representation has
    a Last-Modified (13.1.3, 13.1.4).
    """
    if conditions is UNCONDITIONAL or method in _UNCONDITIONAL_METHODS:
        return Proceed()
    etag, modified = validators.etag, validators.last_modified

    if (wanted := conditions.if_match) is not None:
        if not wanted.matches(etag, strong=True):
            return PreconditionFailed("If-Match")
    elif (
        conditions.if_unmodified_since is not None
        and modified is not None
        and modified > conditions.if_unmodified_since
    ):
        return PreconditionFailed("If-Unmodified-Since")

    reading = method in ("GET", "HEAD")
    if (known := conditions.if_none_match) is not None:
        if known.matches(etag, strong=False):
            return NotModified() if reading else PreconditionFailed("If-None-Match")
    elif (
        reading
        and conditions.if_modified_since is not None
        and modified is not None
        and modified <= conditions.if_modified_since
    ):
        return NotModified()
    return Proceed()


def if_range_matches(value: str, validators: Validators, now: int | None = None) -> bool:
    """Say whether an If-Range field lets the range apply (RFC 9110 section 13.1.5).

    An entity tag must equal the ETag, both of them strong. A date must be the very
    Last-Modified, not a later one, and that must be a strong validator
    (`Validators.last_modified_is_strong`). Anything else, malformed values included, does not
    match: the whole is sent, which is never wrong. `now` is as for `parse_date`.
    """
    # A tag has a quotation mark in its first three characters, a date has none.
    if '"' in value[:3]:
        tag = ETag.parse(value)
        return (
            tag is not None and validators.etag is not None and tag.strongly_equals(validators.etag)
        )
    if not validators.last_modified_is_strong:
        return False
    return parse_date(value, now) == validators.last_modified


def _date(value: str | None, now: int | None) -> int | None:
    return None if value is None else parse_date(value, now)
