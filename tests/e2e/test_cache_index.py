"""The index of a film at its end: fetched with the first touch, so that the first seek is a hit."""

import struct

import pytest

from tests.e2e.caching import MIB, SLICE, cache_status, get_range
from tests.e2e.fault_files import File
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy, StartProxy

SIZE = 100 * MIB + 4321
INDEX = 300_000
"""Size of the index, in bytes."""
PLACE = SIZE - INDEX
"""Where it begins."""


@pytest.fixture
def usual(source: FaultOrigin, start_proxy: StartProxy) -> Proxy:
    """A proxy with an empty cache and settings as they come."""
    return start_proxy("--upstream", source.url, cache=True)


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an MP4 file (ISO/IEC 14496-12 section 4.2)."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
MOOV = box(b"moov", box(b"mvhd", bytes(100)) + box(b"free", bytes(INDEX - 124)))


def mp4(source: FaultOrigin, *, large: bool = False, before: bytes = b"") -> File:
    """An MP4 whose moov comes after its mdat; `large` gives the mdat a size of 64 bits."""
    start = FTYP + before
    length = PLACE - len(start)
    if large:
        mdat = struct.pack(">I4sQ", 1, b"mdat", length)
    else:
        mdat = struct.pack(">I4s", length, b"mdat")
    file = source.add(SIZE, "film.mp4")
    file.laid = ((0, start + mdat), (PLACE, MOOV))
    file.fields = ("Cache-Control: max-age=60", "Content-Type: video/mp4")
    return file


def element(number: bytes, content: bytes) -> bytes:
    """An EBML element (RFC 8794 section 5) with a size of eight bytes."""
    return number + struct.pack(">Q", 1 << 56 | len(content)) + content


SEGMENT, SEEK_HEAD, SEEK = b"\x18\x53\x80\x67", b"\x11\x4d\x9b\x74", b"\x4d\xbb"
SEEK_ID, SEEK_POSITION = b"\x53\xab", b"\x53\xac"
CUES, CLUSTER = b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75"
EBML = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm"))


def webm(source: FaultOrigin) -> File:
    """A WebM whose Cues come after its Clusters, as its SeekHead tells (RFC 9559)."""
    segment = SEGMENT + struct.pack(">Q", 1 << 56 | SIZE - len(EBML) - 12)
    begins = len(EBML) + len(segment)
    position = element(SEEK_POSITION, struct.pack(">Q", PLACE - begins))
    head = element(SEEK_HEAD, element(SEEK, element(SEEK_ID, CUES) + position))
    start = EBML + segment + head
    cluster = CLUSTER + struct.pack(">Q", 1 << 56 | PLACE - len(start) - 12)
    cues = element(CUES, bytes(INDEX - 12))
    assert len(cues) == INDEX
    file = source.add(SIZE, "film.webm")
    file.laid = ((0, start + cluster), (PLACE, cues))
    file.fields = ("Cache-Control: max-age=60", "Content-Type: video/webm")
    return file


KINDS = {
    "mp4": mp4,
    "mp4 of 64 bits": lambda source: mp4(source, large=True),
    "mp4 with other boxes": lambda source: mp4(source, before=box(b"free", bytes(5000))),
    "webm": webm,
}


def sent(file: File, start: int, stop: int) -> bool:
    """Whether the origin has sent the bytes `start` to `stop`, in however many answers."""
    place = start
    for one in sorted(file.served, key=lambda one: one.start):
        if one.start <= place:
            place = max(place, one.start + one.sent)
    return place >= stop


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_comes_with_the_first_touch(source: FaultOrigin, usual: Proxy, kind: str) -> None:
    file = KINDS[kind](source)
    get_range(usual, file, 0, 65536)
    wait_until(lambda: sent(file, PLACE, SIZE), "the index is asked for")
    file.wait_quiet()
    # The slices of the index and no others between.
    assert file.sent <= 4 * SLICE
    before = len(file.served)
    reply = get_range(usual, file, PLACE, SIZE)
    assert "hit" in cache_status(reply)
    assert len(file.served) == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_comes_beside_a_whole_read_too(
    source: FaultOrigin, usual: Proxy, kind: str
) -> None:
    file = KINDS[kind](source)
    file.rate = 4 * MIB
    reader = usual.get(file.path, Range="bytes=0-1")
    assert reader.status == 206
    wait_until(lambda: sent(file, PLACE, SIZE), "the index is asked for")
    assert file.sent < 8 * MIB


def test_an_index_at_the_beginning_needs_no_request(source: FaultOrigin, usual: Proxy) -> None:
    file = source.add(SIZE, "film.mp4")
    mdat = struct.pack(">I4s", SIZE - len(FTYP) - len(MOOV), b"mdat")
    file.laid = ((0, FTYP + MOOV + mdat),)
    get_range(usual, file, 0, 65536)
    get_range(usual, file, 10 * MIB, 10 * MIB + 100)
    file.wait_quiet()
    assert len(file.served) == 2


@pytest.mark.parametrize(
    "start",
    [
        FTYP + struct.pack(">I4sQ", 1, b"mdat", 1 << 62),
        FTYP + struct.pack(">I4s", 0, b"mdat"),
        FTYP + struct.pack(">I4s", 3, b"mdat"),
        FTYP + struct.pack(">I4sQ", 1, b"mdat", 5),
        FTYP + box(b"free", b"") * 5000,
        EBML + SEGMENT + b"\xff" * 100,
        EBML + SEGMENT + b"\0" * 100,
        EBML,
    ],
)
def test_a_beginning_that_makes_no_sense_does_no_harm(
    source: FaultOrigin, usual: Proxy, start: bytes
) -> None:
    for name in ("film.mp4", "film.webm"):
        file = source.add(20 * MIB, name)
        file.laid = ((0, start),)
        get_range(usual, file, 0, 65536)
        get_range(usual, file, 10 * MIB, 10 * MIB + 100)
        file.wait_quiet()
        assert file.sent <= 5 * SLICE
