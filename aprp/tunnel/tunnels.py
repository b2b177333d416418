"""The tunnels of one worker: opened, counted, and closed when it stops."""

import asyncio

from aprp.stats.counters import Count, Counters
from aprp.tunnel.bridge import Bridge, Ended
from aprp.upstream.buffers import BufferPool
from aprp.upstream.detached import Detached


class Tunnels:
    """Makes bridges and knows those that are open."""

    def __init__(
        self,
        counters: Counters,
        *,
        idle_timeout: float,
        buffers: BufferPool,
        tls_buffers: BufferPool,
    ) -> None:
        """See `Bridge` for the arguments, which are the same for all tunnels."""
        self._counters = counters
        self._idle_timeout = idle_timeout
        self._buffers = buffers
        self._tls_buffers = tls_buffers
        self._open: set[Bridge] = set()
        self._closed = False

    def __len__(self) -> int:
        """Count the tunnels that are open."""
        return len(self._open)

    async def carry(self, client: Detached, origin: Detached) -> Ended:
        """Join two connections and return when both are closed; see `Bridge.run`."""
        bridge = Bridge(
            client,
            origin,
            idle_timeout=self._idle_timeout,
            buffers=self._buffers,
            tls_buffers=self._tls_buffers,
            counters=self._counters,
        )
        self._counters.add(Count.TUNNELS)
        self._counters.add(Count.TUNNELS_OPEN)
        self._open.add(bridge)
        if self._closed:
            asyncio.get_running_loop().call_soon(bridge.abort)
        try:
            return await bridge.run()
        finally:
            self._open.discard(bridge)
            self._counters.add(Count.TUNNELS_OPEN, -1)

    async def close(self) -> None:
        """Close every tunnel at once, and those that are still to come when they come."""
        self._closed = True
        bridges = list(self._open)
        for bridge in bridges:
            bridge.abort()
        if bridges:
            await asyncio.wait([asyncio.ensure_future(bridge.closed()) for bridge in bridges])
