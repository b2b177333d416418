"""Questions of clients and heads of origins' answers, in short."""

from dataclasses import dataclass, replace

from aprp.semantics.answer import Answer, Asked, decide, range_to_send
from aprp.semantics.conditions import UNCONDITIONAL, Conditions
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import parse_header


@dataclass(frozen=True)
class Origin:
    """The head of an origin's answer."""

    status: int
    fields: tuple[tuple[str, str], ...] = ()

    def with_(self, **fields: str) -> "Origin":
        more = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        return replace(self, fields=self.fields + more)


def asks(
    ranges: str | None = None, method: str = "GET", if_range: str | None = None, **fields: str
) -> Asked:
    """What a client asks: `ranges` as in the Range field, conditions as `if_match=...`."""
    given = Fields((name.replace("_", "-"), value) for name, value in fields.items())
    conditions = Conditions.from_headers(given.get)
    return Asked(
        method,
        None if ranges is None else parse_header(f"bytes={ranges}"),
        if_range,
        None if conditions == UNCONDITIONAL else conditions,
    )


def answer(asked: Asked, origin: Origin) -> Answer:
    """Ask the origin as `range_to_send` has it."""
    return decide(asked, range_to_send(asked), origin.status, Fields(origin.fields).get)


def whole(length: int | None = 1000) -> Origin:
    """A 200; the length is not told where it is None."""
    return Origin(200) if length is None else Origin(200).with_(Content_Length=str(length))


def part(content_range: str, length: int | None = None) -> Origin:
    """A 206 with one part, `length` as in Content-Length."""
    origin = Origin(206).with_(Content_Range=f"bytes {content_range}")
    return origin if length is None else origin.with_(Content_Length=str(length))
