"""Disks that are full, and files that may not grow."""

import errno
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aprp.cache.extent import HEADER
from aprp.cache.leases import Leases
from aprp.cache.state import State
from tests.cache.bytes_of import NOW, SLICE, fill, new_extent, open_extent, path_of
from tests.cache.children import Child, Connection

ROOM = 512 << 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a mebibyte."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"file systems cannot be mounted here: {error}")
    yield place
    # Lazily: errors that a test has caught keep its extents for a while.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_up(directory: Path) -> None:
    with pytest.raises(OSError, match="space"), (directory / "rest").open("wb", 0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_told_when_slices_are_allocated(small_disk: Path) -> None:
    extent = new_extent(small_disk)
    used = extent.allocate(0, 3)
    fill(extent, 0, 1, 2)
    with pytest.raises(OSError) as raised:
        extent.allocate(3, 10)
    assert raised.value.errno == errno.ENOSPC
    # What was stored before is as it was, and what was allocated in vain is told sooner or later.
    assert [n for n in range(64) if extent.holds(n)] == [0, 1, 2]
    assert extent.counted == used
    used += extent.allocate(3, 1)
    assert used == extent.path.stat().st_blocks * 512 == extent.discard()
    again = new_extent(small_disk)
    assert again.allocate(0, 3) == 3 * SLICE + HEADER


def test_a_full_disk_is_told_when_an_extent_is_made(small_disk: Path) -> None:
    path_of(small_disk).parent.mkdir(parents=True)
    fill_up(small_disk)
    with pytest.raises(OSError) as raised:
        new_extent(small_disk)
    assert raised.value.errno == errno.ENOSPC
    assert list(path_of(small_disk).parent.iterdir()) == []


def test_a_full_disk_is_told_when_the_state_is_made(small_disk: Path) -> None:
    fill_up(small_disk)
    with pytest.raises(OSError) as raised:
        State(small_disk / "state")
    assert raised.value.errno == errno.ENOSPC
    # Leases need no room.
    assert Leases(small_disk / "leases").take(1)


def with_a_limit(pipe: Connection, directory: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER + 2 * SLICE, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    extent = open_extent(directory)
    found = []
    for first, count in ((0, 2), (2, 1), (1, 2)):
        try:
            found.append(extent.allocate(first, count))
        except OSError as error:
            found.append(-(error.errno or 0))
    try:
        new_extent(directory / "other", boot=NOW)
    except OSError as error:
        found.append(-(error.errno or 0))
    pipe.send(found)


def test_a_limit_on_files_is_told(tmp_path: Path) -> None:
    extent = new_extent(tmp_path)
    with Child(with_a_limit, tmp_path) as child:
        first, *others = child.hear()
    assert first >= 2 * SLICE
    # The file has its full size already, so some file systems let its holes be filled.
    assert others[-1] == -errno.EFBIG
    assert all(other == -errno.EFBIG or other >= 0 for other in others)
    assert extent.counted == first + sum(other for other in others if other > 0)
    assert list((tmp_path / "other").rglob("*.new")) == []
