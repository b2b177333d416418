"""Whether an address is in one of some networks: of TRUSTED_PROXIES, of PURGE_ALLOW."""

import ipaddress
from collections.abc import Iterable

from aprp.semantics.hosts import as_ipv4


class Networks:
    """Some networks; never changes."""

    def __init__(self, networks: Iterable[str]) -> None:
        """`networks`: addresses and networks as `ipaddress` reads them."""
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __call__(self, address: str) -> bool:
        """Whether an address, in any spelling, is in one of them.

        One of IPv4 within IPv6 (RFC 4291 section 2.5.5.2) is that of IPv4. A Unix socket, or a name
        in the place of an address (RFC 7239 section 6.3), never is.
        """
        try:
            parsed = as_ipv4(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)
