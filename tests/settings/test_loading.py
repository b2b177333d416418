"""`settings.load`: who wins, how classes are found, and what the lines about mistakes say."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import settings
from settings import base, development, production

Writer = Callable[[str, str], None]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Write modules into a working directory of their own, and forget them afterwards."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def lines_of(
    name: str | None = None,
    environ: dict[str, str] | None = None,
    overrides: dict[str, str] | None = None,
) -> tuple[str, ...]:
    with pytest.raises(settings.SettingsError) as raised:
        settings.load(name, environ or {}, overrides)
    assert all("\n" not in line for line in raised.value.lines)
    return raised.value.lines


def test_nothing_said_means_development() -> None:
    assert type(settings.load(environ={})) is development.Settings
    assert type(settings.load(environ={"APRP_SETTINGS": ""})) is development.Settings


def test_the_environment_names_the_class_and_an_argument_wins_over_it() -> None:
    environ = {"APRP_SETTINGS": "settings.production", "APRP_UPSTREAM": "http://a"}
    assert type(settings.load(environ=environ)) is production.Settings
    assert type(settings.load("settings.base", environ)) is base.Settings


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APRP_SETTINGS", "settings.base")
    monkeypatch.setenv("APRP_VIA_NAME", "edge-7")
    assert settings.load().VIA_NAME == "edge-7"


@pytest.mark.parametrize(
    ("environ", "overrides", "port"),
    [
        ({}, {}, 8000),
        ({"ASYNC_PROXY_SERVER_PORT": "1111"}, {}, 1111),
        ({"ASYNC_PROXY_SERVER_PORT": "1111", "APRP_PORT": "2222"}, {}, 2222),
        ({"ASYNC_PROXY_SERVER_PORT": "1111", "APRP_PORT": "2222"}, {"PORT": "3333"}, 3333),
        ({"ASYNC_PROXY_SERVER_PORT": "1111"}, {"PORT": "3333"}, 3333),
        ({"PORT": "1111", "aprp_port": "2222"}, {}, 8000),
    ],
)
def test_flags_win_over_the_environment_and_it_over_defaults(
    environ: dict[str, str], overrides: dict[str, str], port: int
) -> None:
    assert port == settings.load("settings.base", environ, overrides).PORT


def test_each_kind_is_read_from_the_environment(tmp_path: Path) -> None:
    loaded = settings.load(
        "settings.base",
        {
            "APRP_DEBUG": "yes",
            "APRP_UPSTREAM": "http://a:1/x, https://b",
            "APRP_SEND_TIMEOUT": "2m",
            "APRP_LOG_MAX_BYTES": "512K",
            "APRP_LOG_FILE": "",
            "APRP_LOG_LEVEL": "warning",
            "APRP_MEDIA_DIR": str(tmp_path),
            "APRP_TRUSTED_PROXIES": "10.0.0.0/8,::1",
            "APRP_ORIGIN_MAX_IDLE": "7",
        },
    )
    assert loaded.DEBUG is True
    assert loaded.UPSTREAM == ("http://a:1/x", "https://b")
    assert loaded.SEND_TIMEOUT == 120.0
    assert loaded.LOG_MAX_BYTES == 524288
    assert loaded.LOG_FILE is None
    assert loaded.LOG_LEVEL == "WARNING"
    assert tmp_path == loaded.MEDIA_DIR
    assert loaded.TRUSTED_PROXIES == ("10.0.0.0/8", "::1/128")
    assert loaded.ORIGIN_MAX_IDLE == 7


def test_a_wrong_value_is_one_line_with_name_value_bounds_and_source() -> None:
    assert lines_of(environ={"APRP_PORT": "eighty"}) == (
        "PORT: 'eighty' is not a whole number from 0 to 65535 (from APRP_PORT)",
    )
    assert lines_of(environ={"ASYNC_PROXY_SERVER_PORT": ""}) == (
        "PORT: '' is not a whole number from 0 to 65535 (from ASYNC_PROXY_SERVER_PORT)",
    )
    assert lines_of(overrides={"LOG_LEVEL": "LOUD"}) == (
        "LOG_LEVEL: 'LOUD' is not one of DEBUG, INFO, WARNING, ERROR (from --log-level)",
    )


def test_several_wrong_values_are_a_line_each() -> None:
    lines = lines_of(
        "settings.production",
        {"APRP_PORT": "x", "APRP_TRUSTED_PROXIES": "a,b"},
        {"DEBUG": "maybe"},
    )
    assert [line.partition(":")[0] for line in lines] == [
        "DEBUG",
        "PORT",
        "UPSTREAM",
        "TRUSTED_PROXIES",
    ]
    assert lines[2].startswith("UPSTREAM: not set: give the address of an origin, such as")
    assert lines[2].endswith("(from settings.production)")


def test_a_missing_media_directory_is_named(tmp_path: Path) -> None:
    (line,) = lines_of(environ={"APRP_MEDIA_DIR": str(tmp_path / "no")})
    assert line.startswith("MEDIA_DIR: '")
    assert "is not an existing directory" in line
    assert line.endswith("(from APRP_MEDIA_DIR)")


def test_the_port_that_kubernetes_sets_is_explained() -> None:
    (line,) = lines_of(environ={"APRP_PORT": "tcp://10.0.0.1:8000"})
    assert "'tcp://10.0.0.1:8000' is not a whole number" in line
    assert "Kubernetes" in line
    assert "enableServiceLinks: false" in line
    (line,) = lines_of(overrides={"PORT": "tcp://10.0.0.1:8000"})
    assert "Kubernetes" not in line


def test_an_override_must_be_a_setting() -> None:
    assert lines_of(overrides={"PROT": "1"}) == ("PROT: no such setting; did you mean PORT?",)


def test_unknown_variables_are_named_with_what_was_meant() -> None:
    environ = {
        "APRP_SETTINGS": "x",
        "APRP_PORT": "1",
        "ASYNC_PROXY_SERVER_PORT": "1",
        "APRP_UPSTEAM": "http://a",
        "APRP_port": "2",
        "APRP_QWERTZUIOP": "1",
        "HOME": "/",
    }
    assert settings.unknown_variables(base.Settings, environ) == (
        "APRP_QWERTZUIOP: no such setting",
        "APRP_UPSTEAM: no such setting; did you mean APRP_UPSTREAM?",
        "APRP_port: no such setting; did you mean APRP_PORT?",
    )


def test_the_variables_of_a_kubernetes_service_are_one_warning() -> None:
    environ = {
        "APRP_SERVICE_HOST": "10.0.0.1",
        "APRP_SERVICE_PORT": "8000",
        "APRP_SERVICE_PORT_HTTP": "8000",
        "APRP_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "APRP_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    (line,) = settings.unknown_variables(base.Settings, environ)
    assert "Kubernetes" in line


MINE = """
from settings import development

