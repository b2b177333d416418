"""Settings of Redis: what a URL may be, and that no password is shown."""

import logging

import pytest
from pydantic import ValidationError

import settings
from settings import base
from settings.declare import options

SECRET = "hunter2hunter2"


def test_defaults() -> None:
    loaded = base.Settings()
    assert (loaded.REDIS_URL, loaded.REDIS_KEY) == ("", "aprp")
    assert (loaded.REDIS_INTERVAL, loaded.REDIS_TIMEOUT) == (1.0, 2.0)


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis",
        "redis://127.0.0.1:6380/3",
        "redis://[::1]:6379",
        f"redis://:{SECRET}@host",
        f"rediss://ann:{SECRET}@redis.example.org:6379?ssl_ca_certs=/etc/ca.pem",
        "redis://host?cluster=true",
        "redis://host/0?cluster=true",
        "redis://host?db=3&cluster=false",
        "unix:///run/redis/redis.sock",
        f"unix://ann:{SECRET}@/run/redis.sock?db=1",
    ],
)
def test_urls(url: str) -> None:
    assert url == settings.load("settings.base", {"APRP_REDIS_URL": url}).REDIS_URL


@pytest.mark.parametrize(
    "url",
    [
        "redis",
        "host:6379",
        "http://host",
        "redis://",
        f"redis://:{SECRET}@",
        "redis://host:0",
        "redis://host:99999",
        "redis://host:x",
        "redis://host/x",
        "redis://host/1/2",
        "redis://host#1",
        "redis://ho st",
        "redis://*.example",
        "redis://1.2.3",
        # A password with these has to be written with %2F, %40, %23.
        f"redis://:{SECRET}/x@host",
        f"redis://:{SECRET}@x@host",
        f"redis://:{SECRET}#x@host",
        f"redis://host?password={SECRET}",
        "redis://host?socket_timeout=1",
        "redis://host?cluster=yes",
        "redis://host?db=1&db=2",
        "redis://host?db",
        "redis://host/1?cluster=true",
        "redis://host?cluster=true&db=1",
        "unix://",
        "unix:///",
        "unix://host/path",
        "unix:///path?cluster=true",
        "redis://host\udc80",
    ],
)
def test_a_wrong_url_is_one_line_without_it(url: str) -> None:
    with pytest.raises(settings.SettingsError) as raised:
        settings.load("settings.base", {"APRP_REDIS_URL": url})
    (line,) = raised.value.lines
    assert line.startswith("REDIS_URL: what is given is not a URL such as redis://user:password@")
    assert line.endswith("(from APRP_REDIS_URL)")
    assert SECRET not in line


@pytest.mark.parametrize("value", [None, 6379, b"redis://host", ["redis://host"]])
def test_no_urls(value: object) -> None:
    with pytest.raises(ValidationError, match="REDIS_URL"):
        base.Settings(REDIS_URL=value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REDIS_KEY", ""),
        ("REDIS_KEY", "a{b}"),
        ("REDIS_KEY", "a b"),
        ("REDIS_KEY", "x" * 65),
        ("REDIS_TIMEOUT", "0"),
        ("REDIS_TIMEOUT", "2m"),
        ("REDIS_INTERVAL", "0"),
    ],
)
def test_what_else_is_refused(name: str, text: str) -> None:
    with pytest.raises(settings.SettingsError, match=f"^{name}: "):
        settings.load("settings.base", {f"APRP_{name}": text})


class Mine(base.Settings):
    REDIS_URL = f"redis://ann:{SECRET}@host:6379/1"


def test_the_password_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    loaded = Mine()
    assert SECRET in loaded.REDIS_URL
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r", loaded, loaded)
    shown = {option.name: option.shown_default for option in options(Mine)}
    assert shown["REDIS_URL"] == "redis://***@host:6379/1"
    for text in (repr(loaded), caplog.text, *shown.values()):
        assert SECRET not in text
