"""Files on their way in."""

import errno
import os
import threading
from pathlib import Path

import pytest

from aprp.files import errors
from aprp.files.parts import PartialUpload
from aprp.files.room import Unfinished
from aprp.files.store import Store
from aprp.files.upload import Progress, Stored
from tests.files.stores import BYTES, begin, digest, left_behind, make_store, names, send

SIZE = len(BYTES)


@pytest.mark.parametrize("length", [SIZE, None, SIZE + 100], ids=["known", "unknown", "guessed"])
def test_a_file_is_there_when_it_is_whole(tmp_path: Path, length: int | None) -> None:
    store = make_store(tmp_path)
    upload = begin(store, "film.mp4", length)
    upload.put(memoryview(BYTES)[:1000])
    assert names(tmp_path) == []
    assert len(left_behind(tmp_path)) == 1
    upload.put(memoryview(BYTES)[1000:])
    stored = upload.finish()
    upload.discard()
    assert isinstance(stored, Stored)
    assert (stored.name, stored.size, stored.type) == ("film.mp4", SIZE, "video/mp4")
    assert stored.sha256 == digest(BYTES)
    assert (tmp_path / "film.mp4").read_bytes() == BYTES
    assert names(tmp_path) == ["film.mp4"] and left_behind(tmp_path) == []


def test_an_empty_file(tmp_path: Path) -> None:
    stored = send(begin(make_store(tmp_path, types=("text/plain",)), "a.txt", 0), b"")
    assert isinstance(stored, Stored) and (stored.size, stored.sha256) == (0, digest(b""))


def test_nothing_is_left_of_an_upload_that_ends_early(tmp_path: Path) -> None:
    upload = begin(make_store(tmp_path), "a.bin", SIZE)
    upload.put(memoryview(BYTES)[:5])
    upload.discard()
    upload.discard()
    assert names(tmp_path) == left_behind(tmp_path) == []


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    send(begin(store, "a.bin"), b"first")
    with pytest.raises(errors.NameTaken):
        begin(store, "a.bin")
    send(begin(store, "a.bin", overwrite=True), b"second")
    assert (tmp_path / "a.bin").read_bytes() == b"second"


def test_a_directory_or_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    store = make_store(tmp_path)
    for name in ("films", "link"):
        with pytest.raises(errors.NameTaken, match="no file"):
            begin(store, name, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_is_taken_meanwhile(tmp_path: Path, overwrite: bool) -> None:
    upload = begin(make_store(tmp_path), "a.bin", overwrite=overwrite)
    upload.put(memoryview(b"mine"))
    (tmp_path / "a.bin").write_bytes(b"theirs")
    if overwrite:
        upload.finish()
    else:
        with pytest.raises(errors.NameTaken):
            upload.finish()
    upload.discard()
    assert (tmp_path / "a.bin").read_bytes() == (b"mine" if overwrite else b"theirs")
    assert left_behind(tmp_path) == []


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    uploads = [begin(make_store(tmp_path), "a.bin") for _ in range(20)]
    start = threading.Barrier(len(uploads))
    won: list[int] = []
    lost: list[int] = []

    def run(number: int) -> None:
        content = bytes([number]) * 1000
        uploads[number].put(memoryview(content))
        start.wait()
        try:
            uploads[number].finish()
            won.append(number)
        except errors.NameTaken:
            lost.append(number)
        finally:
            uploads[number].discard()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(uploads))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(lost) == 19
    assert (tmp_path / "a.bin").read_bytes() == bytes([won[0]]) * 1000
    assert left_behind(tmp_path) == []


def test_too_large(tmp_path: Path) -> None:
    store = make_store(tmp_path, most=100)
    with pytest.raises(errors.TooLarge):
        begin(store, "a.bin", 101)
    with pytest.raises(errors.TooLarge):
        send(begin(store, "a.bin"), bytes(101), 50)
    assert names(tmp_path) == left_behind(tmp_path) == []
    send(begin(store, "a.bin", 100), bytes(100))
    assert names(tmp_path) == ["a.bin"]


def test_types(tmp_path: Path) -> None:
    store = make_store(tmp_path, types=("image/*", "text/plain"))
    with pytest.raises(errors.TypeRefused, match="video/mp4"):
        begin(store, "a.mp4")
    png = b"\x89PNG\r\n\x1a\n" + bytes(100_000)
    send(begin(store, "a.png"), png)
    # What does not fit is noticed with its first bytes, and not with its last.
    upload = begin(store, "b.png")
    with pytest.raises(errors.TypeRefused, match="content"):
        upload.put(memoryview(b"<html>" + bytes(100_000)))
    upload.discard()
    with pytest.raises(errors.TypeRefused):
        send(begin(store, "c.png"), b"<html>")
    assert names(tmp_path) == ["a.png"] and left_behind(tmp_path) == []


