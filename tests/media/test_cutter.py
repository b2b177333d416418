"""Cutting a stream gives what slicing the whole gives, however the stream is split."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.media.cutter import Cut, Cutter

DATA = bytes(range(100))


def cut(cuts: list[Cut], *pieces: bytes) -> tuple[bytes, bool]:
    """Feed pieces; gives everything that is to be sent, and whether it is complete."""
    cutter = Cutter(cuts)
    given = [bytes(part) for piece in pieces for part in cutter.feed(memoryview(piece))]
    assert cutter.position == sum(map(len, pieces))
    return b"".join(given), cutter.done


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ([Cut(0, 100)], DATA),
        ([Cut(0, 1)], DATA[:1]),
        ([Cut(99, 100)], DATA[99:]),
        ([Cut(10, 20)], DATA[10:20]),
        ([Cut(0, 10), Cut(10, 20)], DATA[:20]),
        (
            [Cut(0, 10, b"<"), Cut(10, 20, b"|"), Cut(90, 100, b">")],
            b"<" + DATA[:10] + b"|" + DATA[10:20] + b">" + DATA[90:],
        ),
        ([], b""),
    ],
)
def test_in_one_piece_and_byte_by_byte(cuts: list[Cut], expected: bytes) -> None:
    assert cut(cuts, DATA) == (expected, True)
    assert cut(cuts, *(DATA[i : i + 1] for i in range(100))) == (expected, True)


def test_done_with_the_last_byte_and_not_before() -> None:
    cutter = Cutter([Cut(10, 20, b"<"), Cut(30, 40, b">")])
    told = []
    for i in range(100):
        sent = b"".join(map(bytes, cutter.feed(memoryview(DATA)[i : i + 1])))
        told.append((sent, cutter.done))
    assert told[9:11] == [(b"", False), (b"<\x0a", False)]
    assert told[19:21] == [(b"\x13", False), (b"", False)]
    assert told[30] == (b">\x1e", False)
    assert told[38:41] == [(b"\x26", False), (b"\x27", True), (b"", True)]
    assert told[99] == (b"", True)


def test_nothing_is_done_of_a_stream_that_ends_early() -> None:
    assert cut([Cut(10, 20, b"<")], DATA[:10]) == (b"", False)
    assert cut([Cut(10, 20, b"<")], DATA[:19]) == (b"<" + DATA[10:19], False)


def test_an_empty_piece_changes_nothing() -> None:
    pieces = [b"", DATA[:10], b"", DATA[10:15], b"", DATA[15:], b""]
    assert cut([Cut(10, 20, b"<")], *pieces) == (b"<" + DATA[10:20], True)


def test_bytes_are_not_copied() -> None:
    stream = memoryview(bytearray(DATA))
    (piece,) = Cutter([Cut(10, 20)]).feed(stream)
    stream[10] = 200
    assert isinstance(piece, memoryview)
    assert piece.obj is stream.obj
    assert piece[0] == 200


@st.composite
def cuts_of(draw: st.DrawFn, length: int) -> list[Cut]:
    """Ascending cuts that do not overlap, none empty, some of them touching."""
    places = draw(st.lists(st.integers(0, length), max_size=10).map(lambda p: sorted(set(p))))
    prefixes = st.binary(max_size=3)
    return [Cut(a, b, draw(prefixes)) for a, b in pairwise(places) if draw(st.booleans())]


@given(st.data(), st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10))
def test_any_cuts_in_any_split_are_slices_with_prefixes(
    data: st.DataObject, stream: bytes, splits: list[int]
) -> None:
    cuts = data.draw(cuts_of(len(stream)))
    places = sorted([0, len(stream), *(place % (len(stream) + 1) for place in splits)])
    pieces = [stream[a:b] for a, b in pairwise(places)]
    expected = b"".join(c.prefix + stream[c.start : c.stop] for c in cuts)
    assert cut(cuts, *pieces) == (expected, True)
