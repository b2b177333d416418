"""How often each slice was given to clients: in the header, by all processes, as long as it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.extent import Extent, extent_path
from aprp.cache.header import HEADER, HEAT, SLICES
from aprp.cache.survey import NOTHING, look
from aprp.cache.words import Words
from tests.cache.bytes_of import content
from tests.stats.forks import ended, in_worker

SLICE = 4096
SIZE = SLICES * SLICE


def extent(directory: Path, size: int = SIZE) -> Extent:
    return Extent.create(extent_path(directory, 1, 0), 1, 0, SLICE, size)


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)), max_size=20))
def test_bytes_are_spread_over_their_slices(views: list[tuple[int, int]]) -> None:
    page = memoryview(bytearray(HEADER))
    before = bytes(page)
    words = Words(page, SLICE, SIZE, 1)
    expected = [0] * SLICES
    for offset, count in views:
        stop = min(offset + count, SIZE)
        words.watch(offset, stop)
        for n in range(SLICES):
            expected[n] += max(0, min(stop, (n + 1) * SLICE) - max(offset, n * SLICE))
    assert words.heat() == expected
    # Nothing else of the page is written.
    begin, end = 8 * HEAT, 8 * (HEAT + SLICES)
    assert bytes(page[:begin]) + bytes(page[end:]) == before[:begin] + before[end:]


def test_it_survives_the_process_and_not_the_extent(tmp_path: Path) -> None:
    def work() -> None:
        first = extent(tmp_path)
        first.watch(0, 10)
        first.watch(SLICE - 1, SLICE + 1)

    for _ in range(2):
        assert ended(in_worker(work)) == 0
    again = extent(tmp_path)
    assert again.heat()[:3] == [22, 2, 0]
    # Another boot of the machine changes nothing.
    other = Extent.open(again.path, boot=5)
    assert other is not None and other.heat() == again.heat()
    again.discard()
    assert extent(tmp_path).heat() == [0] * SLICES


def test_it_stays_where_a_slice_is_dropped(tmp_path: Path) -> None:
    found = extent(tmp_path)
    found.watch(0, 5)
    found.forget(0)
    found.begin(0)
    assert found.heat()[0] == 5


def test_an_extent_of_before_is_cold_and_whole(tmp_path: Path) -> None:
    # The page as versions without heat wrote it: what is behind the checksums was zero.
    found = extent(tmp_path)
    found.data[:SLICE] = content(SLICE)
    found.complete(0)
    raw = found.path.read_bytes()
    assert raw[8 * HEAT : HEADER] == bytes(HEADER - 8 * HEAT)
    again = Extent.open(found.path)
    assert again is not None and again.holds(0)
    assert again.heat() == [0] * SLICES


def test_a_damaged_count_begins_anew(tmp_path: Path) -> None:
    found = extent(tmp_path)
    found._words[HEAT] = (1 << 64) - 1
    found.watch(0, 3)
    assert found.heat()[0] == 2


def test_a_look_at_the_file(tmp_path: Path) -> None:
    found = extent(tmp_path, 2 * SLICE + 10)
    found.data[: SLICE + 7] = content(SLICE + 7)
    found.complete(0)
    found.grow(1, 7)
    found.watch(0, 2 * SLICE)
    found.touch(1234.9)
    seen = look(found.path)
    assert seen.stored[:4] == (SLICE, 7, 0, 0)
    assert seen.heat[:4] == (SLICE, SLICE, 0, 0)
    assert (seen.slice_size, seen.last_used) == (SLICE, 1234)
    assert look(tmp_path / "nothing") == NOTHING
    found.path.write_bytes(b"junk")
    assert look(found.path) == NOTHING
