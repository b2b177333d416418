"""What may be connected to where clients name the host, asked of each address it leads to."""

from dataclasses import dataclass

from aprp.semantics.reaching import Reach
from aprp.sites.own import OwnAddress
from aprp.upstream.errors import Forbidden


class Loop(Forbidden):
    """The address is the proxy's own: the request would go in a circle."""

    def __init__(self, address: str) -> None:
        """See Forbidden."""
        super().__init__(address, "the proxy's own")


@dataclass(frozen=True, slots=True)
class ReachGuard:
    """The `Guard` of a host that a client named; `named` says that it is listed by its name.

    Equal guards let the same through, so that kept connections can be shared.
    """

    reach: Reach
    named: bool
    own: OwnAddress
    port: int

    @classmethod
    def of(cls, reach: Reach, host: str, port: int, own: OwnAddress) -> "ReachGuard":
        """Make the guard for a host, a name or an address, and a port of it."""
        return cls(reach, reach.named(host), own, port)

    def check_nameless(self, host: str) -> None:
        """Raise Forbidden for a host that only an address of its own could have let pass."""
        if not self.named and not self.reach.public:
            raise Forbidden(host)

    def check(self, address: str) -> None:
        """Return where `address` may be connected to; raises Forbidden or Loop where not."""
        if not self.reach.address_allowed(address, self.named):
            raise Forbidden(address)
        if self.own.is_at(address, self.port):
            raise Loop(address)
