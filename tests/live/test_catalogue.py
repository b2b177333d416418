"""What is stored, for people: found, sorted, page by page, with as few pages read as can be."""

import asyncio
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache import survey
from aprp.cache.entry import CannotStore, Entry
from aprp.cache.extent import SLICES, Extent, extent_path
from aprp.cache.rows import ExtentRow
from aprp.live import in_use
from aprp.live.catalogue import Catalogue, Page
from aprp.live.choosing import Query, Sort, matches
from aprp.live.in_use import InUse
from aprp.live.rows import Activity
from tests.cache.stores import make_entry
from tests.tools.caches import SLICE, UPSTREAM, Store


def name_of(key: str, target: str) -> str:
    return target


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "cache")
    yield made
    made.close()


def ask(store: Store, *queries: Query) -> list[Page]:
    async def work() -> list[Page]:
        catalogue = Catalogue(store.directory, SLICE, name_of, 86400.0)
        try:
            return [await catalogue.page(query) for query in queries]
        finally:
            await catalogue.close()

    return asyncio.run(work())


@contextmanager
def counted_looks(monkeypatch: pytest.MonkeyPatch, *modules: str) -> Iterator[list[Path]]:
    """The pages of extents that are read meanwhile."""
    read: list[Path] = []
    real = survey.look

    def look(path: Path) -> survey.Look:
        read.append(path)
        return real(path)

    with monkeypatch.context() as patch:
        for module in modules:
            patch.setattr(f"{module}.look", look)
        yield read


def watch(store: Store, entry: Entry, times: int) -> None:
    extent = store.extent(entry)
    assert extent is not None
    for _ in range(times):
        extent.watch(0, min(entry.length, extent.size))


def three(store: Store) -> dict[str, Entry]:
    """Three objects of which each order is another one."""
    entries = {
        "a": store.add("/a.mp4", 5 * SLICE, [0], used=3000.0, since=1.0),
        "b": store.add("/B%20c.mp4", 3 * SLICE, [0, 1, 2], used=1000.0, since=1.0),
        "c": store.add("/c.mp4?x=1", 9 * SLICE, [0, 1], used=2000.0, since=1.0),
    }
    watch(store, entries["a"], 2)
    watch(store, entries["c"], 5)
    return entries


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (Sort.NAME, "bac"),
        (Sort.SIZE, "bac"),
        (Sort.PRESENT, "acb"),
        (Sort.VIEWS, "bac"),
        (Sort.USED, "bca"),
    ],
)
def test_orders(store: Store, sort: Sort, order: str) -> None:
    entries = three(store)
    up, down = ask(store, Query(sort=sort), Query(sort=sort, descending=True))
    expected = [entries[letter].id for letter in order]
    assert [shown.stored.entry.id for shown in up.shown] == expected
    assert [shown.stored.entry.id for shown in down.shown] == expected[::-1]
    assert up.total == down.total == 3


def test_what_is_told_of_an_object(store: Store) -> None:
    entry = three(store)["a"]
    (page,) = ask(store, Query(search="a.mp4"))
    (shown,) = page.shown
    told = shown.to_json({entry.id: Activity(entry.id, ((5, 9),), ((0, 4, 8),))}, full=True)
    age = told.pop("age")
    assert isinstance(age, float) and age > 0
    assert told == {
        "id": f"{entry.id:016x}",
        "name": "/a.mp4",
        "type": None,
        "length": 5 * SLICE,
        "slice_size": SLICE,
        "present_bytes": SLICE,
        "views": 2.0,
        "fresh": False,
        "last_used": 3000,
        "map": {
            "columns": 5,
            "present": (100, 0, 0, 0, 0),
            "heat": (2.0, 2.0, 2.0, 2.0, 2.0),
            "fills": [{"begin": 0, "position": 4, "stop": 8}],
            "readers": [{"position": 5, "stop": 9}],
        },
    }


def test_a_name_keeps_its_query_from_others(store: Store) -> None:
    three(store)
    (page,) = ask(store, Query(search="X=1"))
    (shown,) = page.shown
    assert shown.to_json({}, full=True)["name"] == "/c.mp4?x=1"
    assert shown.to_json({}, full=False)["name"] == "/c.mp4?…"


@pytest.mark.parametrize(
    ("name", "search", "found"),
    [
        ("/Film.MP4", "film", True),
        ("/a%20b.mp4", "a b", True),
        ("/a%20b.mp4", "%20", True),
        ("/%C3%A9t%C3%A9", "été", True),
        ("/film", "films", False),
        ("/film", "", True),
    ],
)
def test_search(name: str, search: str, found: bool) -> None:
    assert matches(name, search) is found


@given(st.integers(0, 30), st.integers(1, 20), st.integers(0, 40), st.booleans())
def test_pages_are_slices_of_the_whole(count: int, limit: int, offset: int, down: bool) -> None:
    ids = array("q", range(count))
    whole = list(range(count))[:: -1 if down else 1]
    chosen = Query(descending=down, limit=limit, offset=offset).choose(ids)
    assert chosen == whole[offset : offset + limit]


