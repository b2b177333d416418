"""Which connections exist, which are idle, who waits for one.

Every change of state is one synchronous method; the connections that it says to close are
closed by the caller. A connection handed out is taken out of the idle list in the same step.
"""

from collections import deque
from collections.abc import Callable

from aprp.upstream.connection import OriginConnection
from aprp.upstream.dial import Endpoint


class Ticket:
    """A place in the queue for a slot; `granted` is called when it is this one's turn."""

    __slots__ = ("granted", "left")

    def __init__(self, granted: Callable[[], None]) -> None:
        """`left` is set when the owner gave up waiting."""
        self.granted = granted
        self.left = False


class Pool:
    """Idle connections by endpoint, and a bound on the exchanges under way.

    `max_active`: exchanges at once, the next wait in order; `max_idle`: idle connections kept
    for an endpoint; `keep_for`: seconds that an idle one is kept.
    """

    def __init__(self, max_active: int, max_idle: int, keep_for: float) -> None:
        """Start empty."""
        self.max_active = max_active
        self.max_idle = max_idle
        self.keep_for = keep_for
        self.active = 0
        self.queue: deque[Ticket] = deque()
        self._idle: dict[Endpoint, list[OriginConnection]] = {}

    def enter(self, granted: Callable[[], None]) -> Ticket | None:
        """Ask for a slot: None says that it is yours now, a Ticket that you wait."""
        if self.active < self.max_active:
            self.active += 1
            return None
        ticket = Ticket(granted)
        self.queue.append(ticket)
        return ticket

    def leave(self) -> Ticket | None:
        """Give a slot back; the ticket returned, if any, has it now and wants to be told."""
        while self.queue:
            ticket = self.queue.popleft()
            if not ticket.left:
                return ticket
        self.active -= 1
        return None

    def take(self, endpoint: Endpoint, since: float | None = None) -> OriginConnection | None:
        """Take the idle connection that was used last, which is the likeliest to be alive.

        Where `since` is given, in seconds of the clock of `keep`, one that was idle then already is
        left where it is.
        """
        idle = self._idle.get(endpoint)
        while idle:
            if since is not None and idle[-1].idle_since <= since:
                return None
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    def keep(
        self, endpoint: Endpoint, connection: OriginConnection, now: float
    ) -> list[OriginConnection]:
        """Put a connection to the idle ones; returns those that have to be closed."""
        if self.max_idle < 1:
            return [connection]
        connection.idle_since = now
        idle = self._idle.setdefault(endpoint, [])
        idle.append(connection)
        return [idle.pop(0)] if len(idle) > self.max_idle else []

    def expired(self, now: float) -> list[OriginConnection]:
        """Take out the connections that have been idle for too long."""
        gone: list[OriginConnection] = []
        for endpoint, idle in list(self._idle.items()):
            limit = now - self.keep_for
            stale = [c for c in idle if c.idle_since <= limit or not c.usable]
            if stale:
                gone += stale
                kept = [c for c in idle if c not in stale]
                if kept:
                    self._idle[endpoint] = kept
                else:
                    del self._idle[endpoint]
        return gone

    def drain(self) -> list[OriginConnection]:
        """Take out every idle connection."""
        gone = [connection for idle in self._idle.values() for connection in idle]
        self._idle.clear()
        return gone

    @property
    def idle(self) -> int:
        """How many connections are idle."""
        return sum(len(idle) for idle in self._idle.values())

    def __repr__(self) -> str:
        return f"<Pool {self.active} active, {self.idle} idle, {len(self.queue)} waiting>"
