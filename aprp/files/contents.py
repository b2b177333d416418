"""Whether a file's content is what its name says, as far as its first bytes tell."""

import codecs
from functools import cache
from typing import Final, Protocol

from aprp.semantics.media_types import UNKNOWN, content_type, is_active, is_text, is_xml, matches

HEAD: Final = 65536
"""So many of a file's first bytes are looked at: beyond all that puremagic knows of."""

_PACKET: Final = 188  # of an MPEG transport stream (ISO/IEC 13818-1 section 2.4.3.2)
# Types with one container between them: which of them it is, the first bytes do not always tell.
_FAMILIES: Final = (
    frozenset({"video/mp4", "audio/mp4", "video/quicktime", "video/3gpp", "video/iso.segment"}),
    frozenset({"video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska"}),
    frozenset({"audio/ogg", "video/ogg", "application/ogg"}),
)
# Texts that always begin with a mark (RFC 8216 section 4.3.1.1, WebVTT section 4.1).
_MARKED_TEXTS: Final = frozenset({"application/vnd.apple.mpegurl", "text/vtt"})
# What no other text begins with; small PDF files are ASCII throughout (ISO 32000-1 section 7.5.2).
_TELLING: Final = _MARKED_TEXTS | {"application/pdf"}
_RIFF: Final = b"RIFF"
_BLANKS: Final = b" \t\r\n"
_BOXES: Final = frozenset({b"ftyp", b"styp", b"moof", b"moov", b"sidx"})


class _Mark(Protocol):
    """A row of puremagic's tables."""

    @property
    def extension(self) -> str: ...
    @property
    def mime_type(self) -> str: ...
    @property
    def byte_match(self) -> bytes: ...


def refusal(name: str, head: bytes, complete: bool, allowed: tuple[str, ...]) -> str | None:
    """Say why a file may not be stored; None where its name and its content are of allowed types.

    `head` are the first bytes, all of them if `complete`; `allowed` as `matches` takes them.
    """
    type_ = content_type(name) or UNKNOWN
    if not matches(type_, allowed):
        return f"Files of type {type_} are not taken, which is what the name says it is."
    if not fits(type_, head, complete):
        why = f"The content is not of type {type_}, which is what the name says it is."
        coded = is_text(type_) and not _is_utf8(head, complete)
        return f"{why} Text has to be in UTF-8." if coded else why
    return None


def fits(type_: str, head: bytes, complete: bool) -> bool:
    """Whether content that begins with `head` may be of the type.

    Text is told by being UTF-8; of other types those that nobody knows a mark of may be anything.
    An empty file is one of any type.
    """
    if not head or type_ == UNKNOWN:
        return True
    if type_ == "text/vtt":
        # It may have a byte order mark (WebVTT section 4.1).
        head = head.removeprefix(codecs.BOM_UTF8)
    found = _found_in(head)
    if is_text(type_):
        # Of others, such as JSON by its brace, marks are too weak: any text may begin so.
        told = {kind for kind in found if is_active(kind) or kind in _TELLING}
        if not _is_utf8(head, complete):
            return False
        begin = head.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
        # An XML document begins with markup (XML section 2.1).
        if is_xml(type_) and not begin.startswith(b"<"):
            return False
        if type_ in told or (is_xml(type_) and any(map(is_xml, told))):
            return True
        return not told and type_ not in _MARKED_TEXTS
    if type_ == "video/mp2t":
        return _is_transport_stream(head)
    if type_ == "audio/mpeg" and _is_mpeg_audio(head):
        return True
    if type_ in _FAMILIES[0] and head[4:8] in _BOXES:
        return True
    same = next((family for family in _FAMILIES if type_ in family), frozenset({type_}))
    return not same.isdisjoint(found) or (not found and same.isdisjoint(_marked()))


def _types_of(row: _Mark) -> set[str]:
    """The types that a mark stands for; ours, too, where puremagic names a type otherwise."""
    own = content_type(f"x{row.extension}") if row.extension else None
    return {type_ for type_ in (row.mime_type, own) if type_}


@cache
def _marked() -> frozenset[str]:
    """All types of which a mark is known."""
    import puremagic.main as tables

    rows: list[_Mark] = [*tables.magic_header_array]
    rows += [row for group in tables.multi_part_dict.values() for row in group]
    return frozenset(type_ for row in rows for type_ in _types_of(row))


def _found_in(head: bytes) -> set[str]:
    # Here, because its tables take a while to load, and most proxies never need them.
    import puremagic

    try:
        rows = puremagic.magic_string(head)
    except puremagic.PureError:
        return set()
    # Of these four bytes alone it may be sound, film or picture: what follows tells.
    rows = [row for row in rows if row.byte_match != _RIFF] or rows
    return {type_ for row in rows for type_ in _types_of(row)}


def _is_utf8(head: bytes, complete: bool) -> bool:
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=complete)
    except UnicodeDecodeError:
        return False
    return True


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether a frame begins here (ISO/IEC 11172-3 section 2.4.2.3, and 13818-3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer != 0 and rate != 15 and frequency != 3


def _is_transport_stream(head: bytes) -> bool:
    """Whether packets begin where they should, as far as can be seen; M2TS has four bytes more."""
    return any(
        len(head) >= step and all(byte == 0x47 for byte in head[first::step])
        for first, step in ((0, _PACKET), (4, _PACKET + 4))
    )
