"""Under whose name an origin is asked: Origin, Referer, Destination."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.rewriting import (
    Names,
    client_location,
    origin_destination,
    origin_origin,
    origin_referer,
)

WHOLE = Names.of("http://proxy.test:8000", "https://media.example:443")
FILMS = Names.of("https://proxy.test/films", "http://media.example:9000")
BOTH = Names.of("http://proxy.test/films", "http://media.example/app")
NAMELESS = Names.of("http:///films", "http://media.example")


@pytest.mark.parametrize(
    ("names", "origin", "sent"),
    [
        pytest.param(WHOLE, "http://proxy.test:8000", "https://media.example", id="6454 6.2"),
        pytest.param(FILMS, "https://proxy.test", "http://media.example:9000", id="a port"),
        pytest.param(FILMS, "https://proxy.test:443", "http://media.example:9000", id="its own"),
        pytest.param(FILMS, "HTTPS://Proxy.Test", "http://media.example:9000", id="case"),
        pytest.param(FILMS, "http://proxy.test", None, id="another scheme"),
        pytest.param(FILMS, "https://proxy.test:8443", None, id="another port"),
        pytest.param(FILMS, "https://evil.example", None, id="another site"),
        pytest.param(FILMS, "https://proxy.test.evil.example", None, id="a longer name"),
        pytest.param(FILMS, "https://proxy.test@evil.example", None, id="a user's name"),
        pytest.param(FILMS, "null", None, id="6454 6.1 null"),
        pytest.param(FILMS, "https://proxy.test/", None, id="no origin but a URL"),
        pytest.param(FILMS, "https://proxy.test https://a.test", None, id="6454 7.1 several"),
        pytest.param(FILMS, "", None, id="empty"),
        pytest.param(NAMELESS, "http://", None, id="a proxy without a name"),
    ],
)
def test_origin(names: Names, origin: str, sent: str | None) -> None:
    assert origin_origin(origin, names) == (origin if sent is None else sent)


@pytest.mark.parametrize(
    ("names", "referer", "sent"),
    [
        pytest.param(WHOLE, "http://proxy.test:8000/a?b", "https://media.example/a?b", id="whole"),
        pytest.param(WHOLE, "http://proxy.test:8000", "https://media.example/", id="bare"),
        pytest.param(
            FILMS, "https://proxy.test/films/a", "http://media.example:9000/a", id="prefix"
        ),
        pytest.param(
            FILMS, "https://proxy.test/films?a", "http://media.example:9000/?a", id="prefix alone"
        ),
        pytest.param(FILMS, "https://proxy.test/", "http://media.example:9000/", id="site alone"),
        pytest.param(BOTH, "http://proxy.test/films", "http://media.example/app", id="both"),
        pytest.param(
            BOTH, "http://proxy.test/films/a", "http://media.example/app/a", id="and path"
        ),
        pytest.param(BOTH, "http://proxy.test/", "http://media.example/", id="both, site alone"),
        pytest.param(BOTH, "http://proxy.test/other", None, id="another part of the proxy"),
        pytest.param(BOTH, "http://proxy.test/?a", None, id="its root with a query"),
        pytest.param(BOTH, "http://evil.example/films/a", None, id="another site"),
        pytest.param(BOTH, "http://media.example/app/a", None, id="the origin already"),
        pytest.param(BOTH, "about:blank", None, id="no page"),
        pytest.param(BOTH, "a/b", None, id="relative"),
        pytest.param(BOTH, "", None, id="empty"),
        pytest.param(NAMELESS, "http:///films/a", None, id="a proxy without a name"),
    ],
)
def test_referer(names: Names, referer: str, sent: str | None) -> None:
    assert origin_referer(referer, names) == (referer if sent is None else sent)


@pytest.mark.parametrize(
    ("names", "destination", "sent"),
    [
        pytest.param(
            BOTH, "http://proxy.test/films/b%20c", "http://media.example/app/b%20c", id="4918 10.3"
        ),
        pytest.param(BOTH, "/films/b", "/app/b", id="4918 8.3 an absolute path"),
        pytest.param(FILMS, "/films", "/", id="the root"),
        pytest.param(FILMS, "/films//b", "/.//b", id="no host comes of it"),
        pytest.param(WHOLE, "/b", None, id="one root"),
        pytest.param(BOTH, "/b", None, id="outside"),
        pytest.param(BOTH, "/films/../b", None, id="3986 5.2.4 out of the prefix"),
        pytest.param(BOTH, "//proxy.test/films/b", None, id="4918 8.3 not allowed"),
        pytest.param(BOTH, "http://proxy.test/", None, id="the proxy's root"),
        pytest.param(BOTH, "http://other.example/films/b", None, id="another server"),
        pytest.param(BOTH, "/films/b\t", None, id="no URL"),
        pytest.param(BOTH, "b", None, id="relative"),
    ],
)
def test_destination(names: Names, destination: str, sent: str | None) -> None:
    assert origin_destination(destination, names) == (destination if sent is None else sent)


SEGMENTS = st.lists(st.sampled_from(["a", "films", "app", "", "c d", "%2e"]), max_size=5)
QUERIES = st.sampled_from(["", "?", "?a=/films", "#x"])


@given(SEGMENTS, QUERIES, st.sampled_from([WHOLE, FILMS, BOTH]))
def test_there_and_back(segments: list[str], query: str, names: Names) -> None:
    """A page that the origin names comes back to it under the same URL, dots resolved."""
    tail = "".join(f"/{segment}" for segment in segments if segment != "%2e")
    page = f"{names.origin.origin}{names.origin.path}{tail or '/'}{query}"
    seen = client_location(page, names)
    assert seen.startswith(f"{names.proxy.origin}{names.proxy.path}")
    assert origin_destination(seen, names) == page


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"([a-z]{1,5}\.)?[a-z]{1,5}\.(org|net)(:[0-9]{1,5})?", fullmatch=True),
    SEGMENTS.map(lambda segments: "".join(f"/{segment}" for segment in segments)),
    st.sampled_from([WHOLE, FILMS, BOTH, NAMELESS]),
)
def test_other_sites_are_told_as_they_are(scheme: str, host: str, path: str, names: Names) -> None:
    site = f"{scheme}://{host}"
    assert origin_origin(site, names) == site
    for rewrite in (origin_referer, origin_destination):
        assert rewrite(site + path, names) == site + path
