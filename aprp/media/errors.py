"""Why a delivery ends without the answer that was asked for."""


class DeliveryError(Exception):
    """The client does not get what it asked for."""


class RangeNotSatisfiable(DeliveryError):
    """No byte of the asked range exists (416); `total` is the length, where it is known."""

    def __init__(self, total: int | None) -> None:
        super().__init__(total)
        self.total = total


class ConditionFailed(DeliveryError):
    """A precondition of the request does not hold (412); `field` names it."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class BadOrigin(DeliveryError):
    """The origin's answer cannot be used (502); the text says why.

    `counted`: the refused answer is in the statistics already.
    """

    def __init__(self, text: str, *, counted: bool = False) -> None:
        super().__init__(text)
        self.counted = counted


class OriginBroke(DeliveryError):
    """The answer had begun when the origin failed: it must be cut short."""


class OnlyIfCached(DeliveryError):
    """The client wants stored bytes alone, and there are none (504; RFC 9111 section 5.2.1.7)."""
