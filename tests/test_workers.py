"""The supervisor of worker processes, as a process of its own, with real signals."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Says what happens, a line each. A worker lives until its pipe says stop; `LIFE` is run first.
SCRIPT = """
import logging, os, signal, sys
from aprp import workers

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def work(number, control):
    say("start", number, os.getpid())
    {life}
    told = 0
    while said := os.read(control, 1):
        if said == workers.RELOAD:
            say("reload", number, *loaded)
            continue
        assert said == workers.STOP
        told += 1
        say("told", number, told)
        if told == {stops}:
            return 0
    say("orphan", number)
    signal.pause()

loaded = []

def reload():
    say("files", len(loaded))
    loaded.append("new")
    return {good}

logging.basicConfig(format="%(message)s", level="INFO")
workers._MOST_SHORT_LIVES = {short_lives}
{before}
try:
    code = workers.Supervisor(
        {count}, work, lambda number: say("cleared", number), lambda: say("stopping"), reload
    ).run()
finally:
    say("over", os.getpid())
sys.exit(code)
"""


class Parent:
    """A supervisor at work."""

    def __init__(self, script: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pids: dict[int, int] = {}

    def line(self) -> str:
        """The next line that it or a worker says; "" when all have ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if match := re.fullmatch(r"start (\d+) (\d+)", line):
            self.pids[int(match[1])] = int(match[2])
            return f"start {match[1]}"
        return line

    def lines(self, count: int) -> list[str]:
        """The next lines, in the order of the alphabet."""
        return sorted(self.line() for _ in range(count))

    def signal(self, number: int) -> None:
        """Send the parent a signal."""
        os.kill(self.process.pid, number)

    def end(self) -> tuple[list[str], str, int]:
        """What else is said, what is logged, and the exit code."""
        lines = []
        while line := self.line():
            lines.append(line)
        assert self.process.stderr is not None
        return sorted(lines), self.process.stderr.read(), self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        self.process.wait()


def supervised(
    count: int = 2,
    *,
    stops: int = 1,
    life: str = "",
    before: str = "",
    short_lives: int = 10,
    good: bool = True,
) -> Parent:
    """Start; a worker ends when it is told so for the `stops`th time.

    `good`: what the parent finds in the files that it reads again is good.
    """
    given = {"life": life, "before": before, "short_lives": short_lives, "good": good}
    return Parent(SCRIPT.format(count=count, stops=stops, **given))


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """What takes longer hangs."""

    def fail(number: int, frame: object) -> None:
        raise TimeoutError("the supervisor hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def ended(parent: Parent, *more: str) -> None:
    """Check that the rest is a good end."""
    said, logged, code = parent.end()
    assert said == sorted([f"over {parent.process.pid}", *more])
    assert (logged, code) == ("", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_workers_finish(number: int) -> None:
    with supervised(3) as parent:
        assert parent.lines(3) == ["start 0", "start 1", "start 2"]
        assert len({*parent.pids.values(), parent.process.pid}) == 4
        parent.signal(number)
        told = (f"told {n} 1" for n in range(3))
        ended(parent, "stopping", *told, *(f"cleared {n}" for n in range(3)))


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_them_at_once(first: int, second: int) -> None:
    with supervised(stops=2) as parent:
        parent.lines(2)
        parent.signal(first)
        assert parent.lines(3) == ["stopping", "told 0 1", "told 1 1"]
        parent.signal(second)
        ended(parent, "told 0 2", "told 1 2", "cleared 0", "cleared 1")


def test_a_signal_to_the_whole_group_counts_once() -> None:
    # As a terminal does it on Ctrl-C, and a service manager.
    with supervised(stops=2) as parent:
        parent.lines(2)
        os.killpg(parent.process.pid, signal.SIGINT)
        assert parent.lines(3) == ["stopping", "told 0 1", "told 1 1"]
        os.killpg(parent.process.pid, signal.SIGTERM)
        ended(parent, "told 0 2", "told 1 2", "cleared 0", "cleared 1")


@pytest.mark.parametrize("sender", range(0, 20, 6))
def test_a_signal_while_workers_are_being_started(sender: int) -> None:
    life = f"number == {sender} and os.kill(os.getppid(), signal.SIGTERM)"
    with supervised(20, life=life) as parent:
        said, logged, code = parent.end()
        assert [line for line in said if line.startswith("told")] == sorted(
            f"told {n} 1" for n in range(20)
        )
        assert (logged, code) == ("", 0)


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 1, "35")],
)
def test_a_worker_that_is_killed_is_replaced(number: int, name: str) -> None:
    with supervised() as parent:
        parent.lines(2)
        killed = parent.pids[1]
        os.kill(killed, number)
        assert parent.line() == "cleared 1"
        assert parent.line() == "start 1"
        assert parent.pids[1] != killed
        parent.signal(signal.SIGTERM)
        said, logged, code = parent.end()
        assert {"told 0 1", "told 1 1"} <= set(said)
        assert logged == f"worker 1 ended (signal {name}); starting another\n"
        assert code == 0


def test_workers_killed_at_the_same_time_are_all_replaced() -> None:
    with supervised(5) as parent:
        parent.lines(5)
        before = dict(parent.pids)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        parent.lines(10)
        assert set(before.values()).isdisjoint(parent.pids.values())
        assert len(parent.pids) == 5
        parent.signal(signal.SIGTERM)
        assert parent.end()[2] == 0


