"""Media types: which one a file's name says, and which of them a browser would run."""

import mimetypes
from pathlib import PurePosixPath
from typing import Final

UNKNOWN: Final = "application/octet-stream"
"""The type of what no name tells of (RFC 9110 section 8.3)."""

# Spelled out where the system's table is missing, wrong for media (.ts) or differs between systems.
_TYPES: Final = {
    ".aac": "audio/aac",
    ".avi": "video/x-msvideo",
    ".avif": "image/avif",
    ".bin": UNKNOWN,
    ".css": "text/css",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".m2ts": "video/mp2t",
    ".m3u": "application/vnd.apple.mpegurl",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".m4s": "video/iso.segment",
    ".m4v": "video/mp4",
    ".md": "text/markdown",
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
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".srt": "application/x-subrip",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".ts": "video/mp2t",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".xht": "application/xhtml+xml",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".xsl": "application/xml",
    ".xslt": "application/xml",
    ".zip": "application/zip",
}
_TEXTS: Final = frozenset(
    {
        "application/json",
        "application/javascript",
        "application/vnd.apple.mpegurl",
        "application/x-subrip",
        "application/xml",
    }
)
_XML: Final = frozenset({"application/xml", "text/xml", "text/xsl"})


def content_type(name: str) -> str | None:
    """Return the media type for the file name `name`, or None where its ending says nothing."""
    suffix = PurePosixPath(name).suffix.lower()
    if not mimetypes.inited:
        # With the system's table, too: whoever else asks has it read, and answers would change.
        mimetypes.init()
    return _TYPES.get(suffix) or mimetypes.types_map.get(suffix)


def is_active(type_: str) -> bool:
    """Whether a browser that opens such a file runs scripts that are in it.

    That is HTML, and all XML: SVG and XHTML are recognised in XML of any name (`+xml`).
    """
    return type_ == "text/html" or is_xml(type_)


def is_xml(type_: str) -> bool:
    """Whether it is an XML type (WHATWG MIME Sniffing section 4.6)."""
    return type_.endswith("+xml") or type_ in _XML


def is_text(type_: str) -> bool:
    """Whether files of the type are text, and not binary."""
    return type_.startswith("text/") or type_ in _TEXTS or is_xml(type_)


def matches(type_: str, patterns: tuple[str, ...]) -> bool:
    """Whether a type is one of those named: `video/mp4`, all of a kind as `video/*`, or `*/*`."""
    kind = type_.partition("/")[0]
    return any(pattern in (type_, f"{kind}/*", "*/*") for pattern in patterns)
