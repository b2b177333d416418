"""The index: entries and extents, what writes change, pages, damage, other processes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.entry import Entry
from aprp.cache.index import ENTRY_COST, NO_EXTENT, ExtentRow, Index
from aprp.cache.rows import Change
from tests.cache.stores import make_entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    made = Index(path)
    yield made
    made.close()


def rows_of(entry: Entry, *numbers: int, bytes: int = 100, last_used: int = 5) -> list[ExtentRow]:
    return [ExtentRow(entry.id, number, bytes, last_used) for number in numbers]


def put(index: Index, entry: Entry, replacing: Sequence[int] = ()) -> Change:
    """Put an entry that nothing forbids."""
    change = index.put(entry, replacing)
    assert change is not None
    return change


# Entries


def test_what_is_put_is_found_again(path: Path) -> None:
    entry = make_entry(vary=(("accept-language", "de"), ("origin", None)), reason="Très bien")
    first = Index(path)
    assert first.fresh
    assert first.find(entry.key) == []
    first.put(entry)
    first.close()
    second = Index(path)
    assert not second.fresh
    assert second.find(entry.key) == [entry]
    assert second.get(entry.id) == entry
    assert second.ids_of(entry.key) == [entry.id]
    assert second.get(entry.id + 1) is None
    second.close()


texts = st.text(st.characters(codec="utf-8"), max_size=20)
entries = st.builds(
    Entry,
    id=st.integers(1, 2**62 - 1),
    key=texts,
    vary=st.lists(st.tuples(texts, st.none() | texts), max_size=3).map(tuple),
    status=st.integers(100, 599),
    reason=texts,
    fields=st.lists(st.tuples(texts, texts), max_size=5).map(tuple),
    length=st.integers(0, 2**62),
    request_time=st.floats(0, 1e11),
    response_time=st.floats(0, 1e11),
    ranges=st.booleans(),
    combinable=st.booleans(),
    complete=st.booleans(),
    target=texts,
)


@given(entry=entries)
def test_every_entry_comes_back_as_it_was(
    entry: Entry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    index = Index(tmp_path_factory.mktemp("index") / "index.sqlite")
    index.put(entry)
    assert index.find(entry.key) == [entry]
    index.close()


def test_the_newest_response_comes_first(index: Index) -> None:
    made = [make_entry(response_time=float(time)) for time in (10, 30, 20)]
    for entry in made:
        index.put(entry)
    index.put(make_entry("http://origin/other.mp4"))
    assert index.find(made[0].key) == [made[1], made[2], made[0]]


def test_putting_in_place_of_others(index: Index) -> None:
    old, other, new = make_entry(), make_entry(), make_entry()
    index.put(old)
    index.put(other)
    index.note_extents(rows_of(old, 0, 3))
    change = put(index, new, replacing=[old.id])
    assert set(index.find(new.key)) == {other, new}
    assert change.dropped == tuple(rows_of(old, 0, 3))
    assert change.keys == (old.key,)
    assert change.objects == 0
    assert change.bytes == ENTRY_COST - 200


def test_putting_again_keeps_the_extents(index: Index) -> None:
    entry = make_entry()
    index.put(entry)
    index.note_extents(rows_of(entry, 0))
    changed = replace(entry, length=77, complete=True)
    assert put(index, changed).bytes == 0
    assert index.find(entry.key) == [changed]
    assert index.extents_of(entry.id) == rows_of(entry, 0)
    assert index.totals() == (1, 1, 100)


def test_a_304_changes_fields_and_times(index: Index) -> None:
    entry = make_entry()
    index.put(entry)
    index.refresh(entry.id, (("ETag", '"v1"'), ("Age", "3")), 50.0, 51.5)
    expected = replace(
        entry, fields=(("ETag", '"v1"'), ("Age", "3")), request_time=50.0, response_time=51.5
    )
    assert index.find(entry.key) == [expected]


def test_completed_and_incomplete_again(index: Index) -> None:
    entry = make_entry(length=0)
    index.put(entry)
    index.completed(entry.id, 1234)
    assert index.get(entry.id) == replace(entry, length=1234, complete=True)
    assert index.incomplete(entry.id).keys == (entry.key,)
    assert index.get(entry.id) == replace(entry, length=1234)


def test_removing(index: Index) -> None:
    entry, other = make_entry(), make_entry()
    index.put(entry)
    index.put(other)
    index.note_extents(rows_of(entry, 1, 2))
    change = index.remove([entry.id, 12345])
    assert change.dropped == tuple(rows_of(entry, 1, 2))
    assert (change.objects, change.keys) == (-1, (entry.key,))
    assert index.find(entry.key) == [other]
    assert index.extents_of(entry.id) == []
    assert index.totals() == (1, 0, ENTRY_COST)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 600])
def test_all_entries_in_pages(index: Index, count: int) -> None:
    made = [make_entry(f"key {number % 7}") for number in range(count)]
    for entry in made:
        index.put(entry)
    assert list(index.entries()) == sorted(made, key=lambda entry: (entry.key, entry.id))


def test_entries_by_the_begin_of_their_keys(index: Index) -> None:
    keys = ["a", "a/", "a/b", "a/b/c", "a/é", "a/\U0010fffe", "a0", "b", "A/b", "a/%", "a/_"]
    made = {key: make_entry(key) for key in keys}
    for entry in made.values():
        index.put(entry)
    for prefix in ("", "a", "a/", "a/b", "a/%", "A", "é", "nothing"):
        expected = sorted(key for key in keys if key.startswith(prefix))
        assert [entry.key for entry in index.entries(prefix)] == expected
        assert {made[key].id for key in expected} == set(index.ids_from(prefix, 100))
    assert len(index.ids_from("a", 3)) == 3


def test_entries_that_go_while_they_are_read(index: Index) -> None:
    for number in range(600):
        index.put(make_entry(f"{number:03}"))
    reading = index.entries()
    assert next(reading).key == "000"
    index.remove(index.ids_from("3", 100))
    assert [entry.key for entry in reading] == [
        f"{number:03}" for number in range(1, 600) if not 300 <= number < 400
    ]


# Extents


def test_extents_of_what_is_not_there_are_not_noted(index: Index) -> None:
    entry = make_entry()
    index.put(entry)
    assert index.note_extents([*rows_of(entry, 0), *rows_of(make_entry(), 0)]) is None
    assert index.extents_of(entry.id) == []
    assert index.totals() == (1, 0, ENTRY_COST)


def test_extents_are_noted_and_noted_again(index: Index) -> None:
    entry = make_entry()
    assert put(index, entry).bytes == ENTRY_COST
    first = index.note_extents(rows_of(entry, 2, bytes=1000))
    assert first is not None
    assert first.bytes == 1000 - ENTRY_COST
    second = index.note_extents(lambda: rows_of(entry, 0, 2, bytes=1500, last_used=9))
    assert second is not None
    assert second.bytes == 2000
    assert index.extents_of(entry.id) == rows_of(entry, 0, 2, bytes=1500, last_used=9)
    assert index.extent(entry.id, 2) == (entry.id, 2, 1500, 9)
    assert index.extent(entry.id, 1) is None
    assert index.totals() == (1, 2, 3000)


def test_use_is_noted_only_of_what_is_there(index: Index) -> None:
    entry = make_entry()
    index.put(entry)
    index.note_extents(rows_of(entry, 0, 1))
    index.used_extents([(entry.id, 1, 77), (entry.id, 5, 77)])
    assert index.extents_of(entry.id) == [*rows_of(entry, 0), *rows_of(entry, 1, last_used=77)]


def test_an_entry_goes_with_its_last_extent(index: Index) -> None:
    entry = make_entry(complete=True)
    index.put(entry)
    index.note_extents(rows_of(entry, 0, 1))
    first = index.forget_extents([(entry.id, 0)])
    assert (first.bytes, first.objects, first.keys) == (-100, 0, (entry.key,))
    assert index.find(entry.key) == [replace(entry, complete=False)]
    again = index.forget_extents([(entry.id, 0)])
    assert (again.bytes, again.objects, again.keys, again.dropped) == (0, 0, (), ())
    second = index.forget_extents([(entry.id, 1)])
    assert (second.bytes, second.objects, second.keys) == (-100, -1, (entry.key,))
    assert second.dropped == tuple(rows_of(entry, 1))
    assert index.find(entry.key) == []
    assert index.totals() == (0, 0, 0)


def test_an_entry_without_extents_has_its_turn_too(index: Index) -> None:
    entry = make_entry(length=0, response_time=3.7)
    index.put(entry)
    assert index.oldest_extents(5) == [(entry.id, NO_EXTENT, ENTRY_COST, 3.7)]
    assert index.extents_of(entry.id) == []
    index.forget_extents([(entry.id, NO_EXTENT)])
    assert index.find(entry.key) == []


def test_the_longest_unused_come_first(index: Index) -> None:
    made = []
    for last_used in (50, 10, 40, 10, 30):
        entry = make_entry()
        index.put(entry)
        made += rows_of(entry, 0, 7, last_used=last_used)
    index.note_extents(made)
    expected = sorted(made, key=lambda row: (row.last_used, row.version, row.number))
    assert index.oldest_extents(100) == expected
    assert index.oldest_extents(3) == expected[:3]
    assert index.oldest_extents(4, after=expected[2]) == expected[3:7]
    assert index.oldest_extents(4, after=expected[-1]) == []
    by_name = sorted(made)
    assert index.extents_after(None, 4) == by_name[:4]
    assert index.extents_after(by_name[3], 100) == by_name[4:]


operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "note", "forget", "remove"]), st.integers(0, 3), st.integers(0, 2)
    ),
    max_size=30,
)


@given(steps=operations)
def test_the_totals_are_the_sums(
    steps: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    index = Index(tmp_path_factory.mktemp("index") / "index.sqlite")
    made = [make_entry(f"key {number}") for number in range(4)]
    bytes = objects = 0
    for place, (what, entry, number) in enumerate(steps):
        id = made[entry].id
        match what:
            case "put":
                change = put(index, made[entry])
            case "note":
                noted = index.note_extents([ExtentRow(id, number, 1000 * place, place)])
                if noted is None:
                    continue
                change = noted
            case "forget":
                change = index.forget_extents([(id, number)])
            case _:
                change = index.remove([id])
        bytes += change.bytes
        objects += change.objects
        rows = index.oldest_extents(100)
        found = list(index.entries())
        assert index.totals() == (
            len(found),
            sum(row.number != NO_EXTENT for row in rows),
            sum(row.bytes for row in rows),
        )
        assert index.totals() == (objects, index.totals()[1], bytes)
        assert {row.version for row in rows} == {entry.id for entry in found}
    index.close()
