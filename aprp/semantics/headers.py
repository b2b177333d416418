"""Header fields and the target of a request on their way through a proxy."""

import re
from collections.abc import Iterable
from typing import Final, overload

Pair = tuple[str, str]
"""A field line: name and value."""

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Names, in lower case, of the fields that concern one connection (RFC 9110 section 7.6.1)."""

# Which host is meant, which bytes the message holds, and who may keep them. RFC 9110 section
# 7.6.1 forbids senders to name such fields in Connection; one that does it all the same would
# strip them from a message on its way, so for these the Connection field is not obeyed.
_NEVER_DROPPED: Final = frozenset(
    {
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "expires",
        "host",
        "vary",
    }
)
_PLAIN_CONNECTION: Final = frozenset({"keep-alive", "close", "Keep-Alive", "Close"})


class Fields:
    """Header fields in the order, the case and the number in which they were given.

    Names compare without case. Does as the `headers` of Tornado's
    `HTTP1Connection.write_headers`. Values are taken as they are: whoever writes them to a
    socket checks them for line ends, as that method does.
    """

    # Two lists side by side: making them takes half as long as making a dict does, which is
    # more than its faster look-ups give back in the life of one message.
    __slots__ = ("_keys", "_pairs")

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        """Take over `pairs`, repeats included."""
        self._pairs = list(pairs)
        self._keys = [name.lower() for name, _ in self._pairs]

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Give the value, those of repeated fields joined with ", " (RFC 9110 section 5.2)."""
        key = name.lower()
        found = self._keys.count(key)
        if found == 1:
            return self._pairs[self._keys.index(key)][1]
        return ", ".join(self.getlist(name)) if found else default

    def getlist(self, name: str) -> list[str]:
        """Give the value of each field line of that name, in order."""
        key = name.lower()
        return [
            pair[1] for other, pair in zip(self._keys, self._pairs, strict=True) if other == key
        ]

    def get_all(self) -> list[Pair]:
        """Give every field line as name and value, in order."""
        return self._pairs.copy()

    def add(self, name: str, value: str) -> None:
        """Put a field line at the end, even if there is one of that name."""
        self._keys.append(name.lower())
        self._pairs.append((name, value))

    def remove(self, name: str) -> None:
        """Take away every field line of that name; there may be none."""
        key = name.lower()
        if key in self._keys:
            self._pairs = [p for k, p in zip(self._keys, self._pairs, strict=True) if k != key]
            self._keys = [k for k in self._keys if k != key]

    def replace(self, pairs: Iterable[Pair]) -> None:
        """Have these field lines in the place of all."""
        self._pairs = list(pairs)
        self._keys = [name.lower() for name, _ in self._pairs]

    @property
    def names(self) -> list[str]:
        """The name of each field line in lower case; not to be changed."""
        return self._keys

    def copy(self) -> "Fields":
        """Give an equal object that changes on its own."""
        twin = Fields()
        twin._keys, twin._pairs = self._keys.copy(), self._pairs.copy()
        return twin

    def __contains__(self, name: str) -> bool:
        """Say whether there is a field line of that name."""
        return name.lower() in self._keys

    def __getitem__(self, name: str) -> str:
        """Give what `get` gives; raises KeyError where there is no such field."""
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        """Make it the only field line of that name, in the place of the first, else at the end."""
        key = name.lower()
        found = self._keys.count(key)
        if found == 1:
            self._pairs[self._keys.index(key)] = (name, value)
        elif found:
            place = self._keys.index(key)
            self.remove(name)
            self._keys.insert(place, key)
            self._pairs.insert(place, (name, value))
        else:
            self._keys.append(key)
            self._pairs.append((name, value))

    def __len__(self) -> int:
        """Count the field lines."""
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        """Compare order, names without case, and values."""
        if not isinstance(other, Fields):
            return NotImplemented
        values = [value for _, value in self._pairs]
        return self._keys == other._keys and values == [value for _, value in other._pairs]

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        """Show the field lines."""
        return f"Fields({self._pairs!r})"


