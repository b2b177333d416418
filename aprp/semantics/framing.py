"""Where a message body ends: RFC 9112 sections 6 and 7, without I/O.

`response_framing` says how the body of a response is delimited; `ChunkedDecoder` walks a
buffer of the chunked coding and names the places where body bytes lie, without copying them.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\x00]*)?\r\n")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_LIST_SEPARATOR: Final = re.compile(r"[ \t]*,[ \t]*")
MAX_LINE: Final = 4096
MAX_TRAILERS: Final = 16384
_LOOK: Final = 64


class FramingError(ValueError):
    """The message cannot be delimited safely; the connection must not be used further."""


class Delimiter(Enum):
    """How a body without a known length ends."""

    CHUNKED = "chunked"
    CLOSE = "close"


def response_framing(
    method: str, status: int, lengths: Sequence[str], codings: Sequence[str]
) -> int | Delimiter:
    """Say how the body of a response is delimited (RFC 9112 section 6.3).

    Takes the request's method, the status code, and the values of all Content-Length and all
    Transfer-Encoding field lines. Returns the length in bytes (0 where there is no body) or the
    delimiter. Raises FramingError where a recipient could be fooled about the end.
    """
    if lengths and codings:
        raise FramingError("Message with both Transfer-Encoding and Content-Length")
    length = _content_length(lengths) if lengths else None
    if status < 200:
        if length is not None or codings:
            raise FramingError(f"Response code {status} cannot have body")
        return 0
    if status == 204:
        if length or codings:
            raise FramingError("Response with code 204 should not have body")
        return 0
    if method == "HEAD" or status == 304:
        return 0
    if codings:
        if len(codings) > 1 or codings[0].strip().lower() != "chunked":
            raise FramingError(f"Unsupported Transfer-Encoding {', '.join(codings)!r}")
        return Delimiter.CHUNKED
    return Delimiter.CLOSE if length is None else length


def _content_length(values: Sequence[str]) -> int:
    """Read Content-Length; equal repetitions count as one (RFC 9110 section 8.6)."""
    first = values[0]
    if len(values) > 1 or "," in first:
        pieces = _LIST_SEPARATOR.split(",".join(values))
        first = pieces[0]
        if any(piece != first for piece in pieces):
            raise FramingError(f"Multiple unequal Content-Lengths: {','.join(values)!r}")
    if _DIGITS.fullmatch(first) is None:
        raise FramingError(f"Only integer Content-Length is allowed: {first!r}")
    return int(first)


class _State(Enum):
    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILERS = 3


class ChunkedDecoder:
    """The chunked transfer coding (RFC 9112 section 7.1) over a buffer that comes in pieces.

    Only framing bytes are looked at; body bytes are named by their place. Chunk extensions and
    trailers are read within bounds and dropped.
    """

    __slots__ = ("_extensions", "_line", "_remaining", "_state", "_trailers", "finished")

    def __init__(self, max_extensions: int | None = None) -> None:
        """Start before the first chunk's size line.

        `max_extensions` bounds the extensions of all chunks together, in bytes; without it, only
        each line's length is bounded.
        """
        self._extensions = max_extensions
        self._state = _State.SIZE
        self._remaining = 0
        self._line = b""
        self._trailers = 0
        self.finished = False

    def step(self, view: memoryview, start: int, stop: int) -> tuple[int, int]:
        """Walk view[start:stop] up to and over the next body bytes.

        Returns their place as (begin, end); the walk goes on from `end`. begin == end says that
        the view is used up, or that the body is over (`finished`). Raises FramingError.
        """
        while start < stop:
            if self._state is _State.DATA:
                end = min(start + self._remaining, stop)
                self._remaining -= end - start
                if not self._remaining:
                    self._state = _State.DATA_END
                return start, end
            look = bytes(view[start : min(start + _LOOK, stop)])
            line_end = look.find(b"\n")
            if line_end < 0:
                self._line += look
                start += len(look)
                if len(self._line) > MAX_LINE:
                    raise FramingError("chunk line too long")
                continue
            line = self._line + look[: line_end + 1]
            # As above, wherever the pieces happen to be cut.
            if len(line) > MAX_LINE:
                raise FramingError("chunk line too long")
            self._line = b""
            start += line_end + 1
            self._take_line(line)
            if self.finished:
                return start, start
        return stop, stop

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise FramingError("invalid chunk size")
            if self._extensions is not None:
                self._extensions -= len(line) - match.end(1) - len("\r\n")
                if self._extensions < 0:
                    raise FramingError("chunk extensions too long")
            self._remaining = int(match[1], 16)
            self._state = _State.DATA if self._remaining else _State.TRAILERS
        elif self._state is _State.DATA_END:
            if line != b"\r\n":
                raise FramingError("improperly terminated chunk")
            self._state = _State.SIZE
        elif line == b"\r\n":
            self.finished = True
        elif not line.endswith(b"\r\n"):
            raise FramingError("line feed without carriage return in the trailers")
        elif _TRAILER.fullmatch(line) is None:
            raise FramingError("malformed trailer line")
        else:
            self._trailers += len(line)
            if self._trailers > MAX_TRAILERS:
                raise FramingError("trailers too long")