class Settings(development.Settings):
    PORT = 9000
    STUDIO: str = "north"
    TAGS: list[str] = ["a"]
    COUNT: int = 1

class Night(Settings):
    PORT = 9001
"""


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("mine", 9000),
        ("mine:Settings", 9000),
        ("mine:Night", 9001),
        ("mine.Night", 9001),
        ("package.mine", 9000),
        ("package.mine:Night", 9001),
        ("package.mine.Night", 9001),
    ],
)
def test_a_class_of_ones_own_is_found_from_the_working_directory(
    write_module: Writer, name: str, port: int
) -> None:
    write_module("mine.py", MINE)
    write_module("package/mine.py", MINE)
    assert port == settings.load(name, {}).PORT


def test_own_settings_are_filled_from_environment_and_flags(write_module: Writer) -> None:
    write_module("mine.py", MINE)
    loaded = settings.load("mine", {"APRP_TAGS": "x, y"}, {"STUDIO": "south", "COUNT": "3"})
    assert loaded.model_dump(include={"STUDIO", "TAGS", "COUNT"}) == {
        "STUDIO": "south",
        "TAGS": ["x", "y"],
        "COUNT": 3,
    }
    (line,) = lines_of("mine", {"APRP_COUNT": "many"})
    assert line.startswith("COUNT: 'many' is not allowed: ")
    assert line.endswith("(from APRP_COUNT)")
    known = settings.unknown_variables(type(loaded), {"APRP_STUDIO": "a", "APRP_STUDIOS": "b"})
    assert known == ("APRP_STUDIOS: no such setting; did you mean APRP_STUDIO?",)


def test_a_wrong_default_names_the_class_it_comes_from(write_module: Writer) -> None:
    write_module("mine.py", MINE.replace("9001", "'x'"))
    assert lines_of("mine:Night") == (
        "PORT: 'x' is not a whole number from 0 to 65535 (from mine:Night)",
    )


def test_an_own_source_lies_below_flags_and_environment(write_module: Writer) -> None:
    write_module(
        "mine.py",
        """
