"""The head of a request, read strictly: RFC 9112 sections 2.2, 3, 5 and 6, without I/O.

A proxy that reads a message otherwise than the server behind it lets requests through that
nobody meant to send. So there are no bare line feeds here, no folding, no control characters,
and one way to tell where a message ends.
"""

import re
from dataclasses import dataclass
from typing import Final

from aprp.semantics.framing import Delimiter
from aprp.semantics.headers import Fields

_match_line: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) ([^\x00-\x20\x7f]+) (HTTP/1\.[01])"
).fullmatch
_are_fields: Final = re.compile(
    r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+"
).fullmatch
_match_absolute: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE).fullmatch
_is_length: Final = re.compile(r"[0-9]{1,18}").fullmatch
# RFC 9110 section 7.2 and RFC 3986 section 3.2.2: uri-host [ ":" port ].
_is_host: Final = re.compile(
    r"(?:\[[0-9A-Za-z\-._~!$&'()*+,;=:%]++\]|(?:[0-9A-Za-z\-._~!$&'()*+,;=]++|%[0-9A-Fa-f]{2})*+)"
    r"(?::[0-9]*+)?"
).fullmatch


class BadRequest(ValueError):
    """A head that breaks the rules (400); the text says which."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and fields; `body` is the body's length in bytes, or how it ends."""

    method: str
    target: str
    version: str
    fields: Fields
    body: int | Delimiter


def origin_form(target: str) -> str:
    """Give path and query of a request target in absolute form (RFC 9112 section 3.2.2).

    A target in another form comes back as it is.
    """
    if target.startswith("/"):
        return target
    match = _match_absolute(target)
    if match is None:
        return target
    rest: str = match[2]
    return rest if rest.startswith("/") else f"/{rest}"


def find_head(data: bytes | bytearray) -> int:
    """Say where the first head in `data` ends, -1 if it does not end yet.

    A line feed without a carriage return ends one too, so that it can be refused at once.
    """
    end = data.find(b"\r\n\r\n")
    if end >= 0:
        return end + 4
    for bare in (b"\n\n", b"\n\r\n"):
        end = data.find(bare)
        if end >= 0:
            return end + len(bare)
    return -1


def parse_request_head(data: bytes) -> RequestHead:
    """Read a complete head, its closing empty line included; raises BadRequest."""
    text = data.decode("latin-1")
    # RFC 9112 section 2.2: an empty line before the request is overlooked.
    line, _, block = text.removeprefix("\r\n").partition("\r\n")
    match = _match_line(line)
    if match is None:
        raise BadRequest("the request line is not METHOD TARGET HTTP/1.1")
    method, target, version = match.groups()
    size = len(block) - 2
    if _are_fields(block, 0, size) is None or not block.endswith("\r\n"):
        raise BadRequest("a header line has a bad name, a control character or a bare line end")
    pairs = []
    if size > 0:
        for field in block[: size - 2].split("\r\n"):
            name, _, value = field.partition(":")
            pairs.append((name, value.strip(" \t")))
    fields = Fields(pairs)
    hosts = fields.getlist("Host")
    if len(hosts) != 1 and (hosts or version == "HTTP/1.1"):
        raise BadRequest("a request needs exactly one Host field")
    if hosts and _is_host(hosts[0]) is None:
        raise BadRequest("the Host field is not a host name or an address, with or without a port")
    if (absolute := _match_absolute(target)) is not None:
        # RFC 9112 section 3.2.2: the host of the target counts, whatever Host says.
        if not absolute[1] or _is_host(absolute[1]) is None:
            raise BadRequest("the request target names no host, or one that cannot be")
        fields["Host"] = absolute[1]
    return RequestHead(method, target, version, fields, _body_length(fields, version))


def _body_length(fields: Fields, version: str) -> int | Delimiter:
    """Say where the body ends (RFC 9112 section 6.3); contradictions are refused."""
    if "Transfer-Encoding" in fields:
        if "Content-Length" in fields:
            raise BadRequest("both Transfer-Encoding and Content-Length are given")
        if fields["Transfer-Encoding"].lower() != "chunked" or version == "HTTP/1.0":
            raise BadRequest("the only Transfer-Encoding understood is chunked, in HTTP/1.1")
        return Delimiter.CHUNKED
    if "Content-Length" not in fields:
        return 0
    lengths = fields.getlist("Content-Length")
    if len(set(lengths)) > 1 or _is_length(lengths[0]) is None:
        raise BadRequest("Content-Length is not one number")
    return int(lengths[0])
