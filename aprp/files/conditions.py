"""Preconditions of requests that change the store (RFC 9110 section 13)."""

import os

from aprp.files.errors import ConditionFailed
from aprp.semantics.conditions import (
    UNCONDITIONAL,
    Conditions,
    ETag,
    PreconditionFailed,
    Validators,
    evaluate,
)
from aprp.upstream.listing import entity_tag


def check_conditions(conditions: Conditions, about: os.stat_result | None) -> None:
    """Raise ConditionFailed where they do not hold of a file; None: there is none of the name."""
    if conditions is UNCONDITIONAL:
        return
    if about is None:
        # Without a file nothing matches, `*` neither; the other fields hold (section 13.1).
        failed = None if conditions.if_match is None else "If-Match"
    else:
        validators = Validators(ETag.parse(entity_tag(about)), int(about.st_mtime))
        verdict = evaluate("PUT", conditions, validators)
        failed = verdict.field if isinstance(verdict, PreconditionFailed) else None
    if failed is not None:
        raise ConditionFailed(
            f"{failed} does not hold of the file of this name: another request has changed it, or "
            "it is not as you think. Look at it again."
        )
