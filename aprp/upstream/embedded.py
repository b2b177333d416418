"""The embedded origin: an HTTP server for a directory of media, on Tornado's `StaticFileHandler`.

It stands behind the proxy like any other origin, on a loopback port, so that a clone plays its
sample clip without another program. Its directory pages are what a browser sees at the proxy's `/`.
"""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from tornado.httputil import format_timestamp
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from aprp.pages import listing as pages
from aprp.pages.sizes import size_text
from aprp.semantics.filenames import disposition, spellings
from aprp.semantics.media_types import content_type, is_active
from aprp.upstream.listing import (
    MAX_SCANNED,
    PAGE,
    ListedFile,
    Listing,
    entity_tag,
    is_hidden,
    list_files,
)

# How much of a file is read at once, in bytes.
_PIECE = 64 * 1024


def make_origin(
    media_dir: Path,
    *,
    index: bool = True,
    range_param: str = "range",
    range_path: bool = True,
    stats_url: str = "",
    play_url: str = "",
    uploads: pages.Uploads | None = None,
) -> Application:
    """Return the application that serves the files below `media_dir`.

    Without `index` directories have no page. The other keyword arguments only shape what the page
    tells: the name of the proxy's range parameter (empty: it takes none), whether it takes ranges
    in the path, where its statistics are, and below which path its player is (empty: not linked),
    and the form for uploads, if files are taken.
    """
    root = media_dir.resolve()
    about = {
        "index": index,
        "ways": pages.Ways(range_param, range_path),
        "stats_url": stats_url,
        "play_url": play_url,
        "uploads": uploads,
    }
    return Application(
        [
            (r"/(?:(.*)/)?", IndexHandler, {"root": root, **about}),
            # A default file name makes Tornado redirect /directory to /directory/.
            (r"/(.*)", MediaFileHandler, {"path": str(root), "default_filename": ""}),
        ],
        log_function=lambda handler: None,  # the proxy in front writes the access line
    )


def _check_served(path: str) -> None:
    """Raise 404 for a path, relative to the root, that is never served whatever the disk holds."""
    if is_hidden(path) or "\0" in path:
        raise HTTPError(404)


