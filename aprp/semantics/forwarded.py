"""Who asked, told to the origin: Forwarded (RFC 7239) and the X-Forwarded fields before it."""

import re
from collections.abc import Callable
from typing import Final

FORWARDING_FIELDS: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
"""What `forward_fields` may set. Take these out of a request before its answer is put in:
of a client that is not trusted nothing may be left, also where there is no new value."""

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_needs_backslash: Final = re.compile(r'["\\]')


def forwarded_element(for_: str | None, by: str | None, host: str | None, proto: str | None) -> str:
    """Give one forwarded-element (RFC 7239 section 4); None and "" leave a parameter out.

    `for_` and `by` are IP addresses, or names of section 6.3 ("_front", "unknown"). IPv6
    addresses are put in brackets, their zone is left out: it means nothing on another machine.
    """
    parameters = (
        ("for", for_ and _node(for_)),
        ("by", by and _node(by)),
        ("host", host),
        ("proto", proto),
    )
    return ";".join(f"{name}={_value(value)}" for name, value in parameters if value)


def forward_fields(
    client_ip: str,
    scheme: str,
    host: str | None,
    incoming: Callable[[str], str | None],
    trusted: bool,
) -> dict[str, str]:
    """Give the fields that tell an origin of the client: see FORWARDING_FIELDS.

    `client_ip` is the address of the connection's other end ("" if it has none, as with a Unix
    socket). `scheme` and `host` are those of its request (`host` None: it named none),
    `incoming` gets a field of it. Of a trusted client, another proxy, the lists are continued
    and its X-Forwarded-Proto and -Host, which tell of the first request, are kept. Of others
    nothing is kept.
    """
    told = incoming if trusted else _nothing
    client = client_ip or "unknown"
    own = forwarded_element(client, None, host, scheme)
    fields = {
        "X-Forwarded-For": _append(told("X-Forwarded-For"), client),
        "X-Forwarded-Proto": told("X-Forwarded-Proto") or scheme,
        "Forwarded": _append(told("Forwarded"), own),
    }
    if first_host := told("X-Forwarded-Host") or host:
        fields["X-Forwarded-Host"] = first_host
    return fields


def last_sender(forwarded_for: str | None, forwarded: str | None) -> list[str]:
    """Give whom the nearest proxy asks for, as the last entry of each field has it.

    `forwarded_for` is X-Forwarded-For, `forwarded` is Forwarded (RFC 7239 section 4); None where
    there is no such field. An address is given without brackets, port and quotes, anything else as
    it stands; "" is given where a field is there and names nobody.
    """
    found = []
    if forwarded_for is not None:
        found.append(_address(forwarded_for.rpartition(",")[2].strip()))
    if forwarded is not None:
        # A quoted string may hold separators; one that does holds no address.
        element = forwarded.rpartition(",")[2]
        pairs = [pair.strip().partition("=") for pair in element.split(";")]
        named = [value.strip('"') for name, _, value in pairs if name.lower() == "for"]
        found.append(_address(named[-1]) if named else "")
    return found


def _address(node: str) -> str:
    """Take brackets and port off (RFC 7239 section 6)."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


def _nothing(_name: str) -> None:
    return None


def _append(existing: str | None, element: str) -> str:
    return f"{existing}, {element}" if existing else element


def _node(name: str) -> str:
    return f"[{name.partition('%')[0]}]" if ":" in name else name


def _value(text: str) -> str:
    if _is_token(text):
        return text
    return '"' + _needs_backslash.sub(r"\\\g<0>", text) + '"'
