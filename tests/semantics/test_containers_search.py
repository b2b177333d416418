"""The search as such: how it is fed, that it ends, and which files it is for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.containers import MAX_LOOKS, IndexSearch, Kind, kind_of
from aprp.semantics.ranges import Span
from tests.semantics.boxes import (
    CLUSTER,
    CUES,
    EBML,
    FTYP,
    HEADER,
    SEEK_HEAD,
    SEGMENT,
    UNKNOWN,
    VOID,
    box,
    element,
    long_box,
    mfra,
    seek_head,
    sized,
)

KINDS: tuple[Kind, ...] = ("mp4", "webm")
MEDIA = random.Random(1).randbytes(3000)
MP4 = FTYP + box("mdat", MEDIA) + box("moov", bytes(99))
CLUSTERS = element(CLUSTER, MEDIA)
WEBM = HEADER + element(
    SEGMENT,
    seek_head((CUES, len(seek_head((CUES, 0))) + len(CLUSTERS))) + CLUSTERS + element(CUES, b"c"),
)
INDEXED: list[tuple[bytes, Kind, Span]] = [
    (MP4, "mp4", Span(len(MP4) - 107, len(MP4))),
    (WEBM, "webm", Span(len(WEBM) - 6, len(WEBM))),
]


@pytest.mark.parametrize(("content", "kind", "place"), INDEXED, ids=KINDS)
def test_bytes_may_come_one_by_one(content: bytes, kind: Kind, place: Span) -> None:
    search = IndexSearch(len(content), kind)
    while (want := search.needs()) is not None:
        search.feed(want.start, content[want.start : want.start + 1])
        rest = search.needs()
        assert rest is None or rest != want
    assert search.found == place


@pytest.mark.parametrize(("content", "kind", "place"), INDEXED, ids=KINDS)
def test_the_whole_file_at_once_is_enough(content: bytes, kind: Kind, place: Span) -> None:
    search = IndexSearch(len(content), kind)
    search.feed(0, memoryview(content))
    assert search.done
    assert search.needs() is None
    assert search.found == place


@pytest.mark.parametrize(("content", "kind", "place"), INDEXED, ids=KINDS)
def test_slices_around_what_is_wanted_will_do(content: bytes, kind: Kind, place: Span) -> None:
    search = IndexSearch(len(content), kind)
    fed = []
    while (want := search.needs()) is not None:
        start = want.start // 512 * 512
        search.feed(start, content[start : start + 512])
        fed.append(start // 512)
    assert search.found == place
    # The slice of the front and that of the index, and the one that a header may reach into.
    assert len(fed) == len(set(fed)) <= 3


def test_bytes_behind_or_before_those_wanted_change_nothing() -> None:
    search = IndexSearch(len(MP4), "mp4")
    want = search.needs()
    assert want == Span(0, 16)
    search.feed(1, MP4[1:])
    assert search.needs() == want
    search.feed(0, MP4[:20])
    after = search.needs()
    assert after is not None
    search.feed(0, MP4[: after.start])
    assert search.needs() == after


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_never_come_end_the_search(kind: Kind) -> None:
    search = IndexSearch(1000, kind)
    for _ in range(MAX_LOOKS):
        search.feed(0, b"")
    assert search.done
    assert search.found is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_that_is_done_takes_no_notice(kind: Kind) -> None:
    search = IndexSearch(0, kind)
    assert search.done
    assert search.needs() is None
    search.feed(0, MP4)
    assert (search.done, search.found, search.trailer) == (True, None, None)


def test_what_is_found_is_there_before_the_search_is_done() -> None:
    moov = box("moov", bytes(100))
    content = FTYP + moov + box("moof") + mfra(b"")
    search = IndexSearch(len(content), "mp4")
    search.feed(0, content[: len(FTYP + moov) + 16])
    assert not search.done
    assert search.found == Span(len(FTYP), len(FTYP + moov))


NUMBERS = st.one_of(st.integers(0, 40), st.sampled_from([2**31, 2**32 - 1, 2**63, 2**64 - 1]))
BODIES = st.binary(max_size=40)
BOX_KINDS = st.sampled_from(
    ["ftyp", "free", "mdat", "moov", "moof", "sidx", "mfra", "mfro", "uuid", "styp"]
)
BOXES = st.one_of(
    st.builds(box, BOX_KINDS, BODIES, st.none() | st.integers(0, 60)),
    st.builds(long_box, BOX_KINDS, BODIES, st.none() | NUMBERS),
    st.builds(mfra, BODIES),
)
IDENTS = st.sampled_from([EBML, SEGMENT, SEEK_HEAD, CUES, CLUSTER, VOID])
SIZES = st.one_of(
    st.none(), st.just(UNKNOWN), st.builds(sized, st.integers(0, 60)), st.just(sized(2**56 - 2))
)
ELEMENTS = st.one_of(
    st.builds(element, IDENTS, BODIES, SIZES),
    st.lists(st.tuples(IDENTS, NUMBERS), max_size=9).map(lambda entries: seek_head(*entries)),
)
SEGMENTS = st.builds(
    lambda elements, size: HEADER + element(SEGMENT, b"".join(elements), size),
    st.lists(ELEMENTS, max_size=9),
    SIZES,
)
FILES = st.one_of(
    st.binary(max_size=300),
    st.lists(BOXES, max_size=9).map(lambda boxes: FTYP + b"".join(boxes)),
    SEGMENTS,
    st.tuples(SEGMENTS, st.integers(0, 100)).map(lambda cut: cut[0][: -cut[1] or None]),
)


@given(content=FILES, kind=st.sampled_from(KINDS), data=st.data())
def test_whatever_the_bytes_it_ends_and_asks_within_the_file(
    content: bytes, kind: Kind, data: st.DataObject
) -> None:
    """Fed with any part of what is wanted, and with bytes around it."""
    search = IndexSearch(len(content), kind)
    while (want := search.needs()) is not None:
        assert 0 <= want.start < want.stop <= len(content)
        assert want.length <= 4096
        start = data.draw(st.integers(max(want.start - 9, 0), want.start))
        stop = data.draw(st.integers(want.start + 1, min(want.stop + 40, len(content) + 5)))
        search.feed(start, content[start:stop])
        assert search.needs() != want
    assert search.done
    for place in (search.found, search.trailer):
        assert place is None or 0 <= place.start < place.stop <= len(content)


@given(content=FILES, kind=st.sampled_from(KINDS), size=st.integers(1, 64))
def test_how_it_is_fed_makes_no_difference(content: bytes, kind: Kind, size: int) -> None:
    exact, sliced = IndexSearch(len(content), kind), IndexSearch(len(content), kind)
    while (want := exact.needs()) is not None:
        exact.feed(want.start, content[want.start : want.stop])
    while (want := sliced.needs()) is not None:
        start = want.start // size * size
        sliced.feed(start, content[start : start + size])
    assert (exact.found, exact.trailer) == (sliced.found, sliced.trailer)


@given(
    length=st.integers(-1, 2**70),
    kind=st.sampled_from(KINDS),
    start=st.integers(-(2**70), 2**70),
    piece=st.binary(max_size=64),
)
def test_whatever_is_fed_from_wherever_the_search_ends(
    length: int, kind: Kind, start: int, piece: bytes
) -> None:
    search = IndexSearch(length, kind)
    fed = 0
    while not search.done:
        search.feed(start, piece)
        fed += 1
        assert fed <= MAX_LOOKS * (1 + 4096)


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), length=st.integers(1, 2**64))
def test_a_file_that_answers_anything_gets_few_questions(
    kind: Kind, seed: int, length: int
) -> None:
    """An origin that makes its bytes up on the way, most of them to the search's liking."""
    made = random.Random(seed)
    pieces = [FTYP, HEADER, WEBM[:60], box("free", b"x" * 8), long_box("mdat", size=1 << 40)]
    pieces += [element(SEEK_HEAD, bytes(20)), seek_head((CUES, 9), (SEEK_HEAD, 2**40)), b"\xff" * 9]
    search = IndexSearch(length, kind)
    looks = 0
    while (want := search.needs()) is not None:
        assert 0 <= want.start < want.stop <= length
        search.feed(want.start, (made.choice(pieces) * 200 + bytes(4096))[: want.length])
        looks += 1
    assert looks <= MAX_LOOKS


