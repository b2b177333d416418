"""The addresses at which this proxy listens: a request that leads there goes in a circle."""

import functools
import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

from aprp.semantics.hosts import Address, address_of, as_ipv4

_LOCALHOST: Final = ("localhost", "ip6-localhost")


class OwnAddress:
    """Knows where the proxy listens, once `listen` has been called; before, nowhere."""

    def __init__(self) -> None:
        self._everywhere: set[int] = set()
        self._places: set[tuple[Address, int]] = set()

    def listen(self, sockets: Iterable[socket.socket]) -> None:
        """These sockets are listened on."""
        for listening in sockets:
            if listening.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            host, port = listening.getsockname()[:2]
            address = ipaddress.ip_address(host.partition("%")[0])
            if address.is_unspecified:
                self._everywhere.add(port)
            else:
                self._places.add((address, port))

    def is_named(self, host: str, port: int) -> bool:
        """Whether a host, an address or one of this machine's names, and a port mean the proxy.

        `host` is in its canonical form. No name is looked up.
        """
        if port not in self._everywhere and not any(port == own for _, own in self._places):
            return False
        if address_of(host) is not None:
            return self.is_at(host, port)
        return host in _LOCALHOST or host.endswith(".localhost") or host == _own_name()

    def is_at(self, address: str, port: int) -> bool:
        """Whether an address and a port are the proxy's own."""
        parsed = address_of(address)
        if parsed is None:
            return False
        parsed = as_ipv4(parsed)
        return (parsed, port) in self._places or (
            port in self._everywhere and _is_local(str(parsed))
        )


def _own_name() -> str:
    return socket.gethostname().lower().rstrip(".")


@functools.lru_cache(maxsize=1024)
def _is_local(address: str) -> bool:
    """Whether an address is this machine's: one of others cannot be bound to."""
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback or parsed.is_unspecified:
        return True
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
