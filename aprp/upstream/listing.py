"""What the embedded origin's index page shows: the files below a directory, page by page."""

import logging
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from aprp.semantics.filenames import BadName, clean_name
from aprp.semantics.media_types import UNKNOWN, content_type

log = logging.getLogger(__name__)

PAGE = 500
"""Files on one page of the list."""

MAX_SCANNED = 20_000
"""Directory entries looked at for one page; bounds its time where a directory has more."""

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


def is_stored(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry of the file store's directory is a file of the store.

    That is a regular file by whose name it can be asked for, and no link.
    """
    try:
        return clean_name(entry.name) == entry.name and entry.is_file(follow_symlinks=False)
    except BadName:
        return False


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file on the index page: its path below the listed directory, its size in bytes.

    `stored`: it is a file of the file store, where the listed directory is that of the store.
    """

    name: str
    size: int
    type: str
    stored: bool

    @property
    def url(self) -> str:
        """The reference to the file, relative to the index page (RFC 3986 section 4.2)."""
        return quote(self.name, safe="/")

    @property
    def media(self) -> bool:
        """Whether players are for it."""
        return is_media(self.name)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the files below a directory.

    `files` come behind the first `skipped` of `total`; `complete` is False where there are more
    than were looked at. `featured` is what a player starts with: the sample clip, else the first
    playable file, wherever it is in the list; only the first page has one.
    """

    files: tuple[ListedFile, ...]
    featured: ListedFile | None
    skipped: int
    total: int
    complete: bool


def list_files(root: Path, directory: Path, page: int = 1, size: int = PAGE) -> Listing:
    """List a page of the files below `directory`, which lies in `root`.

    `page` counts from 1, and beyond the last one it is the last; `size` is how many files one has.
    A directory's files come before those of its subdirectories, each sorted by name without case.
    Hidden entries, links that leave `root` and names that are not UTF-8 are left out: the origin
    does not serve them. Blocks on the disk: call it in a thread.

    Raises `OSError` where `directory` is none, cannot be read, or leaves `root` by a link
    (`PermissionError`). A subdirectory that cannot be read is logged and left out.
    """
    root = root.resolve()
    if not _stays_in(root, directory):
        raise PermissionError(f"{directory} leads out of {root}")
    found: list[tuple[str, os.DirEntry[str]]] = []
    scanned = 0
    pending = [(directory, "")]
    while pending and scanned <= MAX_SCANNED:
        here, prefix = pending.pop()
        try:
            entries = _entries(here)
        except OSError as error:
            if here == directory:
                raise
            log.warning("the index page leaves out a directory: %s", error)
            continue
        scanned += len(entries)
        found += [(prefix + entry.name, entry) for entry in entries if _is_served(root, entry)]
        pending += [
            (Path(entry.path), f"{prefix}{entry.name}/")
            for entry in reversed(entries)
            if entry.is_dir(follow_symlinks=False)
        ]
    complete = not pending and scanned <= MAX_SCANNED
    last = max(0, len(found) - 1) // size
    skipped = min(page - 1, last) * size
    shown = (_listed(name, entry) for name, entry in found[skipped : skipped + size])
    files = tuple(file for file in shown if file is not None)
    return Listing(files, None if skipped else _featured(found), skipped, len(found), complete)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """Return the entries that may be served, sorted; at most one more than `MAX_SCANNED`."""
    with os.scandir(directory) as found:
        served = (e for e in found if not is_hidden(e.name) and _is_utf8(e.name))
        return sorted(islice(served, MAX_SCANNED + 1), key=lambda entry: entry.name.casefold())


def _is_served(root: Path, entry: os.DirEntry[str]) -> bool:
    """Whether it is a file. Of links it is found out where they lead, which takes a while."""
    try:
        return entry.is_file() and (not entry.is_symlink() or _stays_in(root, Path(entry.path)))
    except OSError:  # removed since the directory was read, or a link to itself
        return False


def _featured(found: list[tuple[str, os.DirEntry[str]]]) -> ListedFile | None:
    samples = (pair for pair in found if pair[0] == "sample.mp4")
    playable = (pair for pair in found if content_type(pair[1].name) in _PLAYABLE)
    chosen = next(samples, None) or next(playable, None)
    return _listed(*chosen) if chosen else None


def _listed(name: str, entry: os.DirEntry[str]) -> ListedFile | None:
    try:
        size = entry.stat().st_size
    except OSError:  # removed since the directory was read
        return None
    type_ = content_type(entry.name) or UNKNOWN
    return ListedFile(name, size, type_, name == entry.name and is_stored(entry))


def _stays_in(root: Path, path: Path) -> bool:
    return Path(os.path.realpath(path, strict=True)).is_relative_to(root)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # the surrogates that stand for undecodable bytes
        return False
    return True
