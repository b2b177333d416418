"""The script of LiveReload in pages on their way to the browser: in which, and what else changes.

A page with the script is another representation than the backend's: what the backend says of
its exact bytes is taken away or weakened (RFC 9110 sections 7.7 and 8.8.1).
"""

import re
import secrets
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

from aprp.dev.filters import BodyFilter
from aprp.dev.markup import Insertion
from aprp.dev.policies import Needs, nonce_of, read_policies
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.headers import Fields, Pair
from aprp.upstream.head import ResponseHead

SCRIPT_PATH: Final = "/_aprp/livereload.js"
SOCKET_PATH: Final = "/_aprp/livereload"

Get = Callable[[str], str | None]

_POLICY: Final = "Content-Security-Policy"
_REPORTED: Final = "Content-Security-Policy-Report-Only"

# What browsers want a document for (Sec-Fetch-Dest of Fetch Metadata) that they then show.
_SHOWN: Final = frozenset({"document", "iframe", "frame", "embed", "object"})
# Scripts that ask for a part of a page say so, with browsers that do not.
_OF_SCRIPTS: Final = ("X-Requested-With", "HX-Request")

# Encodings in which ASCII is not ASCII: those of the Encoding Standard, and what is no part of it.
_is_wide: Final = re.compile(
    r"(?:utf-?(?:16|32|7).*|ucs-?[24].*|iso-10646-ucs-2|csunicode|unicode(?:feff|fffe)?"
    r"|iso-2022-(?:cn|cn-ext|kr)|csiso2022kr|hz-gb-2312)",
    re.IGNORECASE,
).fullmatch
_charset: Final = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]*)", re.IGNORECASE).search

# Of the bytes as the backend has them.
_EXACT: Final = ("Accept-Ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest")
_GZIP: Final = ("gzip", "x-gzip")
_GZIP_WINDOW: Final = 31


class Injecting:
    """See AnswerFilter: puts the script into pages."""

    def ask(self, exchange: Exchange, pairs: list[Pair]) -> list[Pair]:
        """Ask for pages in an encoding that can be read here."""
        if not is_shown(exchange.headers.get):
            return pairs
        return [
            (name, readable_encodings(value))
            if name.lower() == "accept-encoding"
            else (name, value)
            for name, value in pairs
        ]

    def of_answer(self, exchange: Exchange, head: ResponseHead) -> BodyFilter | None:
        """Change the fields of a page, and return what puts the script into it."""
        get, fields = exchange.headers.get, head.fields
        if exchange.method in ("GET", "HEAD"):
            make_checked(fields)
        if head.status == 304:
            weaken_known_tag(fields, get("If-None-Match"))
            return None
        if not is_page(head.status, fields):
            return None
        vary(fields, "Sec-Fetch-Dest")
        if not is_shown(get):
            return None
        policies = read_policies(fields.getlist(_POLICY))
        if any(policy.runs_nothing for group in policies for policy in group):
            return None
        nonce = allow_script(fields, Needs.of(get("Host"), SCRIPT_PATH, SOCKET_PATH))
        zipped = fields.get("Content-Encoding", "").lower() in _GZIP
        make_changeable(fields)
        insertion = Insertion(script_tag(nonce))
        return Unzipped(insertion) if zipped else insertion


def script_tag(nonce: str | None) -> bytes:
    """The element for the page."""
    attribute = f' nonce="{nonce}"' if nonce else ""
    return f'<script src="{SCRIPT_PATH}" async{attribute}></script>'.encode()


def is_shown(get: Get) -> bool:
    """Whether a request is for what a browser shows, and not for data that a script works with.

    Clients that do not tell are given what a browser is given.
    """
    purpose = get("Sec-Fetch-Dest")
    if purpose is not None:
        return purpose.lower() in _SHOWN
    return all(get(name) is None for name in _OF_SCRIPTS)


def is_page(status: int, fields: Fields) -> bool:
    """Whether an answer is a whole HTML document that a script can be put into."""
    if not (200 <= status < 300 or status >= 400) or status in (204, 205, 206):
        return False
    kind = fields.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() != "text/html":
        return False
    charset = _charset(kind)
    if charset is not None and _is_wide(charset[1]):
        return False
    if fields.get("Content-Disposition", "").partition(";")[0].strip().lower() == "attachment":
        return False
    if "no-transform" in _directives(fields):
        return False
    return fields.get("Content-Encoding", "identity").lower() in ("identity", "", *_GZIP)


