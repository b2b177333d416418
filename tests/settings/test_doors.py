"""Settings of forwarding, rewriting, TLS, limits, signed links: defaults, bounds, secrets."""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

import settings
from settings import base, development, production
from settings.declare import options

SECRET = "hunter2hunter2hunter2"
ORIGIN = ["http://origin:8080"]


def lines_of(environ: dict[str, str], overrides: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(settings.SettingsError) as raised:
        settings.load("settings.base", environ, overrides)
    return raised.value.lines


def test_what_opens_the_proxy_is_off_in_production() -> None:
    loaded = production.Settings(UPSTREAM=ORIGIN)
    assert loaded.FORWARD is False
    assert loaded.TARGET_URL_ALLOW == ()
    assert loaded.CONNECT_PORTS == (443,)
    assert loaded.PROXY_PROTOCOL is False
    assert loaded.REWRITE_ORIGIN is False
    assert loaded.ROUTES == ()


def test_development_forwards_to_public_hosts_from_this_machine() -> None:
    loaded = development.Settings()
    assert (loaded.FORWARD, loaded.FORWARD_ALLOW) == (True, ())
    assert loaded.ADDRESS == "localhost"
    assert loaded.TARGET_URL_ALLOW == ()


def test_defaults() -> None:
    loaded = base.Settings()
    assert loaded.REWRITE_REDIRECTS is True
    assert loaded.TUNNEL_IDLE_TIMEOUT == 600.0
    assert (loaded.HEADER_TIMEOUT, loaded.BODY_TIMEOUT) == (30.0, 60.0)
    assert (loaded.MAX_BODY_SIZE, loaded.RATE_LIMIT, loaded.RATE_LIMIT_AFTER) == (0, 0, 0)
    assert (loaded.MAX_CONNECTIONS, loaded.MAX_CONNECTIONS_PER_ADDRESS) == (0, 0)
    assert loaded.REQUEST_RATE == 0.0
    assert (loaded.TLS_CERT, loaded.TLS_KEY) == (None, None)
    assert (loaded.SIGNED_URLS, loaded.SIGNING_KEY) == (False, "")


def test_all_of_them_from_the_environment(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    loaded = settings.load(
        "settings.base",
        {
            "APRP_FORWARD": "on",
            "APRP_FORWARD_ALLOW": "*.example.org, 10.0.0.0/8, 127.0.0.1",
            "APRP_CONNECT_PORTS": "443,8443",
            "APRP_PROXY_USERS": "ann:secret,bob:word",
            "APRP_TARGET_URL_ALLOW": "python.org",
            "APRP_TLS_CERT": str(pem),
            "APRP_TLS_KEY": str(pem),
            "APRP_MAX_BODY_SIZE": "1G",
            "APRP_REQUEST_RATE": "0.5",
            "APRP_RATE_LIMIT": "512K",
            "APRP_SIGNED_URLS": "on",
            "APRP_SIGNING_KEY": SECRET,
        },
    )
    assert loaded.FORWARD_ALLOW == ("*.example.org", "10.0.0.0/8", "127.0.0.1")
    assert loaded.CONNECT_PORTS == (443, 8443)
    assert loaded.PROXY_USERS == ("ann:secret", "bob:word")
    assert loaded.TARGET_URL_ALLOW == ("python.org",)
    assert (pem, pem) == (loaded.TLS_CERT, loaded.TLS_KEY)
    assert (loaded.MAX_BODY_SIZE, loaded.RATE_LIMIT) == (2**30, 2**19)
    assert loaded.REQUEST_RATE == 0.5
    assert (loaded.SIGNED_URLS, loaded.SIGNING_KEY) == (True, SECRET)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (
            "FORWARD_ALLOW",
            "example.org:80",
            "FORWARD_ALLOW: 'example.org:80' is not a host name in ASCII without a port such as "
            "media.example, a pattern such as *.example.org, an IP address or network such as "
            "10.0.0.0/8, or * for every public host (from APRP_FORWARD_ALLOW)",
        ),
        (
            "CONNECT_PORTS",
            "443,x",
            "CONNECT_PORTS: 'x' is not a port from 1 to 65535 (from APRP_CONNECT_PORTS)",
        ),
        (
            "PROXY_USERS",
            f"ann:x,{SECRET}",
            "PROXY_USERS: entry 2 is not name:password, both not empty and without control "
            "characters (from APRP_PROXY_USERS)",
        ),
        (
            "SIGNING_KEY",
            "hunter2",
            "SIGNING_KEY: what is given is not text of 16 to 1024 characters, or empty for none "
            "(from APRP_SIGNING_KEY)",
        ),
        (
            "REQUEST_RATE",
            "-1",
            "REQUEST_RATE: '-1' is not a number from 0 to 1000000, such as 50 or 0.5 "
            "(from APRP_REQUEST_RATE)",
        ),
        (
            "TLS_CERT",
            "/no/such.pem",
            "TLS_CERT: '/no/such.pem' is not a file that can be read, or empty for none "
            "(from APRP_TLS_CERT)",
        ),
        (
            "SIGNED_URLS",
            "on",
            "SIGNING_KEY: not set, and SIGNED_URLS is on: give a secret of at least 16 characters "
            "(from settings.base)",
        ),
    ],
)
def test_a_wrong_value_is_one_line(name: str, text: str, line: str) -> None:
    assert lines_of({f"APRP_{name}": text}) == (line,)


