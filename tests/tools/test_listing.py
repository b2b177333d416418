"""`aprp cache ls` on real directories."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aprp.cache.extent import Extent, extent_path
from tests.tools.caches import SLICE, Store
from tests.tools.conftest import Done

Tool = Callable[..., Done]

DAY = 86400


def test_an_empty_cache(tool: Tool) -> None:
    assert tool("ls") == Done(0, "0 objects, 0 B of 0 B stored\n", "")
    assert tool("ls", "--json") == Done(0, "[]\n", "")


def test_the_table(tool: Tool, store: Store) -> None:
    now = time.time()
    store.add(
        "/films/a.mp4",
        100 * SLICE,
        {0, 1, 2, 64},
        fields={"Cache-Control": "max-age=7200"},
        since=now - 1800,
        used=now - 90,
    )
    store.add(
        "/b.txt", 10, fields={"Cache-Control": "max-age=60"}, since=now - DAY, used=now - 7200
    )
    done = tool("ls")
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.lines] == [
        ["SIZE", "PRESENT", "AGE", "FRESH", "FOR", "LAST", "USED", "OBJECT"],
        ["10", "B", "100%", "1d", "stale", "2h", "ago", "/b.txt"],
        ["6.25", "MiB", "4.0%", "30m", "1h", "1m", "ago", "/films/a.mp4"],
        ["2", "objects,", "256", "KiB", "of", "6.25", "MiB", "stored"],
    ]
    # Figures end in one column, names begin in one.
    title, *rows = done.lines[:-1]
    assert {row.index("/") for row in rows} == {title.index("OBJECT")}


def test_json(tool: Tool, store: Store) -> None:
    now = time.time()
    entry = store.add(
        "/a.mp4?x=1",
        3 * SLICE + 5,
        {0, 3},
        fields={"Content-Type": "video/mp4", "Cache-Control": "max-age=100"},
        vary=(("accept-language", "de"), ("origin", None)),
        since=now - 1000,
        used=1_700_000_000,
    )
    done = tool("ls", "--json")
    (told,) = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert 1000 <= told.pop("age") <= 1010
    assert -910 <= told.pop("fresh_for") <= -900
    # A response that came later than the last use was used when it came.
    assert told.pop("last_used").startswith(time.strftime("%Y-%m-%dT", time.gmtime(now - 1000)))
    assert told == {
        "target": "/a.mp4?x=1",
        "vary": {"accept-language": "de", "origin": None},
        "status": 200,
        "content_type": "video/mp4",
        "length": 3 * SLICE + 5,
        "present": SLICE + 5,
        "percent": 33.34,
        "complete": False,
        "fresh": False,
        "key": entry.key,
        "id": f"{entry.id:016x}",
    }


def test_bytes_of_a_slice_that_is_being_filled_count(tool: Tool, store: Store) -> None:
    entry = store.add("/a.mp4", 2 * SLICE, {0})
    extent = store.extent(entry)
    assert extent is not None
    extent.grow(1, 100)
    assert json.loads(tool("ls", "--json").out)[0]["present"] == SLICE + 100


def test_slices_of_another_boot_count_only_when_they_are_whole(tool: Tool, store: Store) -> None:
    entry = store.add("/a.mp4", 3 * SLICE, set())
    path = extent_path(store.directory, entry.id, 0)
    before = Extent.create(path, entry.id, 0, SLICE, 3 * SLICE, boot=7)
    before.complete(0)
    before.grow(1, 100)
    before.close()
    store.index.note_extents([store.index.oldest_extents(1)[0]._replace(number=0)])
    assert json.loads(tool("ls", "--json").out)[0]["present"] == SLICE


def test_an_extent_that_was_just_removed(tool: Tool, store: Store) -> None:
    entry = store.add("/a.mp4", SLICE)
    extent_path(store.directory, entry.id, 0).unlink()
    assert json.loads(tool("ls", "--json").out)[0]["present"] == 0


def test_a_damaged_extent_holds_nothing(tool: Tool, store: Store) -> None:
    entry = store.add("/a.mp4", SLICE)
    path = extent_path(store.directory, entry.id, 0)
    os.truncate(path, 100)
    assert json.loads(tool("ls", "--json").out)[0]["present"] == 0
    assert path.exists()


def test_nothing_is_fresh_that_must_be_asked_for(tool: Tool, store: Store) -> None:
    # RFC 9111 section 5.2.2.4.
    store.add("/a", 1, fields={"Cache-Control": "no-cache, max-age=1000"})
    # No lifetime is stated, and Last-Modified is missing: section 4.2.2.
    store.add("/b", 1)
    assert [item["fresh"] for item in json.loads(tool("ls", "--json").out)] == [False, False]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("/", ["/films/a", "/films/b", "/series/a"]),
        ("/films/", ["/films/a", "/films/b"]),
        ("/films/b", ["/films/b"]),
        ("http://localhost:8000/films/", ["/films/a", "/films/b"]),
        ("/nothing", []),
    ],
)
def test_a_prefix(tool: Tool, store: Store, prefix: str, found: list[str]) -> None:
    for target in ("/series/a", "/films/b", "/films/a"):
        store.add(target, 1)
    listed = json.loads(tool("ls", prefix, "--json").out)
    assert [item["target"] for item in listed] == found


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", "abc"),
        ("size", "bac"),
        ("present", "abc"),
        ("age", "cab"),
        # An object without bytes was used when it came.
        ("used", "bac"),
    ],
)
def test_the_order(tool: Tool, store: Store, order: str, names: str) -> None:
    now = time.time()
    store.add("/c", 1 * SLICE, set(), since=now - 1 * DAY)
    store.add("/a", 3 * SLICE, since=now - 2 * DAY, used=now - 30)
    store.add("/b", 9 * SLICE, {1}, since=now - 3 * DAY, used=now - 10)
    listed = json.loads(tool("ls", "--sort", order, "--json").out)
    assert [item["target"] for item in listed] == [f"/{name}" for name in names]


def test_variants_are_told_apart(tool: Tool, store: Store) -> None:
    store.add("/a", 1, vary=(("accept-language", "de"),))
    store.add("/a", 2, vary=(("accept-language", None),))
    lines = tool("ls").lines[1:-1]
    assert sorted(line.partition("/a")[2].strip() for line in lines) == [
        "accept-language:",
        "accept-language: de",
    ]


@pytest.mark.parametrize("name", ["ls", "check", "purge"])
def test_where_there_is_no_cache(call: Tool, tmp_path: Path, name: str) -> None:
    words = ("--all",) if name == "purge" else ()
    missing = call(name, *words, "--cache-dir", str(tmp_path / "nope"))
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith(f"aprp: CACHE_DIR: {tmp_path}/nope: no such directory")
    empty = call(name, *words, "--cache-dir", str(tmp_path))
    assert (empty.code, empty.out) == (2, "")
    assert empty.err.startswith(f"aprp: CACHE_DIR: {tmp_path}: holds no cache")
    assert list(tmp_path.iterdir()) == []
    off = call(name, *words, "--cache-dir", "")
    assert (off.code, off.out) == (2, "")
    assert off.err.startswith("aprp: CACHE_DIR: empty: nothing is cached")
    assert all(done.err.count("\n") == 1 for done in (missing, empty, off))
