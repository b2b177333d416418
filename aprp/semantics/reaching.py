"""Whom requests may be sent to when the client names the host: patterns, names and addresses.

Two questions, because a name says nothing about where it leads: `host_allowed` before a name is
looked up, and `address_allowed` of each address that was found, before it is connected to.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from aprp.semantics.hosts import Address, address_of, canonical_host

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY_PUBLIC: Final = "*"
"""The word that allows every public host."""

# `ipaddress` counts these as public, or does so in some versions of Python.
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # the platform's own services inside Azure
        "192.0.0.0/24",  # protocol assignments (RFC 6890)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "2001::/23",  # protocol assignments, Teredo among them, which leads to an IPv4 address
        "2002::/16",  # 6to4, which leads to an IPv4 address (RFC 3056)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reach:
    """What FORWARD_ALLOW or TARGET_URL_ALLOW allows; made by `Reach.of`. Equal lists are equal."""

    names: frozenset[str]
    suffixes: tuple[str, ...]
    networks: tuple[Network, ...]
    public: bool

    @classmethod
    def of(cls, words: Iterable[str]) -> "Reach":
        """Read `*.example.org`, names, addresses, networks, and `*` for every public host.

        No word at all allows every public host and no other; with words, only what they say.
        Raises ValueError for a word that is none of these.
        """
        names: set[str] = set()
        suffixes: list[str] = []
        networks: list[Network] = []
        public = True
        for count, word in enumerate(words):
            if count == 0:
                public = False
            if word == ANY_PUBLIC:
                public = True
            elif word.startswith("*."):
                name = canonical_host(word[2:])
                if name is None or address_of(name) is not None:
                    raise ValueError(f"{word!r}: not a pattern such as *.example.org")
                suffixes.append(f".{name}")
            elif (host := canonical_host(word)) is None:
                networks.append(ipaddress.ip_network(word))
            elif (address := address_of(host)) is None:
                names.add(host)
            else:
                networks.append(ipaddress.ip_network(address))
        return cls(frozenset(names), tuple(suffixes), tuple(networks), public)

    def named(self, host: str) -> bool:
        """Whether a host is listed itself: by its name, a pattern, or as the address it is.

        `*.example.org` stands for the names below example.org, however deep, and not for
        example.org. A host that is listed may have any address, a private one too.
        """
        name = canonical_host(host)
        if name is None:
            return False
        if (address := address_of(name)) is not None:
            return self._listed(_forms(address))
        return name in self.names or name.endswith(self.suffixes)

    def host_allowed(self, host: str) -> bool:
        """Whether a host may be reached as far as its name tells; False is final.

        True for a name that is not listed means that its addresses decide. For an address it is
        the whole answer. `host` has no port; what is no host is not allowed.
        """
        name = canonical_host(host)
        if name is None:
            return False
        if address_of(name) is not None:
            return self.address_allowed(name, named=False)
        return self.public or bool(self.networks) or self.named(name)

    def address_allowed(self, address: str, named: bool) -> bool:
        """Whether to connect to an address of a host; `named` is what the method says of the host.

        An address is allowed if it is listed, if its host is, or if it is public and every public
        host is allowed. An IPv6 zone does not count; what is no address is not allowed.
        """
        found = address_of(address)
        if found is None:
            return False
        if named:
            return True
        forms = _forms(found)
        return self._listed(forms) or (self.public and is_public(found))

    def _listed(self, forms: tuple[Address, ...]) -> bool:
        return any(form in network for form in forms for network in self.networks)


def is_public(address: Address) -> bool:
    """Whether an address is one host's on the open internet.

    Private, loopback, link-local (with the metadata service 169.254.169.254), shared, reserved,
    unspecified and multicast addresses are not. IPv4 addresses in IPv6 form (RFC 4291 section
    2.5.5.2) and behind NAT64's well-known prefix (RFC 6052) are what the IPv4 address is; those in
    6to4 and Teredo addresses are not public.
    """
    own = _forms(address)[-1]
    if isinstance(own, ipaddress.IPv6Address) and own not in _UNICAST:
        return False
    if own.is_multicast or own.is_reserved or not own.is_global:
        return False
    return not any(own in network for network in _NOT_PUBLIC)


def _forms(address: Address) -> tuple[Address, ...]:
    """The address, and behind it the IPv4 address at which its packets arrive, if there is one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address, address.ipv4_mapped
        if address in _NAT64:
            return address, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return (address,)
