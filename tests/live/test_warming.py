"""Objects that an operator wants stored: a few at once, each once, all others in turn."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aprp.cache.entry import Entry
from aprp.live import warming
from aprp.live.warming import AT_ONCE, TooMany, Warmer, request_of
from aprp.media.whole import NotFetched
from aprp.sites.site import Site
from tests.cache.stores import make_entry
from tests.loops import both_loops
from tests.media.sources import nobody, site_of


class Origin:
    """Fetches when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Entry] = []
        self.ends: dict[int, asyncio.Future[None]] = {}

    async def __call__(self, entry: Entry) -> None:
        self.asked.append(entry)
        self.ends[entry.id] = asyncio.get_running_loop().create_future()
        await self.ends[entry.id]


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@both_loops
async def test_a_few_at_once_and_the_others_in_turn() -> None:
    origin = Origin()
    warmer = Warmer(origin)
    entries = [make_entry(f"key {n}") for n in range(5)]
    assert warmer.put(entries) == 5
    await turn()
    assert origin.asked == entries[:AT_ONCE]
    # What is under way or waits is not fetched twice.
    assert warmer.put(entries[:3]) == 3
    origin.ends[entries[0].id].set_result(None)
    await turn()
    assert origin.asked == entries[: AT_ONCE + 1]
    await warmer.close()
    assert origin.asked == entries[: AT_ONCE + 1]
    assert all(origin.ends[entry.id].done() for entry in origin.asked)


@both_loops
async def test_one_that_fails_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    origin = Origin()
    warmer = Warmer(origin)
    entries = [make_entry(f"key {n}") for n in range(4)]
    warmer.put(entries)
    await turn()
    origin.ends[entries[0].id].set_exception(NotFetched("the origin is closed today"))
    origin.ends[entries[1].id].set_exception(KeyError("a bug"))
    await turn()
    assert origin.asked == entries
    assert "key 0 was not fetched whole: the origin is closed today" in caplog.text
    assert "error while key 1" in caplog.text
    caplog.clear()
    await warmer.close()


@both_loops
async def test_there_is_an_end_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "MOST", 3)
    warmer = Warmer(Origin())
    assert warmer.put([make_entry(f"key {n}") for n in range(3)]) == 3
    with pytest.raises(TooMany, match="1 objects wait"):
        warmer.put([make_entry(f"other {n}") for n in range(3)])
    await warmer.close()


def test_the_request_is_that_of_a_client_of_its_kind() -> None:
    entry = make_entry(
        vary=(("accept-language", "fr"), ("via", "x"), ("x-key", "y"), ("dnt", None))
    )
    values: Any = SimpleNamespace(
        source=site_of(nobody), fields=(("X-Key", "secret"),), host="media.test"
    )
    request = request_of(entry, cast(Site, values), "aprp", "agent")
    assert request.key == entry.key and request.target == entry.target
    assert request.get("Accept-Language") == "fr"
    assert request.get("DNT") is None
    assert request.fields == {
        "User-Agent": "agent",
        "Via": "1.1 aprp",
        "accept-language": "fr",
        "X-Key": "secret",
        "Host": "media.test",
    }
