"""Cookies of an origin that browsers keep for the proxy's name (RFC 6265)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.rewriting import Names, client_cookie

WHOLE = Names.of("http://proxy.test:8000", "http://www.media.example:9000")
FILMS = Names.of("http://proxy.test/films", "http://media.example")
APP = Names.of("http://proxy.test", "http://media.example/app")
BOTH = Names.of("http://proxy.test/films", "http://media.example/app/v1")
SAME = Names.of("http://proxy.test/app", "http://media.example/app")
INSIDE = Names.of("http://www.media.example", "http://backend.media.example")
ADDRESS = Names.of("http://127.0.0.1:8000", "http://10.0.0.7")
V6 = Names.of("http://proxy.test", "http://[2001:db8::1]")


@pytest.mark.parametrize(
    ("names", "cookie", "kept"),
    [
        pytest.param(WHOLE, "a=b; Domain=www.media.example", "a=b", id="the origin itself"),
        pytest.param(WHOLE, "a=b; Domain=media.example; Path=/", "a=b; Path=/", id="5.1.3 above"),
        pytest.param(WHOLE, "a=b; Domain=.media.example", "a=b", id="5.2.3 a dot before"),
        pytest.param(WHOLE, "a=b;dOmAiN = MEDIA.Example ;Secure", "a=b;Secure", id="5.2.3 case"),
        pytest.param(
            WHOLE, "a=b; domain=x.test; Domain=media.example", "a=b", id="5.3 the last counts"
        ),
        pytest.param(WHOLE, "a=b; Domain=media.example; Domain", "a=b", id="5.2.3 empty is none"),
        pytest.param(ADDRESS, "a=b; Domain=10.0.0.7", "a=b", id="an address"),
        pytest.param(V6, "a=b; Domain=2001:db8::1", "a=b", id="an IPv6 address"),
        pytest.param(
            Names.of("http:///films", "http://media.example"),
            "a=b; Domain=media.example; Path=/",
            "a=b; Path=/films",
            id="a client that named no host",
        ),
    ],
)
def test_a_domain_of_the_origin_goes(names: Names, cookie: str, kept: str) -> None:
    assert client_cookie(cookie, names) == kept
    assert client_cookie(kept, names) == kept


@pytest.mark.parametrize(
    ("names", "cookie"),
    [
        pytest.param(WHOLE, "a=b", id="no attribute"),
        pytest.param(WHOLE, "", id="empty"),
        pytest.param(WHOLE, "a=b; Domain=other.example", id="foreign"),
        pytest.param(WHOLE, "a=b; Domain=dia.example", id="5.1.3 no dot between"),
        pytest.param(WHOLE, "a=b; Domain=x.www.media.example", id="5.1.3 below"),
        pytest.param(WHOLE, "a=b; Domain=media.example; Domain=x.test", id="5.3 the last counts"),
        pytest.param(WHOLE, "a=b; Domain=www.media.example:9000", id="a port, which is no domain"),
        pytest.param(WHOLE, 'a=b; Domain="www.media.example"', id="quotes, likewise"),
        pytest.param(WHOLE, "a=b; Domain", id="5.2.3 empty"),
        pytest.param(WHOLE, "a=b; Domain= ; Path=/", id="5.2.3 blank"),
        pytest.param(WHOLE, "Domain=www.media.example", id="the cookie itself"),
        pytest.param(WHOLE, "a=b; XDomain=www.media.example", id="another attribute"),
        pytest.param(INSIDE, "a=b; Domain=media.example", id="it covers the proxy as well"),
        pytest.param(ADDRESS, "a=b; Domain=0.0.7", id="5.1.3 the end of an address"),
        pytest.param(WHOLE, "a=b; Path=/; HttpOnly", id="one root"),
        pytest.param(SAME, "a=b; Path=/app/x", id="one path"),
        pytest.param(SAME, "a=b; Path=/", id="one path, above it"),
        pytest.param(FILMS, "a=b; Path=films", id="5.2.4 no slash: the default"),
        pytest.param(FILMS, 'a=b; Path="/x"', id="5.2.4 nor in quotes"),
        pytest.param(FILMS, "a=b; Path=; Path", id="5.2.4 empty"),
        pytest.param(FILMS, "a=b; Path=/films/x", id="an application that knows its prefix"),
        pytest.param(FILMS, "a=b; Paths=/x", id="another attribute"),
        pytest.param(FILMS, "__Host-a=b; Path=/; Secure", id="6265bis 4.1.3.2 its Path must be /"),
        pytest.param(FILMS, "__hOST-a=b; Path=/; Secure", id="in any case"),
        pytest.param(APP, "a=b; Path=/login", id="outside of the base"),
        pytest.param(APP, "a=b; Path=/application", id="5.1.4 beside the base"),
    ],
)
def test_what_stays(names: Names, cookie: str) -> None:
    assert client_cookie(cookie, names) == cookie


@pytest.mark.parametrize(
    ("names", "path", "kept"),
    [
        # "/films/" would leave out /films, which the default path of /films/a is as well.
        pytest.param(FILMS, "/", "/films", id="prefix"),
        pytest.param(FILMS, "/a", "/films/a", id="prefix, path"),
        pytest.param(FILMS, "/a/", "/films/a/", id="prefix, directory"),
        pytest.param(FILMS, "/filmstar", "/films/filmstar", id="begins as the prefix"),
        pytest.param(APP, "/app", "/", id="base"),
        pytest.param(APP, "/app/", "/", id="base, slash"),
        pytest.param(APP, "/app/a", "/a", id="base, path"),
        pytest.param(APP, "/", "/", id="above the base"),
        pytest.param(BOTH, "/app/v1", "/films", id="both"),
        pytest.param(BOTH, "/app/v1/", "/films/", id="both, slash"),
        pytest.param(BOTH, "/app/v1/a", "/films/a", id="both, path"),
        pytest.param(BOTH, "/app", "/films", id="both, above"),
        pytest.param(BOTH, "/app/", "/films", id="both, above, slash"),
        pytest.param(BOTH, "/", "/films", id="both, root"),
        pytest.param(BOTH, "//", "//", id="both, no root"),
        pytest.param(BOTH, "/app/v10", "/app/v10", id="both, beside"),
    ],
)
def test_paths(names: Names, path: str, kept: str) -> None:
    assert client_cookie(f"a=b; Path={path}", names) == f"a=b; Path={kept}"
    assert client_cookie(f"a=b; Path={kept}", names) == f"a=b; Path={kept}"


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        pytest.param(
            'SID="31 d4;=";  pATH =\t/x  ;Secure;secure; Expires=Wed, 09 Jun 2021 10:18 GMT',
            'SID="31 d4;=";  pATH =\t/films/x  ;Secure;secure; Expires=Wed, 09 Jun 2021 10:18 GMT',
            id="blanks, case and quotes",
        ),
        pytest.param(
            "path=/; Domain=media.example;HttpOnly; SameSite=None; Partitioned; Path=/",
            "path=/;HttpOnly; SameSite=None; Partitioned; Path=/films",
            id="a cookie named as an attribute",
        ),
        pytest.param(
            "=v; x-path=/; Max-Age=1;; Path=/path=/;",
            "=v; x-path=/; Max-Age=1;; Path=/films/path=/;",
            id="empty attributes",
        ),
        pytest.param("__Secure-a=b; Path=/; Secure", "__Secure-a=b; Path=/films; Secure", id="bis"),
        pytest.param(
            "__Host-a=b; Path=/; Domain=media.example",
            "__Host-a=b; Path=/",
            id="Domain all the same",
        ),
        pytest.param("a=\xe9; Path=/\xe9", "a=\xe9; Path=/films/\xe9", id="bytes beyond ASCII"),
    ],
)
def test_everything_else_stays_byte_for_byte(cookie: str, kept: str) -> None:
    assert client_cookie(cookie, FILMS) == kept


OTHERS = st.sampled_from(
    ["Secure", " secure", " HttpOnly", " SameSite=Lax", " Max-Age=10", "", " ", " x=/", "Paths=/a"]
)
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters=";"))
CASES = st.sampled_from(["Path", " PATH ", "\tpath"])
DOMAINS = st.tuples(
    st.sampled_from(["Domain", " domain", "\tDOMAIN "]),
    st.sampled_from(["media.example", ".media.example", "example", "x.test", "", " "]),
).map("=".join)
COOKIE_PATHS = st.lists(st.sampled_from(["", "a", "films", "app"]), max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)
PATHS = st.tuples(CASES, COOKIE_PATHS).map("=".join)
ATTRIBUTES = st.lists(st.one_of(OTHERS, TEXT, DOMAINS, PATHS), max_size=8)


def is_of(attribute: str, *names: str) -> bool:
    return attribute.partition("=")[0].strip(" \t").lower() in names


@given(TEXT, ATTRIBUTES, st.sampled_from([WHOLE, FILMS, APP, BOTH, SAME, INSIDE]))
def test_no_other_attribute_changes(cookie: str, attributes: list[str], names: Names) -> None:
    kept = client_cookie(";".join((cookie, *attributes)), names).split(";")
    assert kept[0] == cookie
    others = [a for a in attributes if not is_of(a, "domain", "path")]
    assert [a for a in kept[1:] if not is_of(a, "domain", "path")] == others
    domains = [a for a in attributes if is_of(a, "domain")]
    assert [a for a in kept[1:] if is_of(a, "domain")] in (domains, [])
    assert len([a for a in kept[1:] if is_of(a, "path")]) == len(
        [a for a in attributes if is_of(a, "path")]
    )


@given(TEXT, ATTRIBUTES, st.sampled_from([WHOLE, FILMS, BOTH, SAME, INSIDE]))
def test_once_is_enough(cookie: str, attributes: list[str], names: Names) -> None:
    once = client_cookie(";".join((cookie, *attributes)), names)
    assert client_cookie(once, names) == once


@given(TEXT, ATTRIBUTES, st.from_regex(r"[a-z]{1,8}\.(org|net)", fullmatch=True))
def test_foreign_domains_are_never_touched(cookie: str, attributes: list[str], domain: str) -> None:
    foreign = f"{';'.join((cookie, *attributes))}; Domain={domain}"
    assert client_cookie(foreign, WHOLE) == foreign


def path_matches(path: str, cookie_path: str) -> bool:
    """Section 5.1.4, in its words."""
    return path == cookie_path or (
        path.startswith(cookie_path)
        and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")
    )


@given(COOKIE_PATHS, COOKIE_PATHS, st.sampled_from([FILMS, BOTH]))
def test_cookies_come_with_the_requests_they_are_for(
    cookie_path: str, path: str, names: Names
) -> None:
    """Of an origin's path, what the browser sends is what it would send to the origin."""
    if cookie_path == "/films" or cookie_path.startswith("/films/"):
        return  # an application that knows its prefix
    kept = client_cookie(f"a=b; Path={cookie_path}", names).removeprefix("a=b; Path=")
    asked, seen = names.origin.path + path, names.proxy.path + path
    assert path_matches(seen, kept) == path_matches(asked, cookie_path)
