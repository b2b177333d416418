"""Directories of real servers, for a browser: a page of links; an ordinary site as it is."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.e2e import servers
from tests.e2e.clients import Reply, fetch
from tests.e2e.content import NAMES, content_of
from tests.e2e.servers import Proxy

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
SITE = b"<!doctype html>\n<title>Our films</title><h1>Our films</h1>\n" + b"<p>Text</p>\n" * 20_000
LISTED = [name for name in NAMES if "/" not in name]
FLAGS = ("--home-page", "--player")

# The same files three times: as HTML, as JSON, and compressed.
INSIDE = """
autoindex on;
location /json/ {{ alias {root}/; autoindex_format json; }}
location /packed/ {{ alias {root}/; gzip on; gzip_min_length 1; types {{ text/html html; }} }}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with names of all kinds, a film, and a directory that is a site."""
    root = tmp_path_factory.mktemp("site")
    for name in LISTED:
        (root / name).write_bytes(content_of(name))
    (root / "film é.mp4").write_bytes(b"film")
    (root / "old").mkdir()
    (root / "www").mkdir()
    (root / "www" / "index.html").write_bytes(SITE)
    return root


@pytest.fixture(scope="module")
def nginx(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an nginx that lists directories."""
    with servers.nginx(root, tmp_path_factory.mktemp("nginx"), INSIDE.format(root=root)) as url:
        yield url


@pytest.fixture(scope="module")
def before_nginx(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with a cache before it."""
    flags = ("--upstream", nginx, *FLAGS)
    with Proxy(tmp_path_factory.mktemp("proxy"), *flags, cache=True) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def before_python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy before Python's http.server."""
    with (
        servers.http_server(root) as url,
        Proxy(tmp_path_factory.mktemp("proxy"), "--upstream", url, *FLAGS) as proxy,
    ):
        yield proxy


def browse(url: str, target: str, **fields: str) -> Reply:
    """Ask as a browser does."""
    return fetch(url, target, Accept=ACCEPT, **({"Accept-Encoding": "gzip, br"} | fields))


def links_of(page: Reply) -> list[str]:
    """Where the page leads."""
    return [html.unescape(link) for link in re.findall(r'<a href="([^"]*)"', page.body.decode())]


def check_page(proxy: Proxy, directory: str) -> None:
    """Check that the page of a directory leads to every file, by its own way and the player."""
    page = browse(proxy.url, directory)
    assert page.status == 200
    assert page.get("Content-Type") == "text/html; charset=utf-8"
    assert page.get("Cache-Control") == "no-cache"
    links = links_of(page)
    found = {proxy.get(urljoin(directory, link)).body for link in links if ".bin" in link}
    assert found == {content_of(name) for name in LISTED if name.endswith(".bin")}
    assert "old/" in links
    own = {urljoin(directory, link) for link in links}
    assert {f"/play{directory}film%20%C3%A9.mp4", "/stats"} <= own
    # So it works below a path of a server in front, too.
    assert not any(link.startswith("/") for link in links)
    assert proxy.get(urljoin(directory, "film%20%C3%A9.mp4")).body == b"film"
    assert not any(urlsplit(link).netloc for link in links)


@pytest.mark.parametrize("directory", ["/", "/json/", "/packed/"])
def test_listings_of_nginx(before_nginx: Proxy, directory: str) -> None:
    check_page(before_nginx, directory)
    text = browse(before_nginx.url, directory).body.decode()
    # What autoindex tells of sizes and times.
    assert "4 B" in text and "4.88 KiB" in text
    assert re.search(r"\d\d:\d\d", text)


def test_a_listing_of_http_server(before_python: Proxy) -> None:
    check_page(before_python, "/")


def test_queries_pass(before_nginx: Proxy) -> None:
    browse(before_nginx.url, "/old/?C=M;O=D")
    line = before_nginx.wait_access_line("/old/?C=M;O=D")
    assert line["status"] == 200


def test_a_site_stays_as_it_is(before_nginx: Proxy, before_python: Proxy, nginx: str) -> None:
    for proxy in (before_nginx, before_python):
        # The second one may come from the cache.
        for _ in range(2):
            reply = browse(proxy.url, "/www/")
            assert (reply.status, reply.body) == (200, SITE)
            assert reply.get("Content-Security-Policy") is None
    direct = browse(nginx, "/www/")
    told = browse(before_nginx.url, "/www/")
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Content-Encoding"):
        assert told.get(name) == direct.get(name)
    etag = told.get("ETag")
    assert etag is not None
    assert browse(before_nginx.url, "/www/", **{"If-None-Match": etag}).status == 304


def test_programs_get_the_listing_itself(before_nginx: Proxy, nginx: str) -> None:
    for directory in ("/", "/json/"):
        direct = fetch(nginx, directory)
        for accept in ("*/*", "application/json"):
            assert fetch(before_nginx.url, directory, Accept=accept).body == direct.body


def test_what_is_not_there(before_nginx: Proxy, nginx: str) -> None:
    direct = browse(nginx, "/none/")
    reply = browse(before_nginx.url, "/none/")
    assert (reply.status, reply.body) == (404, direct.body)