@pytest.mark.parametrize(
    ("content_type", "path", "expected"),
    [
        ("video/mp4", "/film", "mp4"),
        ("audio/mp4", "/film", "mp4"),
        ("video/quicktime", "/film", "mp4"),
        ("video/x-m4v", "/film", "mp4"),
        ("audio/x-m4a", "/film", "mp4"),
        ('Video/MP4; codecs="avc1.42E01E"', "/film", "mp4"),
        (" video/mp4 ;x=y", "/film", "mp4"),
        ("video/webm", "/film", "webm"),
        ("audio/webm", "/film", "webm"),
        ("video/x-matroska", "/film", "webm"),
        ("video/matroska", "/film", "webm"),
        ("audio/x-matroska", "/film", "webm"),
        (None, "/film.mp4", "mp4"),
        (None, "/a/film.M4V", "mp4"),
        (None, "song.m4a", "mp4"),
        (None, "/film.mov", "mp4"),
        (None, "/film.webm", "webm"),
        (None, "/film.mkv", "webm"),
        (None, "/song.mka", "webm"),
        (None, "/film.mp4?token=a/b.txt", "mp4"),
        ("application/octet-stream", "/film.mkv", "webm"),
        ("", "/film.mp4", "mp4"),
        ("video/webm", "/film.mp4", "webm"),
        (None, "/film", None),
        (None, "", None),
        (None, "/mp4", None),
        (None, "/film.mp4/part", None),
        (None, "/film.mp4.m3u8", None),
        (None, "/film.mp4x", None),
        ("video/mp2t", "/film.ts", None),
        ("text/html", "/", None),
        ("video/mp4x", "/film", None),
    ],
)
def test_the_kind_of_a_file(content_type: str | None, path: str, expected: Kind | None) -> None:
    assert kind_of(content_type, path) == expected


@given(st.none() | st.text(), st.text())
def test_any_type_and_path_have_a_kind_or_none(content_type: str | None, path: str) -> None:
    assert kind_of(content_type, path) in (*KINDS, None)
