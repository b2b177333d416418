"""Pages in memory or not, and disks that fail."""

import errno
import os
from pathlib import Path

import pytest

from aprp.cache import pages
from aprp.cache.extent import HEADER, Extent
from aprp.cache.pages import OpenFile
from tests.cache.bytes_of import SLICE, content, fill, new_extent, open_extent, path_of


def drop(path: Path) -> None:
    """Have the kernel forget the pages of a file that are clean and not mapped."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold(directory: Path) -> Extent:
    """Store an extent of four slices, and open it when none of its pages is in memory."""
    extent = new_extent(directory, 4 * SLICE)
    fill(extent, 0, 1, 2, 3)
    os.fsync(extent.fd)
    del extent
    drop(path_of(directory))
    found = open_extent(directory)
    if found.resident(0, found.size):
        pytest.skip("the pages of this file system are always in memory")
    return found


def test_what_was_just_written_is_in_memory(tmp_path: Path) -> None:
    extent = new_extent(tmp_path, 64 << 20, 1 << 20)
    extent.data[: 2 << 20] = bytes(2 << 20)
    assert extent.resident(0, 2 << 20)
    assert extent.resident(100, 101)
    # Nothing was written there, and it is further off than the kernel reads ahead.
    assert not extent.resident(63 << 20, 64 << 20)
    assert not extent.resident(0, extent.size)


def test_large_stretches_are_asked_for_in_parts(tmp_path: Path) -> None:
    size = 40 << 20
    extent = new_extent(tmp_path, size, 1 << 20)
    extent.data[:] = bytes(size)
    assert extent.resident(0, size)
    assert extent.resident(4095, size - 1)


def test_loading_brings_the_bytes_and_no_others(tmp_path: Path) -> None:
    extent = cold(tmp_path)
    assert not extent.resident(SLICE, SLICE + 1)
    extent.load(3 * SLICE, 4 * SLICE)
    assert extent.resident(3 * SLICE, 4 * SLICE)
    extent.load(5, 4 * SLICE - 5)
    assert extent.resident(5, 4 * SLICE - 5)
    assert bytes(extent.data) == content(4 * SLICE)


def test_loading_without_the_help_of_newer_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extent = cold(tmp_path)
    monkeypatch.setattr(pages, "populate", lambda address, length: False)
    extent.load(7, 4 * SLICE)
    assert extent.resident(7, 4 * SLICE)


def test_verifying_reads_from_the_disk(tmp_path: Path) -> None:
    extent = cold(tmp_path)
    assert all(extent.verify(n) for n in range(4))


def test_a_file_cut_short_under_our_hands_is_an_error_and_no_signal(tmp_path: Path) -> None:
    extent = new_extent(tmp_path, 4 * SLICE)
    fill(extent, 0, 1)
    os.truncate(extent.path, HEADER + SLICE)
    extent.load(0, SLICE)
    with pytest.raises(OSError, match="cut short") as raised:
        extent.load(0, 2 * SLICE)
    assert raised.value.errno == errno.EIO
    assert extent.verify(0)
    assert not extent.verify(1)


def test_a_slice_that_cannot_be_read_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(code: int) -> None:
        def preadv(*_: object) -> int:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "preadv", preadv)

    extent = new_extent(tmp_path)
    fill(extent, 0)
    fail(errno.ENOMEM)
    with pytest.raises(OSError, match="memory"):
        extent.verify(0)
    assert extent.holds(0)
    fail(errno.EIO)
    assert not extent.verify(0)
    assert not extent.stored(0)


def test_what_was_written_out_is_clean(tmp_path: Path) -> None:
    cold(tmp_path / "other")
    extent = new_extent(tmp_path, 4 * SLICE)
    fill(extent, 0, 1, 2, 3)
    extent.write_out(0, 4 * SLICE)
    assert extent.holds(3)
    del extent
    drop(path_of(tmp_path))
    # Dirty pages would be there still.
    found = open_extent(tmp_path)
    assert not any(found.resident(n * SLICE, (n + 1) * SLICE) for n in range(4))
    assert bytes(found.data) == content(4 * SLICE)


def test_slices_that_cannot_be_written_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int, start: int, length: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    extent = new_extent(tmp_path)
    fill(extent, 0, 1, 2, 3)
    monkeypatch.setattr(pages, "write_out", fail)
    with pytest.raises(OSError, match="error"):
        extent.write_out(SLICE + 5, 2 * SLICE + 1)
    assert [extent.stored(n) for n in range(4)] == [True, False, False, True]


@pytest.mark.parametrize("missing", [False, True])
def test_errors_of_writing_are_told(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    if missing:
        monkeypatch.setattr(pages, "_libc", object())
    reading, writing = os.pipe()
    try:
        # A pipe has no pages to write: the call is not for it, and neither is its substitute.
        with pytest.raises(OSError, match="argument"):
            pages._sync_file_range()(writing, 0, 10)
    finally:
        os.close(reading)
        os.close(writing)
    with pytest.raises(OSError, match="descriptor"):
        pages._sync_file_range()(writing, 0, 10)


def test_what_cannot_be_mapped_is_told() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(OSError, match="cannot be mapped"):
        pages.map_file(OpenFile(reading), 4096)


def test_pages_that_are_not_ours_are_an_error() -> None:
    with pytest.raises(OSError, match="which pages"):
        pages.resident(0x1000, 0x2000)


def test_what_was_seen_in_memory_is_believed_to_be_there_for_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extent = cold(tmp_path)
    # Pages that are mapped are not dropped.
    monkeypatch.setattr(pages, "populate", lambda address, length: False)
    assert not extent.at_hand(SLICE, SLICE + 100, 10.0)
    extent.load(SLICE, 2 * SLICE)
    assert extent.at_hand(SLICE, SLICE + 100, 10.0)
    drop(path_of(tmp_path))
    assert not extent.resident(SLICE, 2 * SLICE)
    assert extent.at_hand(SLICE, SLICE + 100, 10.9)
    assert not extent.at_hand(SLICE - 1, SLICE + 100, 10.9)
    assert not extent.at_hand(SLICE, SLICE + 100, 11.1)


def test_a_slice_of_which_a_part_is_in_memory_is_not_remembered(tmp_path: Path) -> None:
    extent = cold(tmp_path)
    extent.load(0, 4096)
    assert extent.at_hand(0, 4096, 10.0)
    assert not extent.at_hand(3 * SLICE, 4 * SLICE, 10.0)
    assert not extent.at_hand(0, 4 * SLICE, 10.0)
