"""The page that shows a directory: one look for MEDIA_DIR and for what an origin lists itself.

It is written in HTML by the program, so that it works without scripts; scripts may add to it.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tornado.template import Template

from aprp.pages.page import Page, load

_BODY = Path(__file__).with_name("assets") / "listing-body.html"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the page. `href` is relative to it; `play`, where there is one, is a player's.

    `size` and `modified` are texts for people, "" where nothing is known; `title` says more about
    the size. `stored`: it is a file of the store, and can be deleted there.
    """

    name: str
    href: str
    play: str = ""
    directory: bool = False
    size: str = ""
    title: str = ""
    modified: str = ""
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Ways:
    """Which ways to ask for a range the page shows: the parameter's name or "", paths or not."""

    parameter: str
    path: bool


@dataclass(frozen=True, slots=True)
class Uploads:
    """What the form for uploads has to know: the path before /upload and /files, whether a token is
    asked for, and the most bytes of a file, 0: any.
    """

    prefix: str
    token: bool
    most: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What the page shows.

    `path` is the directory as people read it, from `/` to `/`. `sample` is an entry to show ways to
    ask for a range with, `featured` one to play on the page. `sorts` has a reference for columns
    (name, modified, size) that the page can be sorted by. `notice` stands below the entries, and
    behind it `turns`, texts and references of other pages of the list. `empty` has the lines of a
    hint that stands in their place. `stats` is the address of the
    statistics, "" where they are not linked. With `uploads` there is a form for files to put in.
    """

    path: str
    entries: tuple[Entry, ...]
    ways: Ways
    stats: str = ""
    sample: Entry | None = None
    featured: Entry | None = None
    sorts: tuple[tuple[str, str], ...] = ()
    notice: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    empty: tuple[str, ...] = ("There is nothing here.",)
    uploads: Uploads | None = None

    @property
    def columns(self) -> tuple[tuple[str, str, str], ...]:
        """Heading, name, and reference to sort by, of the columns that any entry fills."""
        links = dict(self.sorts)
        filled = {
            "name": True,
            "modified": any(entry.modified for entry in self.entries),
            "size": any(entry.size for entry in self.entries),
        }
        headings = (("Name", "name"), ("Changed", "modified"), ("Size", "size"))
        return tuple((text, name, links.get(name, "")) for text, name in headings if filled[name])


def render(listing: Listing) -> Page:
    """Make the page."""
    body: bytes = _template().generate(listing=listing)
    return load("listing").with_parts({"title": _title(listing), "body": body.decode()})


def relative(path: str, address: str) -> str:
    """Give an address of this host as a reference from a page at `path`, raw and absolute as well.

    So it leads to the same place where a server in front has all under a path of its own.
    """
    return "../" * (path.count("/") - 1) + address.removeprefix("/")


@lru_cache
def _template() -> Template:
    # All that is put in is escaped, which is Tornado's default.
    return Template(_BODY.read_text("utf-8"), name=_BODY.name)


def _title(listing: Listing) -> str:
    return Template("{{ path }} – aprp").generate(path=listing.path).decode()