def test_a_worker_that_ends_by_itself_is_replaced(tmp_path: Path) -> None:
    flag = tmp_path / "first"
    flag.touch()
    life = f"number == 0 and os.path.exists('{flag}') and (os.unlink('{flag}'), os._exit(7))"
    with supervised(life=life) as parent:
        assert parent.lines(4) == ["cleared 0", "start 0", "start 0", "start 1"]
        parent.signal(signal.SIGTERM)
        assert parent.end()[1:] == ("worker 0 ended (exit code 7); starting another\n", 0)


def test_a_worker_that_fails_is_replaced_and_its_error_shown() -> None:
    with supervised(1, life="raise LookupError('of course')", short_lives=2) as parent:
        said, logged, code = parent.end()
        assert said.count("cleared 0") == 2
        assert logged.count("LookupError: of course") == 2
        assert "worker 0 ended (exit code 1); starting another" in logged
        assert code == 1


def test_workers_that_end_as_they_start_are_given_up() -> None:
    with supervised(2, life="if number == 0: return 3", short_lives=4) as parent:
        said, logged, code = parent.end()
        assert said.count("cleared 0") == 4
        # The other one is told to stop, and may finish.
        assert {"told 1 1", "cleared 1", "stopping"} <= set(said)
        assert logged.splitlines()[-1] == (
            "workers end as soon as they start (exit code 3); giving up"
        )
        assert code == 1


def test_workers_that_lived_for_a_while_are_not_given_up() -> None:
    life = "if True: return 3"
    with supervised(1, life=life, before="workers._SHORT_LIFE = 0", short_lives=3) as parent:
        for _ in range(10):
            assert parent.line() == "start 0"
            assert parent.line() == "cleared 0"
        parent.signal(signal.SIGTERM)
        assert parent.end()[2] == 0


def test_a_signal_while_a_replacement_is_due() -> None:
    with supervised(1, life="if True: return 3") as parent:
        for _ in range(3):
            assert parent.line() == "start 0"
            assert parent.line() == "cleared 0"
        parent.signal(signal.SIGTERM)
        said, _, code = parent.end()
        assert said == [f"over {parent.process.pid}", "stopping"]
        assert code == 0


def test_workers_end_with_their_parent() -> None:
    with supervised(3, stops=9) as parent:
        parent.lines(3)
        os.kill(parent.pids[1], signal.SIGKILL)
        assert parent.lines(2) == ["cleared 1", "start 1"]
        parent.signal(signal.SIGKILL)
        # Each by itself: they stay here.
        assert parent.lines(3) == ["orphan 0", "orphan 1", "orphan 2"]


def test_a_worker_never_goes_on_as_a_parent() -> None:
    broken = "import io; sys.stdout = io.StringIO(); sys.stdout.close()"
    for life in (broken, "raise SystemExit(0)", "raise KeyboardInterrupt"):
        with supervised(1, life=life, short_lives=1) as parent:
            if life is broken:
                parent.line()
                parent.signal(signal.SIGTERM)
            said, _, _ = parent.end()
            assert [line for line in said if line.startswith("over")] == [
                f"over {parent.process.pid}"
            ]


def test_where_the_ends_of_children_are_ignored() -> None:
    # It is inherited, from a service manager of the careless kind.
    with supervised(before="signal.signal(signal.SIGCHLD, signal.SIG_IGN)") as parent:
        parent.lines(2)
        os.kill(parent.pids[0], signal.SIGKILL)
        assert parent.lines(2) == ["cleared 0", "start 0"]
        parent.signal(signal.SIGTERM)
        assert parent.end()[2] == 0


def test_files_are_read_again_by_all() -> None:
    with supervised(3) as parent:
        parent.lines(3)
        for times in range(2):
            parent.signal(signal.SIGHUP)
            assert parent.line() == f"files {times}"
            # Of a worker that was there before, what the parent has read is not its own.
            assert parent.lines(3) == ["reload 0", "reload 1", "reload 2"]
        os.kill(parent.pids[1], signal.SIGKILL)
        assert parent.lines(2) == ["cleared 1", "start 1"]
        parent.signal(signal.SIGHUP)
        assert parent.line() == "files 2"
        assert parent.lines(3) == ["reload 0", "reload 1 new new", "reload 2"]
        parent.signal(signal.SIGTERM)
        assert parent.end()[2] == 0


def test_nobody_is_told_of_files_that_are_wrong() -> None:
    with supervised(2, good=False) as parent:
        parent.lines(2)
        parent.signal(signal.SIGHUP)
        assert parent.line() == "files 0"
        parent.signal(signal.SIGTERM)
        ended(parent, "stopping", "told 0 1", "told 1 1", "cleared 0", "cleared 1")


@pytest.mark.parametrize("before", ["", "signal.signal(signal.SIGHUP, signal.SIG_IGN)"])
def test_a_terminal_that_is_closed_stops_nothing(before: str) -> None:
    # It sends SIGHUP to the whole group; under nohup it is ignored from the start.
    with supervised(2, before=before) as parent:
        parent.lines(2)
        os.killpg(parent.process.pid, signal.SIGHUP)
        assert parent.lines(3) == ["files 0", "reload 0", "reload 1"]
        parent.signal(signal.SIGTERM)
        ended(parent, "stopping", "told 0 1", "told 1 1", "cleared 0", "cleared 1")


def test_files_are_not_read_while_it_stops() -> None:
    with supervised(1, stops=2) as parent:
        parent.lines(1)
        parent.signal(signal.SIGTERM)
        assert parent.lines(2) == ["stopping", "told 0 1"]
        parent.signal(signal.SIGHUP)
        parent.signal(signal.SIGTERM)
        ended(parent, "told 0 2", "cleared 0")
