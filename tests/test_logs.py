"""Setting up logging: where records go, what is refused, what is taken down again."""

import io
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from aprp import logs

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ([A-Z]+) \[(\d+)\] (.*)")
ENTRY = logs.AccessEntry("192.0.2.7", "GET", "/a.mp4", "HTTP/1.1", 200, sent=5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def settings(path: Path | None, **changes: object) -> SimpleNamespace:
    base: dict[str, object] = {
        "LOG_FILE": path,
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "text",
        "LOG_MAX_BYTES": 0,
        "LOG_BACKUP_COUNT": 5,
        "LOG_CONSOLE": False,
        "ACCESS_LOG": True,
    }
    return SimpleNamespace(**(base | changes))


def messages(text: str) -> list[tuple[str, str]]:
    """The level and the message of each line."""
    found = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(found), text
    return [(match[1], match[3]) for match in found if match]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    logs.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "aprp.log"


@pytest.mark.parametrize(
    "name",
    [
        "aprp",
        "aprp.access",
        "aprp.upstream.pool",
        "tornado.general",
        "tornado.application",
        "tornado.access",
        "asyncio",
    ],
)
def test_records_of_these_loggers_are_written_once(path: Path, name: str) -> None:
    logs.configure(settings(path))
    logging.getLogger(name).info("hello %s", "there")
    assert messages(path.read_text()) == [("INFO", "hello there")]
    assert LINE.fullmatch(path.read_text().rstrip("\n"))[2] == str(os.getpid())  # type: ignore[index]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("DEBUG", ["DEBUG", "INFO", "INFO", "WARNING", "ERROR"]),
        ("INFO", ["INFO", "INFO", "WARNING", "ERROR"]),
        ("WARNING", ["WARNING", "ERROR"]),
        ("ERROR", ["ERROR"]),
    ],
)
def test_level(path: Path, level: str, written: list[str]) -> None:
    logs.configure(settings(path, LOG_LEVEL=level))
    logger = logging.getLogger("tornado.general")
    logger.debug("d")
    logger.info("i")
    logs.access(ENTRY)
    logger.warning("w")
    logger.error("e")
    assert [level for level, _ in messages(path.read_text())] == written


def test_access_log_off(path: Path) -> None:
    logs.configure(settings(path, ACCESS_LOG=False))
    logs.access(ENTRY)
    logging.getLogger("aprp").info("still here")
    assert messages(path.read_text()) == [("INFO", "still here")]
    logs.configure(settings(path))
    logs.access(ENTRY)
    assert messages(path.read_text())[1] == ("INFO", str(ENTRY))


SLOW = replace(ENTRY, slow=True)


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({}, [("INFO", str(ENTRY)), ("WARNING", str(SLOW))]),
        ({"ACCESS_LOG": False}, [("WARNING", str(SLOW))]),
        ({"LOG_LEVEL": "WARNING"}, [("WARNING", str(SLOW))]),
        ({"ACCESS_LOG": False, "LOG_LEVEL": "ERROR"}, []),
        ({"LOG_LEVEL": "ERROR"}, []),
    ],
)
def test_slow_requests_are_warnings(
    path: Path, changes: dict[str, object], written: list[tuple[str, str]]
) -> None:
    logs.configure(settings(path, **changes))
    logs.access(ENTRY)
    logs.access(SLOW)
    assert messages(path.read_text()) == written


def test_console_beside_the_file(path: Path) -> None:
    console = io.StringIO()
    logs.configure(settings(path, LOG_CONSOLE=True), console_stream=console)
    logs.access(ENTRY)
    assert console.getvalue() == path.read_text() != ""


def test_console_alone_in_json() -> None:
    console = Terminal()
    changed = settings(None, LOG_CONSOLE=True, LOG_FORMAT="json")
    logs.configure(changed, console_stream=console)
    logging.getLogger("aprp").warning("w")
    assert console.getvalue().startswith('{"time":"')


def test_a_terminal_has_coloured_levels(path: Path) -> None:
    console = Terminal()
    logs.configure(settings(path, LOG_CONSOLE=True), console_stream=console)
    logging.getLogger("aprp").warning("w")
    assert " \x1b[33mWARNING\x1b[0m [" in console.getvalue()
    assert messages(path.read_text()) == [("WARNING", "w")]


def test_console_is_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(settings(None, LOG_CONSOLE=True))
    logging.getLogger("aprp").warning("w")
    assert messages(capsys.readouterr().err) == [("WARNING", "w")]


def test_again_replaces_what_was(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for number in range(20):
        logs.configure(settings(tmp_path / f"{number % 2}.log", LOG_CONSOLE=True))
        assert open_files() == before + 1
    logging.getLogger("aprp").info("once")
    assert (tmp_path / "0.log").read_text() == ""
    assert messages((tmp_path / "1.log").read_text()) == [("INFO", "once")]
    logs.close()
    assert open_files() == before
    for name in ("aprp", "tornado", "asyncio"):
        assert logging.getLogger(name).handlers == []
        assert logging.getLogger(name).level == logging.NOTSET


def test_rotation_is_set(path: Path) -> None:
    logs.configure(settings(path, LOG_MAX_BYTES=100, LOG_BACKUP_COUNT=2))
    for number in range(9):
        logging.getLogger("aprp").info("number %d %s", number, "x" * 40)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "aprp.log",
        "aprp.log.1",
        "aprp.log.2",
    ]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("none/a.log", "the directory {tmp}/none does not exist; create it or set LOG_FILE to"),
        ("file/a.log", "{tmp}/file is not a directory; set LOG_FILE to"),
        ("directory", "it is a directory; set LOG_FILE to"),
        ("x" * 300, "File name too long; set LOG_FILE to"),
        ("pipe", "No such device or address; set LOG_FILE to"),  # a named pipe without a reader
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, place: str, sentence: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    kept = tmp_path / "kept.log"
    logs.configure(settings(kept))
    with pytest.raises(logs.LogSetupError) as caught:
        logs.configure(settings(tmp_path / place))
    text = str(caught.value)
    start = f"LOG_FILE: {tmp_path / place} cannot be opened for writing: "
    assert text.startswith(start + sentence.format(tmp=tmp_path))
    assert "\n" not in text
    assert not (tmp_path / "none").exists()
    logging.getLogger("aprp").info("the earlier set-up stays")
    assert messages(kept.read_text()) == [("INFO", "the earlier set-up stays")]


def test_a_file_without_the_right_to_write(tmp_path: Path) -> None:
    """In a child that gives up root, because root may write everywhere."""
    (tmp_path / "closed").mkdir(mode=0o500)
    tmp_path.chmod(0o755)
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "not refused"
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            logs.configure(settings(tmp_path / "closed/a.log"))
        except logs.LogSetupError as error:
            text = str(error)
        finally:
            os.write(tell, text.encode())
            os._exit(0)
    os.close(tell)
    with os.fdopen(told, encoding="utf-8") as pipe:
        text = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    assert re.fullmatch(
        rf"LOG_FILE: {tmp_path}/closed/a\.log cannot be opened for writing: the user \S+ may not "
        rf"write there; give it the right to write the file and its directory {tmp_path}/closed, "
        r"or set LOG_FILE to another path",
        text,
    )


def test_other_handlers_get_a_readable_request(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "aprp.access"):
        logs.access(ENTRY)
    assert caplog.messages == [str(ENTRY)]
