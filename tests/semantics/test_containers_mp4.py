"""The index of an MP4 file: ISO/IEC 14496-12 section 4.2 (boxes), 8.1, 8.2.1, 8.8.10, 8.16.3."""

import random

import pytest

from aprp.semantics.containers import MAX_LOOKS, IndexSearch
from aprp.semantics.ranges import Span
from tests.semantics.boxes import FTYP, box, index_of, long_box, looks, mfra, searched

MOOV = box("moov", box("mvhd", bytes(100)) + box("trak", bytes(500)))
MEDIA = random.Random(1).randbytes(5000)
MDAT = box("mdat", MEDIA)
MOOF = box("moof", bytes(80))
SIDX = box("sidx", bytes(44))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(FTYP + MOOV + MDAT, id="first"),
        pytest.param(FTYP + MDAT + MOOV, id="last"),
        pytest.param(FTYP + box("free") + MDAT + MOOV + box("free", b"x"), id="between"),
        pytest.param(FTYP + long_box("mdat", MEDIA) + MOOV, id="behind a 64-bit mdat"),
        pytest.param(FTYP + box("uuid", bytes(16) + MEDIA) + MOOV + MDAT, id="behind a uuid"),
        pytest.param(FTYP + MOOV + box("mdat", MEDIA, size=0), id="before an mdat to the end"),
        pytest.param(box("wide") + MDAT + MOOV, id="QuickTime without ftyp"),
        pytest.param(MOOV + MDAT, id="at byte 0"),
        pytest.param(MDAT + MOOV, id="behind an mdat at byte 0"),
        pytest.param(
            FTYP + box("mdat", MOOV + MEDIA) + MOOV, id="one inside an mdat does not count"
        ),
        pytest.param(FTYP + box("\xa9xyz", b"x") + MOOV, id="behind a box that nobody knows"),
        pytest.param(FTYP + box("mdat") + MOOV, id="behind an empty mdat"),
        pytest.param(FTYP + MOOV + box("mdat", MEDIA[:9], size=5008), id="mdat that is cut"),
        pytest.param(FTYP + MOOV + b"\0\0\0", id="three bytes behind it"),
        pytest.param(FTYP + MOOV + MDAT + MOOV, id="the first of two"),
    ],
)
def test_moov_is_found(content: bytes) -> None:
    assert index_of(content, "mp4") == MOOV
    assert searched(content, "mp4").trailer is None


def test_a_moov_with_its_size_in_64_bits() -> None:
    moov = long_box("moov", bytes(100))
    assert index_of(FTYP + MDAT + moov + box("free"), "mp4") == moov


def test_a_moov_to_the_end_of_the_file() -> None:
    moov = box("moov", bytes(100), size=0)
    assert index_of(FTYP + MDAT + moov, "mp4") == moov


def test_a_file_of_many_gibibytes_is_found_by_a_few_headers() -> None:
    # Only the bytes that are asked for exist.
    media = 300 << 30
    head = FTYP + long_box("mdat", size=media)
    moov_at = len(FTYP) + media
    length = moov_at + len(MOOV)
    search = IndexSearch(length, "mp4")
    asked = 0
    while (want := search.needs()) is not None:
        asked += want.length
        at, there = (moov_at, MOOV) if want.start >= moov_at else (0, head)
        search.feed(want.start, (there + bytes(16))[want.start - at : want.stop - at])
    assert search.found == Span(moov_at, length)
    assert asked <= 64


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(FTYP[:7], id="seven bytes"),
        pytest.param(FTYP, id="ftyp alone"),
        pytest.param(FTYP + MDAT, id="no moov"),
        pytest.param(FTYP + MDAT + MOOV[:-1], id="a moov that is cut"),
        pytest.param(FTYP + box("mdat", MEDIA, size=0) + MOOV, id="moov in an mdat to the end"),
        pytest.param(FTYP + box("free", b"abcd", size=7) + MOOV, id="size 7"),
        pytest.param(FTYP + box("free", size=2) + MOOV, id="size 2"),
        pytest.param(FTYP + box("\0\0\0\x10", b"moov" + bytes(8), size=4), id="size 4"),
        pytest.param(FTYP + long_box("free", size=15) + MOOV, id="64-bit size 15"),
        pytest.param(FTYP + long_box("free", size=0) + MOOV, id="64-bit size 0"),
        pytest.param(FTYP + long_box("mdat", size=2**64 - 1) + MOOV, id="a size that overflows"),
        pytest.param(FTYP + long_box("mdat", size=2**64 - len(FTYP)) + MOOV, id="a size around"),
        pytest.param(FTYP + long_box("mdat", size=2**63) + MOOV, id="a size that is negative in C"),
        pytest.param(FTYP + b"\0\0\0\1mdat\0\0\0\0\0\0", id="a 64-bit size that is cut"),
        pytest.param(box("junk", b"x") + MOOV, id="no MP4 file"),
        pytest.param(b"<!DOCTYPE html>" + MOOV, id="a page"),
        pytest.param(box("styp", b"msdh") + SIDX + MOOF + MDAT + MOOV, id="a segment of a stream"),
    ],
)
def test_no_index_is_found(content: bytes) -> None:
    assert index_of(content, "mp4") is None


