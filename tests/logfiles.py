"""What the tests of the log file share."""

import logging
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("aprp", logging.INFO, "", 0, message, None, None)


def rotated(path: Path) -> list[Path]:
    """All files of a log, oldest first."""
    backups = sorted(
        (p for p in path.parent.iterdir() if re.fullmatch(rf"{path.name}\.\d+", p.name)),
        key=lambda p: -int(p.suffix[1:]),
    )
    return [*backups, path]
