"""The index of a Matroska or WebM file: RFC 8794 (EBML) and RFC 9559 section 5.1."""

import random

import pytest

from aprp.semantics.containers import MAX_LOOKS, IndexSearch
from aprp.semantics.ranges import Span
from tests.semantics.boxes import (
    CLUSTER,
    CRC_32,
    CUES,
    EBML,
    HEADER,
    INFO,
    SEEK,
    SEEK_HEAD,
    SEEK_ID,
    SEEK_POSITION,
    SEGMENT,
    TAGS,
    TRACKS,
    UNKNOWN,
    VOID,
    element,
    index_of,
    looks,
    searched,
    seek,
    seek_head,
    sized,
)

MEDIA = element(CLUSTER, random.Random(1).randbytes(5000))
FRONT = element(INFO, bytes(40)) + element(TRACKS, bytes(200))
INDEX = element(CUES, bytes(300))
GAP = element(VOID, bytes(9))
ONE_SEEK = len(seek_head((CUES, 0)))
"""How long a SeekHead with one entry for an element with an ID of four bytes is."""


def segment(body: bytes, size: bytes | None = None) -> bytes:
    return HEADER + element(SEGMENT, body, size)


def pointing(body: bytes, *idents: str) -> bytes:
    """A SeekHead before `body` that points to where each of these elements is first in it."""
    gap = len(seek_head(*((ident, 0) for ident in idents)))
    places = [(ident, gap + body.index(bytes.fromhex(ident))) for ident in idents]
    return seek_head(*places) + body


@pytest.mark.parametrize("size", [None, UNKNOWN, b"\xff"], ids=["known", "unknown", "unknown, 1"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pointing(FRONT + MEDIA + INDEX, CUES), id="at the end"),
        pytest.param(pointing(FRONT + MEDIA + INDEX + element(TAGS, b"x"), CUES), id="before tags"),
        pytest.param(pointing(FRONT + INDEX + MEDIA, CUES), id="at the front"),
        pytest.param(pointing(FRONT + MEDIA + INDEX, INFO, TRACKS, CUES), id="the third of three"),
        pytest.param(FRONT + INDEX + MEDIA, id="at the front without a SeekHead"),
        pytest.param(
            pointing(FRONT + INDEX + MEDIA, INFO, TRACKS), id="at the front, not in the SeekHead"
        ),
        pytest.param(
            GAP + seek_head((CUES, len(GAP) + ONE_SEEK + len(MEDIA))) + MEDIA + INDEX,
            id="the SeekHead behind a Void",
        ),
        pytest.param(seek_head((CUES, 0)) + FRONT + INDEX + MEDIA, id="the SeekHead is wrong"),
        pytest.param(seek_head((CUES, 2**64 - 1)) + INDEX + MEDIA, id="the SeekHead overflows"),
    ],
)
def test_cues_are_found(body: bytes, size: bytes | None) -> None:
    assert index_of(segment(body, size), "webm") == INDEX


def test_positions_count_from_the_content_of_the_segment() -> None:
    # RFC 9559 section 16: not from the beginning of the file.
    body = pointing(MEDIA + INDEX, CUES)
    for before in (b"", element(VOID, bytes(77)), element(CRC_32, bytes(4))):
        content = HEADER + before + element(SEGMENT, body, sized(len(body)))
        assert index_of(content, "webm") == INDEX


@pytest.mark.parametrize("width", range(1, 9))
def test_sizes_of_any_width(width: int) -> None:
    index = element(CUES, bytes(100), sized(100, width))
    body = seek_head((CUES, ONE_SEEK + len(MEDIA))) + MEDIA + index
    assert index_of(segment(body), "webm") == index


@pytest.mark.parametrize("width", range(1, 9))
def test_positions_of_any_width(width: int) -> None:
    def head(position: int) -> bytes:
        entry = element(SEEK_ID, bytes.fromhex(CUES))
        entry += element(SEEK_POSITION, position.to_bytes(width))
        return element(SEEK_HEAD, element(SEEK, entry))

    gap = b"" if width == 1 else MEDIA
    content = segment(head(len(head(0) + gap)) + gap + INDEX)
    assert index_of(content, "webm") == INDEX


def test_a_position_of_nine_bytes_is_none() -> None:
    entry = element(SEEK_ID, bytes.fromhex(CUES)) + element(SEEK_POSITION, bytes(9))
    head = element(SEEK_HEAD, element(SEEK, entry))
    content = segment(head + MEDIA)
    # Header, Segment, SeekHead, its entries, Cluster: nothing was looked for at position 0.
    assert len(list(looks(IndexSearch(len(content), "webm"), content))) == 5


def test_a_seek_head_that_a_seek_head_points_to() -> None:
    body = seek_head((SEEK_HEAD, ONE_SEEK + len(MEDIA))) + MEDIA
    cues_at = len(body) + len(seek_head((CLUSTER, 0), (CUES, 0)))
    body += seek_head((CLUSTER, ONE_SEEK), (CUES, cues_at)) + INDEX
    assert index_of(segment(body), "webm") == INDEX


def test_cues_in_a_seek_head_come_before_other_seek_heads() -> None:
    head = seek_head((SEEK_HEAD, 0), (CUES, 0))
    cues_at = len(head) + len(MEDIA)
    body = seek_head((SEEK_HEAD, len(head)), (CUES, cues_at)) + MEDIA + INDEX
    content = segment(body)
    search = IndexSearch(len(content), "webm")
    wanted = list(looks(search, content))
    assert search.found == Span(len(content) - len(INDEX), len(content))
    # Header, Segment, SeekHead, its entries, Cues.
    assert len(wanted) == 5


