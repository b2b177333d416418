"""Lines that are held for a moment, so that many are written at once."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from aprp.logs.rotation import WorkerRotatingFileHandler


class Clock:
    """Calls back when it is told to."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []

    def later(self, delay: float, callback: Callable[[], None]) -> None:
        self.due.append((delay, callback))

    def ring(self) -> None:
        due, self.due = self.due, []
        for _, callback in due:
            callback()


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("aprp", level, "", 0, text, None, None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handler(tmp_path: Path, clock: Clock) -> WorkerRotatingFileHandler:
    handler = WorkerRotatingFileHandler(tmp_path / "log", max_bytes=1000, backup_count=9)
    handler.hold_lines(0.5, clock.later)
    return handler


def test_lines_wait_and_come_together(
    tmp_path: Path, clock: Clock, handler: WorkerRotatingFileHandler
) -> None:
    handler.handle(record("one"))
    handler.handle(record("two"))
    assert (tmp_path / "log").read_text() == ""
    assert [delay for delay, _ in clock.due] == [0.5]
    clock.ring()
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    handler.handle(record("three"))
    assert len(clock.due) == 1
    handler.close()
    assert (tmp_path / "log").read_text() == "one\ntwo\nthree\n"


def test_a_warning_waits_for_nothing_and_keeps_its_place(
    tmp_path: Path, clock: Clock, handler: WorkerRotatingFileHandler
) -> None:
    handler.handle(record("one"))
    handler.handle(record("bad", logging.WARNING))
    assert (tmp_path / "log").read_text() == "one\nbad\n"
    clock.ring()
    assert (tmp_path / "log").read_text() == "one\nbad\n"
    handler.close()


def test_files_stay_within_their_size(
    tmp_path: Path, clock: Clock, handler: WorkerRotatingFileHandler
) -> None:
    lines = [f"{number:099}" for number in range(50)]
    for line in lines:
        handler.handle(record(line))
    handler.hold_lines(0, None)
    handler.close()
    files = sorted(tmp_path.iterdir(), key=lambda path: -int(path.suffix[1:] or 0))
    assert all(path.stat().st_size <= 1000 for path in files)
    assert "".join(path.read_text() for path in files) == "".join(f"{line}\n" for line in lines)
