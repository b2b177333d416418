"""Which keys what people name has, and by which names what is stored is shown."""

import socket
from typing import Any

import pytest

from aprp.cache.entry import Entry
from aprp.tools.places import Places
from settings.base import Settings

ROUTES = {
    "/films/": "http://media:9000/",
    "/kept/": "http://media:9000",
    "/deep/": "http://media:9000/a/b/",
    "/deep/er": "http://media:9000/c",
    "img.example.org/thumbs/": {"upstream": ["http://t1/x/", "http://t2/x/"]},
    "*.example.org/": {"upstream": "http://any", "headers": {"X-Key": "1"}},
    "[::1]/": "http://six/",
    "/ignoring/": {"upstream": "http://media:9000/i/", "cache_key_ignore": ["t"]},
}


def places(**more: Any) -> Places:
    given: dict[str, Any] = {"UPSTREAM": ["http://o:1/base/"], "ROUTES": ROUTES, "PORT": 8000}
    return Places(Settings(**given | more))


def entry(key: str, target: str) -> Entry:
    return Entry(
        id=1,
        key=key,
        vary=(),
        status=200,
        reason="OK",
        fields=(),
        length=1,
        request_time=0.0,
        response_time=0.0,
        ranges=True,
        combinable=True,
        complete=True,
        target=target,
    )


def test_keys() -> None:
    settings = Settings(
        UPSTREAM=["http://o:1/films"], CACHE_KEY_IGNORE=["token", "utm_*"], RANGE_PARAM=""
    )
    known = Places(settings)
    whole = known.key("/a.mp4?b=1")
    assert whole == "http://o:1/films/a.mp4?b=1"
    assert whole == known.key("/a.mp4?token=x&b=1&utm_source=y")
    assert whole != known.key("/a.mp4?b=2")
    # A prefix of targets is a prefix of keys.
    assert known.prefixes("/a") == ["http://o:1/films/a"]


def test_the_embedded_origin_has_no_address_in_keys() -> None:
    assert Places(Settings(UPSTREAM=["embedded"])).key("/a") == "embedded/a"


@pytest.mark.parametrize(
    ("word", "key", "target"),
    [
        ("/x?a=1", "http://o:1/base/x?a=1", "/x?a=1"),
        ("/films/x/0/9?range=0-9", "http://media:9000/x", "/x"),
        ("/filmstrip", "http://o:1/base/filmstrip", "/filmstrip"),
        ("/kept/x", "http://media:9000/kept/x", "/kept/x"),
        ("/deep/x?a=1&t=2", "http://media:9000/a/b/x?a=1&t=2", "/a/b/x?a=1&t=2"),
        ("/deep/er/x", "http://media:9000/c/x", "/c/x"),
        ("/ignoring/x?t=1", "http://media:9000/i/x", "/i/x?t=1"),
        ("http://img.example.org/thumbs/x", "http://t1/x/x", "/x/x"),
        ("https://IMG.example.org:444/thumbs/x", "http://t1/x/x", "/x/x"),
        ("http://img.example.org/x", "http://any#*.example.org/#/x", "/x"),
        ("http://[::1]:8000/x", "http://six/x", "/x"),
        ("http://localhost:8000/x", "http://o:1/base/x", "/x"),
        # Some name of the proxy, for all that is known here.
        ("http://proxy.test/films/x", "http://media:9000/x", "/x"),
    ],
)
def test_keys_of_routes_and_names_of_keys(word: str, key: str, target: str) -> None:
    known = places()
    assert known.key(word) == key
    name = known.name(entry(key, target))
    # The name leads back to the key, under a host of the route's.
    again = name if name.startswith("/") else "http://" + name.replace("*", "any")
    assert known.key(again) == key


@pytest.mark.parametrize(
    ("key", "target", "name"),
    [
        ("http://o:1/base/x?a=1", "/x?a=1", "/x?a=1"),
        ("http://media:9000/x", "/x", "/films/x"),
        ("http://media:9000/kept/x", "/kept/x", "/kept/x"),
        ("http://media:9000/a/b/x", "/a/b/x", "/deep/x"),
        ("http://media:9000/i/x", "/i/x?t=1", "/ignoring/x?t=1"),
        # Two routes lead there, and only one of them has `t` in the key.
        ("http://media:9000/i/x?t=1", "/i/x?t=1", "/films/i/x?t=1"),
        ("http://t1/x/y", "/x/y", "img.example.org/thumbs/y"),
        ("http://any#*.example.org/#/y", "/y", "*.example.org/y"),
        ("http://six/y", "/y", "[::1]/y"),
        # Of settings that were others.
        ("http://gone/y", "/y", "/y"),
        ("http://gone#/g/#/y", "/y", "/y"),
    ],
)
def test_names(key: str, target: str, name: str) -> None:
    assert places().name(entry(key, target)) == name


def test_prefixes() -> None:
    known = places()
    assert set(known.prefixes("/")) == {
        "http://o:1/base/",
        "http://media:9000/kept/",
        "http://media:9000/a/b/",
        "http://media:9000/",
        "http://media:9000/c",
        "http://media:9000/i/",
    }
    assert known.prefixes("/fil") == ["http://o:1/base/fil", "http://media:9000/"]
    assert known.prefixes("/films/a") == ["http://media:9000/a"]
    assert known.prefixes("/deep/") == ["http://media:9000/a/b/", "http://media:9000/c"]
    assert known.prefixes("/?a") == ["http://o:1/base/?a"]
    assert known.prefixes("http://img.example.org/") == [
        "http://any#*.example.org/#/",
        "http://t1/x/",
    ]


@pytest.mark.parametrize("setting", [{"FORWARD": True}, {"TARGET_URL_ALLOW": ["other.test"]}])
def test_what_clients_name(setting: dict[str, object]) -> None:
    known = places(ADDRESS="media.test", **setting)
    assert known.key("http://Other.test:80/films/x?range=0-9") == "http://other.test/films/x"
    assert known.key("https://other.test:8443/x") == "https://other.test:8443/x"
    assert known.key("http://localhost:9000/x") == "http://localhost:9000/x"
    assert known.prefixes("http://other.test/") == ["http://other.test/"]
    for own in ("localhost", "127.0.0.1", "media.test", socket.gethostname()):
        assert known.key(f"http://{own}:8000/x") == "http://o:1/base/x"
    assert known.key("/x") == "http://o:1/base/x"
    assert known.key("http://img.example.org/thumbs/x") == "http://t1/x/x"
    assert known.name(entry("http://other.test/x", "/x")) == "http://other.test/x"
    assert known.name(entry("http://o:1/base/x", "/x")) == "/x"
    chosen = known.choice("http://other.test/")
    assert chosen(entry("http://other.test/x", "/x"))
    assert not chosen(entry("http://o:1/base/x", "/x"))


def test_what_is_listed() -> None:
    known = places()
    films, default, gone = (
        entry("http://media:9000/x", "/x"),
        entry("http://o:1/base/films", "/films"),
        entry("http://gone/filmstrip", "/filmstrip"),
    )
    for word, found in (
        ("/", (True, True, True)),
        ("/films", (True, True, True)),
        ("/films/", (True, False, False)),
        ("/films/x", (True, False, False)),
        ("/x", (False, False, False)),
    ):
        chosen = known.choice(word)
        assert tuple(map(chosen, (films, default, gone))) == found, word
