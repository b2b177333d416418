"""Where an origin sends clients: Location, Content-Location and Refresh under the proxy's name."""

import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aprp.semantics.rewriting import Names, Place, client_location, client_refresh

WHOLE = Names.of("http://proxy.example:8000", "http://media.example:9000")
FILMS = Names.of("http://proxy.example/films/", "http://media.example:9000/")
APP = Names.of("http://proxy.example/", "http://media.example/app")
BOTH = Names.of("http://proxy.example/films", "http://media.example/app/v1")
SAME = Names.of("http://proxy.example/app", "http://media.example/app")
TLS = Names.of("https://proxy.example", "http://media.example")
NAMELESS = Names.of("http:///films", "http://media.example")
V6 = Names.of("http://[2001:DB8::1]:8000", "http://[::1]:9000")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://Media.Example:80/", Place("http", "media.example", "", "")),
        ("https://a:443/b//", Place("https", "a", "", "/b")),
        ("HTTPS://a:80/b/c", Place("https", "a", "80", "/b/c")),
        ("http://[::1]:09000", Place("http", "[::1]", "9000", "")),
        ("http://a:", Place("http", "a", "", "")),
        ("http:///films/", Place("http", "", "", "/films")),
        (f"http://a:{'1' * 9000}", Place("http", "a", "1" * 9000, "")),
    ],
)
def test_places(url: str, place: Place) -> None:
    assert Place.of(url) == place


@pytest.mark.parametrize(
    "url",
    ["", "/films", "//a", "a:80", "ftp://a", "http:/a", "http://a?b", "http://a/#b", "http://u@a"],
)
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(ValueError, match="is not the http or https URL of a site"):
        Names.of("http://proxy.example", url)


@pytest.mark.parametrize(
    ("names", "location", "client"),
    [
        pytest.param(
            WHOLE, "http://media.example:9000/a?b#c", "http://proxy.example:8000/a?b#c", id="whole"
        ),
        pytest.param(
            WHOLE, "HTTP://Media.EXAMPLE:9000/A", "http://proxy.example:8000/A", id="case"
        ),
        pytest.param(WHOLE, "http://media.example:9000", "http://proxy.example:8000", id="bare"),
        pytest.param(
            WHOLE, "http://media.example:9000?a", "http://proxy.example:8000?a", id="bare, query"
        ),
        pytest.param(
            WHOLE, "//media.example:9000/a", "//proxy.example:8000/a", id="3986 4.2 no scheme"
        ),
        pytest.param(
            FILMS, "http://media.example:9000/", "http://proxy.example/films/", id="prefix"
        ),
        pytest.param(
            FILMS,
            "http://media.example:9000/a/",
            "http://proxy.example/films/a/",
            id="prefix, path",
        ),
        pytest.param(
            FILMS, "http://media.example:9000", "http://proxy.example/films/", id="prefix, bare"
        ),
        pytest.param(
            FILMS, "http://media.example:9000?a", "http://proxy.example/films/?a", id="and query"
        ),
        pytest.param(
            FILMS,
            "http://media.example:9000/films/a/",
            "http://proxy.example/films/films/a/",
            id="a directory named as the prefix",
        ),
        pytest.param(APP, "http://media.example/app/a", "http://proxy.example/a", id="base"),
        pytest.param(APP, "http://media.example:80/app", "http://proxy.example/", id="base alone"),
        pytest.param(APP, "http://media.example/app?a", "http://proxy.example/?a", id="and query"),
        pytest.param(
            BOTH, "http://media.example/app/v1", "http://proxy.example/films", id="prefix and base"
        ),
        pytest.param(
            BOTH, "http://media.example/app/v1/", "http://proxy.example/films/", id="and slash"
        ),
        pytest.param(
            BOTH,
            "http://media.example/app/./v0/../v1/a",
            "http://proxy.example/films/a",
            id="3986 5.2.4 dots",
        ),
        pytest.param(
            SAME, "http://media.example/app/../app/", "http://proxy.example/app/../app/", id="same"
        ),
        pytest.param(
            V6, "http://[::1]:9000/a", "http://[2001:db8::1]:8000/a", id="IPv6 in brackets"
        ),
        pytest.param(
            TLS, "http://media.example/a", "https://proxy.example/a", id="TLS ends at the proxy"
        ),
        pytest.param(
            TLS, "https://media.example/a", "https://proxy.example/a", id="X-Forwarded-Proto told"
        ),
        pytest.param(
            Names.of("https://proxy.example", "http://media.example:9000"),
            "https://media.example:9000/a",
            "https://proxy.example/a",
            id="X-Forwarded-Proto told, and a port",
        ),
        pytest.param(
            Names.of("http://proxy.example", "https://media.example"),
            "http://media.example/a",
            "http://proxy.example/a",
            id="X-Forwarded-Proto told http",
        ),
        pytest.param(
            NAMELESS, "http://media.example/a", "/films/a", id="a client that named no host"
        ),
        pytest.param(
            Names.of("http://", "http://media.example"),
            "http://media.example//evil.example",
            "/.//evil.example",
            id="where a path alone would name a host",
        ),
    ],
)
def test_urls_of_the_origin(names: Names, location: str, client: str) -> None:
    assert client_location(location, names) == client
    assert client_location(client, names) == client


