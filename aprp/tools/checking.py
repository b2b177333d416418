"""`aprp cache check`: verifies what is stored, and repairs it by dropping what is damaged."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from aprp.cache.check import check
from aprp.tools.directory import directory_of, errors_of
from aprp.tools.screen import Screen
from aprp.tools.texts import count_text

if TYPE_CHECKING:
    from settings.base import Settings


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what `check` takes: nothing but settings."""


def run(settings: "Settings", given: Any) -> bool:
    """Check; True if nothing was wrong. Raises UsageError."""
    path = directory_of(settings)
    extents = found = 0
    columns = (TextColumn("extents"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Screen(*columns) as screen, errors_of(path):
        task = screen.progress.add_task("", total=None)

        def progress(done: int, total: int) -> None:
            nonlocal extents
            extents = done
            screen.progress.update(task, completed=done, total=total)

        for finding in check(path, progress):
            found += 1
            screen.result(finding.text)
    outcome = f"{count_text(found, 'fault')} put right" if found else "nothing was wrong"
    screen.result(f"{count_text(extents, 'extent')} checked, {outcome}")
    return not found
