"""ROUTES: its forms, what it keeps, and what its errors say and hide."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from settings import base
from settings.kinds import RefusedError
from settings.routes import Route, Routes

KIND = Routes()
MEDIA = "http://media:9000/"
FULL = {
    "upstream": ["http://thumbs-1:8080", "https://thumbs-2"],
    "headers": {"X-Key": "top secret", "x-other": ""},
    "host": "thumbs.example:8080",
    "connect_timeout": "2s",
    "first_byte_timeout": 3,
    "idle_timeout": "250ms",
    "cache": False,
    "cache_key_ignore": ["token", "utm_*"],
    "stale_if_error": "1h",
    "stale_while_revalidate": 0,
    "heuristic_max": "1d",
}
FULL_ROUTE = Route(
    host="*.example.org",
    path="/thumbs/",
    upstream=("http://thumbs-1:8080", "https://thumbs-2"),
    headers=(("X-Key", "top secret"), ("x-other", "")),
    host_field="thumbs.example:8080",
    connect_timeout=2.0,
    first_byte_timeout=3.0,
    idle_timeout=0.25,
    cache=False,
    cache_key_ignore=("token", "utm_*"),
    stale_if_error=3600.0,
    stale_while_revalidate=0.0,
    heuristic_max=86400.0,
)
FILMS = Route("", "/films/", (MEDIA,))


@pytest.mark.parametrize(
    ("value", "routes"),
    [
        ({"/films/": MEDIA}, (FILMS,)),
        ({"/films/": [MEDIA]}, (FILMS,)),
        ({"/films/": (MEDIA,)}, (FILMS,)),
        (
            {"/x/": ["http://a/m", "https://b/m/"]},
            (Route("", "/x/", ("http://a/m", "https://b/m/")),),
        ),
        ({"/films/": {"upstream": MEDIA}}, (FILMS,)),
        ([{"route": "/films/", "upstream": MEDIA}], (FILMS,)),
        (({"route": "/films/", "upstream": [MEDIA]},), (FILMS,)),
        ([FILMS], (FILMS,)),
        ((FULL_ROUTE, FILMS), (FULL_ROUTE, FILMS)),
        ({"*.Example.org/thumbs/": FULL, "/films/": MEDIA}, (FULL_ROUTE, FILMS)),
        ([], ()),
        ({}, ()),
        ("", ()),
        ("{}", ()),
        ("[]", ()),
        (" {} ", ()),
    ],
)
def test_forms(value: object, routes: tuple[Route, ...]) -> None:
    assert KIND.parse(value) == routes
    forms = (dict, list, tuple)
    if value and isinstance(value, forms) and not any(isinstance(v, Route) for v in value):
        assert KIND.parse(json.dumps(value)) == routes


@pytest.mark.parametrize(
    ("name", "host", "path"),
    [
        ("/", "", "/"),
        ("/films", "", "/films"),
        ("/a/b%20c/", "", "/a/b%20c/"),
        ("/...", "", "/..."),
        ("img.example.org/", "img.example.org", "/"),
        ("IMG.example.org./x", "img.example.org", "/x"),
        ("*.example.org/", "*.example.org", "/"),
        ("10.0.0.1/", "10.0.0.1", "/"),
        ("[::1]/x/", "::1", "/x/"),
        ("::1/x/", "::1", "/x/"),
        ("localhost/", "localhost", "/"),
    ],
)
def test_places(name: str, host: str, path: str) -> None:
    (route,) = KIND.parse({name: MEDIA})
    assert (route.host, route.path) == (host, path)
    assert KIND.parse({route.name: MEDIA}) == (route,)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "films",
        "img.example.org",
        "/films?x=1",
        "/films#x",
        "/a//b",
        "//",
        "/a/../b",
        "/..",
        "/./",
        "/a b",
        "/%2",
        "/\xfc",
        "img.example.org:80/",
        "http://img.example.org/",
        "*/",
        "*.10.0.0.1/",
        "a.*.org/",
        "b\xfccher.example/",
        "127.1/",
    ],
)
def test_no_places(name: str) -> None:
    with pytest.raises(RefusedError) as raised:
        KIND.parse({name: MEDIA})
    assert str(raised.value).startswith(f"route {name!r} is not a path such as /films/, or a host")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"/films/": ', "not JSON: Expecting value at character "),
        ("/films/=http://media", "not JSON: Expecting value at character 1; it is a JSON object"),
        ("5", "what is given is not a JSON object of routes such as {"),
        ('"http://media"', "what is given is not a JSON object of routes such as {"),
        ("[" * 100_000, "what is given is not a JSON object of routes such as {"),
        (5, "what is given is not a JSON object of routes such as {"),
        (None, "what is given is not a JSON object of routes such as {"),
        ([5], "entry 1: not a URL, a list of URLs or an object of upstream, headers, "),
        ([{"upstream": MEDIA}], 'entry 1 has no "route" such as "/films/"'),
        ([{"route": 5, "upstream": MEDIA}], 'entry 1 has no "route" such as "/films/"'),
        ({5: MEDIA}, "route 5 is not a path such as /films/"),
        ({"/a": 5}, "route '/a': not a URL, a list of URLs or an object of upstream, headers, "),
        ({"/a": None}, "route '/a': not a URL, a list of URLs or an object of upstream, "),
        ({"/a": {}}, 'route \'/a\' has no "upstream" such as "http://media:9000/"'),
        ({"/a": []}, "route '/a': upstream: empty: give an http or https URL such as "),
        ({"/a": ""}, "route '/a': upstream: empty: give an http or https URL such as "),
        ({"/a": "media:9000"}, "route '/a': upstream: 'media:9000' is not an http or https URL "),
        ({"/a": "embedded"}, "route '/a': upstream: 'embedded' is not an http or https URL "),
        ({"/a": [MEDIA, 5]}, "route '/a': upstream: 5 is not an http or https URL "),
        ({"/a": ["http://a", "http://b/"]}, "route '/a': upstream: the URLs of one route need "),
        (
            {"/a": ["http://a/x/", "http://b/y/", "http://c/x/", "http://d"]},
            "route '/a': upstream: the URLs of one route need the same path, or none at all; "
            "these have /x/, /y/, none",
        ),
        ({"/a": "http://a?x"}, "route '/a': upstream: 'http://a?x' is not an http or https URL "),
        (
            {"/a": {"upstream": MEDIA, "header": {}}},
            "route '/a': 'header' is not known; did you mean headers?",
        ),
        (
            {"/a": {"upstream": MEDIA, "qqq": {}}},
            "route '/a': 'qqq' is not known; there are upstream, headers, host, connect_timeout, ",
        ),
        (
            {"/a": {"upstream": MEDIA, "connect_timeout": "soon"}},
            "route '/a': connect_timeout: 'soon' is not a duration from 1ms to 365d",
        ),
        (
            {"/a": {"upstream": MEDIA, "idle_timeout": 0}},
            "route '/a': idle_timeout: 0 is not a duration from 1ms to 365d",
        ),
        (
            {"/a": {"upstream": MEDIA, "stale_if_error": None}},
            "route '/a': stale_if_error: None is not a duration from 0s to 365d",
        ),
        (
            '{"/a": {"upstream": "http://a", "heuristic_max": NaN}}',
            "route '/a': heuristic_max: nan is not a duration from 0s to 365d",
        ),
        (
            {"/a": {"upstream": MEDIA, "cache": "maybe"}},
            "route '/a': cache: 'maybe' is not on or off",
        ),
        (
            {"/a": {"upstream": MEDIA, "cache_key_ignore": ["a&b"]}},
            "route '/a': cache_key_ignore: 'a&b' is not the name of a query parameter",
        ),
        (
            {"/a": {"upstream": MEDIA, "host": "a b"}},
            "route '/a': host: 'a b' is not a host, such as media.example or media.example:8080",
        ),
        ({"/a": {"upstream": MEDIA, "host": "*.a"}}, "route '/a': host: '*.a' is not a host"),
        ({"/a": {"upstream": MEDIA, "host": "a:0"}}, "route '/a': host: 'a:0' is not a host"),
        ({"/a": {"upstream": MEDIA, "host": "::1"}}, "route '/a': host: '::1' is not a host"),
        ({"/a": {"upstream": MEDIA, "host": 5}}, "route '/a': host: 5 is not a host"),
        (
            {"/a": {"upstream": MEDIA, "headers": ["X-Key: 1"]}},
            "route '/a': headers: not an object of names and values such as ",
        ),
        (
            {"/a": {"upstream": MEDIA, "headers": {"X Key": "1"}}},
            "route '/a': headers: 'X Key' is not the name of a field, such as X-Key",
        ),
        (
            {"/a": {"upstream": MEDIA, "headers": {"Host": "x"}}},
            "route '/a': headers: Host is not for a route to set; \"host\" beside",
        ),
        (
            {"/a": {"upstream": MEDIA, "headers": {"content-length": "5"}}},
            "route '/a': headers: content-length is not for a route to set",
        ),
        (
            {"/a": {"upstream": MEDIA, "headers": {"X-Key": "1", "x-key": "2"}}},
            "route '/a': headers: x-key is there twice",
        ),
        ('{"/a": "http://a", "/a": "http://b"}', "route '/a' is there twice"),
        ({"A.example/": MEDIA, "a.example./": MEDIA}, "route 'a.example/' is there twice"),
        (
            '{"/a": {"upstream": "http://a", "host": "a", "host": "b"}}',
            "route '/a': 'host' is there twice",
        ),
        (
            '{"/a": {"upstream": "http://a", "headers": {"A": "1", "A": "2"}}}',
            "route '/a': headers: not an object of names and values",
        ),
    ],
)
def test_a_wrong_one_is_one_line_that_names_the_route(value: object, message: str) -> None:
    with pytest.raises(RefusedError) as raised:
        KIND.parse(value)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "value",
    [
        {"/a": {"upstream": MEDIA, "headers": {"X-Key": f"{SECRET}\n"}}},
        {"/a": {"upstream": MEDIA, "headers": {"X-Key": [SECRET]}}},
        {"/a": {"upstream": MEDIA, "headers": {"X-Key": f" {SECRET}"}}},
        {"/a": {"upstream": MEDIA, "headers": SECRET}},
        {"/a": {"upstream": MEDIA, "hearders": {"X-Key": SECRET}}},
        {"/a": {"upstream": f"http://user:{SECRET}@media/"}},
        {"/a": f"http://user:{SECRET}@media/"},
        {f"http://user:{SECRET}@media/": MEDIA},
        f'{{"/a": {{"headers": {{"X-Key": "{SECRET}"',
        f'"{SECRET}"',
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_what_may_be_secret_is_in_no_line(value: object, as_text: bool) -> None:
    text = json.dumps(value) if as_text and not isinstance(value, str) else value
    with pytest.raises(RefusedError) as raised:
        KIND.parse(text)
    assert SECRET not in str(raised.value)


def test_headers_are_not_shown() -> None:
    (route,) = KIND.parse({"/a": {"upstream": MEDIA, "headers": {"X-Key": SECRET}}})
    assert SECRET not in repr(route)
    assert SECRET not in KIND.show((route,))
    assert SECRET not in repr(base.Settings(ROUTES=[route]))
    assert (route,) == base.Settings(ROUTES=[route]).ROUTES


@pytest.mark.parametrize("routes", [(), (FILMS,), (Route("::1", "/", ("http://a",), cache=False),)])
def test_what_is_shown_reads_back(routes: tuple[Route, ...]) -> None:
    assert KIND.parse(KIND.show(routes)) == routes


def test_shown_durations_and_lists_read_back() -> None:
    shown = json.loads(KIND.show((FULL_ROUTE,)))
    assert shown["*.example.org/thumbs/"].pop("headers") == {"X-Key": "***", "x-other": "***"}
    (route,) = KIND.parse(shown)
    assert route == Route(
        **{f: getattr(FULL_ROUTE, f) for f in Route.__slots__ if f != "headers"}, headers=()
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just(MEDIA),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["/a", "a/", "upstream", "headers", "host", "cache", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(VALUES)
def test_whatever_is_given_is_kept_or_refused_in_one_line(value: object) -> None:
    for given_ in (value, json.dumps(value)):
        try:
            routes = KIND.parse(given_)
        except RefusedError as error:
            assert "\n" not in str(error)
        else:
            assert all(isinstance(route, Route) for route in routes)


def lines_of(environ: dict[str, str], overrides: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(settings.SettingsError) as raised:
        settings.load("settings.base", environ, overrides)
    return raised.value.lines


Load = Callable[[], base.Settings]


@pytest.mark.parametrize(
    "load",
    [
        lambda: settings.load("settings.base", {"APRP_ROUTES": f'{{"/films/": "{MEDIA}"}}'}),
        lambda: settings.load("settings.base", {}, {"ROUTES": f'{{"/films/": "{MEDIA}"}}'}),
        lambda: base.Settings(ROUTES={"/films/": MEDIA}),
    ],
)
def test_from_environment_flag_and_python(load: Load) -> None:
    assert load().ROUTES == (FILMS,)


def test_a_line_names_the_setting_and_where_it_comes_from() -> None:
    (line,) = lines_of({"APRP_ROUTES": '{"/films/": {"upstream": "ftp://a"}}'})
    assert line == (
        "ROUTES: route '/films/': upstream: 'ftp://a' is not an http or https URL without user, "
        "query and fragment, such as http://media:9000/ (from APRP_ROUTES)"
    )
    (line,) = lines_of({}, {"ROUTES": "{"})
    assert line.startswith("ROUTES: not JSON: ")
    assert line.endswith(" (from --routes)")