class TestQuota:
    def test_a_known_length_is_counted_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "there").write_bytes(bytes(400))
        store = make_store(tmp_path, quota=1000)
        first = begin(store, "a.bin", 500)
        with pytest.raises(errors.NoRoom, match="STORE_QUOTA"):
            begin(store, "b.bin", 101)
        send(begin(store, "c.bin", 100), bytes(100))
        first.discard()
        send(begin(store, "d.bin", 500), bytes(500))
        assert store.room.used() == 1000

    def test_an_unknown_length_is_counted_as_it_comes(self, tmp_path: Path) -> None:
        store = make_store(tmp_path, quota=1000)
        upload = begin(store, "a.bin")
        upload.put(memoryview(bytes(1000)))
        with pytest.raises(errors.NoRoom):
            upload.put(memoryview(b"x"))
        upload.discard()
        assert left_behind(tmp_path) == []

    def test_parts_are_counted_as_a_whole(self, tmp_path: Path) -> None:
        store = make_store(tmp_path, quota=1000)
        send(part(store, "a.bin", 0, 10, 900), bytes(10))
        with pytest.raises(errors.NoRoom):
            part(store, "b.bin", 0, 10, 101)
        with pytest.raises(errors.NoRoom):
            begin(store, "b.bin", 101)
        send(begin(store, "b.bin", 100), bytes(100))

    def test_threads_together_stay_below(self, tmp_path: Path) -> None:
        stores = [make_store(tmp_path, quota=10 * SIZE) for _ in range(20)]
        refused: list[int] = []

        def run(number: int) -> None:
            try:
                send(begin(stores[number], f"{number}.bin", SIZE if number % 2 else None), BYTES)
            except errors.NoRoom:
                refused.append(number)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        there = sum(path.stat().st_size for path in tmp_path.iterdir() if path.is_file())
        assert there <= 10 * SIZE and len(refused) >= 10
        assert len(names(tmp_path)) == 20 - len(refused)
        assert left_behind(tmp_path) == []

    def test_what_was_left_behind_does_not_count(self, tmp_path: Path) -> None:
        store = make_store(tmp_path, quota=1000)
        killed = begin(store, "a.bin", 900)
        # What the end of a process does: its lock is gone, and its file is not.
        os.close(killed._descriptor)
        assert len(left_behind(tmp_path)) == 1
        send(begin(store, "b.bin", 1000), bytes(1000))
        assert left_behind(tmp_path) == []


def part(
    store: Store, name: str, start: int, stop: int, total: int, overwrite: bool = False
) -> PartialUpload:
    return PartialUpload(store.room, store.rules, name, (start, stop, total), overwrite)


def progress(store: Store) -> tuple[int, int]:
    """How many bytes of `a.bin` have come, and of how many; it is not whole yet."""
    found = store.progress("a.bin")
    assert isinstance(found, Unfinished)
    return found.received, found.total