from pydantic_settings import TomlConfigSettingsSource
from settings import development

class Settings(development.Settings):
    @classmethod
    def settings_customise_sources(cls, settings_cls, init_settings, **others):
        return (init_settings, TomlConfigSettingsSource(settings_cls, "aprp.toml"))
""",
    )
    write_module("aprp.toml", 'PORT = 9000\nVIA_NAME = "toml"\nWORKERS = 3\n')
    loaded = settings.load("mine", {"APRP_PORT": "9001"}, {"WORKERS": "2"})
    assert (loaded.PORT, loaded.VIA_NAME, loaded.WORKERS) == (9001, "toml", 2)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (MINE, "mine:Day", "settings 'mine:Day': no class Day; name the class: mine:Settings"),
        (MINE, "mine.py", "settings 'mine.py': no such module"),
        (MINE, "mine/x.py", "settings 'mine/x.py': not a module such as"),
        (MINE, "other.module", "settings 'other.module': no such module"),
        ("x = 1\n", "mine", "settings 'mine': no class Settings"),
        ("Settings = 3\n", "mine", "settings 'mine': not a class that derives from settings."),
        (
            "from settings.base import Settings\n\nclass Mine(Settings):\n    pass\n",
            "mine",
            "settings 'mine': no class Settings; name the class: mine:Mine",
        ),
        (
            "\nx = y\n",
            "mine",
            "settings 'mine': NameError: name 'y' is not defined (mine.py, line 2)",
        ),
        ("x = (\n", "mine", "settings 'mine': SyntaxError: '(' was never closed (mine.py, line 1)"),
        (
            "import qqq.www\n",
            "mine",
            "settings 'mine': ModuleNotFoundError: No module named 'qqq' (mine.py, line 1)",
        ),
        (
            "from settings import base\n\nclass Settings(base.Settings):\n    PROT = 80\n",
            "mine",
            "settings 'mine': TypeError: PROT = 80: no such setting; did you mean PORT? "
            "(a new one needs its type) (mine.py, line 3)",
        ),
    ],
)
def test_a_class_that_cannot_be_had_is_one_line(
    write_module: Writer, text: str, name: str, expected: str
) -> None:
    write_module("mine.py", text)
    (line,) = lines_of(name)
    assert line.startswith(expected)


def test_a_check_across_settings_is_one_line(write_module: Writer) -> None:
    write_module(
        "mine.py",
        """
from pydantic import model_validator
from settings import development

class Settings(development.Settings):
    @model_validator(mode="after")
    def check(self):
        raise ValueError("WORKERS and PORT\\ndo not fit")
""",
    )
    assert lines_of("mine") == ("settings: WORKERS and PORT do not fit",)
