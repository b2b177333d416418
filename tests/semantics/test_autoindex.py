"""Listings as nginx, Apache, lighttpd, Caddy and http.server write them; and what is none."""

import html
import json
from pathlib import Path
from urllib.parse import quote, unquote, urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aprp.semantics.autoindex import Index, Item, read_index

_LISTINGS = Path(__file__).with_name("listings")
NGINX = (_LISTINGS / "nginx.html").read_text("utf-8")
NGINX_JSON = (_LISTINGS / "nginx.json").read_text("utf-8")
APACHE_PLAIN = (_LISTINGS / "apache-plain.html").read_text("utf-8")
APACHE_FANCY = (_LISTINGS / "apache-fancy.html").read_text("utf-8")
APACHE_TABLE = (_LISTINGS / "apache-table.html").read_text("utf-8")
LIGHTTPD = (_LISTINGS / "lighttpd.html").read_text("utf-8")
CADDY = (_LISTINGS / "caddy.html").read_text("utf-8")
PYTHON = (_LISTINGS / "python.html").read_text("utf-8")

LONG = "a-name-that-is-longer-than-nginx-has-room-for-and-is-cut.mp4"
BY_NAME, BY_TIME, BY_SIZE = (
    (column, f"?C={key};O={order}")
    for column, key, order in (("name", "N", "D"), ("modified", "M", "A"), ("size", "S", "A"))
)


def old(modified: str = "") -> Item:
    """The directory that most of the listings have."""
    return Item("old", "old/", directory=True, modified=modified)


def film(size: str = "", modified: str = "") -> Item:
    """The film that most of them have."""
    return Item("film.mp4", "film.mp4", directory=False, size=size, modified=modified)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            NGINX,
            Index(
                (
                    old("21-Nov-2024 14:58"),
                    Item(
                        *("a b é?.mp4", "a%20b%20%C3%A9%3F.mp4", False),
                        *("586197", "01-Jan-2024 09:05"),
                    ),
                    Item(LONG, LONG, False, "8589934592", "21-Nov-2024 14:58"),
                )
            ),
        ),
        (APACHE_PLAIN, Index((old(), film()))),
        (
            APACHE_FANCY,
            Index(
                (old("2024-11-21 14:58"), film("572K", "2024-11-21 14:58")),
                (BY_NAME, BY_TIME, BY_SIZE),
            ),
        ),
        (
            APACHE_TABLE,
            Index(
                (old("2024-11-21 14:58"), film("572K", "2024-11-21 14:58")),
                (BY_NAME, BY_TIME, BY_SIZE),
            ),
        ),
        (
            LIGHTTPD,
            Index((old("2024-Nov-21 14:58:00"), film("572.4K", "2024-Nov-21 14:58:00"))),
        ),
        (
            CADDY,
            Index(
                (old("2024-11-21T14:58:00Z"), film("586197", "2024-11-21T14:58:00Z")),
                (
                    ("name", "?sort=name&order=asc"),
                    ("size", "?sort=size&order=asc"),
                    ("modified", "?sort=time&order=asc"),
                ),
            ),
        ),
        (PYTHON, Index((old(), film(), Item("link.mp4", "link.mp4", directory=False)))),
    ],
    ids=["nginx", "apache-plain", "apache-fancy", "apache-table", "lighttpd", "caddy", "python"],
)
def test_what_servers_write(text: str, expected: Index) -> None:
    assert read_index("text/html", text) == expected


def test_nginx_json() -> None:
    time = "Thu, 21 Nov 2024 14:58:00 GMT"
    film = Item("a b é?.mp4", "a%20b%20%C3%A9%3F.mp4", False, "586197", time)
    assert read_index("application/json", NGINX_JSON) == Index((old(time), film))


