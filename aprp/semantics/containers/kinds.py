"""Which container a file is: MP4 (ISO/IEC 14496-12), WebM and Matroska (RFC 9559), or neither."""

from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["mp4", "webm"]
"""How a file is laid out: `mp4` is QuickTime too, `webm` is Matroska too."""

_BY_TYPE: Final[dict[str, Kind]] = {
    "application/mp4": "mp4",
    "audio/mp4": "mp4",
    "audio/x-m4a": "mp4",
    "video/mp4": "mp4",
    "video/quicktime": "mp4",
    "video/x-m4v": "mp4",
    "audio/matroska": "webm",
    "audio/webm": "webm",
    "audio/x-matroska": "webm",
    "video/matroska": "webm",
    "video/webm": "webm",
    "video/x-matroska": "webm",
}
_BY_SUFFIX: Final[dict[str, Kind]] = {
    "m4a": "mp4",
    "m4v": "mp4",
    "mov": "mp4",
    "mp4": "mp4",
    "mka": "webm",
    "mkv": "webm",
    "webm": "webm",
}


def kind_of(content_type: str | None, path: str) -> Kind | None:
    """Say of what kind a file is by its Content-Type, or else by the end of its path.

    Many servers send `application/octet-stream` for what they do not know, so a type that is not
    known here says nothing. `path` is that of the URL. None: neither kind, as far as can be told.
    """
    if content_type is not None:
        media_type = content_type.partition(";")[0].strip().lower()
        if (kind := _BY_TYPE.get(media_type)) is not None:
            return kind
    name = path.partition("?")[0].rpartition("/")[2]
    _, dot, suffix = name.rpartition(".")
    return _BY_SUFFIX.get(suffix.lower()) if dot else None
