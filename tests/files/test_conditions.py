"""Preconditions of requests that put files in or remove them (RFC 9110 section 13)."""

import threading
from pathlib import Path

import pytest

from aprp.files import errors
from aprp.files.parts import PartialUpload
from aprp.files.store import Store
from aprp.files.upload import Stored, Upload
from aprp.semantics.conditions import Conditions
from tests.files.stores import left_behind, make_store, names, send


def stated(**fields: str) -> Conditions:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return Conditions.from_headers(given.get)


def begin(store: Store, conditions: Conditions, name: str = "a.bin") -> Upload:
    return Upload(store.room, store.rules, name, None, True, conditions)


def store_one(store: Store, content: bytes = b"first") -> str:
    stored = send(begin(store, stated()), content)
    assert isinstance(stored, Stored)
    return stored.etag


def test_the_tag_that_is_told_is_the_one_of_the_file(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    etag = store_one(store)
    file = store.open("a.bin")
    file.close()
    assert file.etag == etag


class TestOfAFile:
    def test_that_hold(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        for number, name in enumerate(("If_Match", "If_Match", "If_None_Match")):
            etag = store_one(store)
            value = (etag, "*", '"other"')[number]
            send(begin(store, stated(**{name: value})), b"second")
            assert (tmp_path / "a.bin").read_bytes() == b"second"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("If_Match", '"other"'),
            ("If_Match", "W/{}"),
            ("If_None_Match", "*"),
            ("If_None_Match", "{}"),
            ("If_Unmodified_Since", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ],
    )
    def test_that_do_not(self, tmp_path: Path, name: str, value: str) -> None:
        store = make_store(tmp_path)
        etag = store_one(store)
        conditions = stated(**{name: value.replace("{}", etag)})
        with pytest.raises(errors.ConditionFailed, match=name.replace("_", "-")):
            begin(store, conditions)
        with pytest.raises(errors.ConditionFailed):
            PartialUpload(store.room, store.rules, "a.bin", (0, 1, 2), True, conditions)
        with pytest.raises(errors.ConditionFailed):
            store.delete("a.bin", conditions)
        assert (tmp_path / "a.bin").read_bytes() == b"first"
        assert left_behind(tmp_path) == []

    def test_deleting_the_version_that_is_meant(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        store.delete("a.bin", stated(If_Match=store_one(store)))
        assert not (tmp_path / "a.bin").exists()


def test_deleting_needs_no_room_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    make_store(tmp_path).delete("a.bin")
    assert list(tmp_path.iterdir()) == []


class TestOfNoFile:
    def test_that_hold(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        since = "Mon, 01 Jan 2001 00:00:00 GMT"
        send(begin(store, stated(If_None_Match="*"), "b.bin"), b"b")
        send(begin(store, stated(If_Unmodified_Since=since), "c.bin"), b"c")
        assert names(tmp_path) == ["b.bin", "c.bin"]

    @pytest.mark.parametrize("value", ["*", '"any"'])
    def test_that_do_not(self, tmp_path: Path, value: str) -> None:
        with pytest.raises(errors.ConditionFailed):
            begin(make_store(tmp_path), stated(If_Match=value))


def test_a_file_that_is_changed_while_another_comes(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    upload = begin(store, stated(If_Match=store_one(store)))
    upload.put(memoryview(b"mine"))
    store_one(store, b"theirs")
    with pytest.raises(errors.ConditionFailed):
        upload.finish()
    upload.discard()
    assert (tmp_path / "a.bin").read_bytes() == b"theirs"
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("name", ["If_Match", "If_None_Match"])
def test_of_many_at_once_one_changes_it(tmp_path: Path, name: str) -> None:
    value = store_one(make_store(tmp_path)) if name == "If_Match" else "*"
    uploads = [begin(make_store(tmp_path), stated(**{name: value})) for _ in range(20)]
    start = threading.Barrier(len(uploads))
    won: list[int] = []

    def run(number: int) -> None:
        uploads[number].put(memoryview(bytes([number])))
        start.wait()
        try:
            uploads[number].finish()
            won.append(number)
        except errors.ConditionFailed:
            pass
        finally:
            uploads[number].discard()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (tmp_path / "a.bin").read_bytes() == bytes(won)