def test_a_file_that_begins_otherwise_costs_one_look() -> None:
    content = random.Random(2).randbytes(1 << 16)
    assert list(looks(IndexSearch(len(content), "mp4"), content)) == [Span(0, 16)]


def test_more_boxes_than_looks_end_the_search() -> None:
    many = FTYP + box("free") * 100_000 + MOOV
    search = IndexSearch(len(many), "mp4")
    assert len(list(looks(search, many))) == MAX_LOOKS
    assert search.found is None
    few = FTYP + box("free") * (MAX_LOOKS - 2) + MOOV
    assert index_of(few, "mp4") == MOOV


def test_each_sidx_right_behind_moov_belongs_to_it() -> None:
    content = FTYP + MOOV + SIDX + SIDX + MOOF + MDAT + SIDX + MOOF + MDAT
    assert index_of(content, "mp4") == MOOV + SIDX + SIDX


def test_a_sidx_further_on_does_not() -> None:
    assert index_of(FTYP + MOOV + MOOF + MDAT + SIDX + MOOF + MDAT, "mp4") == MOOV


def test_a_sidx_that_is_cut_does_not() -> None:
    assert index_of(FTYP + MOOV + SIDX[:-1], "mp4") == MOOV


@pytest.mark.parametrize("first", ["moof", "styp", "prft", "emsg"])
def test_a_fragmented_file_has_a_second_index_at_its_end(first: str) -> None:
    tail = mfra(box("tfra", bytes(60)))
    content = FTYP + MOOV + SIDX + box(first, bytes(20)) + MOOF + MDAT + tail
    search = searched(content, "mp4")
    assert search.found == Span(len(FTYP), len(FTYP + MOOV + SIDX))
    assert search.trailer == Span(len(content) - len(tail), len(content))


def test_a_file_that_is_not_fragmented_is_not_asked_for_its_end() -> None:
    content = FTYP + MOOV + MDAT + mfra(b"")
    search = IndexSearch(len(content), "mp4")
    assert max(want.stop for want in looks(search, content)) <= len(FTYP + MOOV) + 16
    assert search.trailer is None


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"", id="no mfra"),
        pytest.param(mfra(b"")[:-1], id="cut"),
        pytest.param(mfra(b"") + b"\0", id="not at the end"),
        pytest.param(box("mfra", box("mfro", bytes(8))), id="a size of 0"),
        pytest.param(box("mfra", box("mfro", bytes(4) + b"\xff" * 4)), id="larger than the file"),
        pytest.param(box("free", mfra(b"")[8:]), id="mfro without mfra"),
        pytest.param(box("mfra", mfra(b"")[8:], size=20), id="an mfra that ends before mfro"),
        pytest.param(
            box("mfra", bytes(9) + box("mfro", bytes(7) + b"\x18")), id="mfra of another size"
        ),
    ],
)
def test_a_wrong_end_leaves_the_index_found(tail: bytes) -> None:
    search = searched(FTYP + MOOV + MOOF + MDAT + tail, "mp4")
    assert search.found == Span(len(FTYP), len(FTYP + MOOV))
    assert search.trailer is None


def test_an_mfra_that_would_reach_back_over_moov_is_none() -> None:
    # What a box of moov holds is the header of an mfra that would go from there to the end.
    behind = MOOF + MDAT
    size = 8 + len(behind) + 16
    moov = box("moov", box("free", box("mfra", size=size)))
    content = FTYP + moov + behind + box("mfro", bytes(4) + size.to_bytes(4))
    search = searched(content, "mp4")
    assert (search.found, search.trailer) == (Span(len(FTYP), len(FTYP + moov)), None)