def readable_encodings(accepted: str) -> str:
    """Of an Accept-Encoding leave what can be undone here; nothing left: no encoding at all."""
    members = [member.strip() for member in accepted.split(",")]
    names = ("identity", *_GZIP)
    kept = [each for each in members if each.partition(";")[0].strip().lower() in names]
    return ", ".join(kept) or "identity"


def make_checked(fields: Fields) -> None:
    """Have browsers ask again for what they would otherwise keep for as long as they think fit.

    Where nothing is said of freshness they guess it from Last-Modified (RFC 9111 section 4.2.2),
    and a page that is loaded anew would get its scripts as they were. A time of the same second
    tells no two changes apart (RFC 9110 section 8.8.2.2), and is taken away.
    """
    modified = fields.get("Last-Modified")
    if modified is None:
        return
    if not any(name in fields for name in ("Cache-Control", "Expires", "Pragma")):
        fields["Cache-Control"] = "no-cache"
    if "ETag" not in fields and _is_recent(modified, fields.get("Date", "")):
        fields.remove("Last-Modified")


def _is_recent(modified: str, date: str) -> bool:
    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    except (TypeError, ValueError):
        # One is no date, or is one without a zone.
        return False
    return age.total_seconds() <= 1


def make_changeable(fields: Fields) -> None:
    """Take away what holds for the backend's bytes alone."""
    for name in _EXACT:
        fields.remove(name)
    fields.remove("Content-Encoding")
    tag = fields.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        fields["ETag"] = f"W/{tag}"


def weaken_known_tag(fields: Fields, known: str | None) -> None:
    """Name the page in a 304 as its 200 was named; `known` is the request's If-None-Match."""
    tag = fields.get("ETag")
    if tag is not None and known is not None and f"W/{tag}" in known:
        fields["ETag"] = f"W/{tag}"


def vary(fields: Fields, name: str) -> None:
    """Say that the answer depends on a field of the request (RFC 9110 section 12.5.5)."""
    before = fields.get("Vary")
    names = [each.strip().lower() for each in (before or "").split(",")]
    if "*" not in names and name.lower() not in names:
        fields["Vary"] = f"{before}, {name}" if before else name


def allow_script(fields: Fields, needs: Needs) -> str | None:
    """Change the content security policies so that the script works; its nonce, if it needs one."""
    names = (_POLICY, _REPORTED)
    policies = {name: read_policies(fields.getlist(name)) for name in names}
    groups = [group for each in policies.values() for group in each]
    if not groups:
        return None
    nonce = nonce_of(groups) or secrets.token_urlsafe(16)
    for group in groups:
        for policy in group:
            policy.allow(needs, nonce)
    for name, values in policies.items():
        fields.remove(name)
        for group in values:
            fields.add(name, ", ".join(map(str, group)))
    return nonce


def _directives(fields: Fields) -> list[str]:
    return [each.strip().lower() for each in fields.get("Cache-Control", "").split(",")]


class Unzipped:
    """A body that comes as gzip (RFC 1952) and goes on, through another filter, as it is."""

    def __init__(self, inner: BodyFilter) -> None:
        """Nothing has come yet."""
        self._inner = inner
        self._gzip = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    def feed(self, data: memoryview) -> bytes:
        """See BodyFilter. Raises Problem where it is damaged."""
        pieces = []
        rest: bytes | memoryview = data
        while rest:
            if self._gzip.eof:
                if bytes(rest[:1]) != b"\x1f":
                    # Filled up behind its end; browsers do not mind either.
                    break
                self._gzip = zlib.decompressobj(_GZIP_WINDOW)
            self._begun = True
            try:
                pieces.append(self._inner.feed(memoryview(self._gzip.decompress(rest))))
            except zlib.error as error:
                raise _damaged(str(error)) from None
            rest = self._gzip.unused_data
        return b"".join(pieces)

    def end(self) -> bytes:
        """See BodyFilter. Raises Problem where it has not ended."""
        if self._begun and not self._gzip.eof:
            raise _damaged("its end is missing")
        return self._inner.end()


def _damaged(why: str) -> Problem:
    return Problem(502, "The backend's page is damaged.", private=f"gzip: {why}")
