"""Settings of the log, and the name that this proxy has."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from settings.declare import option
from settings.kinds import MIB, Choice, Duration, Size, Switch, Whole
from settings.root import Root
from settings.texts import FileName, Text

# RFC 9110 section 5.6.2: token.
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"

_logging = partial(option, group="Logging")


class Logs(Root):
    """The group Logging."""

    LOG_FILE: Annotated[Path | None, FileName(optional=True)] = _logging(
        Path("aprp.log"), "log file; empty: none"
    )
    LOG_LEVEL: Annotated[str, Choice(("DEBUG", "INFO", "WARNING", "ERROR"))] = _logging(
        "INFO", "least severity that is logged"
    )
    LOG_FORMAT: Annotated[str, Choice(("text", "json", "combined"))] = _logging(
        "text", "how a line is written; combined is Apache's access format"
    )
    LOG_MAX_BYTES: Annotated[int, Size()] = _logging(
        10 * MIB, "size at which the log file is rotated; 0: never"
    )
    LOG_BACKUP_COUNT: Annotated[int, Whole(0, 10000, "files")] = _logging(
        5, "rotated log files that are kept; 0: the log file is never rotated"
    )
    LOG_DELAY: Annotated[float, Duration(low=0.0)] = _logging(
        0.05,
        "how long lines of INFO and below may wait so that many are written at once, which costs "
        "less; 0: each is written at once",
    )
    LOG_CONSOLE: Annotated[bool, Switch()] = _logging(False, "log to the standard error too")
    ACCESS_LOG: Annotated[bool, Switch()] = _logging(True, "log a line for each request")
    REQUEST_ID_FROM: Annotated[str, Choice(("everybody", "trusted", "nobody"))] = _logging(
        "everybody",
        "whose X-Request-ID is taken over: everybody's, that of TRUSTED_PROXIES (trusted), or "
        "nobody's; every other request gets an id of its own",
    )
    SLOW_REQUEST: Annotated[float, Duration(low=0.0)] = _logging(
        0.0,
        "a request that waits longer for the first byte of its answer is marked slow in its line, "
        "which is a WARNING then and is written without ACCESS_LOG too; 0: none is",
    )
    OTEL: Annotated[bool, Switch()] = _logging(
        False,
        "send spans of requests, fills and questions to origins to an OpenTelemetry collector; the "
        "standard OTEL_ variables say where to; needs `pip install 'aprp[otel]'`",
    )
    VIA_NAME: Annotated[str, Text(_TOKEN, "a name without spaces, such as aprp")] = _logging(
        "aprp", "name of this proxy in the Via field"
    )
