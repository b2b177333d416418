"""A connection that HTTP is over on: what a tunnel takes over."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Detached:
    """The transport of a connection, given away by the protocol that it had.

    `tcp` is what lies below a TLS `transport`: reading has to be paused there. `leftover` came
    already and belongs to the new protocol. `lost` has to be called in the new protocol's
    `connection_lost`: whoever gave the connection away keeps count of it, and aborts it at the
    end of the program. Reading is paused: `hand_to` sets a protocol and resumes it.
    """

    transport: asyncio.Transport
    tcp: asyncio.Transport | None
    leftover: bytes
    lost: Callable[[Exception | None], None]

    def hand_to(self, protocol: asyncio.BufferedProtocol) -> None:
        """Let `protocol` have what comes from now on; `leftover` it has to take itself."""
        self.transport.set_protocol(protocol)
        self.resume_reading()

    def pause_reading(self) -> None:
        """Let the socket fill up; allowed in every state."""
        below = self.tcp or self.transport
        if not below.is_closing():
            below.pause_reading()

    def resume_reading(self) -> None:
        """Take from the socket again; allowed in every state."""
        below = self.tcp or self.transport
        if not below.is_closing():
            below.resume_reading()
