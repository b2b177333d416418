"""Who asks an origin, and takes what it answers: the two sides that a connection knows."""

import asyncio
from typing import Protocol

from aprp.semantics.framing import Delimiter
from aprp.upstream.head import ResponseHead


class Placer(Protocol):
    """Says where in memory the bytes of a body belong.

    They are received there, or copied from where they came, in the order of the body. What either
    method raises, and an exception of the future, fails the fetch.
    """

    def space(self) -> memoryview:
        """Room for the next body bytes: writable, at least 1 byte.

        Asked for before it is known whether bytes come at all: nothing may be placed in it, and
        then the same room is asked for anew. A body that the close ends wants room until then.
        """

    def placed(self, count: int) -> "asyncio.Future[None] | None":
        """`count` bytes were written to the begin of the space.

        Until the future is done, nothing is read and no space is asked for.
        """


class Receiver(Protocol):
    """Who asked, and takes what comes."""

    method: str
    upgrade: bool
    """Whether the request asked for another protocol, so that a 101 may come."""

    @property
    def sent(self) -> bool:
        """Whether the whole request is sent: the connection cannot be kept if not."""

    @property
    def expects_placement(self) -> bool:
        """Whether there may be a placer when the head has come: little is read until then."""

    @property
    def placer(self) -> Placer | None:
        """Who takes the body in the place of `on_data`; looked at when `on_head` has returned."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx response came; the final one follows."""

    def on_switch(self, head: ResponseHead) -> None:
        """A 101 response came: the connection is to be detached; nothing more is told of it."""

    def on_head(self, head: ResponseHead, length: int | Delimiter) -> None:
        """The head of the final response came, and how its body is delimited."""

    def on_data(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Take body bytes; the view is valid until the returned future is done."""

    def on_end(self, reusable: bool) -> None:
        """The response is complete and its last bytes are taken."""

    def on_failure(self, error: Exception) -> None:
        """There will be no more of this response."""
