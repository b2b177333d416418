"""The door of CONNECT: a tunnel to a host that the client names (RFC 9110 section 9.3.6)."""

import asyncio
from typing import Final

from aprp.front.wire import ClientGone
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.tunnelling import tunnel
from aprp.semantics.headers import Fields
from aprp.semantics.hosts import split_authority
from aprp.semantics.reaching import Reach
from aprp.sites.guards import Loop, ReachGuard
from aprp.stats.counters import Count
from aprp.upstream.detached import Detached
from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import (
    ConnectFailed,
    ConnectTimeout,
    Forbidden,
    OriginClosed,
    OriginFailure,
    ResolveFailed,
    Undelivered,
)

_NOT_ALLOWED: Final = "Tunnels to this host are not allowed here. FORWARD_ALLOW names the hosts."

_LOOP: Final = "CONNECT leads to this proxy itself: name the host that is to be reached."

_CAUSES: Final[tuple[tuple[type[OriginFailure], int, str], ...]] = (
    (Loop, 508, _LOOP),
    (Forbidden, 403, _NOT_ALLOWED),
    (ResolveFailed, 502, "The host has no address. Check its name."),
    (ConnectTimeout, 504, "The host did not accept a connection within CONNECT_TIMEOUT."),
    (ConnectFailed, 502, "The host refused the connection."),
    (OriginClosed, 502, "The host closed the connection at once."),
)


async def serve(exchange: Exchange, reach: Reach) -> None:
    """Answer CONNECT host:port with 200, and carry bytes both ways until both sides have ended.

    Who may ask is settled already; `reach` says whom may be connected to. Raises Problem: 400 for
    what is no host and port, 403 for a port that is not in CONNECT_PORTS and for hosts and
    addresses that `reach` does not allow, 502 and 504 where there is no connection, 508 for the
    proxy's own address.
    """
    app = exchange.app
    endpoint = _endpoint(exchange, reach)
    exchange.asks(str(endpoint))
    if app.own.is_named(endpoint.host, endpoint.port):
        raise Problem(508, _LOOP)
    if endpoint.port not in app.settings.CONNECT_PORTS:
        raise Problem(
            403,
            f"Tunnels to port {endpoint.port} are not allowed here. CONNECT_PORTS names the ports.",
        )
    if not reach.host_allowed(endpoint.host):
        raise Problem(403, _NOT_ALLOWED, private=f"{endpoint}: not in FORWARD_ALLOW")
    try:
        origin = await _connect(exchange, endpoint)
    except OriginFailure as error:
        if isinstance(error, Undelivered):
            app.counters.add(Count.ORIGIN_FAILURES)
        for kind, status, detail in _CAUSES:
            if isinstance(error, kind):
                raise Problem(status, detail, private=f"{endpoint}: {error}") from error
        raise
    await tunnel(exchange, origin, 200, "Connection Established", Fields())


def _endpoint(exchange: Exchange, reach: Reach) -> Endpoint:
    """Read host and port (RFC 9112 section 3.2.3: both are needed)."""
    host, port = split_authority(exchange.target) or ("", None)
    if port is None:
        raise Problem(400, "CONNECT needs a host and a port, such as media.example:443.")
    get = exchange.headers.get
    if get("Transfer-Encoding") is not None or (get("Content-Length") or "0").strip("0"):
        # What follows is the tunnel's; a peer that takes it for a body reads another message.
        raise Problem(400, "CONNECT has no body.")
    return Endpoint(host, port, guard=ReachGuard.of(reach, host, port, exchange.app.own))


async def _connect(exchange: Exchange, endpoint: Endpoint) -> Detached:
    """Open the connection; a client that goes away ends the attempt. Raises ClientGone then."""
    app = exchange.app
    connecting = exchange.loop.create_task(
        app.client.connect(endpoint, app.settings.CONNECT_TIMEOUT)
    )
    exchange.work = _Attempt(connecting)
    try:
        return await connecting
    except asyncio.CancelledError:
        if exchange.closed:
            raise ClientGone from None
        raise
    finally:
        exchange.work = None


class _Attempt:
    """A connection that is being opened, as the work of an exchange."""

    def __init__(self, connecting: "asyncio.Task[Detached]") -> None:
        self._connecting = connecting

    def abort(self) -> None:
        self._connecting.cancel()
