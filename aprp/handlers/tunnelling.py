"""From an answered request to a tunnel: what CONNECT and Upgrade have in common."""

import asyncio

from aprp.handlers.exchange import Exchange
from aprp.semantics.headers import Fields
from aprp.tunnel.bridge import Why
from aprp.upstream.detached import Detached


async def tunnel(
    exchange: Exchange, origin: Detached, status: int, reason: str, fields: Fields
) -> None:
    """Answer with a head that HTTP ends with, and carry bytes until both sides have ended.

    `status` is 101, or 2xx to CONNECT. The origin's connection is closed in any case. Raises
    ClientGone where the client did not wait for the answer.
    """
    try:
        exchange.begin_tunnel(status, reason, fields)
        unfinished = exchange.wire.unfinished
        if unfinished is not None:
            await asyncio.wait((unfinished,))
        client = exchange.detach()
    except BaseException:
        drop(origin)
        raise
    ended = await exchange.app.tunnels.carry(client, origin)
    exchange.sent = ended.down
    if ended.why is not Why.CLOSED:
        exchange.end = ended.why.value


def drop(connection: Detached) -> None:
    """Close a connection that was given away and has nobody to go to."""
    # asyncio's transports do not bear it when they are closed.
    if not connection.transport.is_closing():
        connection.transport.abort()
