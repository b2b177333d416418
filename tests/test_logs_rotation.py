"""The log file: rotation, full disks, and files that others move."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aprp.logs.rotation import WorkerRotatingFileHandler
from tests.logfiles import ROOT, record, rotated


def write(handler: logging.Handler, *messages: str) -> None:
    for message in messages:
        handler.handle(record(message))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., WorkerRotatingFileHandler]]:
    made = []

    def build(
        max_bytes: int = 0, backup_count: int = 0, path: Path | None = None
    ) -> WorkerRotatingFileHandler:
        handler = WorkerRotatingFileHandler(
            path or tmp_path / "a.log", max_bytes=max_bytes, backup_count=backup_count
        )
        made.append(handler)
        return handler

    yield build
    for handler in made:
        handler.close()


def test_rotation_keeps_the_newest(
    tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler]
) -> None:
    write(make(max_bytes=30, backup_count=2), *(f"line {n:03}" for n in range(9)))
    # A line has 9 bytes: three a file.
    assert [p.read_text().split("\n") for p in rotated(tmp_path / "a.log")] == [
        ["line 000", "line 001", "line 002", ""],
        ["line 003", "line 004", "line 005", ""],
        ["line 006", "line 007", "line 008", ""],
    ]
    write(make(max_bytes=30, backup_count=2), "line 009")
    assert [p.read_text()[:8] for p in rotated(tmp_path / "a.log")] == [
        "line 003",
        "line 006",
        "line 009",
    ]


@pytest.mark.parametrize(("max_bytes", "backup_count"), [(0, 5), (10, 0)])
def test_a_zero_means_no_rotation(
    tmp_path: Path,
    make: Callable[..., WorkerRotatingFileHandler],
    max_bytes: int,
    backup_count: int,
) -> None:
    write(make(max_bytes, backup_count), *["0123456789"] * 5)
    assert [p.name for p in tmp_path.iterdir()] == ["a.log"]
    assert (tmp_path / "a.log").read_text() == "0123456789\n" * 5


def test_a_line_longer_than_the_limit_is_written_whole(
    tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler]
) -> None:
    write(make(max_bytes=10, backup_count=5), "a" * 100, "b", "c" * 100)
    assert [p.read_text() for p in rotated(tmp_path / "a.log")] == [
        "a" * 100 + "\n",
        "b\n",
        "c" * 100 + "\n",
    ]


def test_rollover_on_demand(tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler]) -> None:
    handler = make(max_bytes=1000, backup_count=5)
    write(handler, "old")
    handler.doRollover()
    write(handler, "new")
    assert (tmp_path / "a.log.1").read_text() == "old\n"
    assert (tmp_path / "a.log").read_text() == "new\n"


@pytest.mark.parametrize("max_bytes", [0, 1000])
def test_a_file_moved_away_is_noticed(
    tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler], max_bytes: int
) -> None:
    handler = make(max_bytes, 5)
    path = tmp_path / "a.log"
    write(handler, "one")
    path.rename(tmp_path / "a.log-20261121")  # as logrotate does
    write(handler, "two")
    path.unlink()
    write(handler, "three")
    path.rename(tmp_path / "kept")
    path.write_text("begun by another\n")
    write(handler, "four")
    assert (tmp_path / "a.log-20261121").read_text() == "one\n"
    assert (tmp_path / "kept").read_text() == "three\n"
    assert path.read_text() == "begun by another\nfour\n"


def test_a_gap_among_the_backups_is_filled(
    tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler]
) -> None:
    """What a rotation that was killed half way leaves costs no backup."""
    for number in (2, 3):
        (tmp_path / f"a.log.{number}").write_text(f"backup {number}\n")
    write(make(max_bytes=10, backup_count=3), "one", "two two two")
    assert [p.read_text() for p in rotated(tmp_path / "a.log")] == [
        "backup 3\n",
        "backup 2\n",
        "one\n",
        "two two two\n",
    ]


def test_a_rotation_that_fails_is_told_once(
    tmp_path: Path,
    make: Callable[..., WorkerRotatingFileHandler],
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = make(max_bytes=10, backup_count=1)
    (tmp_path / "a.log.1").mkdir()
    write(handler, *(f"line {n}" for n in range(5)))
    assert (tmp_path / "a.log").read_text() == "".join(f"line {n}\n" for n in range(5))
    assert re.fullmatch(
        rf"aprp: LOG_FILE {tmp_path}/a.log cannot be rotated \(Is a directory\): .*\n",
        capsys.readouterr().err,
    )
    (tmp_path / "a.log.1").rmdir()
    write(handler, "line 5")
    assert (tmp_path / "a.log").read_text() == "line 5\n"


def test_a_link_stays_a_link(
    tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler]
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.log").symlink_to(tmp_path / "disk/real.log")
    write(make(max_bytes=10, backup_count=1), "line 0", "line 1")
    assert (tmp_path / "a.log").is_symlink()
    assert (tmp_path / "a.log").read_text() == "line 1\n"
    assert (tmp_path / "disk/real.log.1").read_text() == "line 0\n"


FULL_DISK = """
import logging, resource, signal, sys
from aprp.logs.rotation import WorkerRotatingFileHandler
handler = WorkerRotatingFileHandler(sys.argv[1])
def write(message):
    handler.handle(logging.LogRecord("aprp", logging.INFO, "", 0, message, None, None))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
