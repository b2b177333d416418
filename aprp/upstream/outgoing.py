"""A request's body on its way from who has it to who sends it, without copies.

The client's side feeds views of its own memory; the origin's side takes them through a sink. What
is fed before a sink is there waits, and so does the client: that wait is the back-pressure.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol


class BodySink(Protocol):
    """Who takes a body: the connection to an origin."""

    def write(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Take bytes; their memory has to stay as it is until the future, if any, is done."""

    def finish(self) -> None:
        """The body is complete."""

    def failed(self, error: Exception) -> None:
        """The body will never be complete: the client left, or broke the rules."""


class RequestBody:
    """Where the two sides of a request's body meet.

    `length` is in bytes, None where it is not known beforehand (the origin gets it chunked).
    `started`: a byte was given to a sink, so that the request cannot be sent again. `ended`: the
    client has sent all of it. `on_wanted`, if set, is called once, when an origin begins to take
    the body. One feed at a time may be outstanding.
    """

    __slots__ = (
        "_error",
        "_held",
        "_sink",
        "_view",
        "_wanted",
        "ended",
        "fed",
        "length",
        "on_wanted",
        "released",
        "started",
    )

    def __init__(self, length: int | None) -> None:
        """Nothing has come yet."""
        self.length = length
        self.fed = 0
        self.started = False
        self.ended = False
        self.released = False
        self.on_wanted: Callable[[], None] | None = None
        self._wanted = False
        self._sink: BodySink | None = None
        self._view: memoryview | None = None
        self._held: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    # The client's side.

    def feed(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Give the next bytes; their memory is used again when the future, if any, is done.

        Raises ValueError for more bytes than `length`: behind a body's end the origin would look
        for the next request.
        """
        self.fed += len(view)
        if self.length is not None and self.fed > self.length:
            raise ValueError(f"a body of {self.length} bytes was fed {self.fed}")
        if self.released or not len(view):
            return None
        if self._sink is not None:
            self.started = True
            return self._sink.write(view)
        assert self._view is None, "one feed at a time"
        self._view = view
        self._held = asyncio.get_running_loop().create_future()
        return self._held

    def end(self) -> None:
        """The body is complete; raises ValueError where it is shorter than `length`."""
        if self.length is not None and self.fed != self.length:
            raise ValueError(f"a body of {self.length} bytes ended at {self.fed}")
        self.ended = True
        if self._sink is not None:
            self._sink.finish()

    def fail(self, error: Exception) -> None:
        """There will be no more, and the body is not complete: the request fails with `error`."""
        self._error = error
        if self._sink is not None:
            self._sink.failed(error)

    # The origin's side.

    def attach(self, sink: BodySink) -> None:
        """Give what has come, and what comes, to `sink`."""
        if self._error is None:
            assert self._sink is None and not self.released
            self._sink = sink
            self._tell_wanted()
        if self._error is not None:
            sink.failed(self._error)
            return
        self._hand_over(sink)
        # The sink may have had enough in the middle of that.
        if self.ended and self._sink is sink:
            sink.finish()

    def _tell_wanted(self) -> None:
        if self._wanted or self.on_wanted is None:
            return
        self._wanted = True
        try:
            self.on_wanted()
        except Exception as error:
            # The client cannot be told, so that there will be no body.
            self._error = error

    def _hand_over(self, sink: BodySink) -> None:
        view, self._view = self._view, None
        if view is None:
            return
        self.started = True
        waiting = sink.write(view)
        if waiting is None:
            self._let_go()
        else:
            waiting.add_done_callback(self._let_go)

    def detach(self) -> None:
        """The sink is gone; what comes waits for another one."""
        self._sink = None

    def release(self) -> None:
        """Nobody takes any more: what was fed is forgotten, and what comes is dropped."""
        self.released = True
        self._sink = None
        if self._view is not None:
            self._view = None
            self._let_go()

    def _let_go(self, _: object = None) -> None:
        held, self._held = self._held, None
        if held is not None and not held.done():
            held.set_result(None)

    def __repr__(self) -> str:
        length = "unknown" if self.length is None else self.length
        state = "released" if self.released else "ended" if self.ended else "open"
        return f"<RequestBody {self.fed} of {length} bytes, {state}>"
