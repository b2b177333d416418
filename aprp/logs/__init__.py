"""Logging: where records go, and the one line that is told of each request.

`configure` is called once at the start, before workers are forked. Records of aprp, of Tornado and
of asyncio go to LOG_FILE, which all workers share, and to the console when LOG_CONSOLE is on. With
neither, warnings and errors still reach stderr, by Python's own last resort.
"""

import logging
import os
import pwd
import sys
from pathlib import Path
from typing import Protocol, TextIO

from aprp.logs.formats import FORMATTERS, AccessEntry, TextFormatter
from aprp.logs.rotation import Later, WorkerRotatingFileHandler

__all__ = ["AccessEntry", "LogSettings", "LogSetupError", "access", "close", "configure"]

_ROOTS = tuple(logging.getLogger(name) for name in ("aprp", "tornado", "asyncio"))
"""Loggers that carry the handlers; aprp.access, tornado.access and the like are below them."""

_access = logging.getLogger("aprp.access")
_installed: list[logging.Handler] = []


class LogSettings(Protocol):
    """The settings that say where and how to log."""

    @property
    def LOG_FILE(self) -> Path | str | None:
        """Path of the file; None or empty: no file."""

    @property
    def LOG_LEVEL(self) -> str:
        """Least level that is logged: DEBUG, INFO, WARNING or ERROR."""

    @property
    def LOG_FORMAT(self) -> str:
        """Form of the lines, in the file and on the console: text, json or combined."""

    @property
    def LOG_MAX_BYTES(self) -> int:
        """Size in bytes at which the file is rotated; 0: never."""

    @property
    def LOG_BACKUP_COUNT(self) -> int:
        """Number of rotated files that are kept; 0: the file is never rotated."""

    @property
    def LOG_CONSOLE(self) -> bool:
        """Whether to log to the console too."""

    @property
    def ACCESS_LOG(self) -> bool:
        """Whether to log a line a request; without, those of slow ones are logged all the same."""


class LogSetupError(Exception):
    """The log file cannot be used; the text is one sentence for the operator."""


def configure(settings: LogSettings, *, console_stream: TextIO | None = None) -> None:
    """Set up logging, in place of what an earlier call set up.

    console_stream: where LOG_CONSOLE writes; stderr by default.

    Raises LogSetupError when LOG_FILE cannot be opened for writing; the earlier set-up then stays.
    """
    handlers: list[logging.Handler] = []
    if settings.LOG_FILE:
        file_handler = _open_file(settings)
        file_handler.setFormatter(FORMATTERS[settings.LOG_FORMAT]())
        handlers.append(file_handler)
    if settings.LOG_CONSOLE:
        console = logging.StreamHandler(console_stream or sys.stderr)
        colour = settings.LOG_FORMAT == "text" and console.stream.isatty()
        console.setFormatter(
            TextFormatter(colour=True) if colour else FORMATTERS[settings.LOG_FORMAT]()
        )
        handlers.append(console)
    # No format shows them, and finding them out is a third of a record's cost.
    logging.logThreads = logging.logMultiprocessing = False
    close()
    for logger in _ROOTS:
        logger.setLevel(settings.LOG_LEVEL)
        for handler in handlers:
            logger.addHandler(handler)
    _installed.extend(handlers)
    if not settings.ACCESS_LOG:
        # What is slow is told all the same.
        _access.setLevel(max(logging.WARNING, _access.getEffectiveLevel()))


def close() -> None:
    """Undo `configure`: take its handlers away and close the file."""
    for handler in _installed:
        for logger in _ROOTS:
            logger.removeHandler(handler)
        handler.close()
    _installed.clear()
    for logger in _ROOTS:
        logger.setLevel(logging.NOTSET)
    _access.setLevel(logging.NOTSET)


def hold_lines(delay: float, later: Later | None) -> None:
    """Write what is not severe `delay` seconds later, many lines at once; None: at once again.

    `later` is the `call_later` of the loop whose thread logs. A line costs a fifth then.
    """
    for handler in _installed:
        if isinstance(handler, WorkerRotatingFileHandler):
            handler.hold_lines(delay, later)


def access(entry: AccessEntry) -> None:
    """Log the one line of a request that is over; costs next to nothing when nobody wants it.

    It is of level INFO, and WARNING where the request was slow.
    """
    level = logging.WARNING if entry.slow else logging.INFO
    if _access.isEnabledFor(level):
        # Made here and not by Logger.info, which would look for the caller's file and line.
        _access.handle(logging.LogRecord(_access.name, level, "", 0, entry, None, None))


def _open_file(settings: LogSettings) -> WorkerRotatingFileHandler:
    path = Path(str(settings.LOG_FILE)).absolute()
    try:
        return WorkerRotatingFileHandler(
            path, max_bytes=settings.LOG_MAX_BYTES, backup_count=settings.LOG_BACKUP_COUNT
        )
    except OSError as error:
        raise LogSetupError(
            f"LOG_FILE: {path} cannot be opened for writing: {_why(error, path)}"
        ) from error


def _why(error: OSError, path: Path) -> str:
    """Say the cause and what to do."""
    folder = path.parent
    match error:
        case FileNotFoundError():
            return (
                f"the directory {folder} does not exist; create it or set LOG_FILE to another path"
            )
        case NotADirectoryError():
            return f"{folder} is not a directory; set LOG_FILE to another path"
        case IsADirectoryError():
            return "it is a directory; set LOG_FILE to the path of a file"
        case PermissionError():
            return (
                f"the user {_user()} may not write there; give it the right to write the file and"
                f" its directory {folder}, or set LOG_FILE to another path"
            )
        case _:
            return f"{error.strerror}; set LOG_FILE to another path"


def _user() -> str:
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user has often no name
        return str(number)
