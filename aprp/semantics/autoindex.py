"""Directory listings that web servers make by themselves: recognised, and read.

Known are those of nginx (HTML and JSON), Apache (plain, fancy, as a table), lighttpd, Caddy and
Python's http.server. What is not exactly of their making, such as one with a text of its owner
above it, is taken for a page like any other: `read_index` gives None.
"""

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import quote, unquote

_TITLE: Final = re.compile(r"(?:Index of|Directory listing for) /.*", re.DOTALL).fullmatch
_TITLES: Final = ("Index of /", "Directory listing for /")
_MARKS: Final = (*_TITLES, "caddyserver.com")
# What stands after a name: time, size and, at lighttpd's, type. Nothing else does.
_about: Final = re.compile(
    r"/?\s*"
    r"(?P<time>[0-9]{2}-[A-Z][a-z]{2}-[0-9]{4}\ [0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
    r"|[0-9]{4}-(?:[0-9]{2}|[A-Z][a-z]{2})-[0-9]{2}\ [0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?\s*"
    r"(?P<size>-|[0-9]+(?:\.[0-9]+)?\ ?[KMGTP]?(?:i?B)?)?\s*"
    r"(?:Directory|[\w.+-]+/[\w.+-]+(?:;\S*)?)?",
    re.ASCII,
).fullmatch
_sorting: Final = {"Name": "name", "Last modified": "modified", "Modified": "modified"} | {
    "Last Modified": "modified",
    "Size": "size",
    "Description": "",
    "": "",
}
_PARENT: Final = frozenset({"Parent Directory", "..", "../"})
# The elements that they write.
_COMMON: Final = "html head title meta style body h1 a table thead tbody tr th td div"
_SIMPLE: Final = frozenset(f"{_COMMON} h2 hr pre img ul li address".split())
_CADDY: Final = frozenset(
    f"{_COMMON} header main span b svg g path circle line polyline rect input time footer"
    " script".split()
)
_SILENT: Final = frozenset({"style", "script", "address", "th"})
_VOID: Final = frozenset({"meta", "hr", "img", "input"})


@dataclass(frozen=True, slots=True)
class Item:
    """One entry. `href` is relative to the directory: a name, percent-encoded, `/` behind it.

    `size` is in bytes where it is digits alone, else as the server writes it; `modified` as the
    server writes it. Both are "" where nothing is told.
    """

    name: str
    href: str
    directory: bool
    size: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """A listing, in the server's order; `sorts` has a query for each column that it can sort by."""

    items: tuple[Item, ...]
    sorts: tuple[tuple[str, str], ...] = ()


def may_begin_index(media_type: str, text: str) -> bool:
    """Whether the first kilobyte or more of a body may begin a listing, unless it is Caddy's."""
    if media_type == "application/json":
        return text.lstrip().startswith("[")
    return any(title in text for title in _TITLES)


def read_index(media_type: str, text: str) -> Index | None:
    """Read the body of an answer of this media type (lower case, without parameters).

    None where it is no listing, or one with something in it that would be lost.
    """
    if media_type == "application/json":
        return _of_json(text)
    if media_type != "text/html" or not any(mark in text for mark in _MARKS):
        return None
    reader = _Reader()
    reader.feed(text)
    reader.close()
    try:
        return reader.index()
    except _Odd:
        return None


class _Odd(Exception):
    """It is not what one of the servers writes."""


class _Row:
    """A link, and what stands behind it up to the next."""

    def __init__(self, href: str, in_file: bool) -> None:
        self.href = href
        self.in_file = in_file
        self.text = self.rest = self.size = self.modified = ""


