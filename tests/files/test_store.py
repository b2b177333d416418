"""What is in the store, and what is removed from it."""

import os
import time
from pathlib import Path

import pytest

from aprp.files import errors
from aprp.files.parts import PartialUpload
from tests.files.stores import BYTES, begin, left_behind, make_store, send


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(bytes(number))
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "deep.mp4").write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "1.mp4")
    os.mkfifo(tmp_path / "pipe")
    # A name that is not UTF-8 cannot be asked for.
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")).write_bytes(b"x")
    return tmp_path


def test_listing_by_name(filled: Path) -> None:
    store = make_store(filled)
    listing = store.list(0, 10)
    assert [file.name for file in listing.files] == [f"{number}.mp4" for number in range(5)]
    assert [file.size for file in listing.files] == [0, 1, 2, 3, 4]
    assert {file.type for file in listing.files} == {"video/mp4"}
    assert abs(listing.files[0].modified - time.time()) < 60
    assert listing.total == 5
    page = store.list(3, 1)
    assert [file.name for file in page.files] == ["3.mp4"] and page.total == 5
    assert store.list(5, 10).files == ()


@pytest.mark.parametrize("name", ["no.mp4", ".hidden", "films", "link.mp4", "pipe"])
def test_what_is_no_file_of_the_store(filled: Path, name: str) -> None:
    store = make_store(filled)
    if name == ".hidden":
        # Names like it are refused before the store is asked.
        assert name not in {file.name for file in store.list(0, 100).files}
        return
    with pytest.raises(errors.NoSuchFile):
        store.open(name)
    with pytest.raises(errors.NoSuchFile):
        store.delete(name)


def test_an_open_file_stays_what_it_is(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    send(begin(store, "a.bin"), BYTES)
    first = store.open("a.bin")
    send(begin(store, "a.bin", overwrite=True), BYTES[::-1])
    second = store.open("a.bin")
    block = memoryview(bytearray(1000))
    assert first.read(block, 256) == 1000 and block == BYTES[256:1256]
    assert second.read(block, 0) == 1000 and block == BYTES[::-1][:1000]
    assert first.etag != second.etag and first.etag.startswith('"')
    assert first.read(block, len(BYTES)) == 0
    at_once = second.read_at_once(block, 0)
    assert at_once is None or (at_once == 1000 and block == BYTES[::-1][:1000])
    first.close()
    second.close()


def test_files_of_one_tick_and_one_length_have_tags_of_their_own(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    tags = []
    for content in (b"one", b"two"):
        send(begin(store, "a.bin", overwrite=True), content)
        os.utime(tmp_path / "a.bin", ns=(0, 0))
        file = store.open("a.bin")
        tags.append(file.etag)
        # Kept open, so that its inode is not given to the next one.
    assert len(set(tags)) == 2


def test_deleting(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    send(begin(store, "a.bin"), b"x")
    store.delete("a.bin")
    with pytest.raises(errors.NoSuchFile):
        store.delete("a.bin")


def test_sweeping_leaves_what_is_in_use(tmp_path: Path) -> None:
    store = make_store(tmp_path, expires=100.0)
    used = begin(store, "a.bin", 10)
    killed = begin(store, "b.bin", 10)
    os.close(killed._descriptor)
    span = (0, 10, 20)
    parts = [
        PartialUpload(store.room, store.rules, name, span, False)
        for name in ("used.bin", "old.bin", "new.bin")
    ]
    for upload in parts[1:]:
        send(upload, bytes(10))
    for upload in parts[:2]:
        os.utime(upload._place, (0, 0))
    assert len(left_behind(tmp_path)) == 5
    assert store.room.sweep() == 2
    assert len(left_behind(tmp_path)) == 3
    assert store.progress("new.bin")
    with pytest.raises(errors.NoSuchFile):
        store.progress("old.bin")
    used.put(memoryview(bytes(10)))
    used.finish()
    parts[0].discard()
