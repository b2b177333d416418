"""What the embedded origin's index page shows: the media files below a directory, with types."""

import logging
import mimetypes
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)

MAX_FILES = 500
"""Files that one page lists."""

MAX_SCANNED = 20_000
"""Directory entries looked at for one page; bounds the work where few of many files are media."""

# Spelled out where the system's table is missing, wrong for media (.ts) or differs between systems.
_TYPES = {
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".m4s": "video/iso.segment",
    ".m4v": "video/mp4",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".mpd": "application/dash+xml",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".srt": "application/x-subrip",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".webm": "video/webm",
}

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


def content_type(name: str) -> str | None:
    """Return the media type for the file name `name`, or None where its ending says nothing."""
    suffix = Path(name).suffix.lower()
    return _TYPES.get(suffix) or mimetypes.types_map.get(suffix)


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

    @property
    def size_text(self) -> str:
        """The size for people, in powers of 1024."""
        if self.size < 1024:
            return f"{self.size} B"
        size = float(self.size)
        for unit in ("KiB", "MiB", "GiB"):
            size /= 1024
            if size < 1024:
                return f"{size:.3g} {unit}" if size < 999.5 else f"{size:.0f} {unit}"
        return f"{size / 1024:.3g} TiB"


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
    if type_ is None or not (type_.startswith(("audio/", "video/")) or type_ in _OTHER_MEDIA):
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
