"""Files taken out again: by name, in parts, listed, deleted."""

import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.e2e.clients import Connection
from tests.e2e.content import FILM, LAST_MODIFIED, MODIFIED, SIZE
from tests.e2e.file_store import StoreProxy
from tests.e2e.programs import require, run

ACTIVE = {"page.html": "text/html", "picture.svg": "image/svg+xml", "list.xml": "application/xml"}
TYPES = {
    "a.txt": "text/plain",
    "a.pdf": "application/pdf",
    "a.png": "image/png",
    "a.jpg": "image/jpeg",
    "a.mp4": "video/mp4",
    "a.webm": "video/webm",
    "a.mp3": "audio/mpeg",
    "a.m3u8": "application/vnd.apple.mpegurl",
    "a.ts": "video/mp2t",
    "a.mpd": "application/dash+xml",
    "a.vtt": "text/vtt",
    "nothing-known": "application/octet-stream",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    root = tmp_path_factory.mktemp("media")
    (root / "film.mp4").write_bytes(FILM)
    (root / "empty.bin").write_bytes(b"")
    for name in (*ACTIVE, *TYPES):
        (root / name).write_bytes(name.encode())
    (root / ".secret").write_bytes(b"x")
    (root / "films").mkdir()
    (root / "films" / "deep.mp4").write_bytes(b"x")
    (root / "link.mp4").symlink_to("/etc/passwd")
    for path in root.iterdir():
        if path.is_file() and not path.is_symlink():
            os.utime(path, (MODIFIED, MODIFIED))
    with StoreProxy(tmp_path_factory.mktemp("proxy"), root) as started:
        yield started


class TestWhole:
    @pytest.mark.parametrize("target", ["/download/film.mp4", "/download?filename=film.mp4"])
    def test_the_file(self, store: StoreProxy, target: str) -> None:
        reply = store.get(target)
        assert (reply.status, reply.body) == (200, FILM)
        assert reply.get("Content-Type") == "video/mp4"
        assert reply.get("Content-Length") == str(SIZE)
        assert reply.get("Accept-Ranges") == "bytes"
        assert reply.get("Last-Modified") == LAST_MODIFIED
        assert reply.get("X-Content-Type-Options") == "nosniff"
        etag = reply.get("ETag")
        assert etag is not None and etag.startswith('"') and etag.endswith('"')
        told = "attachment; filename=\"film.mp4\"; filename*=UTF-8''film.mp4"
        assert reply.get("Content-Disposition") == told
        assert reply.get("Via") is None
        # The same file, played: one validator is good for both.
        assert store.get("/film.mp4").get("ETag") == etag
        head = store.head(target)
        assert (head.status, head.body) == (200, b"")
        named = {"date", "x-request-id", "connection"}
        assert [f for f in head.fields if f[0].lower() not in named] == [
            f for f in reply.fields if f[0].lower() not in named
        ]

    def test_an_empty_file(self, store: StoreProxy) -> None:
        reply = store.get("/download/empty.bin")
        assert (reply.status, reply.get("Content-Length"), reply.body) == (200, "0", b"")
        assert store.get("/download/empty.bin", Range="bytes=0-0").status == 416

    @pytest.mark.parametrize("name", TYPES)
    def test_types(self, store: StoreProxy, name: str) -> None:
        for target in (f"/download/{name}", f"/{name}"):
            reply = store.get(target)
            assert (reply.status, reply.get("Content-Type")) == (200, TYPES[name])
            assert reply.get("X-Content-Type-Options") == "nosniff"

    @pytest.mark.parametrize("name", ACTIVE)
    def test_what_a_browser_would_run(self, store: StoreProxy, name: str) -> None:
        for target in (f"/download/{name}", f"/{name}"):
            reply = store.get(target)
            assert (reply.status, reply.get("Content-Type")) == (200, ACTIVE[name])
            assert reply.get("Content-Security-Policy") == "sandbox"
            assert (reply.get("Content-Disposition") or "").startswith("attachment;")

    def test_a_name_beyond_ascii(self, store: StoreProxy) -> None:
        name = 'Grüße "映画" 100%.txt'
        (store.root / name).write_bytes(b"x")
        for target in (f"/download/{quote(name)}", f"/download?filename={quote(name)}"):
            told = store.get(target).get("Content-Disposition")
            # RFC 8187: everything else is escaped.
            assert told is not None and told.endswith(f"; filename*=UTF-8''{quote(name, safe='')}")
        (store.root / name).unlink()

    def test_curl_saves_it_under_its_name(self, store: StoreProxy) -> None:
        place = store.log_file.parent
        url = f"{store.url}/download?filename=film.mp4"
        assert run(require("curl"), "-sOJ", url, cwd=place).returncode == 0
        assert (place / "film.mp4").read_bytes() == FILM
        # And goes on where it broke off.
        (place / "film.mp4").write_bytes(FILM[:1234])
        done = run(require("curl"), "-s", "-C", "-", "-o", place / "film.mp4", url)
        assert done.returncode == 0 and (place / "film.mp4").read_bytes() == FILM


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "start", "stop"),
        [
            ("0-0", 0, 1),
            ("0-", 0, SIZE),
            ("500000-600000", 500_000, 600_001),
            (f"{SIZE - 1}-", SIZE - 1, SIZE),
            ("-500", SIZE - 500, SIZE),
            (f"-{SIZE * 2}", 0, SIZE),
            (f"5-{SIZE * 2}", 5, SIZE),
        ],
    )
    def test_one(self, store: StoreProxy, asked: str, start: int, stop: int) -> None:
        ways = [store.get("/download/film.mp4", Range=f"bytes={asked}")]
        ways.append(store.get(f"/download/film.mp4?range={asked}"))
        ways.append(store.get(f"/download?filename=film.mp4&range=bytes={asked}"))
        if not asked.startswith("-"):
            ways.append(store.get(f"/download/film.mp4/{asked.replace('-', '/')}"))
        for reply in ways:
            assert (reply.status, reply.body) == (206, FILM[start:stop])
            assert reply.get("Content-Range") == f"bytes {start}-{stop - 1}/{SIZE}"
            assert reply.get("Content-Length") == str(stop - start)

    def test_several(self, store: StoreProxy) -> None:
        reply = store.get("/download/film.mp4", Range="bytes=0-9,500000-500009,-10")
        assert reply.status == 206
        kind = reply.get("Content-Type") or ""
        boundary = kind.removeprefix("multipart/byteranges; boundary=")
        parts = reply.body.split(f"--{boundary}".encode())[1:-1]
        bodies = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts]
        assert bodies == [FILM[:10], FILM[500_000:500_010], FILM[-10:]]

    @pytest.mark.parametrize("asked", [f"{SIZE}-", "-0", f"{SIZE + 5}-{SIZE + 9}"])
    def test_beyond_the_end(self, store: StoreProxy, asked: str) -> None:
        reply = store.get("/download/film.mp4", Range=f"bytes={asked}")
        assert (reply.status, reply.get("Content-Range")) == (416, f"bytes */{SIZE}")

    def test_ways_that_disagree(self, store: StoreProxy) -> None:
        assert store.get("/download/film.mp4?range=0-9", Range="bytes=5-9").status == 416
        assert store.get("/download/film.mp4?range=x").status == 400

    def test_conditions(self, store: StoreProxy) -> None:
        etag = store.head("/download/film.mp4").get("ETag")
        assert etag is not None

        def status(**fields: str) -> int:
            names = {name.replace("_", "-"): value for name, value in fields.items()}
            return store.get("/download/film.mp4", **names).status

        assert status(If_None_Match=etag) == 304
        assert status(If_Modified_Since=LAST_MODIFIED) == 304
        assert status(If_None_Match='"other"') == 200
        assert status(If_Match='"other"') == 412
        assert status(Range="bytes=0-9", If_Range=etag) == 206
        assert status(Range="bytes=0-9", If_Range=LAST_MODIFIED) == 206
        assert status(Range="bytes=0-9", If_Range='"other"') == 200
        assert status(Range="bytes=0-9", If_Range=f"W/{etag}") == 200


