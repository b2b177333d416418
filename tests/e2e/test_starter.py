"""The process that forks proxies off: what it starts is as if the interpreter had started it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import starter
from tests.e2e.programs import children, environment, run

TELLS = """
import json, os, signal, sys, threading, time
told = {
    "arguments": sys.argv,
    "first place of imports": sys.path[0],
    "name": __name__,
    "environment": dict(os.environ),
    "directory": os.getcwd(),
    "parent": os.getppid(),
    "group": os.getpgid(0),
    "files": sorted(os.listdir("/proc/self/fd")),
    "input": sys.stdin.read(),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "signals": [repr(signal.getsignal(n))[:30] for n in sorted(signal.valid_signals())],
    "threads": threading.active_count(),
    "time zone": time.tzname,
}
print(json.dumps(told))
print("an error", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
WAITS = "import signal; print('waits', flush=True); signal.pause()"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def start(script: Path, *words: str, **environ: str) -> starter.Started:
    """Fork it off."""
    command = (sys.executable, str(script), *words)
    started = starter.start(command, script.parent, environment(**environ))
    assert isinstance(started, starter.Started)
    return started


@pytest.mark.parametrize("code", [0, 3])
def test_what_is_started_is_as_if_it_were_the_command(script: Path, code: int) -> None:
    script.write_text(TELLS)
    words = (str(code), "--word", "é")
    environ = {"APRP_NAME": "a", "TZ": "Asia/Tokyo"}
    usual = run(sys.executable, script, *words, cwd=script.parent, env=environment(**environ))
    started = start(script, *words, **environ)
    with started.stdout, started.stderr:
        told, errors = json.loads(started.stdout.read()), started.stderr.read()
    assert told == json.loads(usual.stdout)
    assert errors == usual.stderr.decode() == "an error\n"
    assert started.wait() == started.poll() == usual.returncode == code
    assert told["parent"] == os.getpid()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_end_it(script: Path, number: signal.Signals) -> None:
    script.write_text(WAITS)
    started = start(script)
    with started.stdout, started.stderr:
        assert started.stdout.readline() == "waits\n"
        assert started.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(0)
        assert started.pid in children(os.getpid())
        started.send_signal(number)
        assert started.wait() == -number
    # That there is none any more is no error.
    started.send_signal(number)


def test_an_interrupt_is_one(script: Path) -> None:
    script.write_text(WAITS)
    started = start(script)
    with started.stdout, started.stderr:
        assert started.stdout.readline() == "waits\n"
        started.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in started.stderr.read()
    assert started.wait() == -signal.SIGINT


def test_what_the_interpreter_reads_itself_needs_one_of_its_own(script: Path) -> None:
    script.write_text("import sys; print(sys.flags.utf8_mode)")
    environ = environment(PYTHONUTF8="1")
    started = starter.start((sys.executable, str(script)), script.parent, environ)
    assert isinstance(started, subprocess.Popen) and started.stdout and started.stderr
    with started.stdout, started.stderr:
        assert started.stdout.read() == "1\n"
    assert started.wait() == 0