def test_an_empty_directory() -> None:
    empty = NGINX[: NGINX.index('<a href="old/')] + NGINX[NGINX.index("</pre>") :]
    assert read_index("text/html", empty) == Index(())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><head><title>My films</title></head><body><h1>My films</h1><ul></ul></body></html>",
        "<title>Index of /</title><h1>Index of /</h1>",
        "<title>Index of Refraction</title><h1>Index of Refraction</h1><ul></ul>",
        NGINX.replace("<h1>Index of /films/", "<h1>Index of /other/"),
        NGINX.replace("<hr><pre>", "<p>Welcome!</p><hr><pre>"),
        NGINX.replace("<hr><pre>", "Welcome!<hr><pre>"),
        NGINX.replace("<pre>", "<script>alert(1)</script><pre>"),
        NGINX.replace("<pre>", '<form action="/upload"></form><pre>'),
        NGINX.replace("</body>", "<footer>Write to us</footer></body>"),
        NGINX.replace("</pre>", "Write to us</pre>"),
        NGINX.replace('href="old/"', 'href="//elsewhere.example/"'),
        NGINX.replace('href="old/"', 'href="https://elsewhere.example/"'),
        NGINX.replace('href="old/"', 'href="javascript:alert(1)"'),
        NGINX.replace('href="old/"', 'href="a/b"'),
        NGINX.replace('href="old/"', r'href="\\elsewhere.example"'),
        NGINX.replace('href="old/"', 'href="/old/"'),
        NGINX.replace('href="old/"', 'href="old/?x=1"'),
        NGINX.replace('href="old/"', 'href="%2e%2e/"'),
        NGINX.replace('<a href="old/">', "<a>"),
        APACHE_FANCY.replace("572K  ", "572K  My first film"),
        APACHE_FANCY.replace(">Name<", ">Nom<"),
        APACHE_TABLE.replace("<address>", "<p>Read me</p><address>"),
        LIGHTTPD.replace('<div class="foot">', '<pre class="readme">Hello</pre><div class="foot">'),
        CADDY.replace("<main>", "<main><article>Hello</article>"),
        CADDY.replace("caddyserver.com", "caddyserver.example"),
        CADDY.replace('class="file"', 'class="entry"'),
        PYTHON.replace("<ul>", "<ol>").replace("</ul>", "</ol>"),
    ],
)
def test_other_pages(text: str) -> None:
    assert read_index("text/html", text) is None


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"name": "a"},
        ["a"],
        [{"name": "a", "type": "file"}],
        [{"name": "a", "type": "link", "mtime": "x", "size": 1}],
        [{"name": "a", "type": "file", "mtime": "x", "size": "1"}],
        [{"name": "a", "type": "file", "mtime": "x", "size": True}],
        [{"name": "a", "type": "file", "mtime": "x", "size": 1, "id": 7}],
        [{"name": "a", "type": "file", "mtime": "x", "id": 7}],
        [{"name": "a/b", "type": "file", "mtime": "x", "size": 1}],
        [{"name": "..", "type": "directory", "mtime": "x"}],
        [{"name": "\ud800", "type": "file", "mtime": "x", "size": 1}],
    ],
)
def test_other_json(value: object) -> None:
    assert read_index("application/json", json.dumps(value)) is None


def test_text_that_is_no_json() -> None:
    assert read_index("application/json", '[{"name":') is None
    assert read_index("application/json", "[" * 100_000) is None


def test_types_that_are_no_listing() -> None:
    assert read_index("text/plain", NGINX) is None
    assert read_index("text/html", NGINX_JSON) is None
    assert read_index("application/json", NGINX) is None


names = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1
).filter(lambda name: name not in (".", ".."))


@given(st.lists(names, max_size=5))
@example(["Parent Directory", "Up", "?C=N;O=D", "a:b"])
def test_every_name_leads_to_its_file(given_names: list[str]) -> None:
    # As nginx escapes (all but unreserved characters), and Python (which leaves more as it is).
    for title, safe in (("Index of /d/", ""), ("Directory listing for /d/", "/")):
        rows = "".join(
            f'<li><a href="{html.escape(quote(name, safe=safe))}">{html.escape(name)}</a></li>\n'
            for name in given_names
        )
        heading = f"<title>{title}</title><h1>{title}</h1>"
        index = read_index("text/html", f"{heading}<hr><ul>\n{rows}</ul>")
        assert index is not None
        assert [item.name for item in index.items] == given_names
        for item in index.items:
            path = urljoin("/d/", item.href)
            assert unquote(path) == f"/d/{item.name}"


@given(st.text())
def test_any_text_is_read_or_not(text: str) -> None:
    for page in (f"<title>Index of /</title>{text}", f"caddyserver.com{text}", text):
        index = read_index("text/html", page)
        assert index is None or all(item.href for item in index.items)
    read_index("application/json", text)
