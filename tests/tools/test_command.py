"""`aprp cache`: its help, its mistakes, its exit codes, settings from where the proxy has them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aprp import __version__
from aprp.tools.command import COMMANDS
from tests.tools.caches import UPSTREAM, Store
from tests.tools.conftest import Done

Tool = Callable[..., Done]

TITLES = ["SIZE", "PRESENT", "AGE", "FRESH", "FOR", "LAST", "USED", "OBJECT"]

ROOT = Path(__file__).resolve().parents[2]


def test_the_commands_are_shown(call: Tool) -> None:
    nothing = call()
    asked = call("--help")
    assert (nothing.code, nothing.out) == (2, "")
    assert asked == Done(0, nothing.err, "")
    assert all(f"\n  {name} " in asked.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(call: Tool, name: str) -> None:
    done = call(name, "--help", "--port", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"usage: aprp cache {name} ")
    shown = " ".join(done.out.split())
    for setting in COMMANDS[name].settings:
        assert f" --{setting.lower().replace('_', '-')} " in shown
    # All settings are understood; the help has those that matter.
    assert "--log-file" not in shown
    assert done == call(name, "-h")


def test_the_version(call: Tool) -> None:
    assert call("ls", "--version") == Done(0, f"aprp {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("lss",), "lss: no such command of aprp cache; did you mean ls?"),
        (("qqq",), "qqq: no such command of aprp cache; aprp cache --help lists them"),
        (("--json",), "--json: a command comes first, as in aprp cache ls --json"),
        (("ls", "--jsno"), "--jsno: no such option; did you mean --json?"),
        (("ls", "--cache-dri", "x"), "--cache-dri: no such option; did you mean --cache-dir?"),
        (("ls", "/a", "/b"), "/b: unexpected argument; aprp cache ls --help lists all options"),
        (("check", "/a"), "/a: unexpected argument; aprp cache check --help lists all options"),
        (
            ("ls", "--sort", "x"),
            "--sort: invalid choice: 'x' (choose from 'name', 'size', 'present', 'age', 'used')",
        ),
        (("ls", "--port", "x"), "PORT: 'x' is not a whole number from 0 to 65535 (from --port)"),
        (
            ("ls", "--settings", "nope"),
            "settings 'nope': no such module (--settings or APRP_SETTINGS names it)",
        ),
        (("ls", "--settings"), "--settings: expected one argument"),
    ],
)
def test_a_mistake_is_one_line(call: Tool, words: tuple[str, ...], complaint: str) -> None:
    assert call(*words) == Done(2, "", f"aprp: {complaint}\n")


def test_the_flags_of_serve_are_understood(call: Tool, store: Store) -> None:
    store.add("/a", 1)
    words = ("--workers", "2", "--log-file", "", "--debug", "--no-access-log")
    done = call("ls", *words, f"--cache-dir={store.directory}", "/a", "--port=0")
    assert (done.code, done.err) == (0, "")
    assert done.lines[1].endswith("/a")


def test_settings_come_from_the_environment(
    call: Tool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("/a", 1)
    monkeypatch.setenv("APRP_CACHE_DIR", str(store.directory))
    monkeypatch.setenv("APRP_UPSTREAM", UPSTREAM)
    monkeypatch.setenv("APRP_CACHE_SIEZ", "1G")
    done = call("purge", "/a")
    assert (done.code, store.targets()) == (0, [])
    assert done.err == (
        "aprp: warning: APRP_CACHE_SIEZ: no such setting; did you mean APRP_CACHE_SIZE?\n"
    )


def test_a_settings_class_with_names_of_a_tools_options(
    call: Tool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studio_for_tools.py").write_text(
        "from settings import development\n\n"
        "class Settings(development.Settings):\n"
        f"    CACHE_DIR = {str(store.directory)!r}\n"
        "    JSON: bool = False\n"
        "    SORT: str = 'x'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert call("ls", "--json", "--settings", "studio_for_tools") == Done(0, "[]\n", "")


def test_whoever_reads_the_list_may_stop(store: Store) -> None:
    for number in range(300):
        store.add(f"/{number:0200}", 1)
    command = f"{sys.executable} -m aprp cache ls --cache-dir {store.directory} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == TITLES