class MediaFileHandler(StaticFileHandler):
    """A file, whole or one range of it.

    Beyond Tornado's handler: an entity tag made of time and size, where Tornado hashes the whole
    file on the loop and keeps the result when the file changes; media types; no hidden files;
    If-Range. Files are read on the loop, which suits a machine's own disk and few viewers.
    """

    _file: BinaryIO | None = None

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """Return where `path` lies on the disk. Raises 404 for hidden files, 403 outside `root`."""
        _check_served(path)
        return super().get_absolute_path(root, path)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """See StaticFileHandler: the file that is answered with is opened here, once.

        Its name may be given to another one meanwhile: what is told of a file is of the one whose
        bytes follow.
        """
        path = super().validate_absolute_path(root, absolute_path)
        if path is not None:
            try:
                self._file = Path(path).open("rb")  # noqa: SIM115 - closed in on_finish
            except FileNotFoundError:
                raise HTTPError(404) from None
            self._about = os.fstat(self._file.fileno())
        return path

    def on_finish(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def get_content_size(self) -> int:
        """Return the length of the file, in bytes."""
        return self._about.st_size

    def get_modified_time(self) -> datetime:
        """Return when the file was written, to the second."""
        return datetime.fromtimestamp(int(self._about.st_mtime), UTC)

    def get_content(  # type: ignore[override]  # of this file, and not of any
        self, abspath: str, start: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """Give the bytes from `start` to `end` piece by piece."""
        assert self._file is not None
        self._file.seek(start or 0)
        left = (self._about.st_size if end is None else end) - (start or 0)
        while left > 0 and (piece := self._file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece

    def compute_etag(self) -> str | None:
        """Return a strong validator that changes when the file is written or replaced."""
        return entity_tag(self._about)

    def get_content_type(self) -> str:
        """Return the media type by the file's ending."""
        assert self.absolute_path is not None
        return content_type(self.absolute_path) or super().get_content_type()

    def set_headers(self) -> None:
        """Set validators, types and what guards against scripts; drop a Range that does not count.

        That is one in a HEAD request (RFC 9110 section 14.2), and one whose If-Range names another
        version (section 13.1.5). Tornado reads the field after this call.
        """
        super().set_headers()
        self._guard()
        if self.request.path not in spellings(f"/{self.path}"):
            # Whoever replaces a file tells the cache of its usual names only.
            self.set_header("Cache-Control", "no-cache")
        if_range = self.request.headers.get("If-Range")
        assert self.modified is not None
        current = (None, self.compute_etag(), format_timestamp(self.modified))
        if self.request.method == "HEAD" or if_range not in current:
            self.request.headers.pop("Range", None)

    def _guard(self) -> None:
        """Have no browser run what is in a file, which may be anybody's."""
        assert self.absolute_path is not None
        self.set_header("X-Content-Type-Options", "nosniff")
        if is_active(self.get_content_type()):
            self.set_header("Content-Security-Policy", "sandbox")
            name = self.absolute_path.rpartition("/")[2]
            self.set_header("Content-Disposition", disposition("attachment", name))


class IndexHandler(RequestHandler):
    """The page of a directory: a player, and the files below, a page at a time (`?page=`)."""

    def initialize(
        self,
        root: Path,
        index: bool,
        ways: pages.Ways,
        stats_url: str,
        play_url: str,
        uploads: pages.Uploads | None,
    ) -> None:
        """Take the root of what is served and what the page tells of the proxy."""
        self.root = root
        self.index = index
        self.ways = ways
        self.stats_url = stats_url
        self.play_url = play_url
        self.uploads = uploads

    async def get(self, path: str | None) -> None:
        """Answer with the page, or 404 where `path` is no directory below the root."""
        path = path or ""
        _check_served(path)
        if not self.index:
            raise HTTPError(404)
        directory = Path(StaticFileHandler.get_absolute_path(str(self.root), path))
        try:
            number = page_number(self.get_query_arguments("page"))
            listing = await asyncio.to_thread(list_files, self.root, directory, number)
        except PermissionError as error:
            raise HTTPError(403, "%s", error) from error
        except OSError as error:
            raise HTTPError(404) from error
        page = pages.render(self._page_of(listing, path, directory))
        # No other host may be asked for anything, whatever a file's name says.
        self.set_header("Content-Security-Policy", page.policy)
        self.set_header("Cache-Control", "no-cache")
        self.finish(page.html)

    def _page_of(self, listing: Listing, path: str, directory: Path) -> pages.Listing:
        place = quote(f"/{path}/" if path else "/")
        base = pages.relative(place, f"{self.play_url}{place}") if self.play_url else ""
        sample = listing.featured or next((file for file in listing.files if file.media), None)
        sample = sample or next(iter(listing.files), None)
        # What is uploaded comes to the top.
        uploads = None if path else self.uploads
        put = "Upload files, or put them into" if uploads else "Put files into"
        return pages.Listing(
            f"/{path}/" if path else "/",
            tuple(_entry(file, base) for file in listing.files),
            self.ways,
            pages.relative(place, self.stats_url) if self.stats_url else "",
            _entry(sample, base) if sample else None,
            _entry(listing.featured, base) if listing.featured else None,
            notice=_notice(listing),
            turns=_turns(listing),
            empty=(
                "There are no files here yet.",
                f"{put} {directory} (mp4, webm, mkv, mp3, HLS, DASH, ...) and reload this "
                "page, or start the proxy with another directory: --media-dir /path/to/files.",
                "To proxy a server instead: --upstream http://localhost:9000.",
            ),
            uploads=uploads,
        )

    async def head(self, path: str | None) -> None:
        """Answer like GET; Tornado leaves the body out."""
        await self.get(path)


def page_number(values: list[str]) -> int:
    """Give the page that the values of a parameter name, the first one where they name none."""
    text = values[-1] if values else ""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 1
    return max(1, number)


def _notice(listing: Listing) -> str:
    first, last = listing.skipped + 1, min(listing.skipped + PAGE, listing.total)
    if not listing.complete:
        return (
            f"Files {first} to {last} of more than {listing.total}: the list ends after "
            f"{MAX_SCANNED} entries of directories. All files are served."
        )
    return f"Files {first} to {last} of {listing.total}." if listing.total > PAGE else ""


def _turns(listing: Listing) -> tuple[tuple[str, str], ...]:
    """The references to the page before and the one behind."""
    number = listing.skipped // PAGE + 1
    before = ("Previous files", f"?page={number - 1}") if number > 1 else None
    more = listing.skipped + PAGE < listing.total
    behind = ("Next files", f"?page={number + 1}") if more else None
    return tuple(turn for turn in (before, behind) if turn is not None)


def _entry(file: ListedFile, base: str) -> pages.Entry:
    return pages.Entry(
        file.name,
        file.url,
        play=f"{base}{file.url}" if base and file.media else "",
        size=size_text(file.size),
        title=f"{file.size} bytes, {file.type}",
        stored=file.stored,
    )