class TestParts:
    def test_in_order(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        told = send(part(store, "a.bin", 0, 1000, SIZE), BYTES[:1000])
        assert told == Progress("a.bin", 1000, SIZE)
        assert names(tmp_path) == []
        assert progress(store) == (1000, SIZE)
        stored = send(part(store, "a.bin", 1000, SIZE, SIZE), BYTES[1000:])
        assert isinstance(stored, Stored) and stored.sha256 == digest(BYTES)
        assert (tmp_path / "a.bin").read_bytes() == BYTES
        assert left_behind(tmp_path) == []

    def test_all_in_one(self, tmp_path: Path) -> None:
        stored = send(part(make_store(tmp_path), "a.bin", 0, SIZE, SIZE), BYTES)
        assert isinstance(stored, Stored) and stored.sha256 == digest(BYTES)

    @pytest.mark.parametrize("start", [1, 999, 1001, 5000])
    def test_out_of_order(self, tmp_path: Path, start: int) -> None:
        store = make_store(tmp_path)
        send(part(store, "a.bin", 0, 1000, SIZE), BYTES[:1000])
        with pytest.raises(errors.OutOfPlace) as raised:
            part(store, "a.bin", start, SIZE, SIZE)
        assert raised.value.offset == 1000

    def test_not_begun(self, tmp_path: Path) -> None:
        with pytest.raises(errors.OutOfPlace) as raised:
            part(make_store(tmp_path), "a.bin", 1, 2, 2)
        assert raised.value.offset == 0
        assert left_behind(tmp_path) == []

    def test_what_came_stays_when_the_client_leaves(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        upload = part(store, "a.bin", 0, SIZE, SIZE)
        upload.put(memoryview(BYTES)[:3000])
        upload.discard()
        assert progress(store) == (3000, SIZE)
        stored = send(part(store, "a.bin", 3000, SIZE, SIZE), BYTES[3000:])
        assert isinstance(stored, Stored) and stored.sha256 == digest(BYTES)

    def test_beginning_anew_loses_nothing_of_what_is_the_same(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        send(part(store, "a.bin", 0, 9000, SIZE), BYTES[:9000])
        again = part(store, "a.bin", 0, SIZE, SIZE)
        again.put(memoryview(BYTES)[:5000])
        again.discard()
        assert progress(store) == (9000, SIZE)
        stored = send(part(store, "a.bin", 0, SIZE, SIZE), BYTES, 4000)
        assert isinstance(stored, Stored) and stored.sha256 == digest(BYTES)
        assert (tmp_path / "a.bin").read_bytes() == BYTES

    def test_beginning_anew_in_smaller_parts(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        send(part(store, "a.bin", 0, 9000, SIZE), BYTES[:9000])
        told = send(part(store, "a.bin", 0, 5000, SIZE), BYTES[:5000])
        assert told == Progress("a.bin", 5000, SIZE)
        # As it was told: the next part begins where this one ended.
        send(part(store, "a.bin", 5000, 7000, SIZE), BYTES[5000:7000])
        stored = send(part(store, "a.bin", 7000, SIZE, SIZE), BYTES[7000:])
        assert isinstance(stored, Stored) and stored.sha256 == digest(BYTES)

    def test_beginning_anew_with_another_file(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        send(part(store, "a.bin", 0, 9000, SIZE), BYTES[:9000])
        other = BYTES[:5000] + BYTES[::-1][5000:]
        stored = send(part(store, "a.bin", 0, SIZE, SIZE), other, 3000)
        assert isinstance(stored, Stored) and stored.sha256 == digest(other)
        assert (tmp_path / "a.bin").read_bytes() == other

    def test_another_length_is_another_file(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        send(part(store, "a.bin", 0, 10, 100), bytes(10))
        with pytest.raises(errors.OutOfPlace, match="100 bytes"):
            part(store, "a.bin", 10, 200, 200)
        send(part(store, "a.bin", 0, 10, 200), bytes(10))
        assert progress(store) == (10, 200)
        assert len(left_behind(tmp_path)) == 1

    def test_one_request_at_a_time(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        upload = part(store, "a.bin", 0, SIZE, SIZE)
        with pytest.raises(errors.Busy):
            part(store, "a.bin", 0, SIZE, SIZE)
        with pytest.raises(errors.Busy):
            store.give_up("a.bin")
        upload.put(memoryview(b"x"))
        upload.discard()
        store.give_up("a.bin")
        assert left_behind(tmp_path) == []
        with pytest.raises(errors.NoSuchFile):
            store.give_up("a.bin")

    def test_more_or_fewer_bytes_than_announced(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        with pytest.raises(errors.BadUpload, match="More"):
            send(part(store, "a.bin", 0, 10, 100), bytes(11))
        with pytest.raises(errors.BadUpload, match="Fewer"):
            send(part(store, "a.bin", 0, 10, 100), bytes(9))

    def test_a_process_killed_at_the_very_end(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        send(part(store, "a.bin", 0, 10, 20), bytes(10))
        (left,) = (tmp_path / ".aprp-uploads").iterdir()
        # It had its name, and the other one was still there: the next upload must not write to it.
        (tmp_path / "a.bin").hardlink_to(left)
        found = store.progress("a.bin")
        assert not hasattr(found, "received")
        send(part(store, "a.bin", 0, 5, 20, overwrite=True), b"other")
        assert (tmp_path / "a.bin").read_bytes() == bytes(10)

    def test_types(self, tmp_path: Path) -> None:
        store = make_store(tmp_path, types=("image/png",))
        with pytest.raises(errors.TypeRefused):
            part(store, "a.mp4", 0, 10, 100)
        with pytest.raises(errors.TypeRefused):
            send(part(store, "a.png", 0, 10, 10), b"no picture")
        assert left_behind(tmp_path) == []


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = make_store(tmp_path)
    uploads = [begin(store, "a.bin"), part(store, "b.bin", 0, 10, 10)]
    monkeypatch.setattr(os, "pwrite", full)
    for upload in uploads:
        with pytest.raises(errors.NoRoom, match="disk is full"):
            send(upload, bytes(10))
    assert left_behind(tmp_path) == []


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    store = make_store(tmp_path / "no")
    with pytest.raises(errors.Unusable, match="MEDIA_DIR"):
        begin(store, "a.bin", 10)
    with pytest.raises(errors.Unusable):
        store.list(0, 10)
