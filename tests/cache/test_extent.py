"""One extent in one process: bytes, checksums, its file, and what is left of it."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.extent import HEADER, Extent, extent_path
from tests.cache.bytes_of import (
    LATER,
    NOW,
    SLICE,
    VERSION,
    content,
    fill,
    new_extent,
    no_wrong_byte,
    open_extent,
    path_of,
    readable,
)
from tests.stats.forks import ended, in_worker

SHORT = 3 * SLICE + 1000


def mappings(path: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(path))


def descriptors(path: Path) -> int:
    file = path.stat()
    open_ones = [int(link.name) for link in Path("/proc/self/fd").iterdir() if link.exists()]
    return sum(os.path.samestat(os.fstat(number), file) for number in open_ones)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "extents").rglob("*") if path.is_file())


def test_a_new_extent_holds_nothing(tmp_path: Path) -> None:
    extent = new_extent(tmp_path, SHORT)
    assert (extent.version, extent.number, extent.start) == (VERSION, 0, 0)
    assert (extent.size, extent.slice_size, len(extent.data)) == (SHORT, SLICE, SHORT)
    assert readable(extent) == {}
    assert (extent.gone, extent.closed, extent.counted, extent.last_used) == (False, False, 0, 0)
    assert extent.path.stat().st_size == HEADER + SHORT
    assert os.fstat(extent.fd).st_ino == extent.path.stat().st_ino
    assert names(tmp_path) == [f"{VERSION:016x}.0"]


def test_the_place_of_an_extent_in_its_object(tmp_path: Path) -> None:
    path = extent_path(tmp_path, VERSION, 5)
    extent = Extent.create(path, VERSION, 5, SLICE, 1)
    assert extent.start == 5 * 64 * SLICE


def test_what_is_stored_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    fill(new_extent(tmp_path, SHORT), 0, 1, 3)
    extent = open_extent(tmp_path)
    data = content(SHORT)
    assert readable(extent) == {0: data[: 2 * SLICE], 3 * SLICE: data[3 * SLICE :]}
    assert [extent.holds(n) for n in range(4)] == [True, True, False, True]
    assert extent.filled(3) == extent.length(3) == 1000


@pytest.mark.parametrize("slice_size", [64 << 10, 1 << 20, 16 << 20])
def test_slice_sizes(tmp_path: Path, slice_size: int) -> None:
    # The last of them is an extent of a gibibyte, of which three slices are written.
    extent = new_extent(tmp_path, 64 * slice_size - 5, slice_size)
    for n in (0, 1, 63):
        place = n * slice_size
        end = place + extent.length(n)
        extent.data[place:end] = bytes([n + 1]) * (end - place)
        extent.complete(n)
    assert extent.run(5, extent.size) == 2 * slice_size
    assert extent.run(63 * slice_size, extent.size) == extent.size == 64 * slice_size - 5
    later = open_extent(tmp_path, LATER)
    assert [n for n in range(64) if later.verify(n)] == [0, 1, 63]
    assert later.run(5, extent.size) == 2 * slice_size


def test_after_a_reboot_nothing_is_read_before_it_is_verified(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    fill(extent, 0, 1, 2)
    extent.grow(3, 500)
    later = open_extent(tmp_path, LATER)
    assert readable(later) == {}
    assert [later.stored(n) for n in range(4)] == [True, True, True, False]
    assert [later.filled(n) for n in range(4)] == [0, 0, 0, 0]
    assert later.verify(1)
    assert later.holds(1)
    assert readable(later) == {SLICE: content()[SLICE : 2 * SLICE]}
    # An unfinished slice cannot be verified: nothing tells which of its bytes were lost.
    assert not later.verify(3)


@given(slot=st.integers(0, 3), place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_wrong_byte_is_found_after_a_reboot(
    tmp_path_factory: pytest.TempPathFactory, slot: int, place: float, bit: int
) -> None:
    directory = tmp_path_factory.mktemp("cache")
    extent = new_extent(directory, SHORT)
    fill(extent, 0, 1, 2, 3)
    extent.data[slot * SLICE + int(place * extent.length(slot))] ^= 1 << bit
    later = open_extent(directory, LATER)
    assert [later.verify(n) for n in range(4)] == [n != slot for n in range(4)]
    assert not later.stored(slot)
    assert no_wrong_byte(later, content(SHORT))
    # And it stays forgotten, for all.
    assert not open_extent(directory, NOW).holds(slot)
    extent.discard()


@given(words=st.lists(st.tuples(st.integers(5, HEADER // 8 - 1), st.integers(0, 2**64 - 1))))
def test_whatever_a_loss_of_power_leaves_of_the_header_no_wrong_byte_is_read(
    tmp_path_factory: pytest.TempPathFactory, words: list[tuple[int, int]]
) -> None:
    directory = tmp_path_factory.mktemp("cache")
    extent = new_extent(directory, SHORT)
    fill(extent, 0, 1)
    extent.data[0] ^= 1
    with extent.path.open("r+b") as file:
        for n, value in words:
            file.seek(8 * n)
            file.write(value.to_bytes(8, "little"))
    later = Extent.open(extent.path, boot=LATER)
    if later is not None:
        for n in range(4):
            later.verify(n)
        assert no_wrong_byte(later, content(SHORT))
    extent.discard()


def test_a_slice_of_another_boot_is_written_anew(tmp_path: Path) -> None:
    fill(new_extent(tmp_path), 0)
    later = open_extent(tmp_path, LATER)
    later.grow(0, 10)
    assert not later.stored(0)
    assert readable(later) == {0: content()[:10]}
    fill(later, 0)
    assert later.holds(0)
    assert open_extent(tmp_path, NOW).verify(0)


def test_a_forgotten_slice_is_written_anew(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    fill(extent, 0)
    extent.forget(0)
    assert readable(extent) == {}
    fill(extent, 0)
    assert open_extent(tmp_path, LATER).verify(0)


def test_a_whole_slice_is_not_summed_up_again(tmp_path: Path) -> None:
    # Whoever completes it twice does not make a damaged slice right.
    extent = new_extent(tmp_path)
    fill(extent, 0)
    extent.data[5] ^= 1
    extent.complete(0)
    assert not extent.verify(0)


def test_an_object_that_ends_sooner_than_its_extent(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    extent.data[: SLICE + 77] = content()[: SLICE + 77]
    extent.complete(0)
    extent.complete(1, 77)
    assert extent.holds(1)
    assert extent.run(0, extent.size) == SLICE + 77
    later = open_extent(tmp_path, LATER)
    assert later.verify(0)
    assert later.verify(1)
    assert readable(later) == {0: content()[: SLICE + 77]}


@pytest.mark.parametrize(("n", "length"), [(0, 0), (0, SLICE + 1), (3, None), (4, None)])
def test_a_slice_without_bytes_is_not_completed(tmp_path: Path, n: int, length: int | None) -> None:
    extent = new_extent(tmp_path, 3 * SLICE)
    with pytest.raises(ValueError, match="bytes"):
        extent.complete(n, length)
    assert not extent.stored(0)


def test_views_outlive_the_extent(tmp_path: Path) -> None:
    extent = new_extent(tmp_path, SHORT)
    path = extent.path
    fill(extent, 0)
    view = extent.data[10:20]
    extent.close()
    assert descriptors(path) == 0
    assert bytes(view) == content(SHORT)[10:20]
    assert mappings(path) == 1
    del view
    assert mappings(path) == 0
    assert path.exists()


def test_a_closed_extent_is_gone_and_holds_nothing(tmp_path: Path) -> None:
    extent = new_extent(tmp_path, SHORT)
    fill(extent, 0)
    extent.close()
    extent.close()
    assert (extent.gone, extent.closed, extent.size, len(extent.data)) == (True, True, 0, 0)
    assert extent.run(0, 10) == 0
    assert not extent.holds(0)
    assert "closed" in repr(extent)
    assert not extent.verify(0)
    for call in (extent.discard, lambda: extent.load(0, 1), lambda: extent.fd):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(TypeError):
        extent.touch(5)
    again = open_extent(tmp_path)
    assert again.holds(0)
    assert not again.gone


def test_nothing_is_left_open(tmp_path: Path) -> None:
    """The garbage collector is not needed for it."""
    gc.disable()
    try:
        extent = new_extent(tmp_path, SHORT)
        path = extent.path
        assert (descriptors(path), mappings(path)) == (1, 1)
        for _ in range(20):
            assert open_extent(tmp_path).run(0, 1) == 0
        assert (descriptors(path), mappings(path)) == (1, 1)
        del extent
        assert (descriptors(path), mappings(path)) == (0, 0)
    finally:
        gc.enable()


def test_a_child_of_a_fork_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)

    def work() -> None:
        fill(extent, 1)
        extent.close()

    assert ended(in_worker(work)) == 0
    assert readable(extent) == {SLICE: content()[SLICE : 2 * SLICE]}
    fill(extent, 0)
    assert extent.verify(0)
    assert os.fstat(extent.fd).st_ino == extent.path.stat().st_ino


def test_there_is_no_extent(tmp_path: Path) -> None:
    assert Extent.open(path_of(tmp_path)) is None


@pytest.mark.parametrize("cut", [0, 1, 100, HEADER - 1, HEADER, HEADER + 1, HEADER + SHORT - 1])
def test_a_file_that_was_cut_short_is_removed(tmp_path: Path, cut: int) -> None:
    # Touching what its header promises would end the process with SIGBUS.
    extent = new_extent(tmp_path, SHORT)
    os.truncate(extent.path, cut)
    assert Extent.open(extent.path) is None
    assert not extent.path.exists()
    fill(new_extent(tmp_path, SHORT), 0)
    assert open_extent(tmp_path).holds(0)


def test_a_file_under_the_name_of_another_is_removed(tmp_path: Path) -> None:
    path = new_extent(tmp_path).path
    for other in (path.with_name(f"{VERSION:016x}.1"), path.with_name(f"{VERSION + 256:016x}.0")):
        os.link(path, other)
        assert Extent.open(other) is None
        assert not other.exists()
    assert open_extent(tmp_path).size == 64 * SLICE


def test_only_files_of_extents_are_touched(tmp_path: Path) -> None:
    other = tmp_path / "index.sqlite"
    other.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"index\.sqlite"):
        Extent.open(other)
    with pytest.raises(ValueError, match="name of extent"):
        Extent.create(path_of(tmp_path), VERSION, 1, SLICE, SLICE)
    assert other.exists()


def test_a_second_one_opens_what_the_first_made(tmp_path: Path) -> None:
    first = new_extent(tmp_path)
    fill(first, 0)
    # The object's length is known by now; its file may stay larger.
    second = new_extent(tmp_path, SHORT)
    assert second.holds(0)
    assert second.size == first.size
    assert not first.gone


@pytest.mark.parametrize(("slice_size", "size"), [(2 * SLICE, SHORT), (SLICE, SHORT + 1)])
def test_an_extent_of_other_sizes_is_in_the_way(tmp_path: Path, slice_size: int, size: int) -> None:
    extent = new_extent(tmp_path, SHORT)
    with pytest.raises(FileExistsError, match="discard it first"):
        new_extent(tmp_path, size, slice_size)
    extent.discard()
    assert new_extent(tmp_path, size, slice_size).size == size


def test_a_discarded_extent_is_gone_for_all(tmp_path: Path) -> None:
    extent, other = new_extent(tmp_path), open_extent(tmp_path)
    fill(extent, 0)
    allocated = extent.allocate(0, 2)
    assert other.discard() == allocated
    assert extent.gone
    assert Extent.open(extent.path) is None
    assert names(tmp_path) == []
    # Readers finish undisturbed.
    assert readable(extent) == {0: content()[:SLICE]}
    # Its bytes are given back once, and a new file of that name is none of its business.
    new = new_extent(tmp_path)
    assert extent.discard() == 0
    assert other.discard() == 0
    assert not new.gone
    assert names(tmp_path) == [new.path.name]
    with pytest.raises(FileNotFoundError, match="removed"):
        extent.allocate(2, 1)


def test_a_killed_discard_is_finished_by_whoever_comes_next(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    extent._words[8] = 1  # gone, but the file is still there
    assert Extent.open(extent.path) is None
    assert names(tmp_path) == []


def test_a_name_that_is_another_files_already_is_left(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    extent.path.unlink()  # by somebody's hand
    new = new_extent(tmp_path)
    assert extent.discard() == 0
    assert names(tmp_path) == [new.path.name]
    assert not new.gone


def test_a_file_that_cannot_be_removed_stays_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    extent = new_extent(tmp_path)
    fill(extent, 0)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(PermissionError):
            extent.discard()
    assert not extent.gone
    assert open_extent(tmp_path).holds(0)


def test_allocation_is_reported_once(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    first = extent.allocate(0, 2)
    # The header's page comes with the first.
    assert first >= 2 * SLICE + HEADER
    assert first == extent.path.stat().st_blocks * 512
    assert extent.allocate(0, 2) == 0
    more = open_extent(tmp_path).allocate(1, 2)
    assert more >= SLICE
    assert extent.counted == first + more == extent.discard()


def test_the_last_slice_is_allocated_no_further_than_the_data_goes(tmp_path: Path) -> None:
    extent = new_extent(tmp_path, SHORT)
    extent.allocate(2, 62)
    assert extent.path.stat().st_size == HEADER + SHORT


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (4, 1), (64, 1)])
def test_slices_that_there_are_not_are_not_allocated(
    tmp_path: Path, first: int, count: int
) -> None:
    with pytest.raises(ValueError, match="no slices"):
        new_extent(tmp_path, SHORT).allocate(first, count)


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    fill(extent, 0, 5)
    assert repr(extent) == f"<Extent {VERSION:016x}.0 open, 2 slices of 65536 bytes>"
    extent.discard()
    assert "gone" in repr(extent)


def test_the_boot_of_the_machine_is_taken_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(new_extent(tmp_path, boot=None), 0)
    assert open_extent(tmp_path, boot=None).holds(0)
    monkeypatch.setattr("aprp.cache.extent.boot_tag", lambda: LATER)
    assert not open_extent(tmp_path, boot=None).holds(0)