for number in range(30):
    write(f"{number:03}" + "x" * 96)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
write("again")
write("and again")
handler.close()
"""


@pytest.mark.parametrize("before", ["", "x" * 50 + "\n"])
def test_a_full_disk_is_told_once_and_tears_no_line(tmp_path: Path, before: str) -> None:
    """With 50 bytes in the file the last line fits in part only: that part is taken back."""
    path = tmp_path / "a.log"
    path.write_text(before)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    fitting = (1000 - len(before)) // 100
    assert path.read_text() == before + "".join(
        f"{n:03}" + "x" * 96 + "\n" for n in range(fitting)
    ) + ("again\nand again\n")
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert re.fullmatch(rf"aprp: LOG_FILE {path} cannot be written \(.+\): .*", told[0])
    assert told[1] == f"aprp: LOG_FILE {path} is written again, {30 - fitting} lines were lost"


def test_a_device_that_is_full(
    make: Callable[..., WorkerRotatingFileHandler], capsys: pytest.CaptureFixture[str]
) -> None:
    write(make(10, 5, Path("/dev/full")), "one", "two")
    assert re.fullmatch(
        r"aprp: LOG_FILE /dev/full cannot be written \(No space left on device\): .*\n",
        capsys.readouterr().err,
    )


def test_a_directory_that_vanishes_and_comes_back(
    tmp_path: Path,
    make: Callable[..., WorkerRotatingFileHandler],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "logs/a.log"
    path.parent.mkdir()
    handler = make(path=path)
    path.unlink()
    path.parent.rmdir()
    write(handler, "one", "two")
    path.parent.mkdir()
    write(handler, "three")
    assert path.read_text() == "three\n"
    told = capsys.readouterr().err.splitlines()
    assert [line.split(str(path))[1] for line in told] == [
        " cannot be written (No such file or directory): its lines are lost until it can",
        " is written again, 2 lines were lost",
    ]


def test_a_path_that_never_settles_does_not_hang(
    tmp_path: Path,
    make: Callable[..., WorkerRotatingFileHandler],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler = make()
    monkeypatch.setattr(WorkerRotatingFileHandler, "_look", lambda self: None)
    write(handler, "one")
    assert "another file takes its place again and again" in capsys.readouterr().err


def test_standard_output_as_the_file() -> None:
    script = """
import logging
from aprp.logs.rotation import WorkerRotatingFileHandler
handler = WorkerRotatingFileHandler("/dev/stdout", max_bytes=10, backup_count=5)
for message in ("one one one", "two two two"):
    handler.handle(logging.LogRecord("aprp", logging.INFO, "", 0, message, None, None))
handler.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("one one one\ntwo two two\n", "")


def test_a_faulty_record_does_not_raise(
    tmp_path: Path,
    make: Callable[..., WorkerRotatingFileHandler],
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = make()
    handler.handle(logging.LogRecord("aprp", logging.INFO, "", 0, "%d", ("one",), None))
    write(handler, "lone surrogate \udc80")
    assert "--- Logging error ---" in capsys.readouterr().err
    assert (tmp_path / "a.log").read_text() == "lone surrogate \\udc80\n"


def test_after_close_nothing_is_opened(
    tmp_path: Path, make: Callable[..., WorkerRotatingFileHandler]
) -> None:
    handler = make()
    handler.close()
    write(handler, "late")
    handler.close()
    assert (tmp_path / "a.log").read_text() == ""
