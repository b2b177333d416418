"""The body of one response: where it ends, and what lies behind its end."""

import select
import socket
from enum import Enum
from typing import Final

from aprp.semantics.framing import ChunkedDecoder, Delimiter, response_framing
from aprp.upstream.buffers import Inbox
from aprp.upstream.head import ResponseHead


class Body:
    """How much of a body is still to come, and the walk over what has come of it.

    `remaining` counts bytes that were not walked over yet, where the length is known. `run` counts
    those that were, and lie at the inbox's position until they are placed. `keep_alive` tells
    whether the connection persists after it.
    """

    __slots__ = ("_chunked", "keep_alive", "length", "remaining", "run", "until_close")

    def __init__(self, method: str, head: ResponseHead) -> None:
        """Begin behind the head of a response to `method`; FramingError as `response_framing`."""
        lengths = head.fields.getlist("Content-Length")
        codings = head.fields.getlist("Transfer-Encoding")
        length = self.length = response_framing(method, head.status, lengths, codings)
        self._chunked = ChunkedDecoder() if length is Delimiter.CHUNKED else None
        self.until_close = length is Delimiter.CLOSE
        self.remaining = length if isinstance(length, int) else 0
        self.run = 0
        # RFC 9112 section 6.1: in HTTP/1.0 a transfer coding makes the framing doubtful.
        doubtful = self._chunked is not None and head.version == "HTTP/1.0"
        self.keep_alive = head.keep_alive and not doubtful

    @property
    def plain(self) -> bool:
        """Whether the bytes come as they are, with no framing between them."""
        return self._chunked is None

    @property
    def over(self) -> bool:
        """Whether the whole body has been walked over, and nothing of it is left to be placed."""
        if self._chunked is not None:
            return self._chunked.finished
        return self.remaining == 0 and not self.until_close and self.run == 0

    def next(self, inbox: Inbox) -> memoryview:
        """Walk over the next body bytes of the inbox; an empty view where it holds none."""
        begin, end = inbox.position, inbox.end
        if self._chunked is not None:
            begin, end = self._chunked.step(inbox.view, begin, end)
        elif not self.until_close:
            end = min(end, begin + self.remaining)
            self.remaining -= end - begin
        inbox.position = end
        return inbox.view[begin:end]

    def find(self, inbox: Inbox) -> bool:
        """Put the inbox's position to the next bytes to be placed; False where there are none."""
        if not self.run:
            self.run = len(self.next(inbox))
            inbox.position -= self.run
        return self.run > 0

    def copy(self, inbox: Inbox, room: memoryview) -> int:
        """Copy of what was found as much as there is room for; how many bytes it was."""
        count = min(self.run, len(room))
        begin = inbox.position
        end = inbox.position = begin + count
        room[:count] = inbox.view[begin:end]
        self.run -= count
        return count

    def received(self, count: int) -> None:
        """Take note that `count` bytes came to their place without passing through the inbox."""
        if not self.until_close:
            self.remaining -= count


class Beyond(Enum):
    """What a socket holds behind the end of a response."""

    NOTHING = "nothing"
    BYTES = "bytes"
    CLOSED = "closed"


class Lookout:
    """Sees what a socket has in store, without reading it and without waiting."""

    __slots__ = ("_descriptor", "_poll")

    def __init__(self, descriptor: int) -> None:
        """`descriptor` has to stay open as long as this is asked."""
        self._descriptor: Final = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def look(self) -> Beyond:
        """Tell what the next read would bring."""
        if not self._poll.poll(0):
            return Beyond.NOTHING
        # Not by the transport's own object, which must not be read from; and this case is rare.
        with socket.fromfd(self._descriptor, socket.AF_INET, socket.SOCK_STREAM) as sock:
            try:
                peeked = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except OSError:
                return Beyond.CLOSED
        return Beyond.BYTES if peeked else Beyond.CLOSED
