"""Settings classes: what comes with aprp, and what a class of one's own may do."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from settings import base, development, production
from settings.declare import options
from settings.kinds import Size


def test_the_development_settings_serve_the_embedded_origin_to_this_machine() -> None:
    settings = development.Settings()
    assert (settings.DEBUG, settings.ADDRESS, settings.PORT) == (True, "localhost", 8000)
    assert settings.UPSTREAM == ("embedded",)
    assert settings.CORS_ORIGINS == ("*",)
    assert settings.LOG_CONSOLE is True
    assert settings.MEDIA_DIR.is_dir()


def test_the_production_settings_listen_on_80_and_want_an_origin() -> None:
    settings = production.Settings(UPSTREAM=["http://origin:8080"])
    assert (settings.PORT, settings.WORKERS, settings.DEBUG) == (80, 0, False)
    assert settings.CORS_ORIGINS == ()
    with pytest.raises(ValidationError, match="UPSTREAM"):
        production.Settings()


def test_the_cache_is_on_in_both_and_purged_from_this_machine_alone() -> None:
    for settings in (development.Settings(), production.Settings(UPSTREAM=["http://origin:8080"])):
        assert Path("cache") == settings.CACHE_DIR
        assert settings.CACHE_SIZE == 10 * 1024**3
        assert settings.SLICE_SIZE == 1024**2
        assert settings.PURGE_ALLOW == ("127.0.0.0/8", "::1/128")
        assert settings.CACHE_WITHOUT_VALIDATOR is False
        assert settings.CACHE_KEY_IGNORE == ()


def test_the_cache_can_be_switched_off_by_its_directory_and_by_its_size() -> None:
    assert base.Settings(CACHE_DIR="").CACHE_DIR is None
    assert base.Settings(CACHE_DIR=None).CACHE_DIR is None
    assert base.Settings(CACHE_SIZE="0").CACHE_SIZE == 0


def test_a_slice_that_could_never_be_cached_is_refused() -> None:
    assert base.Settings(SLICE_SIZE="2M", DIRTY_LIMIT="2M").DIRTY_LIMIT == 2 * 1024**2
    with pytest.raises(ValidationError, match=r"1M is less than SLICE_SIZE \(2M\)"):
        base.Settings(SLICE_SIZE="2M", DIRTY_LIMIT="1M")


def test_a_wrong_slice_size_is_the_only_one_told() -> None:
    with pytest.raises(ValidationError) as raised:
        base.Settings(SLICE_SIZE="3M", DIRTY_LIMIT="1M")
    assert [error["loc"] for error in raised.value.errors()] == [("SLICE_SIZE",)]


def test_construction_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APRP_PORT", "PORT", "ASYNC_PROXY_SERVER_PORT"):
        monkeypatch.setitem(os.environ, name, "1234")
    assert base.Settings().PORT == 8000
    settings = base.Settings(PORT=0, UPSTREAM=["http://127.0.0.1:1"], LOG_FILE=None)
    assert (settings.PORT, settings.UPSTREAM) == (0, ("http://127.0.0.1:1",))
    assert settings.LOG_FILE is None


def test_construction_refuses_a_setting_that_does_not_exist() -> None:
    with pytest.raises(ValidationError, match="PROT"):
        base.Settings(PROT=80)


def test_settings_do_not_change() -> None:
    settings = base.Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.PORT = 1


class Plain(development.Settings):
    PORT = 9000
    UPSTREAM = ["http://a"]  # noqa: RUF012


class Annotated_(development.Settings):  # noqa: N801
    PORT: int = 9000
    UPSTREAM: Sequence[str] = ["http://a"]


@pytest.mark.parametrize("cls", [Plain, Annotated_])
def test_a_new_default_keeps_bounds_and_help(cls: type[base.Settings]) -> None:
    settings = cls()
    assert (settings.PORT, settings.UPSTREAM, settings.DEBUG) == (9000, ("http://a",), True)
    with pytest.raises(ValidationError, match="whole number from 0 to 65535"):
        cls(PORT=65536)
    theirs = {option.name: option for option in options(cls)}
    ours = {option.name: option for option in options(base.Settings)}
    assert theirs["PORT"].help == ours["PORT"].help
    assert theirs["PORT"].also == ("ASYNC_PROXY_SERVER_PORT",)
    assert theirs["PORT"].shown_default == "9000"
    assert list(theirs) == list(ours)
    assert ours["PORT"].shown_default == "8000"


def test_a_class_below_a_class_inherits_its_defaults() -> None:
    class Night(Plain):
        WORKERS = 2

    settings = Night()
    assert (settings.PORT, settings.WORKERS, settings.DEBUG) == (9000, 2, True)


def test_a_default_of_a_class_is_checked() -> None:
    class Wrong(base.Settings):
        PORT = 65536

    with pytest.raises(ValidationError, match="65536 is not a whole number"):
        Wrong()


def test_a_method_may_call_super() -> None:
    class WithMethod(base.Settings):
        PORT = 9000

        def model_post_init(self, context: object) -> None:
            super().model_post_init(context)

    assert WithMethod().PORT == 9000


def test_own_settings_have_flags_variables_and_defaults() -> None:
    class Mine(base.Settings):
        STUDIO: str = "north"
        TAGS: list[str] = ["a", "b"]  # noqa: RUF012
        CHUNK: Annotated[int, Size()] = 65536
        LIVE: bool = False
        TOKEN: str = Field(description="what the studio gave us")

    found = {option.name: option for option in options(Mine)}
    assert found["STUDIO"].flag == "--studio"
    assert found["STUDIO"].variable == "APRP_STUDIO"
    assert found["TAGS"].shown_default == "a,b"
    assert found["CHUNK"].shown_default == "64K"
    assert found["LIVE"].flags == ("--live", "--no-live")
    assert found["TOKEN"].help == "what the studio gave us"
    assert found["TOKEN"].shown_default == "none, it must be given"
    assert Mine(TOKEN="x").CHUNK == 65536


def test_a_misspelt_default_is_an_error_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"PROT = 80: no such setting; did you mean PORT\?"):

        class Misspelt(base.Settings):
            PROT = 80


@pytest.mark.parametrize("value", ["0.0.0.0:8000", "[::1]", "a b", "http://a", "*", "-a", "a..b"])
def test_an_address_has_no_port_and_no_scheme(value: str) -> None:
    with pytest.raises(ValidationError, match="ADDRESS"):
        base.Settings(ADDRESS=value)


@pytest.mark.parametrize(
    "value", ["", "0.0.0.0", "::", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "localhost", "my_host"]
)
def test_an_address_is_a_name_or_an_ip_address(value: str) -> None:
    assert value == base.Settings(ADDRESS=value).ADDRESS


@pytest.mark.parametrize("value", ["/", "/a/", "a", "//a", "/a//b", "/..", "/a/../b", "/a?b", "/."])
def test_an_admin_prefix_begins_and_does_not_end_with_a_slash(value: str) -> None:
    with pytest.raises(ValidationError, match="ADMIN_PREFIX"):
        base.Settings(ADMIN_PREFIX=value)


@pytest.mark.parametrize("value", ["", "/_aprp", "/a/b", "/.well-known", "/..."])
def test_an_admin_prefix_is_empty_or_a_path(value: str) -> None:
    assert value == base.Settings(ADMIN_PREFIX=value).ADMIN_PREFIX


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANGE_PARAM", "a b"),
        ("RANGE_PARAM", "a&b"),
        ("VIA_NAME", ""),
        ("VIA_NAME", "my proxy"),
        ("VIA_NAME", "a\r\nb"),
        ("MAX_RANGES", 0),
        ("BUFFER_SIZE", "15K"),
        ("LOG_FORMAT", "xml"),
        ("CONNECT_TIMEOUT", 0),
        ("ORIGIN_MAX_CONNECTIONS", 0),
    ],
)
def test_bounds(name: str, value: object) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(ValidationError, match=name):
        base.Settings(**given)


def test_the_media_directory_must_exist_for_the_embedded_origin_only(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(ValidationError, match="is not an existing directory"):
        base.Settings(MEDIA_DIR=missing)
    assert missing == base.Settings(MEDIA_DIR=missing, UPSTREAM=["http://a"]).MEDIA_DIR
    with pytest.raises(ValidationError, match="is not an existing directory"):
        base.Settings(MEDIA_DIR=missing, UPSTREAM=["http://a", "embedded"])