def test_a_seek_head_with_a_checksum_before_its_entries() -> None:
    checksum = element(CRC_32, bytes(4))
    cues_at = ONE_SEEK + len(checksum) + len(MEDIA)
    head = element(SEEK_HEAD, checksum + seek(CUES, cues_at))
    assert index_of(segment(head + MEDIA + INDEX), "webm") == INDEX


def test_a_segment_that_says_more_than_there_is() -> None:
    body = pointing(MEDIA + INDEX, CUES)
    assert index_of(segment(body, sized(1 << 50)), "webm") == INDEX


def test_what_lies_behind_the_segment_is_not_its_index() -> None:
    body = seek_head((CUES, ONE_SEEK + len(MEDIA))) + MEDIA
    assert index_of(segment(body) + INDEX, "webm") is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEADER, id="a header alone"),
        pytest.param(HEADER[:5], id="a header that is cut"),
        pytest.param(segment(b""), id="an empty segment"),
        pytest.param(segment(FRONT + MEDIA), id="no Cues"),
        pytest.param(segment(FRONT + MEDIA + INDEX), id="Cues behind media, and no SeekHead"),
        pytest.param(segment(pointing(MEDIA + INDEX, CUES))[:-1], id="Cues that are cut"),
        pytest.param(
            segment(
                seek_head((CUES, ONE_SEEK + len(MEDIA))) + MEDIA + element(CUES, bytes(9), UNKNOWN)
            ),
            id="Cues of unknown size",
        ),
        pytest.param(
            segment(
                seek_head((CUES, ONE_SEEK + len(MEDIA)))
                + MEDIA
                + element(CUES, bytes(9), sized(2**56 - 2))
            ),
            id="Cues of a size that overflows",
        ),
        pytest.param(segment(seek_head((CUES, 2**64 - 1)) + MEDIA), id="a position that overflows"),
        pytest.param(segment(seek_head((SEEK_HEAD, 0)) + MEDIA), id="a SeekHead to itself"),
        pytest.param(
            segment(seek_head((SEEK_HEAD, ONE_SEEK)) + seek_head((SEEK_HEAD, 0)) + MEDIA),
            id="two SeekHeads in a circle",
        ),
        pytest.param(segment(element(SEEK_HEAD) + MEDIA), id="an empty SeekHead"),
        pytest.param(segment(element(SEEK_HEAD, b"\0" * 50) + MEDIA), id="a SeekHead of zeros"),
        pytest.param(segment(element(SEEK_HEAD, b"\xff" * 50) + MEDIA), id="a SeekHead of ones"),
        pytest.param(segment(element(INFO, b"", UNKNOWN) + INDEX), id="Info of unknown size"),
        pytest.param(segment(element(INFO, b"", sized(2**56 - 2)) + INDEX), id="a long Info"),
        pytest.param(element(EBML, b"", UNKNOWN) + segment(INDEX), id="a header of unknown size"),
        pytest.param(HEADER + element(INFO, b"x") + segment(INDEX), id="no segment"),
        pytest.param(element(SEGMENT, INDEX), id="no header"),
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(b"\xff" * 100, id="ones"),
        pytest.param(b"<!DOCTYPE html>", id="a page"),
    ],
)
def test_no_index_is_found(content: bytes) -> None:
    assert index_of(content, "webm") is None


def test_a_file_that_begins_otherwise_costs_one_look() -> None:
    content = b"RIFF" + random.Random(2).randbytes(1 << 16)
    assert list(looks(IndexSearch(len(content), "webm"), content)) == [Span(0, 12)]


def test_a_seek_head_to_itself_is_followed_once() -> None:
    content = segment(seek_head((SEEK_HEAD, 0)) + MEDIA)
    wanted = list(looks(IndexSearch(len(content), "webm"), content))
    # Header, Segment, twice the SeekHead and its entries, Cluster.
    assert len(wanted) == 7


def test_a_chain_of_seek_heads_ends() -> None:
    chain = b"".join(seek_head((SEEK_HEAD, place * ONE_SEEK)) for place in range(1, 1001))
    content = segment(chain + MEDIA + INDEX)
    search = IndexSearch(len(content), "webm")
    assert len(list(looks(search, content))) == MAX_LOOKS
    assert search.found is None


def test_a_seek_head_with_thousands_of_entries_ends() -> None:
    many = 10_000
    gap = len(seek_head(*[(CUES, 0)] * many)) + 20
    head = seek_head(*((CUES, gap + place) for place in range(many)))
    content = segment(head + element(VOID, bytes(2 * many)))
    search = IndexSearch(len(content), "webm")
    wanted = list(looks(search, content))
    assert len(wanted) == MAX_LOOKS
    # The bytes of the header's look that lie behind the header are not asked for again.
    assert 4096 - 12 <= max(want.length for want in wanted) <= 4096
    assert search.found is None


def test_a_seek_head_longer_than_is_read_gives_its_first_entries() -> None:
    many = [(CLUSTER, 0)] * 1000
    head = seek_head((CUES, 0), *many)
    body = seek_head((CUES, len(head) + len(MEDIA)), *many) + MEDIA + INDEX
    assert index_of(segment(body), "webm") == INDEX


def test_media_files_of_webm_have_no_trailer() -> None:
    assert searched(segment(pointing(MEDIA + INDEX, CUES)), "webm").trailer is None
