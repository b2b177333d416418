"""What an origin was asked for before a purge is not stored after it, whoever purges."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from unittest import mock

import pytest

from aprp.cache.cache import Cache, CannotStore
from aprp.cache.state import State
from aprp.cache.store import Store
from tests.cache.stores import make_entry, open_store, running
from tests.loops import PATIENCE, both_loops

KEY = "http://origin/films/a.mp4"

Purge = Callable[[Cache], Awaitable[int]]

# What has been asked for under KEY is to be refused after these.
PURGES: dict[str, Purge] = {
    "key": lambda cache: cache.purge(KEY),
    "directory": lambda cache: cache.purge_prefix("http://origin/films/"),
    "queries": lambda cache: cache.purge_prefix(f"{KEY}?"),
    "all": lambda cache: cache.purge_prefix(""),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("purge", PURGES)
@both_loops
async def test_what_was_asked_for_before_a_purge(directory: Path, purge: str, stored: bool) -> None:
    async with running(directory) as cache, running(directory) as other:
        key = f"{KEY}?x=1" if purge == "queries" else KEY
        old = make_entry(key)
        if stored:
            await cache.add(old)
        purges = cache.purges(key)
        assert await PURGES[purge](other) == stored
        with pytest.raises(CannotStore, match="purged"):
            await cache.add(make_entry(key), purges=purges)
        assert await cache.find(key) == []
        assert cache.problem is None
        # What is asked for from now on is stored.
        new = make_entry(key)
        await cache.add(new, purges=cache.purges(key))
        assert await other.find(key) == [new]


@both_loops
async def test_a_response_that_is_purged_by_its_id(directory: Path) -> None:
    async with running(directory) as cache, running(directory) as other:
        old, beside = make_entry(KEY), make_entry("http://origin/b")
        for entry in (old, beside):
            await cache.add(entry)
        purges = {entry.key: cache.purges(entry.key) for entry in (old, beside)}
        assert await other.purge_ids([old.id, 5]) == 1
        with pytest.raises(CannotStore, match="purged"):
            await cache.add(make_entry(KEY), [old.id], purges[KEY])
        assert await cache.find(KEY) == []
        new = make_entry(beside.key)
        await cache.add(new, [beside.id], purges[beside.key])
        assert await cache.find(beside.key) == [new]


@both_loops
async def test_nothing_is_replaced_by_what_is_refused(directory: Path) -> None:
    async with running(directory) as cache:
        asked_at = cache.purges(KEY)
        await cache.purge(KEY)
        new = make_entry(KEY)
        await cache.add(new, purges=cache.purges(KEY))
        with pytest.raises(CannotStore, match="purged"):
            await cache.add(make_entry(KEY), [new.id], asked_at)
        assert await cache.find(KEY) == [new]


@both_loops
async def test_other_changes_are_no_purges(directory: Path) -> None:
    async with running(directory) as cache, running(directory) as other:
        purges = cache.purges(KEY)
        entry = make_entry(KEY)
        await other.add(entry)
        await other.refresh(entry)
        await other.completed(entry)
        await other.remove(entry)
        await other.purge("http://origin/films/b.mp4")
        await cache.add(entry, purges=purges)
        assert await cache.find(KEY) == [entry]


@both_loops
async def test_a_directory_that_cannot_be_used_has_no_purges(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"no directory")
    async with running(tmp_path / "cache") as cache:
        assert cache.purges(KEY) == 0
        assert cache.problem is not None


class _Purging(threading.Thread):
    """Purges in a thread with connections of its own, as another process does.

    `announced` is set when the purge is known to all, and waits for those who write.
    """

    def __init__(self, directory: Path, work: Callable[[Store], int]) -> None:
        super().__init__(daemon=True)
        self.announced = threading.Event()
        self.removed = -1
        self._directory = directory
        self._work = work

    def run(self) -> None:
        store, state = open_store(self._directory)
        wait = store.index.wait_for_writers

        def announce() -> None:
            self.announced.set()
            wait()

        with mock.patch.object(store.index, "wait_for_writers", announce):
            self.removed = self._work(store)
        store.close()
        state.close()


def _by_prefix(store: Store) -> int:
    store.begin_purge_from("http://origin/")
    return store.purge_some("http://origin/")


@pytest.mark.parametrize(
    "work", [lambda store: store.purge(KEY), _by_prefix], ids=["key", "prefix"]
)
def test_a_purge_in_the_middle_of_storing_removes_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Store], int]
) -> None:
    """It comes after it has been seen that there was none, and before the entry is written."""
    store, state = open_store(directory)
    purging = _Purging(directory, work)
    purges = state.purges(KEY)
    seen = State.purges

    def purge_after(self: State, key: str) -> int:
        number = seen(self, key)
        if self is state:
            purging.start()
            assert purging.announced.wait(PATIENCE)
        return number

    monkeypatch.setattr(State, "purges", purge_after)
    store.add(make_entry(KEY), purges=purges)
    purging.join(PATIENCE)
    assert purging.removed == 1
    assert store.index.find(KEY) == []
    assert state.used == store.index.totals()[2] == 0
    store.close()
    state.close()


@both_loops
async def test_storing_before_and_after_many_purges_at_once(directory: Path) -> None:
    """Whatever the order, nothing is there at the end that was asked for before the last purge."""
    async with running(directory) as cache, running(directory) as other:
        for _ in range(20):
            purges = cache.purges(KEY)
            added = [cache.add(make_entry(KEY), purges=purges) for _ in range(5)]
            results = await asyncio.gather(*added, other.purge(KEY), return_exceptions=True)
            assert all(isinstance(result, CannotStore | int | None) for result in results)
            assert await cache.find(KEY) == []
