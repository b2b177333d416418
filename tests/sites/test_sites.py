"""Which site a request is for, where that has its origins, and what it is called."""

import ssl
from typing import Any, cast

import pytest

from aprp.semantics.rewriting import client_location
from aprp.sites.keys import canonical_server, route_key, upstream_key
from aprp.sites.own import OwnAddress
from aprp.sites.site import Site
from aprp.sites.sites import LeadsBack, NotAllowed, Sites
from aprp.upstream.asking import Ask, Limits, Reader
from aprp.upstream.origins import Origin, Origins
from settings.base import Settings

TLS = ssl.create_default_context()


class Own(OwnAddress):
    """Listens at one name and port."""

    def is_named(self, host: str, port: int) -> bool:
        return (host, port) == ("localhost", 8000)


class Asked:
    """Keeps what questions would be asked with."""

    def __init__(self) -> None:
        self.limits: list[Limits] = []

    def __call__(self, origins: Origins, limits: Limits, reader: Reader) -> Ask:
        self.limits.append(limits)
        return cast(Ask, None)


def make(asked: Asked | None = None, **given: Any) -> Sites:
    settings = Settings(**{"UPSTREAM": ["http://o:1/base/"]} | given)
    origins = [Origin.parse(url, TLS) for url in settings.UPSTREAM]
    return Sites(settings, origins, TLS, asked or Asked(), Own())


def key(site: Site, path: str) -> str:
    return site.source.key(site.target(path))


@pytest.mark.parametrize(
    ("scheme", "authority", "server"),
    [
        ("http", "Media.Example", "http://media.example"),
        ("http", "media.example.:80", "http://media.example"),
        ("https", "media.example:443", "https://media.example"),
        ("https", "media.example:80", "https://media.example:80"),
        ("http", "media.example:", "http://media.example"),
        ("http", "[::0001]:8080", "http://[::1]:8080"),
        ("http", "10.0.0.1:80", "http://10.0.0.1"),
        ("http", "", None),
        ("http", "a b", None),
        ("http", "user@a", None),
        ("http", "a:0", None),
        ("http", "a:65536", None),
        ("http", "127.1", None),
    ],
)
def test_one_name_for_a_server(scheme: str, authority: str, server: str | None) -> None:
    found = canonical_server(scheme, authority)
    assert (found and found[0]) == server


def test_the_default() -> None:
    sites = make()
    site = sites.find("any.test", "/x")
    assert site is sites.default is sites.find(None, "/x")
    assert site.named and site.cached
    assert key(site, "/x") == "http://o:1/base/x"
    assert (sites.target, sites.forward, sites.switch) == (None, None, None)


def test_the_embedded_origin_has_the_same_key_at_each_start() -> None:
    settings = Settings(UPSTREAM=["embedded"])
    origins = [Origin.parse("http://127.0.0.1:40001", TLS)]
    sites = Sites(settings, origins, TLS, Asked(), Own())
    assert key(sites.default, "/x") == "embedded/x" == upstream_key("embedded") + "/x"


def test_a_route_and_what_it_leaves_to_other_settings() -> None:
    asked = Asked()
    route = {
        "upstream": ["http://media:9000/m/", "https://other/m"],
        "headers": {"X-Key": "1"},
        "host": "films.example",
        "connect_timeout": 1,
        "idle_timeout": 2,
        "cache": False,
        "cache_key_ignore": ["t"],
        "stale_if_error": 3,
    }
    sites = make(asked, ROUTES={"/films/": route, "/plain": "http://media:9000"})
    films, plain = sites.find(None, "/films/x"), sites.find(None, "/plain/x")
    assert films.target("/films/x") == "/m/x"
    assert plain.target("/plain/x") == "/plain/x"
    assert [origin.url for origin in films.origins.origins] == [
        "http://media:9000",
        "https://other",
    ]
    assert films.fields == (("X-Key", "1"),)
    assert (films.host, plain.host) == ("films.example", None)
    assert (films.cached, plain.cached) == (False, True)
    base = Settings(UPSTREAM=["http://o"])
    for site in (films, plain):
        site.source.make_ask(cast(Reader, None))
    first = base.FIRST_BYTE_TIMEOUT
    assert asked.limits == [
        Limits(1, first, 2),
        Limits(base.CONNECT_TIMEOUT, first, base.IDLE_TIMEOUT),
    ]
    policy = films.source.policy
    assert (policy.stale_if_error, policy.ignored) == (3, frozenset({"t"}))
    assert policy.stale_while_revalidate == base.STALE_WHILE_REVALIDATE
    assert plain.source.policy == sites.default.source.policy
    # What is sent along may make another answer.
    assert key(films, "/films/x") == "http://media:9000#/films/#/m/x"
    assert key(plain, "/plain/x") == "http://media:9000/plain/x"
    routes = Settings(UPSTREAM=["http://o"], ROUTES={"/films/": route}).ROUTES
    assert route_key(routes[0]) == "http://media:9000#/films/#"


def test_what_lies_below_a_prefix() -> None:
    sites = make(
        ROUTES={
            "/films/": "http://m/a/",
            "/films/x/": "http://x",
            "h.test/": "http://h/b/",
            "/other": "http://other/",
        }
    )

    def below(host: str | None, prefix: str) -> list[tuple[str, str]]:
        return [(source.upstream, target) for source, target in sites.below(host, prefix)]

    films, inner, other = ("http://m", "/a/"), ("http://x", "/films/x/"), ("http://other", "/")
    assert sorted(below(None, "/")) == sorted([films, inner, other])
    assert below("any.test", "/films/") == [films, inner]
    assert below(None, "/fil") == [films, inner]
    assert below(None, "/films/x") == [inner]
    assert below(None, "/films/y") == []
    # This host has nothing of the others.
    assert below("h.test", "/") == [("http://h", "/b/")]


