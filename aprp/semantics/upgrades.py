"""Another protocol on the same connection: Upgrade (RFC 9110 section 7.8)."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from aprp.semantics.headers import Pair, end_to_end

_is_protocol: Final = re.compile(
    r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?"
).fullmatch
# Protocols in which requests follow again. The proxy would not see those, and a client could ask
# for what it is not given otherwise. "h2c" is obsolete too (RFC 9113 section 3.1).
_NEVER: Final = frozenset({"h2", "h2c", "h3", "http", "tls"})
_OF_HTTP2: Final = frozenset({"http2-settings"})


def wants_upgrade(get: Callable[[str], str | None], version: str, method: str) -> str | None:
    """Give the Upgrade field that goes on to the origin, or None where nothing is to change.

    `get` gets a field of the request, `version` is its "HTTP/1.1". Upgrade is asked for in
    HTTP/1.1 with `Connection: upgrade`, else it is to be ignored. Of its protocols those remain,
    as they are written and in their order, that the proxy can carry: no form of HTTP, no TLS, no
    WebSocket but with GET (RFC 6455 section 4.1), nothing at all with CONNECT.
    """
    upgrade = get("Upgrade")
    if upgrade is None or version != "HTTP/1.1" or method == "CONNECT":
        return None
    options = (get("Connection") or "").lower().split(",")
    if "upgrade" not in (option.strip(" \t") for option in options):
        return None
    protocols = carried_protocols(upgrade)
    if method != "GET":
        protocols = [p for p in protocols if p.partition("/")[0].lower() != "websocket"]
    return ", ".join(protocols) or None


def is_answer(upgrade: str | None, asked: str) -> bool:
    """Say whether a 101 switches to what it was asked for.

    `upgrade` is its Upgrade field, `asked` what `wants_upgrade` gave. A server names at least one
    protocol, and none that was not asked for; names compare without case.
    """
    offered = {protocol.strip().lower() for protocol in asked.split(",")}
    chosen = {protocol.strip(" \t").lower() for protocol in (upgrade or "").split(",")} - {""}
    return bool(chosen) and chosen <= offered


def offer(status: int, upgrade: str | None) -> list[Pair]:
    """Give the Upgrade field of an origin's answer as it goes on to the client, if it does.

    `upgrade` is the field as it came. A 426 has to say which protocols it wants (RFC 9110 section
    15.5.22), and a client can have them through the proxy, but for those that it never carries.
    Connection is to name the field, and is the business of the client's own connection.
    """
    if status != 426 or upgrade is None:
        return []
    carried = carried_protocols(upgrade)
    return [("Upgrade", ", ".join(carried))] if carried else []


def carried_protocols(upgrade: str) -> list[str]:
    """Give those protocols of an Upgrade field that the proxy can carry, in their order."""
    protocols = (member.strip(" \t") for member in upgrade.split(","))
    return [
        protocol
        for protocol in protocols
        if _is_protocol(protocol) and protocol.partition("/")[0].lower() not in _NEVER
    ]


def upgrade_fields(pairs: Iterable[Pair], connection: str | None, upgrade: str) -> list[Pair]:
    """Give the fields of a request to upgrade, or of a 101, as they go on.

    `connection` is the Connection field that came with them, `upgrade` the Upgrade field to send.
    The end-to-end fields, Sec-WebSocket-Key and its like among them, go on as they are, and
    Connection and Upgrade are the proxy's own.
    """
    kept = end_to_end(pairs, connection, _OF_HTTP2)
    return [*kept, ("Connection", "Upgrade"), ("Upgrade", upgrade)]
