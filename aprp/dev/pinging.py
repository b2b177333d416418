"""Asking the backend until it answers HTTP."""

import asyncio
import itertools
import socket
from collections.abc import Sequence
from typing import Any, Final

from aprp.dev.places import Place

# Between two attempts, in seconds.
_FIRST_PAUSE: Final = 0.005
_PAUSE: Final = 0.02
# After so many attempts the backend is one that takes its time.
_SOON: Final = 250
_LATER_PAUSE: Final = 0.05
# Between two looks at which addresses the name has, in attempts.
_LOOK_UP_EVERY: Final = 50
# For a connection; what listens on this machine answers at once.
_CONNECT: Final = 1.0
# For an answer: whoever accepted may have much to do first.
_PATIENCE: Final = 60.0

Address = tuple[int, Any]


async def wait_for_http(place: Place) -> None:
    """Return when whoever listens at `place` has answered a request, with whatever status.

    Asks with HEAD, and where the connection is closed without an answer also with GET.
    """
    addresses: Sequence[Address] = ()
    method = "HEAD"
    for attempt in itertools.count():
        if not addresses or attempt % _LOOK_UP_EVERY == 0:
            addresses = await _resolve(place)
        for address in addresses:
            sock = await _connect(address)
            if sock is None:
                continue
            try:
                if await _answers(sock, place, method):
                    return
            finally:
                sock.close()
            method = "GET" if method == "HEAD" else "HEAD"
        pause = min(_FIRST_PAUSE * (attempt + 1), _PAUSE)
        await asyncio.sleep(pause if attempt < _SOON else _LATER_PAUSE)


async def is_taken(place: Place) -> bool:
    """Whether somebody listens at `place`."""
    for address in await _resolve(place):
        sock = await _connect(address)
        if sock is not None:
            sock.close()
            return True
    return False


async def _resolve(place: Place) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError:
        # A name may be known a moment later, as that of a container that is being started.
        return ()
    return [(family, address) for family, _, _, _, address in found]


async def _connect(address: Address) -> socket.socket | None:
    family, name = address
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(_CONNECT):
            await loop.sock_connect(sock, name)
    except OSError:
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    if sock.getsockname() == sock.getpeername():
        # TCP lets a socket connect to itself, where its own port happens to be the one asked for.
        sock.close()
        return None
    return sock


async def _answers(sock: socket.socket, place: Place, method: str) -> bool:
    loop = asyncio.get_running_loop()
    request = (
        f"{method} / HTTP/1.1\r\nHost: {place}\r\nUser-Agent: aprp-dev\r\nAccept: */*\r\n"
        "Connection: close\r\n\r\n"
    )
    answer = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            await loop.sock_sendall(sock, request.encode())
            while len(answer) < len(b"HTTP/"):
                data = await loop.sock_recv(sock, 4096)
                if not data:
                    return False
                answer += data
    except OSError:
        return False
    return answer.startswith(b"HTTP/")
