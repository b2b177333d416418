"""Byte ranges (RFC 9110 section 14): reading what is asked, and what that means for a file.

`parse_header`, `take_parameter` with `parse_parameter`, and `split_path` read the three ways in
which a client may ask; `reconcile` makes one of them; `RangeSet.resolve` applies it to a length.
"""

from aprp.semantics.ranges.content import ContentRange, Unsatisfied
from aprp.semantics.ranges.model import (
    IntRange,
    RangeSet,
    RangeSpec,
    Resolution,
    Slices,
    Span,
    SuffixRange,
    Unsatisfiable,
    Whole,
)
from aprp.semantics.ranges.statements import (
    RangesDisagree,
    Statement,
    reconcile,
    split_path,
    take_parameter,
)
from aprp.semantics.ranges.syntax import (
    ACCEPTED_FORMS,
    MAX_DIGITS,
    MAX_MEMBERS,
    MalformedRange,
    limit,
    parse_header,
    parse_parameter,
)

__all__ = [
    "ACCEPTED_FORMS",
    "MAX_DIGITS",
    "MAX_MEMBERS",
    "ContentRange",
    "IntRange",
    "MalformedRange",
    "RangeSet",
    "RangeSpec",
    "RangesDisagree",
    "Resolution",
    "Slices",
    "Span",
    "Statement",
    "SuffixRange",
    "Unsatisfiable",
    "Unsatisfied",
    "Whole",
    "limit",
    "parse_header",
    "parse_parameter",
    "reconcile",
    "split_path",
    "take_parameter",
]