def end_to_end(
    pairs: Iterable[Pair], connection: str | None, also: frozenset[str] = frozenset()
) -> list[Pair]:
    """Drop the fields that concern only the connection they came on (RFC 9110 section 7.6.1).

    `connection` is the value of the Connection field, if any. Besides HOP_BY_HOP go the fields
    that it names, except those without which the message would mean something else: Host,
    Content-Length, -Type, -Encoding and -Range, Cache-Control, Expires and Vary. `also` are
    further names to drop, in lower case.
    """
    dropped = HOP_BY_HOP | also
    if connection is not None and connection not in _PLAIN_CONNECTION:
        named = {option.strip(" \t").lower() for option in connection.split(",")}
        dropped |= named - _NEVER_DROPPED
    return [pair for pair in pairs if pair[0].lower() not in dropped]


def head_bytes(start_line: str, pairs: Iterable[Pair]) -> bytes:
    """Write a message's head: start line, field lines, and the empty line after them.

    Raises ValueError where a line end or NUL inside would break the framing, or a character is no
    byte of the wire (RFC 9110 section 5.5).
    """
    lines = [start_line]
    lines += [f"{name}: {value}" for name, value in pairs]
    text = "\r\n".join(lines)
    ends = len(lines) - 1
    if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
        raise ValueError("Illegal characters (CR, LF or NUL) in header")
    return (text + "\r\n\r\n").encode("latin-1")


def add_via(existing: str | None, protocol_version: str, name: str) -> str:
    """Give the Via value with this proxy at its end (RFC 9110 section 7.6.3).

    `protocol_version` is that of the received message, as "HTTP/1.1" or "1.1"; `name` is this
    proxy's pseudonym, a token.
    """
    own = f"{protocol_version.removeprefix('HTTP/')} {name}"
    return f"{existing}, {own}" if existing else own


class BadTarget(ValueError):
    """A request's path that must not be passed on; the text says why (400)."""


# A path of these parts only has neither an invalid escape nor a control character. Possessive:
# a path that fails does so in one pass.
_is_plain: Final = re.compile(
    r"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]++|%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e]))*+"
).fullmatch
_control: Final = re.compile(r"[\x00-\x1f\x7f]").search
_escaped_control: Final = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])").search
_bad_escape: Final = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL).search
# A ".." segment, in whatever way it is spelt and set off: some servers take "\" for "/", and
# some cut off a segment's parameters, ";" and what follows it, before they look at it.
_climbs: Final = re.compile(
    r"(?:[/\\]|%2f|%5c)(?:\.|%2e){2}(?:[/\\;]|%2f|%5c|%3b|\Z)", re.IGNORECASE
).search
_not_visible: Final = re.compile(r"[^\x21-\x7e]")


def safe_target(path: str) -> str:
    """Give the path of a request as it may go to an origin; raises BadTarget where it may not.

    `path` is as it came from the wire: percent-encoded, its bytes as Latin-1, no query. Refused
    are control characters and `..` segments, raw or percent-encoded (once: `%252e` is a file
    name to an origin that decodes once, and passes as it is), invalid percent escapes, "#", and
    a path that does not begin with "/". Blanks and bytes beyond ASCII come back
    percent-encoded, everything else unchanged.
    """
    if not _is_plain(path):
        path = _made_visible(path, "path")
        if not path.startswith("/"):
            raise BadTarget("the path does not begin with '/'")
        if match := _bad_escape(path):
            raise BadTarget(f"the path has an invalid percent escape, {match[0]!r}")
        if _escaped_control(path):
            raise BadTarget("the path has a percent-encoded control character")
    elif "/.." not in path and "%" not in path:
        return path
    if _climbs(path):
        raise BadTarget("the path has a '..' segment")
    return path


def safe_query(query: str) -> str:
    """Give a raw query as it may go to an origin: blanks and bytes beyond ASCII percent-encoded.

    Nothing else is changed: the query is the origin's own. Raises BadTarget for a raw control
    character and for "#".
    """
    return _made_visible(query, "query")


def _made_visible(text: str, part: str) -> str:
    """Percent-encode what is no visible ASCII; control characters and "#" are refused."""
    if "#" in text:
        raise BadTarget(f"the {part} has a '#', which no request carries")
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    if _control(text):
        raise BadTarget(f"the {part} has a control character")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadTarget(f"the {part} has a character that is no byte of the wire") from error
    return _not_visible.sub(lambda match: f"%{ord(match[0]):02X}", text)
