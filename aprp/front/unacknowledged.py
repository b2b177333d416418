"""How much of what was written is still on its way: not acknowledged by the client's side."""

import asyncio
import fcntl
import struct
import termios

_INT = struct.Struct("i")


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the transport and the kernel hold for the other side (tcp(7), SIOCOUTQ).

    The kernel may hold some megabytes, which a slow client takes a minute for. Where it does not
    tell, as of a socket that is closed, what the transport holds.
    """
    queued = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None:
        return queued
    try:
        # SIOCOUTQ is TIOCOUTQ by another name.
        told = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
    except (OSError, ValueError):
        return queued
    (held,) = _INT.unpack(told)
    return queued + int(held)