@pytest.mark.parametrize(
    ("names", "location"),
    [
        pytest.param(WHOLE, "http://other.example/a", id="another host"),
        pytest.param(WHOLE, "http://media.example/a", id="another port"),
        pytest.param(WHOLE, "http://media.example:90000/a", id="a longer port"),
        pytest.param(WHOLE, "http://media.example.evil.example:9000/a", id="a longer name"),
        pytest.param(WHOLE, "http://www.media.example:9000/", id="a name below"),
        pytest.param(WHOLE, "https://media.example:9000/a", id="a scheme of neither"),
        pytest.param(WHOLE, "ftp://media.example:9000/a", id="no HTTP"),
        pytest.param(WHOLE, "http://media.example:9000@evil.example/", id="a user's name"),
        pytest.param(WHOLE, "http://evil.example\\@media.example:9000/", id="a backslash"),
        pytest.param(WHOLE, "http://media.example:9000\\.evil.example/", id="a backslash behind"),
        pytest.param(WHOLE, "http://u:p@media.example:9000/", id="credentials"),
        pytest.param(WHOLE, "//other.example/a", id="another host without a scheme"),
        pytest.param(WHOLE, "http:/a", id="a scheme without a host"),
        pytest.param(WHOLE, "http:g", id="3986 5.4.2"),
        pytest.param(WHOLE, "http:///a", id="an empty host"),
        pytest.param(WHOLE, "mailto:a@media.example", id="mail"),
        pytest.param(WHOLE, "http://proxy.example:8000/a", id="the proxy already"),
        pytest.param(WHOLE, "/a/../b", id="a path under one root"),
        pytest.param(WHOLE, "http://media.example:port/", id="no port"),
        pytest.param(FILMS, "http://proxy.example/login", id="another part of the proxy"),
        pytest.param(FILMS, "a/b", id="relative"),
        pytest.param(FILMS, "../b", id="relative, upwards"),
        pytest.param(FILMS, "?a=/b", id="a query alone"),
        pytest.param(FILMS, "#a", id="a fragment alone"),
        pytest.param(FILMS, "", id="empty"),
        pytest.param(FILMS, "/\\evil.example/a", id="a host to browsers"),
        pytest.param(FILMS, "/\t/evil.example/a", id="a host to browsers that drop tabs"),
        pytest.param(FILMS, "/a\tb", id="a tab, which browsers drop"),
        pytest.param(FILMS, " /a", id="a blank, likewise"),
        pytest.param(FILMS, "/films/a", id="an application that knows its prefix"),
        pytest.param(FILMS, "/films", id="and its root"),
        pytest.param(APP, "http://media.example/login", id="above the base"),
        pytest.param(APP, "http://media.example/application", id="beside the base"),
        pytest.param(APP, "http://media.example/app/../login", id="3986 5.2.4 out of the base"),
        pytest.param(APP, "http://media.example/app/%2e%2E/login", id="encoded"),
        pytest.param(APP, "/login", id="a path above the base"),
        pytest.param(SAME, "http://media.example/login", id="above the same base"),
    ],
)
def test_what_stays(names: Names, location: str) -> None:
    assert client_location(location, names) == location


@pytest.mark.parametrize(
    ("names", "location", "client"),
    [
        pytest.param(FILMS, "/", "/films/", id="the root"),
        pytest.param(FILMS, "/a?b=/c#d", "/films/a?b=/c#d", id="prefix"),
        pytest.param(FILMS, "/filmstar", "/films/filmstar", id="a name that begins as the prefix"),
        pytest.param(FILMS, "/a/../b", "/films/b", id="3986 5.2.4 dots"),
        pytest.param(FILMS, "/../b", "/films/b", id="3986 5.4.2 not above the root"),
        pytest.param(FILMS, "/films/../b", "/films/b", id="out of the prefix, then into it"),
        pytest.param(APP, "/app/a", "/a", id="base"),
        pytest.param(APP, "/app", "/", id="base alone"),
        pytest.param(APP, "/app?a", "/?a", id="base and query"),
        pytest.param(APP, "/app//evil.example/", "/.//evil.example/", id="no host comes of it"),
        pytest.param(APP, "/app/\\evil.example", "/./\\evil.example", id="nor to browsers"),
        pytest.param(BOTH, "/app/v1/a", "/films/a", id="prefix and base"),
        pytest.param(NAMELESS, "/a", "/films/a", id="a client that named no host"),
    ],
)
def test_paths(names: Names, location: str, client: str) -> None:
    assert client_location(location, names) == client
    assert client_location(client, names) == client


