"""What the embedded origin's index page shows: the media files below a directory, with types."""

import logging
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from aprp.semantics.media_types import content_type

log = logging.getLogger(__name__)

MAX_FILES = 500
"""Files that one page lists."""

MAX_SCANNED = 20_000
"""Directory entries looked at for one page; bounds the work where few of many files are media."""

_OTHER_MEDIA = frozenset({"application/vnd.apple.mpegurl", "application/dash+xml"})
"""Media whose type starts with neither audio/ nor video/: playlists and manifests."""

_PLAYABLE = frozenset(
    {
        "audio/aac",
        "audio/flac",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "video/mp4",
        "video/ogg",
        "video/webm",
    }
)
"""What today's browsers play by themselves."""


def is_media(name: str) -> bool:
    """Tell whether a file of that name is one that players are for, playlists among them."""
    kind = content_type(name)
    return kind is not None and (kind.startswith(("audio/", "video/")) or kind in _OTHER_MEDIA)


def entity_tag(about: os.stat_result) -> str:
    """Return a strong validator of a file, which changes when it is written or replaced.

    Two files that take each other's place within one tick of the clock differ in their inode.
    """
    return f'"{about.st_ino:x}-{about.st_mtime_ns:x}-{about.st_size:x}"'


def is_hidden(path: str) -> bool:
    """Tell whether any segment of the relative `path` starts with a dot, `..` among them."""
    return any(segment.startswith(".") for segment in path.split("/"))


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file on the index page: its path below the listed directory, its size in bytes."""

    name: str
    size: int
    type: str

    @property
    def url(self) -> str:
        """The reference to the file, relative to the index page (RFC 3986 section 4.2)."""
        return quote(self.name, safe="/")

    @property
    def playable(self) -> bool:
        """Whether a browser's own player can be expected to take it."""
        return self.type in _PLAYABLE


@dataclass(frozen=True, slots=True)
class Listing:
    """The media files below a directory; `complete` is False where a bound cut the list."""

    files: tuple[MediaFile, ...]
    complete: bool

    @property
    def featured(self) -> MediaFile | None:
        """What the page's player starts with: the sample clip, else the first playable file."""
        playable = [file for file in self.files if file.playable]
        samples = [file for file in playable if file.name == "sample.mp4"]
        return next(iter(samples or playable), None)


def list_media(root: Path, directory: Path, max_files: int = MAX_FILES) -> Listing:
    """List the media files below `directory`, which lies in `root`.

    A directory's files come before those of its subdirectories, each sorted by name without case.
    Hidden entries, links that leave `root` and names that are not UTF-8 are left out: the origin
    does not serve them. Blocks on the disk: call it in a thread.

    Raises `OSError` where `directory` is none, cannot be read, or leaves `root` by a link
    (`PermissionError`). A subdirectory that cannot be read is logged and left out.
    """
    root = root.resolve()
    if not _stays_in(root, directory):
        raise PermissionError(f"{directory} leads out of {root}")
    files: list[MediaFile] = []
    scanned = 0
    pending = [(directory, "")]
    while pending and len(files) <= max_files and scanned <= MAX_SCANNED:
        here, prefix = pending.pop()
        try:
            entries = _entries(here)
        except OSError as error:
            if here == directory:
                raise
            log.warning("the index page leaves out a directory: %s", error)
            continue
        scanned += len(entries)
        found = (_media_file(root, entry, prefix) for entry in entries)
        files += [file for file in found if file is not None]
        pending += [
            (Path(entry.path), f"{prefix}{entry.name}/")
            for entry in reversed(entries)
            if entry.is_dir(follow_symlinks=False)
        ]
    complete = not pending and len(files) <= max_files and scanned <= MAX_SCANNED
    return Listing(tuple(files[:max_files]), complete)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """Return the entries that may be served, sorted; at most one more than `MAX_SCANNED`."""
    with os.scandir(directory) as found:
        served = (e for e in found if not is_hidden(e.name) and _is_utf8(e.name))
        return sorted(islice(served, MAX_SCANNED + 1), key=lambda entry: entry.name.casefold())


def _media_file(root: Path, entry: os.DirEntry[str], prefix: str) -> MediaFile | None:
    type_ = content_type(entry.name)
    if type_ is None or not is_media(entry.name):
        return None
    try:
        if not entry.is_file() or not _stays_in(root, Path(entry.path)):
            return None
        return MediaFile(prefix + entry.name, entry.stat().st_size, type_)
    except FileNotFoundError:  # removed since the directory was read
        return None


def _stays_in(root: Path, path: Path) -> bool:
    return Path(os.path.realpath(path, strict=True)).is_relative_to(root)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # the surrogates that stand for undecodable bytes
        return False
    return True
