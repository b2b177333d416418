"""The embedded origin: an HTTP server for a directory of media, on Tornado's `StaticFileHandler`.

It stands behind the proxy like any other origin, on a loopback port, so that a clone plays its
sample clip without another program. Its directory pages are what a browser sees at the proxy's `/`.
"""

import asyncio
import os
from pathlib import Path

from tornado.httputil import format_timestamp
from tornado.template import Loader
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from aprp.upstream.listing import content_type, is_hidden, list_media

_TEMPLATES = Loader(str(Path(__file__).parent))


def make_origin(
    media_dir: Path, *, range_param: str = "range", range_path: bool = True, stats_url: str = ""
) -> Application:
    """Return the application that serves the files below `media_dir`.

    The keyword arguments only shape what the index page tells: the name of the proxy's range
    parameter (empty: it takes none), whether it takes ranges in the path, and where its statistics
    are (empty: not linked).
    """
    root = media_dir.resolve()
    return Application(
        [
            (
                r"/(?:(.*)/)?",
                IndexHandler,
                {
                    "root": root,
                    "range_param": range_param,
                    "range_path": range_path,
                    "stats_url": stats_url,
                },
            ),
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

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        """Return where `path` lies on the disk. Raises 404 for hidden files, 403 outside `root`."""
        _check_served(path)
        return super().get_absolute_path(root, path)

    def compute_etag(self) -> str | None:
        """Return a strong validator that changes when the file is written or replaced."""
        assert self.absolute_path is not None
        stat = os.stat(self.absolute_path)  # noqa: PTH116 - Tornado's paths are strings
        return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'

    def get_content_type(self) -> str:
        """Return the media type by the file's ending."""
        assert self.absolute_path is not None
        return content_type(self.absolute_path) or super().get_content_type()

    def set_headers(self) -> None:
        """Set the validators and types, and drop a Range that does not count.

        That is one in a HEAD request (RFC 9110 section 14.2), and one whose If-Range names another
        version (section 13.1.5). Tornado reads the field after this call.
        """
        super().set_headers()
        if_range = self.request.headers.get("If-Range")
        assert self.modified is not None
        current = (None, self.compute_etag(), format_timestamp(self.modified))
        if self.request.method == "HEAD" or if_range not in current:
            self.request.headers.pop("Range", None)


class IndexHandler(RequestHandler):
    """The page of a directory: a player, and the media files below."""

    def initialize(self, root: Path, range_param: str, range_path: bool, stats_url: str) -> None:
        """Take the root of what is served and what the page tells of the proxy."""
        self.root = root
        self.about = {
            "range_param": range_param,
            "range_path": range_path,
            "stats_url": stats_url,
        }

    async def get(self, path: str | None) -> None:
        """Answer with the page, or 404 where `path` is no directory below the root."""
        path = path or ""
        _check_served(path)
        directory = Path(StaticFileHandler.get_absolute_path(str(self.root), path))
        try:
            listing = await asyncio.to_thread(list_media, self.root, directory)
        except PermissionError as error:
            raise HTTPError(403, "%s", error) from error
        except OSError as error:
            raise HTTPError(404) from error
        # No other host may be asked for anything, whatever a file's name says.
        self.set_header(
            "Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src data:"
        )
        self.set_header("Cache-Control", "no-cache")
        page = _TEMPLATES.load("index.html").generate(
            path=path, listing=listing, directory=directory, **self.about
        )
        self.finish(page)

    async def head(self, path: str | None) -> None:
        """Answer like GET; Tornado leaves the body out."""
        await self.get(path)
