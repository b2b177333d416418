"""A model of byte ranges that knows only `bytes` and positions, slow and plain.

It shares nothing with `aprp.semantics.ranges`: a member of a range set is a pair here, (first,
last) or (first, None) or (None, suffix length), and what it selects is found by asking each
position of the file whether it is meant.
"""

import re

Member = tuple[int, int | None] | tuple[None, int]


def positions(member: Member, length: int) -> list[int]:
    """The positions that a member selects, by the words of RFC 9110 section 14.1.2."""
    first, last = member
    if first is None:
        assert last is not None
        return [i for i in range(length) if length - i <= last]
    return [i for i in range(length) if i >= first and (last is None or i <= last)]


def pieces(members: list[Member], data: bytes) -> list[tuple[int, bytes]]:
    """What is to be sent: (offset, bytes) for each group of members that share positions.

    In the order in which the first member of each group was asked (section 15.3.7.2). Empty if
    the set is not satisfiable, or is so without selecting a byte.
    """
    groups: list[set[int]] = []
    for member in members:
        chosen = set(positions(member, len(data)))
        if not chosen:
            continue
        touched = [group for group in groups if group & chosen]
        if not touched:
            groups.append(chosen)
            continue
        # The group that was begun first takes all others in, and its place is theirs.
        for group in touched:
            touched[0].update(group)
        touched[0].update(chosen)
        groups = [group for group in groups if group is touched[0] or group not in touched]
    return [(min(group), bytes(data[i] for i in sorted(group))) for group in groups]


def is_satisfiable(members: list[Member], length: int) -> bool:
    """RFC 9110 section 14.1.2: a first-pos below the length, or a suffix that is not zero."""
    return any(
        (first is None and last != 0) or (first is not None and first < length)
        for first, last in members
    )


# The grammar of RFC 9110 sections 14.1.1 (with erratum 7306: OWS after "=") and 5.6.1.2, each
# rule written out, numbers bounded.
_NUMBER = "[0-9]{1,18}"
_SPEC = f"(?:{_NUMBER}-(?:{_NUMBER})?|-{_NUMBER})"
_RANGE_SET = re.compile(f"[ \t]*(?:{_SPEC})?(?:[ \t]*,[ \t]*(?:{_SPEC})?)*")
_INT_RANGE = re.compile(f"({_NUMBER})-({_NUMBER})")


def is_valid_header(value: str) -> bool:
    """Whether a Range value of less than some hundred characters is a valid bytes range set."""
    unit, members = value[:6], value[6:]
    return (
        unit.isascii()
        and unit.lower() == "bytes="
        and _RANGE_SET.fullmatch(members) is not None
        and re.search("[0-9]", members) is not None
        and all(int(first) <= int(last) for first, last in _INT_RANGE.findall(members))
    )
