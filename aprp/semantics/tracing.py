"""Which request an exchange belongs to: X-Request-ID, and W3C Trace Context.

X-Request-ID is a custom without a standard; Trace Context is a recommendation of the W3C (level 1
of 2021, level 2 after it), whose fields a proxy that traces nothing itself hands on as they came.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aprp.semantics.headers import Pair

REQUEST_ID: Final = "X-Request-ID"
"""The field that carries the id of a request, in requests and in answers."""

TRACING_FIELDS: Final = frozenset({"x-request-id", "traceparent", "tracestate"})
"""Names, in lower case, of the fields that tell one request from the others."""

MOST_MEMBERS: Final = 32
"""List members in a tracestate (section 3.3.1)."""

# Those of UUIDs, base64 and the ids that load balancers make; nothing that a log, a shell or a
# page would have to quote.
_is_believable: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}").fullmatch

# Section 3.2: version, trace-id, parent-id, flags; with a later version more may follow a dash. A
# comma would part this field from another one.
_match_parent: Final = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-+\--~]*)?"
).fullmatch

# Section 3.3.1. The keys of level 2 take in those of level 1.
_match_member: Final = re.compile(
    r"([a-z0-9][a-z0-9_\-*/@]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
).fullmatch


@dataclass(frozen=True, slots=True)
class TraceParent:
    """What traceparent names, in lower-case hexadecimal digits: 32 of the trace, 16 of the span."""

    trace_id: str
    span_id: str


def believable_id(value: str | None) -> str | None:
    """Give the id that a request brought; None where there is none, or one that is no good.

    Good are 1 to 128 characters out of letters, digits and `. _ ~ : / + = @ -`. Of several fields
    none is.
    """
    return value if value is not None and _is_believable(value) else None


def trace_parent(value: str | None) -> TraceParent | None:
    """Read traceparent (section 3.2); None where there is none, or it is malformed."""
    match = _match_parent(value) if value is not None else None
    if match is None:
        return None
    version, trace_id, span_id, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return TraceParent(trace_id, span_id)


def is_trace_state(value: str) -> bool:
    """Say whether tracestate is well-formed (section 3.3) and names anything.

    Empty members are allowed; of all of them there are 32 at most. No key comes twice.
    """
    members = [member.strip(" \t") for member in value.split(",")]
    matches = [_match_member(member) for member in members if member]
    keys = {match[1] for match in matches if match is not None}
    return 0 < len(matches) == len(keys) and len(members) <= MOST_MEMBERS


def propagated(pairs: list[Pair]) -> list[Pair]:
    """Give the fields of a request without those of Trace Context that must not be passed on.

    A malformed traceparent goes, as do two of them, and tracestate with it (section 3.3: it means
    nothing alone); a malformed tracestate goes alone. What stays is unchanged (section 3.4).
    """
    parents = [value for name, value in pairs if name.lower() == "traceparent"]
    states = [value for name, value in pairs if name.lower() == "tracestate"]
    dropped: set[str] = set()
    if len(parents) != 1 or trace_parent(parents[0]) is None:
        dropped = {"traceparent", "tracestate"}
    elif not is_trace_state(",".join(states)):
        dropped = {"tracestate"}
    return [pair for pair in pairs if pair[0].lower() not in dropped] if dropped else pairs


def with_parent(pairs: Iterable[Pair], parent: str) -> list[Pair]:
    """Give the fields of a request with `parent` as their traceparent (section 3.5)."""
    kept = [pair for pair in pairs if pair[0].lower() != "traceparent"]
    return [*kept, ("traceparent", parent)]


def marks_of(fields: Mapping[str, str]) -> dict[str, str]:
    """Give those of a request's fields that are its own alone: TRACING_FIELDS."""
    return {name: value for name, value in fields.items() if name.lower() in TRACING_FIELDS}
