"""Opening a connection: resolve, connect, TLS handshake, within one time limit."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from tornado.netutil import Resolver

from aprp.upstream.errors import (
    ConnectFailed,
    ConnectTimeout,
    Forbidden,
    ResolveFailed,
    TLSFailed,
)
from aprp.upstream.wire import Wire


class Guard(Protocol):
    """Says which addresses may be connected to; endpoints with unequal guards are unequal."""

    def check(self, address: str) -> None:
        """Return where `address`, numeric, may be connected to; raises Forbidden where not."""

    def check_nameless(self, host: str) -> None:
        """Return where a host without any address would have been allowed; raises Forbidden."""


class Endpoint(NamedTuple):
    """Where a connection leads: connections to equal endpoints can stand in for each other.

    The `guard`, if any, is asked about each address that the host's name leads to; what is
    connected to is the very address that it let pass.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    family: int = socket.AF_UNSPEC
    source: str | None = None
    guard: Guard | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


_Dialled = TypeVar("_Dialled", bound=Wire)


async def dial(
    endpoint: Endpoint,
    make_protocol: Callable[[], _Dialled],
    resolver: Resolver,
    timeout: float | None,
) -> _Dialled:
    """Open a connection to an endpoint, trying its addresses one after another.

    `timeout` is in seconds and covers everything; None or 0 is no limit. Raises ResolveFailed,
    ConnectFailed, TLSFailed or ConnectTimeout: in each case no request has been sent. Raises
    Forbidden where the endpoint's guard lets none of the addresses pass.
    """
    phase = f"while resolving {endpoint.host}"
    try:
        async with asyncio.timeout(timeout or None):
            addresses = _allowed(endpoint, await _resolve(endpoint, resolver))
            phase = f"while connecting to {endpoint}"
            sock = await _connect(endpoint, addresses, timeout)
            if endpoint.tls is not None:
                phase = f"during TLS handshake with {endpoint}"
            return await _wrap(endpoint, make_protocol, sock, timeout)
    except TimeoutError:
        raise ConnectTimeout(f"Timeout {phase}") from None


async def look_up(endpoint: Endpoint, resolver: Resolver, timeout: float | None) -> None:
    """Return where `dial` would find an address to connect to; raises as that does."""
    try:
        async with asyncio.timeout(timeout or None):
            _allowed(endpoint, await _resolve(endpoint, resolver))
    except TimeoutError:
        raise ConnectTimeout(f"Timeout while resolving {endpoint.host}") from None


async def _resolve(endpoint: Endpoint, resolver: Resolver) -> list[tuple[int, Any]]:
    try:
        addresses = await resolver.resolve(
            endpoint.host, endpoint.port, socket.AddressFamily(endpoint.family)
        )
    except OSError as error:
        _check_nameless(endpoint)
        reason = error.strerror or str(error)
        raise ResolveFailed(error.errno, f"cannot resolve {endpoint.host}: {reason}") from None
    except UnicodeError:
        # What Python itself refuses: an empty label, or one that is too long.
        _check_nameless(endpoint)
        reason = "this can be no host's name"
        raise ResolveFailed(
            socket.EAI_NONAME, f"cannot resolve {endpoint.host}: {reason}"
        ) from None
    if not addresses:
        _check_nameless(endpoint)
        raise ResolveFailed(socket.EAI_NONAME, f"cannot resolve {endpoint.host}: no address")
    return list(addresses)


def _check_nameless(endpoint: Endpoint) -> None:
    """Tell first of all that a host is not allowed, if no address could have made it so."""
    if endpoint.guard is not None:
        endpoint.guard.check_nameless(endpoint.host)


def _allowed(endpoint: Endpoint, addresses: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Leave out what the guard refuses."""
    if endpoint.guard is None:
        return addresses
    passed: list[tuple[int, Any]] = []
    refused: Forbidden | None = None
    for family, address in addresses:
        try:
            endpoint.guard.check(address[0])
        except Forbidden as error:
            refused = error
        else:
            passed.append((family, address))
    if not passed:
        assert refused is not None
        raise refused
    return passed


async def _connect(
    endpoint: Endpoint, addresses: list[tuple[int, Any]], timeout: float | None
) -> socket.socket:
    """Connect to the first address that answers; a silent one gets its share of the time."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    failure: OSError | None = None
    for index, (family, address) in enumerate(addresses):
        left = len(addresses) - index
        share = (timeout - (loop.time() - start)) / left if timeout and left > 1 else None
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.source is not None:
                sock.bind((endpoint.source, 0))
            async with asyncio.timeout(share):
                await loop.sock_connect(sock, address)
        except BaseException as error:
            if sock is not None:
                sock.close()
            if not isinstance(error, OSError):
                raise
            failure = error
        else:
            return sock
    if isinstance(failure, TimeoutError) and failure.errno is None:
        raise failure
    assert failure is not None
    # The event loops word it differently; the system's own words are the best known.
    reason = os.strerror(failure.errno) if failure.errno else str(failure)
    raise ConnectFailed(failure.errno, f"cannot connect to {endpoint}: {reason}") from None


async def _wrap(
    endpoint: Endpoint,
    make_protocol: Callable[[], _Dialled],
    sock: socket.socket,
    timeout: float | None,
) -> _Dialled:
    loop = asyncio.get_running_loop()
    connection = make_protocol()
    try:
        tcp, _ = await loop.create_connection(lambda: connection, sock=sock)
    except BaseException:
        sock.close()
        connection.connection_lost(None)
        raise
    if endpoint.tls is None:
        return connection
    if tcp.is_closing():
        # In TLS the client speaks first; a connection that had bytes already has ended itself.
        connection.connection_lost(None)
        raise TLSFailed(None, f"TLS handshake with {endpoint} failed: it does not speak TLS")
    try:
        transport = await loop.start_tls(
            tcp,
            connection,
            endpoint.tls,
            server_hostname=endpoint.host,
            # The time limit around everything comes first.
            ssl_handshake_timeout=2 * timeout if timeout else None,
        )
    except BaseException as error:
        tcp.abort()
        # The transport no longer knows of the connection.
        connection.connection_lost(None)
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or str(error)
            raise TLSFailed(
                error.errno, f"TLS handshake with {endpoint} failed: {reason}"
            ) from None
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            raise ConnectFailed(
                error.errno, f"{endpoint} closed the connection: {error.strerror or error}"
            ) from None
        raise
    if transport is None:
        connection.connection_lost(None)
        raise ConnectFailed(None, f"{endpoint} closed the connection during the TLS handshake")
    connection.secured(transport)
    return connection
