"""Requests that go in a circle, told by Via (RFC 9110 section 7.6.3)."""


def passed_through(via: str | None, name: str) -> bool:
    """Say whether a message has come through the proxy that writes `name` into Via.

    `via` is the whole field, None if there is none. `name` is a pseudonym or host and port, and
    must be the received-by of a member; case makes no difference. Comments are overlooked.
    """
    if via is None:
        return False
    name = name.lower()
    via = via.lower()
    if name not in via:
        return False
    members = (member.split() for member in _without_comments(via).split(","))
    return any(name == received_by for _protocol, received_by in (m[:2] for m in members if m[1:]))


def _without_comments(via: str) -> str:
    """Take out comments (RFC 9110 section 5.6.5), with those inside them.

    A parenthesis without its partner is no comment's: with it a sender could hide every member
    that proxies add behind its own.
    """
    kept: list[str] = []
    opened: list[int] = []
    characters = iter(via)
    for character in characters:
        if character == ")" and opened:
            del kept[opened.pop() :]
            # A comment sets apart what is before it and behind it.
            kept.append(" ")
            continue
        if character == "(":
            opened.append(len(kept))
        kept.append(character)
        if character == "\\" and opened:
            kept.append(next(characters, ""))
    return "".join(kept)
