"""Who asked, told to the origin: Forwarded (RFC 7239) and the X-Forwarded fields before it."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from aprp.semantics.hosts import as_ipv4

FORWARDING_FIELDS: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
"""What `forward_fields` may set. Take these out of a request before its answer is put in:
of a client that is not trusted nothing may be left, also where there is no new value."""

MAX_HOPS: Final = 64
"""Most entries of X-Forwarded-For or Forwarded that `client_address` looks at."""

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_needs_backslash: Final = re.compile(r'["\\]')
_backslash: Final = re.compile(r"\\(.)", re.DOTALL)
# RFC 7239 section 4: name and value, which is a token or a quoted string. Addresses with a port
# or in brackets want quotes, which many leave out.
_PAIR: Final = r"""[!#$%&'*+\-.^_`|~0-9A-Za-z]++=(?:"(?:[^"\\]|\\.)*+"|[^" \t;,]*+)"""
_is_element: Final = re.compile(rf"[ \t;]*+(?:{_PAIR}[ \t]*+(?:;[ \t;]*+|\Z))*+").fullmatch
_pairs_of: Final = re.compile(_PAIR).findall
# Section 6: an address, an IPv6 one in brackets, and a port. X-Forwarded-For has IPv6 bare too.
_match_node: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]++)(?:%[^\[\]]*+)?\]|([0-9.]++))(?::(?:[0-9]{1,5}|_[0-9A-Za-z._\-]++))?"
    r"|([0-9A-Fa-f.]*+:[0-9A-Fa-f:.]++)(?:%[^\[\]]*+)?"
).fullmatch


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
        found.append(_address(_for_of(next(_elements(forwarded)))))
    return found


def client_address(
    peer: str, get: Callable[[str], str | None], is_trusted: Callable[[str], bool]
) -> str:
    """Give the address of the client: the nearest that is not a trusted proxy's.

    `peer` is the address of the connection's other end, `get` gets a field of the request,
    `is_trusted` says whether the address is that of a proxy whose word is believed. If the peer
    is not, it is the client itself. Otherwise the entries of X-Forwarded-For, or of Forwarded
    where there is no such field, are looked at from the last, as long as they are trusted
    proxies' own. X-Forwarded-For comes first because more proxies set it than Forwarded, which
    those hand on as a client wrote it.

    Where an entry is no address (empty, "unknown", a name of RFC 7239 section 6.3, or
    anything else), where there are no more, or after MAX_HOPS, it is the last trusted address:
    nobody else can be held to account. Addresses come without brackets, port and zone, and IPv4
    ones mapped into IPv6 as IPv4.
    """
    if not is_trusted(peer):
        return peer
    address = peer
    if (told := get("X-Forwarded-For")) is not None:
        nodes: Iterable[str] = (entry.strip(" \t") for entry in _from_the_right(told))
    elif (told := get("Forwarded")) is not None:
        nodes = map(_for_of, _elements(told))
    else:
        return peer
    for node in islice(nodes, MAX_HOPS):
        parsed = _ip_address(node)
        if parsed is None:
            return address
        address = parsed
        if not is_trusted(address):
            return address
    return address


def _from_the_right(entries: str) -> Iterator[str]:
    end = len(entries)
    while True:
        comma = entries.rfind(",", 0, end)
        yield entries[comma + 1 : end]
        if comma < 0:
            return
        end = comma


def _elements(forwarded: str) -> Iterator[str]:
    """Give the elements of Forwarded from the last; commas in quoted strings divide nothing.

    It is read from its end, where the nearest proxy wrote: a quote that a client left open cannot
    swallow what follows.
    """
    end = place = len(forwarded)
    comma = forwarded.rfind(",")
    while True:
        quote = forwarded.rfind('"', comma + 1, place)
        if quote < 0:
            yield forwarded[comma + 1 : end]
            if comma < 0:
                return
            end = place = comma
        else:
            place = max(_opening(forwarded, quote), 0)
        if comma >= place:
            comma = forwarded.rfind(",", 0, place)


def _opening(text: str, closing: int) -> int:
    """Find the quote that opens the string which ends at `closing`; -1 if there is none."""
    place = text.rfind('"', 0, closing)
    while place > 0 and text[place - 1] == "\\":
        start = place
        while start > 0 and text[start - 1] == "\\":
            start -= 1
        if (place - start) % 2 == 0:
            break
        place = text.rfind('"', 0, start)
    return place


def _for_of(element: str) -> str:
    """Give the "for" of a forwarded-element; "" if it has none, or several, or is malformed."""
    if not _is_element(element):
        return ""
    pairs = (pair.partition("=") for pair in _pairs_of(element))
    named = [value for name, _, value in pairs if name.lower() == "for"]
    if len(named) != 1:
        return ""
    value = named[0]
    return _backslash.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _ip_address(node: str) -> str | None:
    """Give the IP address of a node as ipaddress writes it; None if it has none."""
    match = _match_node(node)
    if match is None:
        return None
    try:
        return str(as_ipv4(ipaddress.ip_address(match[1] or match[2] or match[3])))
    except ValueError:
        return None


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
