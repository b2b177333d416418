"""Media files built byte by byte, and the search run over bytes that lie in memory."""

from collections.abc import Iterator

from aprp.semantics.containers import IndexSearch, Kind
from aprp.semantics.ranges import Span

EBML, VOID, CRC_32 = "1A45DFA3", "EC", "BF"
SEGMENT, SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = "18538067", "114D9B74", "4DBB", "53AB", "53AC"
INFO, TRACKS, TAGS, CUES, CLUSTER = "1549A966", "1654AE6B", "1254C367", "1C53BB6B", "1F43B675"
UNKNOWN = bytes([0x01]) + b"\xff" * 7
"""A size of eight bytes that says "not known" (RFC 8794 section 6.2)."""


def box(kind: str, body: bytes = b"", size: int | None = None) -> bytes:
    """An MP4 box; `size` is what it says of itself where that is not the truth."""
    said = 8 + len(body) if size is None else size
    return said.to_bytes(4) + kind.encode("latin-1") + body


def long_box(kind: str, body: bytes = b"", size: int | None = None) -> bytes:
    """An MP4 box with its size in 64 bits."""
    said = 16 + len(body) if size is None else size
    return b"\0\0\0\1" + kind.encode("latin-1") + said.to_bytes(8) + body


FTYP = box("ftyp", b"isom\0\0\2\0isomiso2avc1mp41")


def mfra(tables: bytes) -> bytes:
    """The box that ends a fragmented MP4 file, with `mfro` as its last one."""
    size = 8 + len(tables) + 16
    return box("mfra", tables + box("mfro", bytes(4) + size.to_bytes(4)))


def sized(size: int, width: int = 8) -> bytes:
    """An EBML size in so many bytes."""
    return (size | 1 << 7 * width).to_bytes(width)


def element(ident: str, body: bytes = b"", size: bytes | None = None) -> bytes:
    """An EBML element; `size` is the size as it is written, by default in as few bytes as go."""
    if size is None:
        width = next(w for w in range(1, 9) if len(body) < (1 << 7 * w) - 1)
        size = sized(len(body), width)
    return bytes.fromhex(ident) + size + body


def seek(ident: str, position: int) -> bytes:
    """An entry of a SeekHead; all have the same length."""
    return element(
        SEEK,
        element(SEEK_ID, bytes.fromhex(ident)) + element(SEEK_POSITION, position.to_bytes(8)),
    )


def seek_head(*entries: tuple[str, int]) -> bytes:
    """A SeekHead; its length hangs on the number of entries and the lengths of their IDs alone."""
    return element(SEEK_HEAD, b"".join(seek(*entry) for entry in entries))


HEADER = element(EBML, element("4282", b"webm"))


def looks(search: IndexSearch, content: bytes) -> Iterator[Span]:
    """Give the search what it wants and no more; yields each place that it wanted."""
    while (want := search.needs()) is not None:
        assert 0 <= want.start < want.stop <= len(content)
        yield want
        search.feed(want.start, content[want.start : want.stop])


def searched(content: bytes, kind: Kind) -> IndexSearch:
    """A search that has looked at all that it wanted."""
    search = IndexSearch(len(content), kind)
    for want in looks(search, content):
        assert want.length <= 4096
    assert search.done
    return search


def index_of(content: bytes, kind: Kind) -> bytes | None:
    """What was found, as the bytes that lie there."""
    found = searched(content, kind).found
    return None if found is None else content[found.start : found.stop]
