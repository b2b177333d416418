"""The file of the index: damage, other forms, other processes, a million rows."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aprp.cache import database
from aprp.cache.index import NO_EXTENT, ExtentRow, Index, IndexFailure
from tests.cache.children import Child, Connection
from tests.cache.stores import make_entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    made = Index(path)
    yield made
    made.close()


# Files


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_file_that_is_no_database(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Index(path)
    first.put(make_entry())
    first.close()
    path.resolve().write_bytes(b"garbage" * 4000)
    second = Index(path)
    assert second.fresh
    assert list(second.entries()) == []
    (line,) = warnings(caplog)
    assert "is damaged" in line
    assert "a new index is begun" in line
    second.put(make_entry())
    second.close()
    third = Index(path)
    assert len(list(third.entries())) == 1
    third.close()


def test_a_file_that_proves_damaged_while_it_is_open(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Index(path)
    for number in range(300):
        first.put(make_entry(f"key {number}"))
    first.close()
    file = path.resolve()
    broken = bytearray(file.read_bytes())
    # All but the pages that are read when it is opened.
    broken[3 * 4096 :] = b"\xa5" * (len(broken) - 3 * 4096)
    file.write_bytes(broken)
    index = Index(path)
    assert not index.fresh
    entry = make_entry()
    assert index.find(entry.key) == []
    index.put(entry)
    assert index.fresh
    assert index.find(entry.key) == [entry]
    assert any("is damaged" in line for line in warnings(caplog))
    # The damaged file is kept for people.
    assert file.exists()
    assert path.resolve() != file
    index.close()


def test_a_row_that_cannot_be_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = Index(path)
    entry = make_entry()
    index.put(entry)
    with sqlite3.connect(path.resolve()) as other:
        other.execute("UPDATE objects SET fields = '[[1'")
    other.close()
    assert index.find(entry.key) == []
    assert index.fresh
    assert any("is damaged" in line for line in warnings(caplog))
    index.close()


def test_a_file_of_another_form(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Index(path)
    first.put(make_entry())
    first.close()
    with sqlite3.connect(path.resolve()) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    second = Index(path)
    assert second.fresh
    assert second.totals() == (0, 0, 0)
    assert any("has the form 99 and not" in line for line in warnings(caplog))
    second.close()


def test_something_else_in_its_place(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("somebody's notes")
    index = Index(path)
    assert index.fresh
    index.put(make_entry())
    assert any("a new index is begun" in line for line in warnings(caplog))
    index.close()


def test_only_the_last_damaged_file_is_kept(path: Path) -> None:
    for _ in range(4):
        index = Index(path)
        index.put(make_entry())
        index.close()
        path.resolve().write_bytes(b"garbage" * 1000)
    Index(path).close()
    assert len(list(path.parent.glob("index-*.sqlite"))) == 2


def test_two_that_find_the_damage_go_on_with_one_file(path: Path) -> None:
    one, two = Index(path), Index(path)
    entry = make_entry()
    one.put(entry)
    with sqlite3.connect(path.resolve()) as other:
        other.execute("UPDATE objects SET fields = '[[1'")
    other.close()
    assert one.find(entry.key) == []
    one.put(entry)
    assert two.replaced()
    assert two.find(entry.key) == [entry]
    assert one.find(entry.key) == [entry]
    assert not one.replaced()
    assert not two.replaced()
    one.close()
    two.close()


def test_an_old_connection_does_not_harm_the_new_file(path: Path) -> None:
    """SQLite removes the log by its name at the last close: names must not come again."""
    old = Index(path)
    old.put(make_entry())
    for file in path.parent.iterdir():
        file.unlink()
    assert old.replaced()
    new = Index(path)
    entry = make_entry()
    new.put(entry)
    old.close()
    other = Index(path)
    assert other.find(entry.key) == [entry]
    another = make_entry("another")
    other.put(another)
    assert new.find("another") == [another]
    new.close()
    other.close()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IndexFailure, match=r"cannot be used: No such file or directory"):
        Index(tmp_path / "missing" / "index.sqlite")


def test_an_index_that_somebody_keeps_locked(path: Path) -> None:
    index = Index(path, busy=0.01)
    other = sqlite3.connect(path.resolve(), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(IndexFailure, match="locked"):
        index.put(make_entry())
    # Reading goes on.
    assert index.find("anything") == []
    other.execute("ROLLBACK")
    other.close()
    index.put(make_entry())
    index.close()


def test_a_write_that_fails_changes_nothing(index: Index) -> None:
    entry, other = make_entry(), make_entry()
    index.put(entry)
    bad = replace(other, length="long" * 10, key=None)  # type: ignore[arg-type]
    with pytest.raises(IndexFailure, match="NOT NULL"):
        index.put(bad, replacing=[entry.id])
    assert index.find(entry.key) == [entry]
    index.put(other)


# Other processes


def writes(pipe: Connection, path: Path, key: str, count: int) -> None:
    pipe.recv()
    index = Index(path)
    for number in range(count):
        entry = make_entry(key, reason=str(number))
        index.put(entry)
        index.note_extents([ExtentRow(entry.id, 0, 10, number)])
    pipe.send(index.totals())
    index.close()


def test_processes_that_begin_an_index_at_once(path: Path) -> None:
    """Also while it is made: nobody fails, nothing is lost."""
    names = [f"key {number}" for number in range(4)]
    children = [Child(writes, path, name, 50) for name in names]
    try:
        for child in children:
            child.say("go")
        for child in children:
            child.hear()
    finally:
        for child in children:
            child.__exit__(None, None, None)
    index = Index(path)
    assert not index.fresh
    assert index.totals() == (200, 200, 2000)
    for name in names:
        assert {entry.reason for entry in index.find(name)} == {str(n) for n in range(50)}
    index.close()


def test_a_killed_writer_leaves_a_sound_index(path: Path) -> None:
    Index(path).close()
    for _ in range(5):
        with Child(writes, path, "killed", 100_000) as child:
            child.say("go")
            watching = Index(path)
            before = watching.totals()[0]
            while watching.totals()[0] < before + 5:
                pass
            child.kill()
            watching.close()
    index = Index(path)
    assert not index.fresh
    objects, extents, bytes = index.totals()
    assert objects == len(index.find("killed")) >= 25
    found = index.oldest_extents(10**6)
    assert sum(row.bytes for row in found) == bytes
    assert sum(row.number != NO_EXTENT for row in found) == extents
    index.close()


# Size


def filled(path: Path, objects: int, extents: int) -> None:
    """Make an index of many rows quickly."""
    Index(path).close()
    with sqlite3.connect(path.resolve()) as db:
        count = "WITH RECURSIVE n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x + 1 < ?)"
        db.execute(
            f"{count} INSERT INTO objects SELECT x + 1, 'http://origin/films/' || x, '[]', 200,"
            " 'OK', '[[\"ETag\", \"x\"]]', 1048576, 0, 0, 1, 1, 1, '/films' FROM n",
            (objects,),
        )
        db.execute(
            f"{count} INSERT INTO extents SELECT x % ? + 1, x / ?, 1052672, 1000000 + x FROM n",
            (extents, objects, objects),
        )
    db.close()


def quickest(work: Callable[[], object], times: int = 20) -> float:
    """The shortest of several runs, in seconds: others use the machine too."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


@pytest.mark.parametrize(("objects", "extents"), [(100, 15_625), (200_000, 200_000)])
def test_the_number_of_rows_does_not_matter(path: Path, objects: int, extents: int) -> None:
    filled(path, objects, extents)
    assert quickest(lambda: Index(path).close()) < 0.02
    index = Index(path)
    assert index.totals() == (objects, extents, extents * 1052672)
    assert quickest(lambda: index.find("http://origin/films/77")) < 0.0005
    assert quickest(lambda: index.oldest_extents(16)) < 0.001
    assert quickest(index.totals) < 0.0005
    last = index.oldest_extents(1)[0]
    assert quickest(lambda: index.oldest_extents(16, last)) < 0.001
    index.close()


def test_the_file_is_opened_by_one_at_a_time(path: Path) -> None:
    """Who comes while another makes the index waits for it."""
    Index(path).close()
    opened = threading.Event()

    def opens() -> None:
        Index(path).close()
        opened.set()

    thread = threading.Thread(target=opens)
    with database._locked(path):
        thread.start()
        assert not opened.wait(0.05)
    assert opened.wait(10)
    thread.join()
