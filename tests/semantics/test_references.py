"""References (RFC 3986): taking them apart, resolving their paths."""

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.references import hostless, is_plain, names_host, resolved, split, without_dots


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        pytest.param(
            "http://www.ics.uci.edu/pub/ietf/uri/#Related",
            ("http", "www.ics.uci.edu", "/pub/ietf/uri/", "#Related"),
            id="B",
        ),
        pytest.param(
            "foo://example.com:8042/over/there?name=ferret#nose",
            ("foo", "example.com:8042", "/over/there", "?name=ferret#nose"),
            id="3",
        ),
        pytest.param(
            "urn:example:animal:ferret:nose",
            ("urn", None, "example:animal:ferret:nose", ""),
            id="3 no authority",
        ),
        pytest.param("HTTPS://h", ("https", "h", "", ""), id="3.1 schemes compare without case"),
        pytest.param("//h/p", (None, "h", "/p", ""), id="4.2 network-path reference"),
        pytest.param("/p//q", (None, None, "/p//q", ""), id="4.2 absolute path"),
        pytest.param("./this:that", (None, None, "./this:that", ""), id="4.2 a colon behind a dot"),
        pytest.param("?a://b", (None, None, "", "?a://b"), id="a query alone"),
        pytest.param("#?", (None, None, "", "#?"), id="a fragment alone"),
        pytest.param("", (None, None, "", ""), id="empty"),
        pytest.param("http:///p", ("http", "", "/p", ""), id="an empty authority is one"),
        pytest.param("1http://h", (None, None, "1http://h", ""), id="3.1 begins with a letter"),
    ],
)
def test_split(reference: str, parts: tuple[str | None, str | None, str, str]) -> None:
    assert split(reference) == parts


@given(st.text())
def test_nothing_is_lost(reference: str) -> None:
    scheme, authority, path, rest = split(reference)
    told = "" if scheme is None else f"{reference[: len(scheme)]}:"
    assert told + ("" if authority is None else f"//{authority}") + path + rest == reference
    assert scheme is None or scheme == reference[: len(scheme)].lower()


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        pytest.param("/a/b/c/./../../g", "/a/g", id="5.2.4"),
        pytest.param("/", "/", id="root"),
        pytest.param("/.", "/", id="one at the end"),
        pytest.param("/a/..", "/", id="two at the end"),
        pytest.param("/a/b/..", "/a/", id="a directory is left"),
        pytest.param("/../../a", "/a", id="5.4.2 not above the root"),
        pytest.param("/a//../b", "/a/b", id="an empty segment is one"),
        pytest.param("/a/.b/..c/d./...", "/a/.b/..c/d./...", id="dots in names"),
        pytest.param("/a/%2e%2E/b/%2e/c", "/b/c", id="6.2.2.2 percent-encoded"),
        pytest.param("/a/.%2e", "/", id="6.2.2.2 half encoded"),
        pytest.param("/a/%2e%2e%2e", "/a/%2e%2e%2e", id="three encoded"),
    ],
)
def test_without_dots(path: str, plain: str) -> None:
    assert without_dots(path) == plain


# Base http://a/b/c/d;p?q, sections 5.4.1 and 5.4.2: those that have a path of their own.
EXAMPLES = [
    ("g", "/b/c/g"),
    ("./g", "/b/c/g"),
    ("g/", "/b/c/g/"),
    (";x", "/b/c/;x"),
    ("g;x", "/b/c/g;x"),
    ("", "/b/c/d;p"),
    (".", "/b/c/"),
    ("./", "/b/c/"),
    ("..", "/b/"),
    ("../", "/b/"),
    ("../g", "/b/g"),
    ("../..", "/"),
    ("../../", "/"),
    ("../../g", "/g"),
    ("../../../g", "/g"),
    ("../../../../g", "/g"),
    ("g.", "/b/c/g."),
    (".g", "/b/c/.g"),
    ("g..", "/b/c/g.."),
    ("..g", "/b/c/..g"),
    ("./../g", "/b/g"),
    ("./g/.", "/b/c/g/"),
    ("g/./h", "/b/c/g/h"),
    ("g/../h", "/b/c/h"),
    ("g;x=1/./y", "/b/c/g;x=1/y"),
    ("g;x=1/../y", "/b/c/y"),
]


@pytest.mark.parametrize(("path", "target"), EXAMPLES)
def test_resolved(path: str, target: str) -> None:
    assert resolved(path, "/b/c/d;p?q") == target


SEGMENTS = st.sampled_from([".", "..", "a", "b.", "..c"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=8).map("/".join)


@given(PATHS, st.lists(st.sampled_from(["x", "y"]), max_size=4).map("/".join))
def test_as_the_standard_library_resolves(path: str, base: str) -> None:
    assert "http://h" + resolved(path, f"/{base}?q") == urljoin(f"http://h/{base}", path)


@pytest.mark.parametrize("path", ["//h", "/\\h", "//", "/\\/h"])
def test_what_names_a_host(path: str) -> None:
    assert names_host(path)
    plain = hostless(path)
    assert not names_host(plain) and without_dots(plain) == path


@pytest.mark.parametrize("path", ["/", "/h", "/h//i", "/.//h", "/ /h", "/%5ch", "/%2fh"])
def test_what_names_none(path: str) -> None:
    assert not names_host(path) and hostless(path) == path


@pytest.mark.parametrize(
    ("reference", "plain"),
    [
        ("", True),
        ("a", True),
        ("http://h/a b?\xe9", True),
        (" /a", False),
        ("/a ", False),
        (" ", False),
        ("ht\ttp://h", False),
        ("/a\n", False),
        ("\0", False),
        ("/\x7f", False),
    ],
)
def test_is_plain(reference: str, plain: bool) -> None:
    assert is_plain(reference) is plain