def test_certificate_and_key_are_given_together(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    for one, other in (("TLS_CERT", "TLS_KEY"), ("TLS_KEY", "TLS_CERT")):
        (line,) = lines_of({f"APRP_{one}": str(pem)})
        assert line.startswith(f"TLS_KEY: {one} is set and {other} is not: give both, or neither")


def test_a_wrong_certificate_alone_is_told() -> None:
    lines = lines_of({"APRP_TLS_CERT": "/no/such.pem"})
    assert [line.partition(":")[0] for line in lines] == ["TLS_CERT"]


@pytest.mark.parametrize("key", ["x" * 16, "x" * 1024, "\xfc" * 16, ""])
def test_keys(key: str) -> None:
    assert key == base.Settings(SIGNING_KEY=key).SIGNING_KEY


@pytest.mark.parametrize(
    "key", [SECRET[:15], SECRET + "x" * 1024, SECRET + "\udc80", SECRET.encode(), [SECRET]]
)
def test_a_wrong_key_is_shown_nowhere(key: object) -> None:
    with pytest.raises(ValidationError) as raised:
        base.Settings(SIGNING_KEY=key)
    assert "hunter2" not in str(raised.value)
    assert "SIGNING_KEY" in str(raised.value)


@pytest.mark.parametrize("rate", [0, 0.5, 50, "50", "0.000000001", "1000000"])
def test_a_shown_rate_reads_back(rate: object) -> None:
    kind = next(o.kind for o in options(base.Settings) if o.name == "REQUEST_RATE")
    value = kind.parse(rate)
    assert value == float(str(rate))
    assert kind.parse(kind.show(value)) == value


@pytest.mark.parametrize("rate", ["", "x", "1e3", "-1", "inf", "nan", float("inf"), True, None, -1])
def test_no_rates(rate: object) -> None:
    with pytest.raises(ValidationError, match="is not a number from 0 to 1000000"):
        base.Settings(REQUEST_RATE=rate)


class Mine(base.Settings):
    SIGNED_URLS = True
    SIGNING_KEY = SECRET
    PROXY_USERS = (f"ann:{SECRET}",)


def test_secrets_are_in_no_text_of_settings(caplog: pytest.LogCaptureFixture) -> None:
    loaded = Mine()
    assert loaded.SIGNING_KEY == SECRET
    assert (f"ann:{SECRET}",) == loaded.PROXY_USERS
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("%s %r", loaded, loaded)
    for text in (repr(loaded), str(loaded), caplog.text):
        assert "SIGNED_URLS=True" in text
        assert SECRET not in text


def test_secrets_are_in_no_shown_default() -> None:
    shown = {option.name: option.shown_default for option in options(Mine)}
    assert (shown["SIGNING_KEY"], shown["PROXY_USERS"]) == ("***", "***")
    ours = {option.name: option.shown_default for option in options(base.Settings)}
    assert (ours["SIGNING_KEY"], ours["PROXY_USERS"]) == ("empty", "empty")


def test_a_secret_under_a_misspelt_name_is_not_shown() -> None:
    with pytest.raises(TypeError, match="did you mean SIGNING_KEY") as raised:
        type("Wrong", (base.Settings,), {"SIGNING_KYE": SECRET, "__module__": __name__})
    assert SECRET not in str(raised.value)
    with pytest.raises(ValidationError) as refused:
        base.Settings(SIGNING_KYE=SECRET)
    assert SECRET not in str(refused.value)
    assert lines_of({}, {"SIGNING_KYE": SECRET}) == (
        "SIGNING_KYE: no such setting; did you mean SIGNING_KEY?",
    )
