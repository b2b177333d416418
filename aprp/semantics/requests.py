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

# The request line as nearly all are, and as all have to be.
_match_plain_line: Final = re.compile(
    r"((?!CONNECT )[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) (/[^\x00-\x20\x7f]*) (HTTP/1\.[01])"
).fullmatch
_match_line: Final = re.compile(
    r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) ([^\x00-\x20\x7f]+) (HTTP/[0-9]\.[0-9])"
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
_match_authority: Final = re.compile(r"(?:\[[^\[\]]+\]|[^:\[\]]+):([0-9]{1,5})").fullmatch


class BadRequest(ValueError):
    """A head that breaks the rules; the text says which. `status` is for the answer."""

    def __init__(self, text: str, status: int = 400) -> None:
        """400, or 505 for a version that is spoken by nobody here."""
        super().__init__(text)
        self.status = status


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


def absolute_parts(target: str) -> tuple[str, str, str] | None:
    """Split a target in absolute form: scheme in lower case, authority, path and query.

    None for a target in another form.
    """
    match = _match_absolute(target)
    if match is None:
        return None
    return target[: target.index(":")].lower(), match[1], origin_form(target)


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


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Give method, target and version (RFC 9112 section 3), or raise BadRequest.

    The target is in one of the forms of section 3.2: origin-form or absolute-form; authority-form
    with a port for CONNECT, and for it alone; `*` for OPTIONS alone.
    """
    match = _match_line(line)
    if match is None:
        raise BadRequest("the request line is not METHOD TARGET HTTP/1.1")
    method, target, version = match.groups()
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        # RFC 9110 section 15.6.6.
        status = 505 if version[5] > "1" else 400
        raise BadRequest(f"{version} is not spoken here, HTTP/1.1 and HTTP/1.0 are", status)
    _check_form(method, target)
    return method, target, version


def check_beginning(data: bytes | bytearray) -> None:
    """Look at a head that is not complete: raises BadRequest where its first line is wrong.

    There is no sense in waiting for more of what is no request, or one of HTTP/0.9.
    """
    begin = 2 if data.startswith(b"\r\n") else 0
    end = data.find(b"\n", begin)
    if end >= 0:
        if data[end - 1 : end] != b"\r" or end == begin:
            raise BadRequest("the first line ends without a carriage return")
        parse_request_line(data[begin : end - 1].decode("latin-1"))


def parse_request_head(data: bytes) -> RequestHead:
    """Read a complete head, its closing empty line included; raises BadRequest."""
    text = data.decode("latin-1")
    # RFC 9112 section 2.2: an empty line before the request is overlooked.
    line, _, block = text.removeprefix("\r\n").partition("\r\n")
    plain = _match_plain_line(line)
    method, target, version = parse_request_line(line) if plain is None else plain.groups()
    size = len(block) - 2
    if _are_fields(block, 0, size) is None or not block.endswith("\r\n"):
        raise BadRequest("a header line has a bad name, a control character or a bare line end")
    pairs = []
    if size > 0:
        for field in block[: size - 2].split("\r\n"):
            name, _, value = field.partition(":")
            pairs.append((name, value.strip(" \t")))
    fields = Fields(pairs)
    host = fields.get("Host")
    if host is None and version == "HTTP/1.1":
        raise BadRequest("a request needs exactly one Host field, and has none")
    # Of several, the values come joined with a blank between them, which is in no host.
    if host is not None and _is_host(host) is None:
        raise BadRequest("there is not one Host field with a host, with or without a port")
    body = _body_length(fields, version)
    if plain is None and target != "*":
        # RFC 9112 section 3.2.2: the host of the target counts, whatever Host says.
        absolute = _match_absolute(target)
        fields["Host"] = target if absolute is None else absolute[1]
        if absolute is None and body != 0:
            # RFC 9110 section 9.3.6: what follows belongs to the tunnel, and not to a body.
            raise BadRequest("a CONNECT request has no body")
    return RequestHead(method, target, version, fields, body)


def _check_form(method: str, target: str) -> None:
    """See that a target has one of the forms, and that it is of the right method."""
    if method == "CONNECT":
        # RFC 9112 section 3.2.3; RFC 9110 section 9.3.6: a port has to be there.
        authority = _match_authority(target)
        if authority is None or _is_host(target) is None or not 0 < int(authority[1]) < 65536:
            raise BadRequest("the target of CONNECT is not HOST:PORT")
    elif target[0] == "/":
        return
    elif target == "*":
        if method != "OPTIONS":
            raise BadRequest("the request target is *, which only OPTIONS has")
    elif (absolute := _match_absolute(target)) is None:
        raise BadRequest("the request target is neither a path nor an http or https URL")
    elif absolute[1][:1] in ("", ":") or _is_host(absolute[1]) is None:
        raise BadRequest("the request target names no host, or one that cannot be")


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
    length = fields["Content-Length"]
    # RFC 9110 section 8.6 lets equal ones, which come joined here, be refused as well.
    if _is_length(length) is None:
        raise BadRequest("Content-Length is not one number")
    return int(length)
