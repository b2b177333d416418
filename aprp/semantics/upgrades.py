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
    protocols = []
    for member in upgrade.split(","):
        protocol = member.strip(" \t")
        name = protocol.partition("/")[0].lower()
        if not _is_protocol(protocol) or name in _NEVER:
            continue
        if name == "websocket" and method != "GET":
            continue
        protocols.append(protocol)
    return ", ".join(protocols) or None


def is_answer(upgrade: str | None, asked: str) -> bool:
    """Say whether a 101 switches to what it was asked for.

    `upgrade` is its Upgrade field, `asked` what `wants_upgrade` gave. A server names at least one
    protocol, and none that was not asked for; names compare without case.
    """
    offered = {protocol.strip().lower() for protocol in asked.split(",")}
    chosen = {protocol.strip(" \t").lower() for protocol in (upgrade or "").split(",")} - {""}
    return bool(chosen) and chosen <= offered


def upgrade_fields(pairs: Iterable[Pair], connection: str | None, upgrade: str) -> list[Pair]:
    """Give the fields of a request to upgrade, or of a 101, as they go on.

    `connection` is the Connection field that came with them, `upgrade` the Upgrade field to send.
    The end-to-end fields, Sec-WebSocket-Key and its like among them, go on as they are, and
    Connection and Upgrade are the proxy's own.
    """
    kept = end_to_end(pairs, connection, _OF_HTTP2)
    return [*kept, ("Connection", "Upgrade"), ("Upgrade", upgrade)]
