"""A profile between two signals holds what was done in between."""

import pstats
import subprocess
import sys
from pathlib import Path

from benchmarks.__main__ import profiling
from benchmarks.peers import ROOT

PROGRAM = """
import sys

# Python handles a signal between two steps: at the latest when the outer function has begun.
def inner_before(): pass
def inner_between(): pass
def inner_after(): pass
def before(): inner_before()
def between(): inner_between()
def after(): inner_after()

for work in (before, between, after):
    sys.stdin.readline()
    work()
    print("done", *sys.argv[1:], flush=True)
sys.stdin.readline()
"""


def test_only_what_is_between_the_signals_is_in_the_profile(tmp_path: Path) -> None:
    program, out = tmp_path / "program.py", tmp_path / "out"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "benchmarks.profiled", str(out), str(program), "--flag"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def work() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            print(file=process.stdin, flush=True)
            assert process.stdout.readline() == "done --flag\n"

        work()
        with profiling(process.pid):
            work()
        work()
        process.communicate("\n", timeout=10)
    assert process.returncode == 0
    functions = pstats.Stats(str(out)).get_stats_profile().func_profiles
    assert "inner_between" in functions
    assert not {"inner_before", "inner_after"} & functions.keys()
