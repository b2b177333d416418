"""The embedded origin over real sockets. Expected bytes come from slicing what the test wrote."""

import os
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock
from urllib.parse import quote, urljoin

import pytest
from tornado.httpclient import HTTPResponse
from tornado.testing import AsyncHTTPTestCase, ExpectLog
from tornado.web import Application

from aprp.pages.listing import Uploads
from aprp.semantics.media_types import content_type
from aprp.upstream import listing as listings
from aprp.upstream.embedded import make_origin
from aprp.upstream.listing import PAGE, list_files

CONTENT = bytes(range(256)) * 1000


class References(HTMLParser):
    """Collects the addresses that a page refers to, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.others: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "href":
                (self.links if tag == "a" else self.others).append(value or "")
            elif name == "src":
                self.sources.append(value or "")


class OriginTest(AsyncHTTPTestCase):
    """A directory with one clip, served."""

    def get_app(self) -> Application:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.outside = Path(held.name)
        self.root = self.outside / "media"
        self.root.mkdir()
        self.write("clip.mp4")
        return make_origin(self.root)

    def write(self, name: str, content: bytes = CONTENT) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def ask(self, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.fetch(path, method=method, headers=fields, follow_redirects=False)

    def page(self, path: str = "/") -> str:
        answer = self.ask(path)
        assert answer.code == 200
        assert answer.headers["Content-Type"] == "text/html; charset=UTF-8"
        return answer.body.decode()


class FileTest(OriginTest):
    def test_whole_file(self) -> None:
        answer = self.ask("/clip.mp4")
        assert (answer.code, answer.body) == (200, CONTENT)
        assert answer.headers["Content-Type"] == "video/mp4"
        assert answer.headers["Accept-Ranges"] == "bytes"

    def test_one_range(self) -> None:
        answer = self.ask("/clip.mp4", Range="bytes=1000-1999")
        assert (answer.code, answer.body) == (206, CONTENT[1000:2000])
        assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"

    def test_range_beyond_the_end(self) -> None:
        answer = self.ask("/clip.mp4", Range=f"bytes={len(CONTENT)}-")
        assert answer.code == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"

    def test_head_has_the_length_and_ignores_a_range(self) -> None:
        # RFC 9110 section 14.2: Range is defined for GET.
        answer = self.ask("/clip.mp4", method="HEAD", Range="bytes=0-9")
        assert (answer.code, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(CONTENT))

    def test_if_range_with_the_current_validator_is_partial(self) -> None:
        whole = self.ask("/clip.mp4")
        for validator in (whole.headers["Etag"], whole.headers["Last-Modified"]):
            answer = self.ask("/clip.mp4", Range="bytes=0-9", If_Range=validator)
            assert (answer.code, answer.body) == (206, CONTENT[:10])

    def test_if_range_with_another_validator_is_whole(self) -> None:
        # RFC 9110 section 13.1.5: a weak validator never matches.
        weak = "W/" + self.ask("/clip.mp4").headers["Etag"]
        for validator in ('"other"', weak, "Thu, 01 Jan 1970 00:00:00 GMT"):
            answer = self.ask("/clip.mp4", Range="bytes=0-9", If_Range=validator)
            assert (answer.code, answer.body) == (200, CONTENT)

    def test_etag_is_strong_and_answers_304(self) -> None:
        etag = self.ask("/clip.mp4").headers["Etag"]
        assert etag.startswith('"')
        assert self.ask("/clip.mp4", If_None_Match=etag).code == 304

    def test_etag_follows_the_file(self) -> None:
        path = self.root / "clip.mp4"
        before = self.ask("/clip.mp4").headers["Etag"]
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(0, 1))
        same_length = self.ask("/clip.mp4")
        path.write_bytes(CONTENT[:-1])
        os.utime(path, ns=(0, 1))
        same_time = self.ask("/clip.mp4")
        assert same_length.body == CONTENT[::-1]
        assert len({before, same_length.headers["Etag"], same_time.headers["Etag"]}) == 3

    def test_a_file_larger_than_tornado_hashes_has_an_etag(self) -> None:
        with (self.root / "large.mkv").open("wb") as file:
            file.truncate(200 << 20)
        answer = self.ask("/large.mkv", method="HEAD")
        assert answer.headers["Content-Length"] == str(200 << 20)
        assert answer.headers["Etag"]

    def test_names_with_spaces_signs_and_other_scripts(self) -> None:
        for name in ("a b.mp4", "größe 映画.webm", "50%.mp3", "a+b&c=d?#e.ogg", "deep/er/x.mp4"):
            self.write(name, name.encode())
            assert self.ask("/" + quote(name)).body == name.encode()

    def test_hidden_files_are_not_there(self) -> None:
        self.write(".secret.mp4")
        self.write(".dir/clip.mp4")
        self.write("dir/.dir/clip.mp4")
        for path in ("/.secret.mp4", "/.dir/clip.mp4", "/dir/.dir/clip.mp4", "/.dir/", "/dir/.dir"):
            assert self.ask(path).code == 404, path

    def test_nothing_outside_the_directory(self) -> None:
        (self.outside / "secret.mp4").write_bytes(b"secret")
        (self.root / "link.mp4").symlink_to("../secret.mp4")
        (self.root / "up").symlink_to("..")
        for path in (
            "/../secret.mp4",
            "/%2e%2e/secret.mp4",
            "/%2e%2e/",
            "/clip.mp4/../../secret.mp4",
        ):
            assert self.ask(path).code == 404, path
        with ExpectLog("tornado.general", "403 GET"):
            outside = quote(str(self.outside / "secret.mp4"))
            for path in ("/link.mp4", "/up/secret.mp4", "/up/", f"/{outside}", f"/{outside}/"):
                assert self.ask(path).code == 403, path

    def test_names_that_no_file_has(self) -> None:
        for path in ("/none.mp4", "/none/", "/clip.mp4/", "/a%00b", "/a%00b/", "/" + "x" * 300):
            assert self.ask(path).code == 404, path

    def test_a_directory_without_a_slash_leads_to_its_page(self) -> None:
        self.write("dir one/clip.mp4")
        answer = self.ask("/dir%20one")
        assert answer.code == 301
        assert urljoin("/dir%20one", answer.headers["Location"]) == "/dir%20one/"

    def test_only_get_and_head(self) -> None:
        assert self.fetch("/clip.mp4", method="POST", body=b"").code == 405
        assert self.fetch("/", method="DELETE").code == 405


class IndexTest(OriginTest):
    def test_every_listed_file_is_served_under_its_link(self) -> None:
        names = ["clip.mp4", "a b.webm", 'q"<i>&.mp3', "a:b?c#d%41.ogg", "größe/映画 1.mkv"]
        for name in names:
            self.write(name, name.encode())
        found = References(self.page()).links
        bodies = [self.ask(urljoin("/", link)).body for link in found]
        assert [name for name in names if name.encode() not in bodies] == []

    def test_page_of_a_subdirectory(self) -> None:
        self.write("series/one/1.mp4", b"1")
        links = References(self.page("/series/")).links
        assert "one/1.mp4" in links
        assert self.ask(urljoin("/series/", "one/1.mp4")).body == b"1"

    def test_plays_the_sample_first(self) -> None:
        self.write("sample.mp4")
        page = References(self.page())
        assert page.sources == ["sample.mp4"]

    def test_plays_the_first_playable_file_otherwise(self) -> None:
        self.write("a.mkv")
        self.write("b.webm")
        assert References(self.page()).sources == ["b.webm"]

    def test_names_cannot_become_markup(self) -> None:
        self.write("<script>alert(1)<!--.mp4")
        self.write("x' onerror='alert(2).mp4")
        page = self.page()
        assert "<script>alert" not in page
        assert "' onerror" not in page
        assert "&lt;script&gt;alert(1)&lt;!--.mp4" in page

    def test_refers_to_no_other_host(self) -> None:
        page = self.page()
        seen = References(page)
        for reference in seen.links + seen.sources + seen.others:
            assert reference.startswith("data:") or "//" not in reference
        policy = self.ask("/").headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "media-src 'self'" in policy

    def test_shows_the_three_ways_to_ask_for_a_range(self) -> None:
        links = References(self.page()).links
        assert {"clip.mp4", "clip.mp4?range=0-99", "clip.mp4/0/99"} <= set(links)

    def test_head(self) -> None:
        whole = self.ask("/")
        answer = self.ask("/", method="HEAD")
        assert (answer.code, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(whole.body))

    def test_an_empty_directory_says_what_to_do(self) -> None:
        (self.root / "clip.mp4").unlink()
        page = self.page()
        assert str(self.root) in page
        assert "--upstream" in page
        assert References(page).sources == []

    def test_files_of_all_kinds(self) -> None:
        names = ["clip.mp4", "notes.txt", "paper.pdf", "no ending", "deep/picture.png"]
        for name in names:
            self.write(name, name.encode())
        self.write(".hidden.txt")
        found = References(self.page()).links
        bodies = {self.ask(urljoin("/", link)).body for link in found}
        assert {name.encode() for name in names} <= bodies
        assert not [link for link in found if "hidden" in link]
        # A film is what ways to ask for a range are shown with.
        assert "clip.mp4/0/99" in found

    def test_a_page_of_many_files_and_the_next(self) -> None:
        for number in range(PAGE + 1):
            self.write(f"{number:04}.txt", b"")
        first, second = self.page(), self.page("/?page=2")
        links = References(first).links
        # The first one is what ways to ask for a range are shown with, too.
        assert [link for link in links if link.endswith(".txt")][:PAGE] == [
            f"{number:04}.txt" for number in range(PAGE)
        ]
        assert "?page=2" in links and "?page=1" not in links
        assert f"Files 1 to 500 of {PAGE + 2}." in first
        links = References(second).links
        assert {"0500.txt", "clip.mp4", "?page=1"} <= set(links)
        assert "0499.txt" not in links and "?page=3" not in links
        # The player is at the top of the first page, wherever the film is in the list.
        assert References(first).sources == ["clip.mp4"]
        assert References(second).sources == []
        assert f"Files 501 to 502 of {PAGE + 2}." in second

    def test_pages_that_nobody_links_to(self) -> None:
        for query in ("page=0", "page=7", "page=-1", "page=x", "page=", "page=" + "9" * 5000):
            assert "clip.mp4" in References(self.page(f"/?{query}")).links, query

    def test_more_entries_than_are_looked_at(self) -> None:
        for name in ("a.mp4", "b.txt"):
            self.write(name)
        with mock.patch.object(listings, "MAX_SCANNED", 1):
            page = self.page()
        assert "more than" in page and "All files are served." in page


class StoreTest(OriginTest):
    def get_app(self) -> Application:
        super().get_app()
        return make_origin(self.root, uploads=Uploads("", token=False, most=0))

    def test_files_of_the_store_are_marked(self) -> None:
        for name in ("deep/a.txt", "a\\b.txt", "caf\u0065\u0301.txt", "notes.txt"):
            self.write(name)
        (self.root / "link.txt").symlink_to("notes.txt")
        rows = self.page().split("<tr>")[2:]
        marks = [row for row in rows if 'data-stored="yes"' in row]
        marked = [re.findall(r'href="([^"]*)"', row)[0] for row in marks]
        assert marked == ["clip.mp4", "notes.txt"]
        assert len(rows) == 6
        assert 'data-stored="yes"' not in self.page("/deep/")


class OptionsTest(OriginTest):
    def get_app(self) -> Application:
        super().get_app()
        self.write("deep er/größe.mp4")
        return make_origin(
            self.root,
            range_param="r",
            range_path=False,
            stats_url="/x/stats",
            play_url="/x/play",
        )

    def test_media_lead_to_the_player_and_to_the_file(self) -> None:
        links = References(self.page()).links
        assert {"x/play/clip.mp4", "clip.mp4"} <= set(links)
        name = "gr%C3%B6%C3%9Fe.mp4"
        assert {f"x/play/deep%20er/{name}", f"deep%20er/{name}"} <= set(links)
        links = References(self.page("/deep%20er/")).links
        assert {f"../x/play/deep%20er/{name}", name, "../"} <= set(links)

    def test_the_page_tells_what_the_proxy_takes(self) -> None:
        links = References(self.page()).links
        assert "clip.mp4?r=0-99" in links
        assert "x/stats" in links
        assert not [link for link in links if link.endswith("/0/99")]


class NoIndexTest(OriginTest):
    def get_app(self) -> Application:
        super().get_app()
        self.write("deep/clip.mp4")
        return make_origin(self.root, index=False)

    def test_directories_have_no_page(self) -> None:
        for path in ("/", "/deep/", "/none/"):
            assert self.ask(path).code == 404, path
            assert self.ask(path, method="HEAD").code == 404, path

    def test_files_are_served(self) -> None:
        assert self.ask("/deep/clip.mp4").body == CONTENT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", "video/mp4"),
        ("a.MP4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.mkv", "video/x-matroska"),
        ("a.m3u8", "application/vnd.apple.mpegurl"),
        ("a.ts", "video/mp2t"),
        ("a.mpd", "application/dash+xml"),
        ("a.m4s", "video/iso.segment"),
        ("a.vtt", "text/vtt"),
        ("a.mp3", "audio/mpeg"),
        ("a.m4a", "audio/mp4"),
        ("a.ogg", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.mp4.txt", "text/plain"),
        ("a.nothing-known", None),
        ("mp4", None),
    ],
)
def test_content_type(name: str, expected: str | None) -> None:
    assert content_type(name) == expected


def test_listing_order_and_what_is_left_out(tmp_path: Path) -> None:
    for name in ("b.mp4", "A.mp3", "dir/c.webm", "Dir2/d.ts", "notes.txt", ".h.mp4", ".d/e.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "dir.mp4").mkdir()
    (tmp_path / "inner.mp4").symlink_to("b.mp4")
    (tmp_path / "broken.mp4").symlink_to("nothing.mp4")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / os.fsdecode(b"\xff.mp4")).touch()
    listing = list_files(tmp_path, tmp_path)
    names = [file.name for file in listing.files]
    assert names == ["A.mp3", "b.mp4", "inner.mp4", "notes.txt", "dir/c.webm", "Dir2/d.ts"]
    assert [file.stored for file in listing.files] == [True, True, False, True, False, False]
    assert listing.complete and listing.total == len(names)


def test_pages_of_a_listing(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.txt").touch()
    for page, skipped, names in ((1, 0, "ab"), (2, 2, "cd"), (3, 4, "e"), (4, 4, "e")):
        listing = list_files(tmp_path, tmp_path, page, size=2)
        assert [file.name[0] for file in listing.files] == list(names)
        assert (listing.skipped, listing.total, listing.complete) == (skipped, 5, True)


def test_a_listing_of_nothing(tmp_path: Path) -> None:
    listing = list_files(tmp_path, tmp_path)
    assert (listing.files, listing.skipped, listing.total) == ((), 0, 0)


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "itself.mp4").symlink_to("itself.mp4")
    assert list_files(tmp_path, tmp_path).total == 0