# RFC 3986 section 5.4; the base is http://media.example:9000/b/c/d;p?q.
@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("g", "/films/b/c/g"),
        ("./g", "/films/b/c/g"),
        ("g/", "/films/b/c/g/"),
        ("/g", "/films/g"),
        ("?y", "/films/b/c/d;p?y"),
        ("g?y", "/films/b/c/g?y"),
        ("g#s", "/films/b/c/g#s"),
        ("g?y#s", "/films/b/c/g?y#s"),
        (";x", "/films/b/c/;x"),
        (".", "/films/b/c/"),
        ("..", "/films/b/"),
        ("../g", "/films/b/g"),
        ("../../g", "/films/g"),
        ("../../../g", "/films/g"),
        ("/./g", "/films/g"),
        ("/../g", "/films/g"),
        ("g?y/../x", "/films/b/c/g?y/../x"),
        ("g#s/../x", "/films/b/c/g#s/../x"),
        (".//evil.example", "/films/b/c//evil.example"),
        ("\\g", "\\g"),
        ("\\/g", "\\/g"),
        # These are of the resource asked for itself, or of another scheme or host.
        ("", ""),
        ("#s", "#s"),
        ("//g", "//g"),
        ("g:h", "g:h"),
        ("http:g", "http:g"),
    ],
)
def test_relative_references(reference: str, target: str) -> None:
    assert client_location(reference, FILMS, "/b/c/d;p?q") == target


@pytest.mark.parametrize(
    ("names", "reference", "asked", "target"),
    [
        pytest.param(WHOLE, "b", "/dir/film.mp4", "/dir/b", id="under one root"),
        pytest.param(APP, "../../login", "/app/a/b", "../../login", id="out of the base"),
        pytest.param(APP, ".//evil.example", "/app/", "/.//evil.example", id="no host comes of it"),
        pytest.param(WHOLE, ".//evil.example", "/", "/.//evil.example", id="nor at the root"),
        pytest.param(APP, "?a", "/app", "/?a", id="a query"),
    ],
)
def test_resolved_and_moved(names: Names, reference: str, asked: str, target: str) -> None:
    assert client_location(reference, names, asked) == target


@pytest.mark.parametrize(
    ("location", "asked", "client"),
    [
        pytest.param("https://media.example/a?b", "/a?b", None, id="the same: would be a circle"),
        pytest.param("https://media.example", "/", None, id="the root"),
        pytest.param("https://media.example/", "/a", "https://proxy.example/", id="another"),
        pytest.param("http://media.example/a", "/a", "https://proxy.example/a", id="its scheme"),
    ],
)
def test_a_redirect_to_tls(location: str, asked: str, client: str | None) -> None:
    assert client_location(location, TLS, asked) == (client or location)


@pytest.mark.parametrize(
    ("value", "client"),
    [
        pytest.param("5; url=/a", "5; url=/films/a", id="the usual form"),
        pytest.param("0;URL=/a?b;c", "0;URL=/films/a?b;c", id="case, and a semicolon"),
        pytest.param("1.5 , url = /a", "1.5 , url = /films/a", id="comma and blanks"),
        pytest.param("5; url='/a' x", "5; url='/films/a' x", id="quotes"),
        pytest.param('5; url="/a"', '5; url="/films/a"', id="double quotes"),
        pytest.param('5; url="/a', '5; url="/films/a', id="a quote left open"),
        pytest.param(
            "5; http://media.example:9000/a", "5; http://proxy.example/films/a", id="without url="
        ),
        pytest.param("5; url=http://other.example/", "5; url=http://other.example/", id="foreign"),
        pytest.param("5", "5", id="seconds alone"),
        pytest.param("5;", "5;", id="nothing behind"),
        pytest.param("5; url=", "5; url=", id="no URL"),
        pytest.param("soon; url=/a", "soon; url=/a", id="no seconds"),
        pytest.param("", "", id="empty"),
    ],
)
def test_refresh(value: str, client: str) -> None:
    assert client_refresh(value, FILMS) == client
    assert client_refresh(client, FILMS) == client


