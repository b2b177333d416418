"""The command line of `aprp dev`: mistakes are one line, and what it takes from where."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.content import PROJECT
from tests.e2e.dev_proxy import Dev
from tests.e2e.programs import PATIENCE, environment


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["8000"], "BACKEND is missing"),
        (["8000", "8001"], "--exec COMMAND ... is missing"),
        (["8000", "8001", "--exec"], "--exec COMMAND ... is missing"),
        (["8000", "x", "--exec", "true"], "BACKEND: 'x' is not a port"),
        (["8000", "8000", "--exec", "true"], "both have port 8000: choose another"),
        (["0.0.0.0:8000", "8000", "--exec", "true"], "both have port 8000"),
        (["*:8000", "127.0.0.1:8000", "--exec", "true"], "both have port 8000"),
        (["8000", "8001", "python", "-m", "http.server"], "--exec is missing"),
        (["8000", "8001", "--exec=true"], "a space comes after it"),
        (["--exec", "true", "8000", "8001"], "they come before --exec"),
        (["8000", "8001", "--pattern", "[z-a]", "--exec", "true"], "bad character range z-a"),
        (["8000", "8001", "--exec", "no-such-program-here"], "no such program"),
        (["8000", "8001", "--exec", "python x.py"], "without quotes"),
        (["8000", "8001", "--graceful", "x", "--exec", "true"], "--graceful: 'x'"),
        (["8000", "8001", "--patern", "x", "--exec", "true"], "--pattern"),
        (["8000", "8001", "--pattern", "/x/*", "--exec", "true"], "leads out of"),
        (["8000", "8001", "--watcher", "x", "--exec", "true"], "--watcher"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from aprp import cli

    monkeypatch.chdir(tmp_path)
    assert cli.main(["dev", *arguments]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.startswith("aprp: ")
    assert told.count("\n") == 1


def test_a_pattern_that_nothing_matches_is_told(tmp_path: Path) -> None:
    with Dev(tmp_path, "--pattern", "version", "--pattern", "scr/*.py") as dev:
        assert dev.count("no file that is watched matches --pattern 'scr/*.py'") == 1
        assert dev.count("no file that is watched") == 1


def test_a_project_that_has_settings_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("raise SystemExit('not these')")
    with Dev(tmp_path) as dev:
        dev.wait_served("one")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    from aprp import cli

    assert cli.main(["dev", "--help"]) == 0
    told = capsys.readouterr().out
    assert "usage: aprp dev [options] BIND BACKEND --exec COMMAND ..." in told
    assert max(map(len, told.splitlines())) <= 100


def test_words_after_exec_are_the_commands(tmp_path: Path) -> None:
    # Also those that would be options of aprp.
    script = "import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(5)"
    words = ("--version", "--exec", "--pattern", "a b", "")
    with Dev(tmp_path, command=(sys.executable, "-c", script, *words)) as dev:
        dev.wait_line("^aprp: error: exit code 5")
        line = dev.wait_line(r"^(\[.*\])$")
    assert json.loads(line[1]) == list(words)


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            (sys.executable, "-m", "aprp", "dev", f"127.0.0.1:{port}", "1", "--exec", "true"),
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(PROJECT)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 2
    assert re.fullmatch(r"aprp: BIND: cannot listen on port \d+ of 127\.0\.0\.1: .*\n", done.stderr)