@pytest.mark.parametrize("sort", [Sort.NAME, Sort.SIZE, Sort.USED])
def test_only_the_pages_of_what_is_shown_are_read(
    store: Store, sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        store.add(f"/{n:02}.mp4", SLICE)
    with counted_looks(monkeypatch, "aprp.cache.survey", "aprp.live.choosing") as read:
        (page,) = ask(store, Query(sort=sort, limit=3, offset=5))
    assert (page.total, len(page.shown), len(read)) == (20, 3, 3)


def test_an_order_that_took_reading_all_is_kept_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        store.add(f"/{n:02}.mp4", SLICE)
    with counted_looks(monkeypatch, "aprp.live.choosing") as read:
        ask(store, *(Query(sort=Sort.VIEWS, limit=5, offset=n) for n in (0, 5, 10)))
        assert len(read) == 20
        ask(store, Query(sort=Sort.VIEWS, search="0"), Query(sort=Sort.PRESENT))
        assert len(read) == 20 + 11 + 20


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    async def work() -> None:
        catalogue = Catalogue(tmp_path / "none", SLICE, name_of, 0.0)
        with pytest.raises(CannotStore, match="none"):
            await catalogue.page(Query())
        await catalogue.close()

    asyncio.run(work())


def test_by_key_and_by_id(store: Store) -> None:
    entries = three(store)

    async def work() -> None:
        catalogue = Catalogue(store.directory, SLICE, name_of, 0.0)
        found = await catalogue.of_key(f"{UPSTREAM}/a.mp4")
        assert found is not None and found.stored.entry == entries["a"]
        assert await catalogue.of_key("nothing") is None
        assert await catalogue.entries([entries["b"].id, 5]) == [entries["b"]]
        await catalogue.close()

    asyncio.run(work())


def test_a_new_index_is_noticed(store: Store) -> None:
    async def work() -> None:
        catalogue = Catalogue(store.directory, SLICE, name_of, 0.0)
        assert (await catalogue.page(Query())).total == 0
        (store.directory / "index.sqlite").unlink()
        other = Store(store.directory)
        other.add("/new.mp4", SLICE)
        assert (await catalogue.page(Query())).total == 1
        other.close()
        await catalogue.close()

    asyncio.run(work())


class Clock:
    """Seconds as a test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def long_film(store: Store, extents: int) -> Entry:
    """A film of so many extents, of each of which the first slice is marked as stored."""
    entry = make_entry(f"{UPSTREAM}/film.mp4", extents * SLICES * SLICE)
    store.index.put(entry)
    for number in range(extents):
        path = extent_path(store.directory, entry.id, number)
        extent = Extent.create(path, entry.id, number, SLICE, SLICES * SLICE)
        extent.grow(0, SLICE)
        extent.close()
        store.index.note_extents([ExtentRow(entry.id, number, SLICE, 1.0)])
    return entry


def test_objects_in_use_are_read_where_somebody_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_use, "_LOOKS", 4)
    entry = long_film(store, 8)
    clock = Clock()
    known = InUse(store.directory, SLICE, 0.0)
    here = Activity(entry.id, ((3 * SLICES * SLICE + 1, entry.length),))
    busy = {entry.id: here, 5: Activity(5, ((0, 1),))}

    def read() -> int:
        (found,) = known.read(store.index, busy, 20, clock, 1000.0)
        return found.present

    with counted_looks(monkeypatch, "aprp.live.in_use") as looks:
        # Not all at once; those where nobody is wait for their turn.
        assert read() == (1 + 4) * SLICE
        assert {path.suffix for path in looks} == {".0", ".1", ".2", ".3", ".4"}
        looks.clear()
        clock.now += 1
        assert read() == 8 * SLICE
        assert [path.suffix for path in looks] == [".3", ".5", ".6", ".7"]
        looks.clear()
        clock.now += 1
        read()
        assert [path.suffix for path in looks] == [".3"]
        looks.clear()
        # The oldest first.
        clock.now += 9
        read()
        assert [path.suffix for path in looks] == [".3", ".0", ".1", ".2", ".4"]


def test_objects_in_use_are_followed(store: Store) -> None:
    clock = Clock()
    known = InUse(store.directory, SLICE, 0.0)
    entry = long_film(store, 2)
    busy = {entry.id: Activity(entry.id, ((0, 1),))}
    (found,) = known.read(store.index, busy, 20, clock, 1000.0)
    assert (found.present, found.heat) == (2 * SLICE, 0)
    watch(store, entry, 1)
    (found,) = known.read(store.index, busy, 20, clock, 1000.0)
    assert found.heat == SLICES * SLICE
    store.index.remove([entry.id])
    clock.now += 60
    assert known.read(store.index, busy, 20, clock, 1000.0) == []


def test_no_more_objects_than_are_wanted(store: Store) -> None:
    ids = [store.add(f"/{n}", SLICE).id for n in range(5)]
    busy = {id: Activity(id, ((0, 1),)) for id in ids}
    found = InUse(store.directory, SLICE, 0.0).read(store.index, busy, 3, Clock(), 0.0)
    assert [stored.entry.id for stored in found] == ids[:3]
