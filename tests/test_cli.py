"""The command line: help, mistakes, and what is handed to the server."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import aprp
from aprp import cli
from settings import base, development, production
from settings.declare import options

ROOT = Path(__file__).resolve().parents[1]


class StartError(Exception):
    pass


class FakeApp(types.ModuleType):
    """Stands in for aprp.app, and keeps the settings it was given."""

    def __init__(self) -> None:
        super().__init__("aprp.app")
        self.seen: list[base.Settings] = []
        self.failure: BaseException | None = None
        self.code = 0
        self.StartError = StartError

    def make_app(self, settings: base.Settings) -> str:
        self.seen.append(settings)
        return "the application"

    def start_proxy(self, app: str) -> int:
        assert app == "the application"
        if self.failure is not None:
            raise self.failure
        return self.code


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("APRP_") or name == "ASYNC_PROXY_SERVER_PORT":
            monkeypatch.delenv(name)


@pytest.fixture
def fake_app(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    fake = FakeApp()
    monkeypatch.setitem(sys.modules, "aprp.app", fake)
    monkeypatch.setattr(aprp, "app", fake, raising=False)
    return fake


def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"PORT": 8000, "DEBUG": True}),
        (["--port", "0"], {"PORT": 0}),
        (["--port=81"], {"PORT": 81}),
        (["--port", "1", "--port", "2"], {"PORT": 2}),
        (["--debug"], {"DEBUG": True}),
        (["--no-debug"], {"DEBUG": False}),
        (["--debug", "off"], {"DEBUG": False}),
        (["--debug=no"], {"DEBUG": False}),
        (["--no-debug", "--debug", "--port", "1"], {"DEBUG": True, "PORT": 1}),
        (["--upstream", "http://a,http://b"], {"UPSTREAM": ("http://a", "http://b")}),
        (
            ["--upstream", "http://a", "--upstream", "http://b"],
            {"UPSTREAM": ("http://a", "http://b")},
        ),
        (
            ["--log-max-bytes", "10M", "--log-file", ""],
            {"LOG_MAX_BYTES": 10485760, "LOG_FILE": None},
        ),
        (["--log-file="], {"LOG_FILE": None}),
        (["--cors-origins", ""], {"CORS_ORIGINS": ()}),
        (["--drain-timeout", "1m"], {"DRAIN_TIMEOUT": 60.0}),
    ],
)
def test_flags_become_settings(
    fake_app: FakeApp, arguments: list[str], expected: dict[str, Any]
) -> None:
    assert cli.serve(arguments, "x") == 0
    (loaded,) = fake_app.seen
    assert type(loaded) is development.Settings
    assert {name: getattr(loaded, name) for name in expected} == expected


def test_every_setting_can_be_given_as_its_flag(fake_app: FakeApp) -> None:
    given = {
        name: getattr(development.Settings(), name) for name in development.Settings.model_fields
    }
    arguments = []
    for option in options(base.Settings):
        value = given[option.name]
        # Shown paths are relative to the project, and shown counts have a unit.
        text = str(value) if isinstance(value, (Path, int)) else option.kind.show(value)
        arguments.append(f"{option.flag}={text}")
    assert cli.serve(arguments, "x") == 0
    assert fake_app.seen[0].model_dump() == given


def test_a_flag_wins_over_the_environment(
    fake_app: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APRP_SETTINGS", "settings.base")
    monkeypatch.setenv("APRP_PORT", "1")
    monkeypatch.setenv("APRP_WORKERS", "2")
    arguments = ["--settings", "settings.production", "--port", "3", "--upstream", "http://a"]
    assert cli.main(["serve", *arguments]) == 0
    (loaded,) = fake_app.seen
    assert type(loaded) is production.Settings
    assert (loaded.PORT, loaded.WORKERS) == (3, 2)


def test_the_exit_code_of_the_server_is_handed_on(fake_app: FakeApp) -> None:
    fake_app.code = 7
    assert cli.main(["serve"]) == 7


def test_a_start_that_fails_is_one_line(
    fake_app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_app.failure = StartError("PORT: 8000 is in use")
    assert cli.serve([], "x") == 2
    assert capsys.readouterr() == ("", "aprp: PORT: 8000 is in use\n")


def test_an_interrupt_before_the_start_is_quiet(
    fake_app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_app.failure = KeyboardInterrupt()
    assert cli.serve([], "x") == 130
    assert capsys.readouterr() == ("", "")


def test_a_missing_package_is_one_line_and_a_missing_module_of_ours_is_not_hidden(
    fake_app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_app.failure = ModuleNotFoundError("No module named 'httptools'", name="httptools")
    assert cli.serve([], "x") == 2
    expected = "aprp: httptools is not installed: pip install -r requirements.txt\n"
    assert capsys.readouterr().err == expected
    fake_app.failure = ModuleNotFoundError("No module named 'aprp.no'", name="aprp.no")
    with pytest.raises(ModuleNotFoundError):
        cli.serve([], "x")


def test_an_unknown_variable_is_a_warning_and_the_start_goes_on(
    fake_app: FakeApp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("APRP_PROT", "80")
    assert cli.serve([], "x") == 0
    assert len(fake_app.seen) == 1
    expected = "aprp: warning: APRP_PROT: no such setting; did you mean APRP_PORT?\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--prot", "80"], "--prot: no such option; did you mean --port?"),
        (["--prot=80"], "--prot: no such option; did you mean --port?"),
        (["--no-debugg"], "--no-debugg: no such option; did you mean --no-debug?"),
        (["--por", "80"], "--por: no such option; did you mean --port?"),
        (["-x"], "-x: no such option; x --help lists all"),
        (["--port"], "--port: expected one argument"),
        (["--settings"], "--settings: expected one argument"),
        (["--settings="], "--settings: expected one argument"),
        (["http://a"], "http://a: an origin is given as --upstream http://a"),
        (["8000"], "8000: unexpected argument; x --help lists all options"),
        (["--port", "x"], "PORT: 'x' is not a whole number from 0 to 65535 (from --port)"),
        (["--port", "-5"], "PORT: '-5' is not a whole number from 0 to 65535 (from --port)"),
        (["--debug", "maybe"], "DEBUG: 'maybe' is not on or off (from --debug)"),
        (
            ["--settings", "nope"],
            "settings 'nope': no such module (--settings or APRP_SETTINGS names it)",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_starts(
    fake_app: FakeApp, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert cli.serve(arguments, "x") == 2
    assert capsys.readouterr() == ("", f"aprp: {line}\n")
    assert fake_app.seen == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serv"], "serv: no such command; did you mean serve?"),
        (["qqq"], "qqq: no such command; aprp --help lists them"),
        (["--port"], "--port: a command comes first, as in aprp serve --port"),
    ],
)
def test_an_unknown_command_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", f"aprp: {line}\n")


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    asked_for_nothing = capsys.readouterr()
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr() == (asked_for_nothing.err, "")
    assert "serve" in asked_for_nothing.err


@pytest.mark.parametrize("arguments", [["--version"], ["serve", "--version"]])
def test_the_version(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == f"aprp {aprp.__version__}\n"


@pytest.mark.parametrize(
    ("name", "settings_class"),
    [("settings.development", development.Settings), ("settings.production", production.Settings)],
)
def test_help_lists_every_setting_with_its_default(
    capsys: pytest.CaptureFixture[str], name: str, settings_class: type[base.Settings]
) -> None:
    assert cli.serve(["--help", "--settings", name], "aprp serve") == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    for option in options(settings_class):
        # From the flag to its default there is no other flag's line.
        (entry,) = re.findall(rf"^  {option.flag} .*(?:\n {{4,}}.*)*", out, re.MULTILINE)
        assert f"(default: {option.shown_default})" in " ".join(entry.split())
    for group in ("General:", "Origin:", "Ranges:", "Clients:", "Logging:"):
        assert f"\n{group}\n" in out
    assert f"The defaults above are those of {name}." in flat
    assert str(ROOT) not in out


def test_help_of_an_own_class_lists_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studio_for_help.py").write_text(
        "from settings import development\n\n"
        "class Settings(development.Settings):\n"
        "    PORT = 9000\n"
        "    SHARE: str = '50%'\n"
        "    LIVE: bool = False\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert cli.serve(["-h", "--settings", "studio_for_help"], "aprp serve") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "(default: 9000)" in out
    assert "Own settings: --share VALUE (default: 50%)" in out
    assert "--no-live" in out


def test_runserver_shows_help_without_loading_the_server() -> None:
    done = run(
        "-c",
        "import sys; sys.argv[0] = 'runserver.py'\n"
        "from aprp.cli import serve\n"
        "code = serve(['--help'], 'x')\n"
        "sys.exit(code or 'tornado' in sys.modules)",
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [["runserver.py"], ["-m", "aprp", "serve"]])
def test_the_program_shows_its_help(command: list[str]) -> None:
    done = run(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert "--log-max-bytes SIZE" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "environ", "stderr"),
    [
        (["--upsteam", "http://a"], {}, "--upsteam: no such option; did you mean --upstream?"),
        (
            [],
            {"APRP_PORT": "eighty"},
            "PORT: 'eighty' is not a whole number from 0 to 65535 (from APRP_PORT)",
        ),
        (
            [],
            {"APRP_SETTINGS": "settings.production"},
            "UPSTREAM: not set: give the address of an origin, such as "
            "--upstream http://origin:8080 (from settings.production)",
        ),
        (
            [],
            {"APRP_PORT": "tcp://10.0.0.1:8000"},
            "PORT: 'tcp://10.0.0.1:8000' is not a whole number from 0 to 65535 (from APRP_PORT; "
            "Kubernetes sets it for a Service named aprp; "
            "set enableServiceLinks: false in the pod)",
        ),
    ],
)
def test_the_program_stops_with_one_line_and_code_2(
    arguments: list[str], environ: dict[str, str], stderr: str
) -> None:
    done = run("runserver.py", *arguments, **environ)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"aprp: {stderr}\n")