class TestErrors:
    @pytest.mark.parametrize(
        ("target", "status"),
        [
            ("/download/no.mp4", 404),
            ("/download?filename=no.mp4", 404),
            ("/download/films", 404),
            ("/download/link.mp4", 404),
            ("/download/.secret", 400),
            ("/download/films/deep.mp4", 400),
            ("/download/films%2Fdeep.mp4", 400),
            ("/download/../film.mp4", 400),
            ("/download?filename=../../etc/passwd", 400),
            ("/download?filename=", 400),
            ("/download?filename=a&filename=b", 400),
            ("/download", 400),
            ("/download/", 400),
        ],
    )
    def test_no_such_file(self, store: StoreProxy, target: str, status: int) -> None:
        reply = store.get(target)
        assert reply.status == status
        assert json.loads(reply.body)["status"] == status

    def test_other_methods(self, store: StoreProxy) -> None:
        reply = store.request("POST", "/download/film.mp4", b"")
        assert (reply.status, reply.get("Allow")) == (405, "GET, HEAD, OPTIONS")


class TestList:
    def listed(self, store: StoreProxy, query: str = "") -> dict[str, object]:
        reply = store.request("GET", f"/files{query}")
        assert (reply.status, reply.get("Content-Type")) == (200, "application/json")
        told: dict[str, object] = json.loads(reply.body)
        return told

    def test_all(self, store: StoreProxy) -> None:
        told = self.listed(store)
        files = told["files"]
        assert isinstance(files, list)
        names = sorted(["film.mp4", "empty.bin", *ACTIVE, *TYPES])
        assert [file["name"] for file in files] == names and told["total"] == len(names)
        film = next(file for file in files if file["name"] == "film.mp4")
        assert film == {
            "name": "film.mp4",
            "size": SIZE,
            "type": "video/mp4",
            "modified": "2020-01-02T03:04:05Z",
            "url": "/film.mp4",
        }

    def test_pages(self, store: StoreProxy) -> None:
        everything = self.listed(store)["files"]
        assert isinstance(everything, list)
        found: list[object] = []
        while True:
            told = self.listed(store, f"?limit=4&offset={len(found)}")
            assert told["offset"] == len(found) and told["total"] == len(everything)
            some = told["files"]
            assert isinstance(some, list) and len(some) <= 4
            if not some:
                break
            found += some
        assert found == everything

    @pytest.mark.parametrize("query", ["?limit=x", "?limit=1001", "?offset=-1", "?limit=1&limit=2"])
    def test_wrong_pages(self, store: StoreProxy, query: str) -> None:
        assert store.request("GET", f"/files{query}").status == 400

    def test_delete(self, store: StoreProxy) -> None:
        (store.root / "gone.bin").write_bytes(b"x")
        reply = store.request("DELETE", "/files/gone.bin")
        assert (reply.status, reply.body) == (204, b"")
        assert store.get("/download/gone.bin").status == 404
        assert store.request("DELETE", "/files/gone.bin").status == 404
        assert store.request("DELETE", "/files/link.mp4").status == 404
        assert store.request("DELETE", "/files/%2e%2e%2fx").status == 400


def test_a_file_that_is_replaced_while_it_is_read(store: StoreProxy) -> None:
    size = 16 << 20
    first, second = (random.Random(seed).randbytes(1 << 20) * 16 for seed in (1, 2))
    assert store.put("large.bin", first).status == 201
    with Connection(store.port, receive_buffer=65536) as client:
        client.ask("/download/large.bin")
        head = client.read_head()
        assert head.get("Content-Length") == str(size)
        begun = client.read(1 << 20)
        assert store.put("large.bin", second, query="?overwrite=1").status == 201
        assert store.get("/download/large.bin").body == second
        # One answer is of one version, whatever happens to the name.
        assert begun + client.read(size - len(begun)) == first


def test_many_at_once(store: StoreProxy) -> None:
    spans = [(place, min(place + 70_001, SIZE)) for place in range(0, SIZE, 50_000)]
    with ThreadPoolExecutor(16) as pool:
        targets = [f"/download/film.mp4?range={start}-{stop - 1}" for start, stop in spans]
        replies = list(pool.map(store.get, targets))
    assert [reply.body for reply in replies] == [FILM[start:stop] for start, stop in spans]
