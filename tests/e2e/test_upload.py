"""Files put in over HTTP: by curl as people do it, and by plain sockets where it goes wrong."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.content import FILM, endless
from tests.e2e.file_store import AUTHORIZED, StoreProxy, digest, form, unfinished
from tests.e2e.programs import anonymous_memory, require, run, wait_until
from tests.e2e.servers import wait_replaced

SIZE = len(FILM)
LONG = os.environ.get("APRP_LONG") == "1"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProxy]:
    """Two workers, with a cache."""
    directory = tmp_path_factory.mktemp("proxy")
    root = tmp_path_factory.mktemp("media")
    with StoreProxy(directory, root, "--workers", "2", cache=True) as started:
        yield started


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    return path


class TestCurl:
    def check(self, store: StoreProxy, told: object, name: str, content: bytes) -> None:
        expected = {
            "name": name,
            "size": len(content),
            "sha256": digest(content),
            "type": "video/mp4",
            "url": f"/{name}",
        }
        assert told == expected
        assert (store.root / name).read_bytes() == content
        assert store.get(f"/{name}").body == content
        assert store.left_behind() == []

    def test_form(self, store: StoreProxy, film: Path) -> None:
        told = store.curl("-F", f"file=@{film};filename=form.mp4", f"{store.url}/upload")
        assert told[0] == 201
        self.check(store, told[1], "form.mp4", FILM)

    def test_put(self, store: StoreProxy, film: Path) -> None:
        # curl adds the name of the file to a URL that ends with a slash.
        status, told = store.curl("-T", film, f"{store.url}/upload/")
        assert status == 201
        self.check(store, told, "film.mp4", FILM)

    def test_put_of_a_pipe(self, store: StoreProxy, film: Path) -> None:
        command = (
            f"cat {film} | {require('curl')} -s -H '{AUTHORIZED}' -T - {store.url}/upload/pipe.mp4"
        )
        assert run("sh", "-c", command).returncode == 0
        assert (store.root / "pipe.mp4").read_bytes() == FILM

    def test_resume(self, store: StoreProxy, film: Path) -> None:
        # As curl --continue-at <offset> says it after a transfer that broke off.
        url = f"{store.url}/upload/resumed.mp4"
        lines = (f"Content-Range: bytes 0-{SIZE - 1}/{SIZE}",)
        with unfinished(store, "/upload/resumed.mp4", SIZE, *lines) as client:
            client.send(FILM[:400_000])
            wait_until(lambda: self.offset(store, "resumed.mp4") == "400000", "bytes are kept")
        assert "resumed.mp4" not in store.names()
        wait_until(lambda: store.curl("-C", "400000", "-T", film, url)[0] == 201, "it is resumed")
        assert (store.root / "resumed.mp4").read_bytes() == FILM

    @staticmethod
    def offset(store: StoreProxy, name: str) -> str | None:
        return store.request("HEAD", f"/upload/{name}").get("Upload-Offset")

    def test_resume_where_curl_cannot_tell(self, store: StoreProxy, film: Path) -> None:
        # With `-C -` curl sends all of it, with Content-Range: what is here is only compared.
        store.put("again.mp4", FILM[:5000], f"Content-Range: bytes 0-4999/{SIZE}")
        status, told = store.curl("-C", "-", "-T", film, f"{store.url}/upload/again.mp4")
        assert status == 201
        self.check(store, told, "again.mp4", FILM)

    def test_a_name_that_is_taken(self, store: StoreProxy, film: Path) -> None:
        url = f"{store.url}/upload/taken.mp4"
        assert store.curl("-T", film, url)[0] == 201
        status, told = store.curl("-T", film, url)
        assert status == 409 and "overwrite" in told["detail"]
        film.write_bytes(FILM[::-1])
        assert store.curl("-T", film, f"{url}?overwrite=1")[0] == 201
        assert (store.root / "taken.mp4").read_bytes() == FILM[::-1]


class TestNames:
    @pytest.mark.parametrize(
        "path",
        "../x a/../../b %2e%2e%2f %2e%2e%2fx %2e%2e nul%00 a\0b a%0Ab a%2Fb a/b a%5Cb .x "
        f"%E2%80%AEgpj.exe %FF %zz {'x' * 256}".split(),
        ids=ascii,
    )
    def test_paths_that_are_refused(self, store: StoreProxy, path: str) -> None:
        before = sorted(store.root.parent.rglob("*"))
        assert store.put(path, b"x").status == 400
        assert sorted(store.root.parent.rglob("*")) == before

    @pytest.mark.parametrize(
        "name",
        ["../x", "a/b", "..", "nul%00\0", ".x", "y" * 256, "\u202egpj.exe", "a\\b"],
        ids=ascii,
    )
    def test_forms_that_are_refused(self, store: StoreProxy, name: str) -> None:
        before = sorted(store.root.parent.rglob("*"))
        line, body = form(b"x", name)
        assert store.request("POST", "/upload", body, line).status == 400
        assert sorted(store.root.parent.rglob("*")) == before

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("gr%C3%B6%C3%9Fe%20%E6%98%A0%E7%94%BB.mp4", "größe 映画.mp4"),
            ("cafe%CC%81.mp4", "café.mp4"),
            ("100%25%2e.mp4", "100%..mp4"),
            ("%C3%A9" * 127, "é" * 127),
            ("a'b;c=d,e+f&g.mp4", "a'b;c=d,e+f&g.mp4"),
            ("what%3F%23.mp4", "what?#.mp4"),
        ],
    )
    def test_names_that_are_taken(self, store: StoreProxy, path: str, name: str) -> None:
        reply = store.put(path, name.encode())
        assert reply.status == 201, reply
        assert (store.root / name).read_bytes() == name.encode()
        where = reply.get("Location")
        assert where is not None
        assert store.get(where).body == name.encode()
        assert store.get(where.replace("/download", "")).body == name.encode()
        assert store.request("DELETE", where.replace("/download", "/files")).status == 204


class TestTogether:
    def test_of_twenty_one_wins(self, store: StoreProxy) -> None:
        contents = [bytes([number]) * 200_000 for number in range(20)]
        with ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(lambda content: store.put("race.bin", content), contents))
        statuses = [reply.status for reply in replies]
        assert sorted(statuses) == [201] + [409] * 19
        assert (store.root / "race.bin").read_bytes() == contents[statuses.index(201)]
        assert store.left_behind() == []

    def test_no_cache_gives_what_was_there_before(self, store: StoreProxy) -> None:
        # As old as a file that counts as fresh for hours (RFC 9111 section 4.2.2).
        for number in range(6):
            content = bytes([number]) * 300_000
            assert store.put("changing.bin", content, query="?overwrite=1").status == 201
            os.utime(store.root / "changing.bin", (0, number))
            for target in ("/changing.bin", "/changing.bin?x=1", "/%63hanging.bin"):
                with ThreadPoolExecutor(8) as pool:
                    got = list(pool.map(lambda _, t=target: store.get(t).body, range(8)))
                assert all(body == content for body in got), (number, target)
        assert store.request("DELETE", "/files/changing.bin").status == 204
        assert store.get("/changing.bin").status == 404

    def test_kill_in_the_middle(self, store: StoreProxy) -> None:
        workers = store.workers()
        lines = (f"Content-Range: bytes 0-{SIZE - 1}/{SIZE}",)
        with (
            unfinished(store, "/upload/killed.bin", SIZE) as whole,
            unfinished(store, "/upload/parts.bin", SIZE, *lines) as parts,
        ):
            whole.send(FILM[: SIZE // 2])
            parts.send(FILM[: SIZE // 2])
            wait_until(lambda: TestCurl.offset(store, "parts.bin") == str(SIZE // 2), "it is kept")
            wait_until(lambda: len(store.left_behind()) == 2, "both have begun")
            for victim in workers:
                os.kill(victim, signal.SIGKILL)
                wait_replaced(store, victim)
            store.expect_faults()
            assert not {"killed.bin", "parts.bin"} & set(store.names())
            assert store.get("/killed.bin").status == 404
        # The next worker removes what can never be finished, and keeps what can.
        wait_until(lambda: len(store.left_behind()) == 1, "what was left behind is removed")
        rest = f"Content-Range: bytes {SIZE // 2}-{SIZE - 1}/{SIZE}"
        assert store.put("parts.bin", FILM[SIZE // 2 :], rest).status == 201
        assert (store.root / "parts.bin").read_bytes() == FILM


class TestConditions:
    def test_put(self, store: StoreProxy) -> None:
        first = store.put("c.bin", b"1", "If-None-Match: *", query="?overwrite=1")
        etag = first.get("ETag")
        assert first.status == 201 and store.get("/download/c.bin").get("ETag") == etag
        again = store.put("c.bin", b"2", "If-None-Match: *", query="?overwrite=1")
        assert again.status == 412 and b"If-None-Match" in again.body
        second = store.put("c.bin", b"3", f"If-Match: {etag}", query="?overwrite=1")
        assert second.status == 201 and second.get("ETag") != etag
        assert store.put("c.bin", b"4", f"If-Match: {etag}", query="?overwrite=1").status == 412
        assert store.get("/c.bin").body == b"3"

    def test_delete(self, store: StoreProxy) -> None:
        etag = store.put("d.bin", b"1").get("ETag")
        delete = ("DELETE", "/files/d.bin", None)
        assert store.request(*delete, 'If-Match: "other"').status == 412
        assert store.request(*delete, f"If-Match: {etag}").status == 204


class TestParts:
    def test_in_order(self, store: StoreProxy) -> None:
        first = store.put("p.bin", FILM[:1000], f"Content-Range: bytes 0-999/{SIZE}")
        assert (first.status, first.get("Upload-Offset")) == (202, "1000")
        for start in (999, 1001, 5):
            line = f"Content-Range: bytes {start}-{SIZE - 1}/{SIZE}"
            wrong = store.put("p.bin", FILM[start:], line)
            assert (wrong.status, wrong.get("Upload-Offset")) == (409, "1000")
        told = store.request("HEAD", "/upload/p.bin")
        assert (told.status, told.get("Upload-Length")) == (204, str(SIZE))
        assert (told.get("Upload-Offset"), told.get("Upload-Complete")) == ("1000", "?0")
        line = f"Content-Range: bytes 1000-{SIZE - 1}/{SIZE}"
        assert store.put("p.bin", FILM[1000:], line).status == 201
        told = store.request("HEAD", "/upload/p.bin")
        assert (told.get("Upload-Offset"), told.get("Upload-Complete")) == (str(SIZE), "?1")
        assert (store.root / "p.bin").read_bytes() == FILM

    def test_giving_up(self, store: StoreProxy) -> None:
        store.put("q.bin", b"1", "Content-Range: bytes 0-0/2")
        assert store.request("DELETE", "/upload/q.bin").status == 204
        assert store.request("DELETE", "/upload/q.bin").status == 404
        assert store.request("HEAD", "/upload/q.bin").status == 404
        assert store.left_behind() == []

    @pytest.mark.parametrize(
        "said", ["bytes 0-1/*", "bytes */5", "bytes 5-1/9", "items 0-1/2", "bytes 0-9/5", "x"]
    )
    def test_malformed(self, store: StoreProxy, said: str) -> None:
        assert store.put("m.bin", b"12", f"Content-Range: {said}").status == 400

    def test_another_length_than_announced(self, store: StoreProxy) -> None:
        assert store.put("l.bin", b"123", "Content-Range: bytes 0-1/5").status == 400


def test_a_large_file_takes_no_memory(store: StoreProxy) -> None:
    size = (5 << 30) if LONG else (256 << 20)
    wait_until(lambda: len(store.workers()) == 2, "both workers are there")
    # What the first upload needs is not of its size.
    assert store.put("warm.bin", FILM, query="?overwrite=1").status == 201
    before = {pid: anonymous_memory(pid) for pid in store.workers()}
    most = 0
    with unfinished(store, "/upload/large.bin", size) as client:
        client.socket.settimeout(600)
        for place in range(0, size, 1 << 20):
            client.send(endless(place, place + (1 << 20)))
            if not place % (64 << 20):
                grown = [anonymous_memory(pid) - had for pid, had in before.items()]
                most = max(most, *grown)
        reply = client.read_reply()
    assert reply.status == 201, reply
    assert most < 60 << 20
    path = store.root / "large.bin"
    assert path.stat().st_size == size
    with path.open("rb") as file:
        for place in range(0, size, 64 << 20):
            file.seek(place)
            assert file.read(1000) == endless(place, place + 1000)
    assert store.request("DELETE", "/files/large.bin").status == 204
