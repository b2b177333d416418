"""Which site a request is for."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.routing import Routes, path_has_prefix, upstream_path


@dataclass(frozen=True)
class Site:
    host: str
    path: str
    name: str = ""


def name_of(routes: Routes[Site], host: str | None, path: str) -> str | None:
    found = routes.find(host, path)
    return None if found is None else f"{found.host}{found.path}"


ROUTES = Routes(
    Site(host, path)
    for host, path in [
        ("", "/films/"),
        ("", "/films/new"),
        ("img.example.org", "/thumbs/"),
        ("*.example.org", "/"),
        ("*.b.example.org", "/films"),
        ("127.0.0.1", "/"),
        ("2001:db8::1", "/"),
    ]
)


@pytest.mark.parametrize(
    ("host", "path", "route"),
    [
        # The longest prefix wins, on the edges of segments.
        ("other.example", "/films/x", "/films/"),
        ("other.example", "/films/", "/films/"),
        ("other.example", "/films", None),
        ("other.example", "/films/new", "/films/new"),
        ("other.example", "/films/new/x", "/films/new"),
        ("other.example", "/films/newer", "/films/"),
        ("other.example", "/Films/x", None),
        ("other.example", "/", None),
        (None, "/films/x", "/films/"),
        ("", "/films/x", "/films/"),
        # The very host, then patterns, the longest first, then every host.
        ("img.example.org", "/thumbs/1", "img.example.org/thumbs/"),
        ("img.example.org", "/other", "*.example.org/"),
        ("a.b.example.org", "/films/x", "*.b.example.org/films"),
        ("a.b.example.org", "/films", "*.b.example.org/films"),
        ("a.b.example.org", "/films/new", "*.b.example.org/films"),
        ("a.b.example.org", "/x", "*.example.org/"),
        ("b.example.org", "/films/x", "*.example.org/"),
        ("example.org", "/films/x", "/films/"),
        ("example.org", "/x", None),
        # Neither port nor case nor the dot at the end counts.
        ("IMG.Example.Org:8080", "/thumbs/1", "img.example.org/thumbs/"),
        ("img.example.org.", "/thumbs/1", "img.example.org/thumbs/"),
        ("127.0.0.1:8000", "/x", "127.0.0.1/"),
        ("[2001:DB8:0::1]:8000", "/x", "2001:db8::1/"),
        # What is no host has the routes of every host.
        ("127.1", "/x", None),
        ("a b", "/films/x", "/films/"),
        # The target of OPTIONS for the server itself (RFC 9110 section 7.1).
        ("127.0.0.1", "*", None),
    ],
)
def test_finding(host: str | None, path: str, route: str | None) -> None:
    assert name_of(ROUTES, host, path) == route


def test_no_routes() -> None:
    none: Routes[Site] = Routes([])
    assert not none
    assert ROUTES
    assert none.find("example.org", "/") is None


def test_of_two_for_the_same_place_the_first_counts() -> None:
    routes = Routes([Site("A.example", "/", "one"), Site("a.example.", "/", "two")])
    found = routes.find("a.example", "/x")
    assert found is not None
    assert found.name == "one"


@pytest.mark.parametrize("host", ["a b", "*.", "*.*.org", "a:80", "*", "*.10.0.0.1"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        Routes([Site(host, "/")])


PATHS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4).map(lambda s: "/" + "/".join(s))


@given(st.lists(PATHS, max_size=6), PATHS)
def test_the_longest_of_the_prefixes_that_fit(prefixes: list[str], path: str) -> None:
    found = Routes(Site("", prefix) for prefix in prefixes).find("h", path)
    segments = path.split("/")

    def fits(prefix: str) -> bool:
        # An empty last segment of a prefix stands for a slash that has to be there.
        wanted = prefix.split("/")
        whole = wanted[:-1] if wanted[-1] == "" else wanted
        enough = len(segments) > len(whole) if wanted[-1] == "" else True
        return enough and segments[: len(whole)] == whole

    fitting = [prefix for prefix in prefixes if fits(prefix)]
    assert (found.path if found else None) == max(fitting, key=len, default=None)


@pytest.mark.parametrize(
    ("path", "prefix", "base", "asked"),
    [
        # Without a path of its own an upstream gets the whole path.
        ("/films/x", "/films/", "", "/films/x"),
        ("/films/x", "/", "", "/films/x"),
        # Otherwise its path takes the place of the prefix.
        ("/films/x", "/films/", "/", "/x"),
        ("/films/", "/films/", "/", "/"),
        ("/films/x/y", "/films/", "/media/", "/media/x/y"),
        ("/films/x", "/films/", "/media", "/media/x"),
        ("/films/", "/films/", "/media", "/media/"),
        ("/films/x", "/films", "/media", "/media/x"),
        ("/films/x", "/films", "/media/", "/media/x"),
        ("/films/x", "/films", "/", "/x"),
        ("/films", "/films", "/", "/"),
        ("/films", "/films", "/media", "/media"),
        ("/films", "/films", "/media/", "/media/"),
        ("/films/x", "/", "/", "/films/x"),
        ("/films/x", "/", "/media", "/media/films/x"),
        # What is behind the prefix stays byte for byte.
        ("/films//x", "/films/", "/", "//x"),
        ("/films/%2e%20/", "/films/", "/m/", "/m/%2e%20/"),
    ],
)
def test_the_path_at_the_upstream(path: str, prefix: str, base: str, asked: str) -> None:
    assert path_has_prefix(path, prefix)
    assert upstream_path(path, prefix, base) == asked


@pytest.mark.parametrize(
    ("host", "prefix", "routes"),
    [
        (None, "/", ["/films/", "/films/new"]),
        (None, "/fil", ["/films/", "/films/new"]),
        (None, "/films/", ["/films/", "/films/new"]),
        (None, "/films/n", ["/films/new"]),
        (None, "/films/old", []),
        ("other.example", "/films/new", ["/films/new"]),
        # A route of the host that is asked for takes the requests of those of every host.
        ("a.example.org", "/", ["*.example.org/"]),
        ("img.example.org:80", "/", ["*.example.org/", "img.example.org/thumbs/"]),
        ("a.b.example.org", "/", ["*.example.org/", "*.b.example.org/films"]),
        ("a.b.example.org", "/f", ["*.b.example.org/films"]),
        ("[2001:db8::1]", "/", ["2001:db8::1/"]),
    ],
)
def test_what_lies_below_a_prefix(host: str | None, prefix: str, routes: list[str]) -> None:
    assert [f"{route.host}{route.path}" for route in ROUTES.below(host, prefix)] == routes


def test_nothing_lies_below_no_routes() -> None:
    assert Routes[Site]([]).below(None, "/") == []
