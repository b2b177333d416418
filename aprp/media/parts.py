"""What the first response to a question for ranges did not hold, fetched part by part.

Every further part has to be of the version that the first was of, or the answer is cut short.
"""

from typing import TYPE_CHECKING

from aprp.media.cutter import Cut, Cutter
from aprp.media.errors import BadOrigin, OriginBroke
from aprp.semantics.answer import Bad, Parts, check_further_part
from aprp.semantics.conditions import Validators
from aprp.semantics.ranges import IntRange
from aprp.upstream.head import ResponseHead

if TYPE_CHECKING:
    from aprp.media.delivery import Delivery


async def send_parts(delivery: "Delivery", parts: Parts) -> None:
    """Fetch what the first response did not hold, and close the framing.

    Raises as `Delivery.run` does.
    """
    assert delivery.head is not None
    if delivery.asked.method == "HEAD":
        return
    held = {"whole": len(parts.spans), "first": 1}.get(parts.source, 0)
    if held and not delivery.aborted and not delivery.has_all:
        # What would come next must not stand in the place of what is missing.
        raise OriginBroke("the first answer is incomplete")
    # A 416 says nothing of the version.
    known = (
        Validators.from_headers(delivery.head.fields.get) if delivery.head.status != 416 else None
    )
    for index in range(held, len(parts.spans)):
        if delivery.aborted:
            return
        await _send_further(delivery, parts, index, known)
        known = Validators.from_headers(delivery.head.fields.get)
    if delivery.framing is not None and not delivery.aborted:
        waiting = delivery.out.write(delivery.framing.tail())
        if waiting is not None:
            await waiting


async def _send_further(
    delivery: "Delivery", parts: Parts, index: int, known: Validators | None
) -> None:
    span, total = parts.spans[index], parts.total
    wrong: list[Bad] = []

    def on_head(head: ResponseHead) -> None:
        skip = check_further_part(span, total, known, head.status, head.fields.get)
        if isinstance(skip, Bad):
            wrong.append(skip)
            delivery.reject(head)
            return
        delivery.head = head
        if not delivery.begun:
            if len(parts.spans) > 1:
                delivery.framing = delivery.out.parts(head, parts)
            else:
                delivery.out.span(head, span, total)
        framing = delivery.framing
        prefix = framing.part_head(index) if framing is not None else b""
        delivery.cutter = Cutter([Cut(skip, skip + span.length, prefix)])

    condition = _strong_validator(delivery.head, known) if known is not None else None
    await delivery.ask_origin(IntRange(span.start, span.stop - 1), condition, on_head)
    if wrong:
        raise OriginBroke(wrong[0].reason) if delivery.begun else BadOrigin(wrong[0].reason)
    if not delivery.aborted and not delivery.has_all:
        raise OriginBroke(f"part {index + 1} is incomplete")


def _strong_validator(head: ResponseHead | None, validators: Validators) -> str | None:
    """What to put into If-Range so that a further part is of the same version."""
    if head is None:
        return None
    if validators.etag is not None:
        return None if validators.etag.weak else head.fields.get("ETag")
    return head.fields.get("Last-Modified") if validators.last_modified_is_strong else None