def test_both_names_of_a_site() -> None:
    sites = make(
        ROUTES={"/films/": ["http://a/m/", "http://b/m/"], "/kept/": "http://a"},
        FORWARD=True,
    )
    films, kept = sites.find(None, "/films/"), sites.find(None, "/kept/")

    def seen(site: Site, location: str, asked: str | None = None) -> str:
        names = site.names("http", "proxy.test", asked)
        assert names is not None
        return client_location(location, names)

    assert seen(films, "http://a/m/x") == "http://proxy.test/films/x"
    assert seen(films, "http://b/m/x") == "http://b/m/x"
    # The one that is spoken with names itself.
    assert seen(films, "http://b/m/x", "http://b") == "http://proxy.test/films/x"
    assert seen(kept, "http://a/kept/x") == "http://proxy.test/kept/x"
    assert seen(sites.default, "http://o:1/base/x") == "http://proxy.test/x"
    assert sites.of_server("http://media.example").names("http", "proxy.test") is None
    # No host at all (HTTP/1.0), and one that is none.
    assert films.names("http", None) is not None
    assert films.names("http", "a:b") is None


def test_forwarding() -> None:
    sites = make(FORWARD=True, FORWARD_ALLOW=["media.example", "10.0.0.0/8"])
    server = sites.server("http", "MEDIA.example:80")
    site = sites.of_server(server)
    assert site is sites.of_server("http://media.example")
    assert (site.named, site.cached) == (False, True)
    assert key(site, "/x") == "http://media.example/x"
    (origin,) = site.origins.origins
    assert (origin.host, origin.endpoint.guard is None) == ("media.example", False)
    for refused in ("http://127.0.0.1", "http://93.184.215.14"):
        with pytest.raises(NotAllowed, match=refused.removeprefix("http://")):
            sites.of_server(refused)
    # Its addresses decide.
    assert sites.of_server("http://other.example") is not site
    with pytest.raises(LeadsBack):
        sites.server("http", "localhost:8000")
    with pytest.raises(ValueError, match="a b"):
        sites.server("http", "a b")


def test_not_all_hosts_that_were_ever_named_are_remembered() -> None:
    sites = make(FORWARD=True)
    first = sites.of_server("http://0.example")
    for number in range(1, 1025):
        sites.of_server("http://0.example")
        sites.of_server(f"http://{number}.example")
    assert len(sites._named) == 1024
    assert sites.of_server("http://0.example") is first


def test_the_switched_target() -> None:
    sites = make(TARGET_URL_ALLOW=["media.example"], ROUTES={"/films/": "http://m/"})
    url, site = sites.target_of("http://MEDIA.example:80/a b/")
    assert url == "http://media.example/a%20b/"
    sites.switch_to(url)
    assert sites.target == url
    assert sites.find(None, "/x") is site
    assert site.named
    assert key(site, "/x") == "http://media.example/a%20b/x"
    # Routes are none of UPSTREAM's.
    assert sites.find(None, "/films/x").origins.origins[0].url == "http://m"
    sites.switch_to("")
    assert sites.target is None
    assert sites.find(None, "/x") is sites.default


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://other.example/", NotAllowed),
        ("http://10.0.0.1/", NotAllowed),
        ("http://localhost:8000/", LeadsBack),
        ("ftp://media.example/", ValueError),
        ("//media.example/", ValueError),
        ("media.example", ValueError),
        ("http://media.example/?", None),
        ("http://media.example/?a", ValueError),
        ("http://media.example/#a", ValueError),
        ("http://a@media.example/", ValueError),
        ("http://[media.example/", ValueError),
        ("http://media.example/..", ValueError),
    ],
)
def test_targets(url: str, error: type[Exception] | None) -> None:
    sites = make(TARGET_URL_ALLOW=["media.example"])
    if error is None:
        assert sites.target_of(url)[0] == "http://media.example/"
    else:
        with pytest.raises(error):
            sites.target_of(url)
    assert sites.target is None


@pytest.mark.parametrize(
    ("key", "target", "site"),
    [
        ("http://o:1/base/x?a=1", "/x?a=1", "default"),
        ("http://o:1/base/x", "/x?t=5", "default"),
        ("http://m/x", "/x", "films"),
        # Of settings that were others.
        ("http://gone/x", "/x", None),
        ("http://o:1/base/x", "/y", None),
        # A route that is not cached any more.
        ("http://n/x", "/x", None),
    ],
)
def test_the_site_of_what_is_stored(key: str, target: str, site: str | None) -> None:
    routes = {"/films/": "http://m/", "/live/": {"upstream": "http://n/", "cache": False}}
    sites = make(ROUTES=routes, CACHE_KEY_IGNORE=["t"])
    known = {"default": sites.default, "films": sites.find(None, "/films/x"), None: None}
    assert sites.of_stored(key, target) is known[site]


def test_the_site_of_what_clients_have_named() -> None:
    sites = make(FORWARD=True, FORWARD_ALLOW=["media.example"], TARGET_URL_ALLOW=["other.example"])
    forwarded = sites.of_stored("http://media.example/x?a", "/x?a")
    assert forwarded is sites.of_server("http://media.example")
    switched = sites.of_stored("http://other.example/base/x", "/x")
    assert switched is sites.target_of("http://other.example/base")[1]
    for key in ("http://third.example/x", "ftp://media.example/x", "junk/x", "http://a#r#/x"):
        assert sites.of_stored(key, "/x") is None
