"""The head of a response, read by llhttp.

The parser sees the head only: fed with the body it would make a `bytes` object of each piece.
"""

import re
from dataclasses import dataclass

import httptools

from aprp.semantics.framing import FramingError, response_framing
from aprp.semantics.headers import Fields
from aprp.upstream.buffers import Inbox
from aprp.upstream.errors import BadResponse, HeadTooLarge

_LENGTH_LINE = re.compile(rb"content-length:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)
_CODING_LINE = re.compile(rb"transfer-encoding:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status line and field lines of a response, names and order as they came."""

    version: str
    status: int
    reason: str
    fields: Fields
    keep_alive: bool


class _Collector:
    """Receives what the parser finds."""

    __slots__ = ("complete", "fields", "reason")

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.reason = b""
        self.complete = False

    def on_status(self, status: bytes) -> None:
        self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.decode("latin-1"), value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def head_of_lines(lines: list[str]) -> ResponseHead:
    """Make a head of the lines that a `header_callback` got: status line, then field lines."""
    version, status, reason = [*lines[0].rstrip("\r\n").split(" ", 2), ""][:3]
    fields = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))
    keep_alive = _keeps_alive(version.removeprefix("HTTP/"), fields)
    return ResponseHead(version, int(status), reason, Fields(fields), keep_alive)


def take_head(inbox: Inbox, limit: int, upgrade: bool = False) -> ResponseHead | None:
    """Take a head from the front of what has come; None where its end is still to come.

    `upgrade` says that the request asked for another protocol, so that a 101 may come. Raises
    HeadTooLarge for more than `limit` bytes, and BadResponse as `parse_head` does.
    """
    data, begin, end = inbox.data, inbox.position, inbox.end
    stop = data.find(b"\r\n\r\n", begin, end)
    if stop < 0 and data.find(b"\n\n", begin, end) >= 0:
        raise BadResponse("line feed without carriage return in the response head")
    stop = stop + 4 if stop >= 0 else end
    if stop - begin > limit:
        raise HeadTooLarge(f"delimiter not found within {limit} bytes")
    if data[stop - 4 : stop] != b"\r\n\r\n":
        return None
    head = parse_head(bytes(inbox.view[begin:stop]), upgrade)
    inbox.position = stop
    return head


def parse_head(data: bytes, upgrade: bool = False) -> ResponseHead:
    """Read a complete head, from the status line to the empty line; `upgrade`: it may be a 101.

    Raises BadResponse where llhttp refuses it (RFC 9112 sections 4 and 5), except that equal
    repetitions of Content-Length count as one (RFC 9110 section 8.6).
    """
    try:
        return _parse(data, upgrade)
    except BadResponse:
        mended = _one_length(data)
        if mended == data:
            raise
        return _parse(mended, upgrade)


def _parse(data: bytes, upgrade: bool) -> ResponseHead:
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        if not upgrade:
            raise BadResponse("Upgrade without being asked") from None
    except httptools.HttpParserError as error:
        reason = str(error) or type(error).__name__
        if "whitespace after header value" in reason:
            reason = "header line folding is not supported"
        raise BadResponse(reason) from None
    if not collector.complete:
        raise BadResponse("incomplete response head")
    version = parser.get_http_version()
    if version not in ("1.1", "1.0"):
        raise BadResponse(f"HTTP/{version} is not spoken here")
    return ResponseHead(
        version=f"HTTP/{version}",
        status=parser.get_status_code(),
        reason=collector.reason.decode("latin-1"),
        fields=Fields(collector.fields),
        keep_alive=_keeps_alive(version, collector.fields),
    )


def _keeps_alive(version: str, fields: list[tuple[str, str]]) -> bool:
    """Whether the connection persists after the response (RFC 9112 section 9.3)."""
    options: list[str] = []
    for name, value in fields:
        if len(name) == 10 and name.lower() == "connection":
            options += [option.strip() for option in value.lower().split(",")]
    if "close" in options:
        return False
    return version == "1.1" or "keep-alive" in options


def _one_length(data: bytes) -> bytes:
    """Write equal Content-Length values as one; BadResponse where they cannot be believed."""
    lengths = [value.decode("latin-1") for value in _LENGTH_LINE.findall(data)]
    codings = [value.decode("latin-1") for value in _CODING_LINE.findall(data)]
    try:
        length = response_framing("GET", 200, lengths, codings)
    except FramingError as error:
        raise BadResponse(str(error)) from None
    if not isinstance(length, int):
        return data
    return _LENGTH_LINE.sub(b"", data)[:-2] + b"Content-Length: %d\r\n\r\n" % length