class _Reader(HTMLParser):
    """Takes a page apart into its title, its heading, and a row for each link."""

    def __init__(self) -> None:
        super().__init__()
        self._tags: set[str] = set()
        self._open: list[str] = []
        self._title = self._heading = self._loose = ""
        self._rows: list[_Row] = []
        self._in_file = False
        self._by_lighttpd = self._by_caddy = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        given = {name: value or "" for name, value in attrs}
        self._tags.add(tag)
        if tag == "div" and given.get("class") == "foot":
            # The server's name.
            tag = "address"
        if tag not in _VOID:
            self._open.append(tag)
        match tag:
            case "a":
                self._rows.append(_Row(given.get("href", ""), self._in_file))
                self._by_caddy |= given.get("href") == "https://caddyserver.com"
            case "tr":
                self._in_file = "file" in given.get("class", "").split()
            case "table":
                self._by_lighttpd |= given.get("summary") == "Directory Listing"
            case "td" if self._rows:
                row = self._rows[-1]
                row.rest += " "
                row.size = row.size or given.get("data-size") or given.get("data-order", "")
            case "time" if self._rows:
                self._rows[-1].modified = given.get("datetime", "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self._tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        if tag == "div" and "address" in self._open:
            tag = "address"
        if tag == "tr":
            self._in_file = False
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        inside = self._open
        if "a" in inside:
            self._rows[-1].text += data
        elif not _SILENT.isdisjoint(inside):
            return
        elif "title" in inside:
            self._title += data
        elif "h1" in inside or "h2" in inside:
            self._heading += data
        elif self._rows:
            self._rows[-1].rest += data
        else:
            self._loose += data

    def index(self) -> Index:
        """What the page lists; raises _Odd."""
        if self._by_caddy:
            return self._of_caddy()
        allowed = _SIMPLE | {"script"} if self._by_lighttpd else _SIMPLE
        title = self._title.strip()
        if not _TITLE(title) or self._heading.strip() != title or self._loose.strip():
            raise _Odd
        if not self._tags <= allowed or self._tags.isdisjoint(("pre", "ul", "table")):
            raise _Odd
        items, sorts = [], {}
        for row in self._rows:
            told = _about(" ".join(row.rest.split()))
            if told is None:
                raise _Odd
            text = " ".join(row.text.split())
            if row.href.startswith("?"):
                sorts[_column(text)] = row.href
            elif text not in _PARENT or not row.href.startswith(("/", "..")):
                size = (told["size"] or "").removeprefix("-")
                items.append(_item(row.href, size, told["time"] or ""))
        sorts.pop("", None)
        return Index(tuple(items), tuple(sorts.items()))

    def _of_caddy(self) -> Index:
        files = [row for row in self._rows if row.in_file]
        # Without a row of a file it may be its other layout.
        if not files or not self._tags <= _CADDY:
            raise _Odd
        sorts = {}
        for row in self._rows:
            if row.href.startswith("?"):
                sorts[_column(" ".join(row.text.split()))] = row.href
        sorts.pop("", None)
        items = [
            _item(row.href, row.size if row.size.isdecimal() else "", row.modified) for row in files
        ]
        return Index(tuple(items), tuple(sorts.items()))


def _column(text: str) -> str:
    try:
        return _sorting[text]
    except KeyError:
        raise _Odd from None


def _item(href: str, size: str, modified: str) -> Item:
    """Make an entry of a link to a name in the directory itself; raises _Odd for any other."""
    segment = href.removeprefix("./").removesuffix("/")
    name = unquote(segment, errors="replace")
    if not segment or name in (".", "..") or re.search(r"[/\\?#\s]", segment):
        raise _Odd
    if ":" in segment and not href.startswith("./"):
        # Its first part would be a scheme (RFC 3986 section 4.2).
        raise _Odd
    directory = href.endswith("/")
    written = f"./{segment}" if ":" in segment else segment
    return Item(name, f"{written}/" if directory else written, directory, size, modified)


def _of_json(text: str) -> Index | None:
    """Read nginx's `autoindex_format json`; an empty list may be anybody's."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, list) or not told:
        return None
    items = [_of_object(each) for each in told]
    found = tuple(item for item in items if item is not None)
    return Index(found) if len(found) == len(items) else None


def _of_object(told: Any) -> Item | None:
    match told:
        case {
            "name": str(name),
            "type": ("file" | "directory" | "other") as kind,
            "mtime": str(time),
        }:
            size = told.get("size", "")
            if len(told) > 4 or (len(told) == 4) != (type(size) is int):
                return None
            if not name or name in (".", "..") or "/" in name or not _is_text(name):
                return None
            directory = kind == "directory"
            href = quote(name, safe="") + ("/" if directory else "")
            return Item(name, href, directory, str(size), time)
    return None


def _is_text(name: str) -> bool:
    """Whether it has no half of a surrogate pair, which no address can carry."""
    return not re.search("[\ud800-\udfff]", name)
