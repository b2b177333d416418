"""Ids of requests: the client's own where it is believed, else one that nobody else has."""

import itertools
import secrets
from collections.abc import Callable
from typing import Final

from aprp.semantics.tracing import believable_id

EVERYBODY: Final = "everybody"
TRUSTED: Final = "trusted"


class RequestIds:
    """Gives each request its id; those that are made differ over workers, restarts and machines.

    An id that is made has 24 hexadecimal digits or more: a random number of the process, of 64
    bits, and a count. It is no secret: who has seen one can tell the next.
    """

    def __init__(self, believed: str, is_trusted: Callable[[str], bool]) -> None:
        """`believed` is REQUEST_ID_FROM; `is_trusted` says whether an address is a proxy's."""
        self._believed = believed
        self._is_trusted = is_trusted
        self.attach()

    def attach(self) -> None:
        """Count for this process from now on; called after a fork."""
        self._prefix = secrets.token_hex(8)
        self._count = itertools.count()

    def of(self, peer: str, told: str | None) -> str:
        """Give the id of a request from `peer` that said `told` in X-Request-ID."""
        if told is not None and self._believes(peer):
            good = believable_id(told)
            if good is not None:
                return good
        return f"{self._prefix}{next(self._count):08x}"

    def _believes(self, peer: str) -> bool:
        believed = self._believed
        return believed == EVERYBODY or (believed == TRUSTED and self._is_trusted(peer))