def test_refresh_is_resolved_as_well() -> None:
    assert client_refresh("5; url='b'", FILMS, "/a/c?d") == "5; url='/films/a/b'"


def browsers_target(base: str, reference: str) -> tuple[str, str]:
    """Scheme and host to which a browser goes, as the URL standard's parser reads a reference."""
    text = re.sub(r"[\t\r\n]", "", reference.strip(" "))
    match = re.match(r"(?:(https?):)?([/\\]*)([^/\\?#]*)", text, re.IGNORECASE)
    assert match is not None
    scheme, slashes, authority = match[1] and match[1].lower(), match[2], match[3]
    own, _, host = base.partition("://")
    if scheme is None and re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", text):
        return text.partition(":")[0].lower(), ""
    if scheme in (None, own) and len(slashes) < 2:
        return own, host
    return scheme or own, authority.rpartition("@")[2].lower()


PIECES = st.sampled_from(
    [
        *("/", "//", "\\", "\t", ".", "..", "%2e", "app", "films", "a", ":", "@", "?", "#", ":80"),
        *(
            "http:",
            "https:",
            "media.example",
            "MEDIA.example",
            "proxy.example",
            "evil.example",
            " ",
        ),
    ]
)
REFERENCES = st.one_of(st.lists(PIECES, max_size=10).map("".join), st.text(max_size=20))
NAMES = st.sampled_from(
    [
        Names.of(f"{front}://proxy.example{prefix}", f"http://media.example{base}")
        for front in ("http", "https")
        for prefix in ("", "/films", "/a/b")
        for base in ("", "/app", "/a", "/a/b", "/films/a")
    ]
)
ASKED = st.sampled_from([None, "/app/a?b", "/", "/a/b/c"])


@given(REFERENCES, NAMES, ASKED)
def test_foreign_hosts_are_never_touched(value: str, names: Names, asked: str | None) -> None:
    """And where the origin's own are changed, no other place but the proxy comes of it."""
    target = browsers_target("http://media.example", value)
    given_back = client_location(value, names, asked)
    ours = target[1] in ("media.example", "media.example:80")
    if target[0] not in ("http", "https") or not ours:
        assert given_back == value
    elif given_back != value:
        front = names.proxy.scheme
        assert browsers_target(f"{front}://proxy.example", given_back) == (front, "proxy.example")


HOST_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?(:[0-9]{1,5})?", fullmatch=True)
TAILS = st.text(max_size=20).map(lambda tail: f"/{tail}")


@given(st.sampled_from(["http:", "https:", ""]), HOST_NAMES, TAILS, NAMES)
def test_other_hosts_stay(scheme: str, host: str, tail: str, names: Names) -> None:
    assume(urlsplit(f"//{host}").hostname != "media.example")
    value = f"{scheme}//{host}{tail}"
    assert client_location(value, names) == value


@given(REFERENCES, NAMES, ASKED)
def test_once_is_enough(value: str, names: Names, asked: str | None) -> None:
    once = client_location(value, names, asked)
    if value.lower().startswith(("http://", "https://", "//")):
        assert client_location(once, names, asked) == once
    elif not names.origin.path.startswith(names.proxy.path) or names.origin == names.proxy:
        # Elsewhere a path under the proxy's can be one under the origin's too: /app/app/a.
        assert client_location(once, names) == once


HOST = "http://media.example"
SEGMENTS = st.sampled_from([".", "..", "a", "b", "app", "c;d"])
RELATIVE = st.tuples(
    st.sampled_from(["", "/", f"{HOST}/"]),
    st.lists(SEGMENTS, min_size=1, max_size=6).map("/".join),
    st.sampled_from(["", "/", "?q=../x", "#f"]),
).map("".join)
PATHS = st.lists(st.sampled_from(["a", "b", "app"]), max_size=3).map(lambda s: "/" + "/".join(s))


@given(RELATIVE, PATHS, st.sampled_from([("/films", ""), ("/films", "/app"), ("", "/app")]))
def test_clients_come_to_what_the_origin_meant(
    reference: str, path: str, places: tuple[str, str]
) -> None:
    """The standard library resolves, once for the origin and once for the client."""
    prefix, base = places
    names = Names.of(f"http://proxy.example{prefix}", f"http://media.example{base}")
    meant = urljoin(f"http://media.example{base}{path}", reference.removeprefix(HOST) or "/")
    root = f"http://media.example{base}"
    assume(meant.startswith(f"{root}/"))
    location = client_location(reference, names, base + path)
    found = urljoin(f"http://proxy.example{prefix}{path}/0/99", location)
    assert found == f"http://proxy.example{prefix}{meant.removeprefix(root)}"
