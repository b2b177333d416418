"""The lines that tell how the backend stands, and what may be wrong."""

import shlex
from collections.abc import Sequence
from typing import Final, assert_never

from aprp.dev.machine import State
from aprp.dev.output import Console
from aprp.dev.places import Place

# After so many starts in so short a time, in seconds, that is said.
_MANY_STARTS: Final = 8
_SHORT_TIME: Final = 30.0


class Teller:
    """Tells of one backend; no clock."""

    def __init__(self, console: Console, command: Sequence[str], backend: Place) -> None:
        """Nothing has been started."""
        self._console = console
        self._command = command
        self._backend = backend
        self._starts: list[float] = []

    def tell(self, state: State, why: str) -> None:
        """Say that the backend stands so from now on; `why` is what caused it, if anything."""
        say = self._console.say
        match state:
            case State.LOADING:
                said = f"{why}: " if why else ""
                say(f"{said}loading: {shlex.join(self._command)}", "busy")
            case State.RUNNING:
                say(f"running: {self._backend} answers", "good")
            case State.KILLING:
                say(f"{why}: restarting", "busy")
            case State.ERROR:
                say(f"error: {why}; the next change of a file starts it again", "bad")
            case _:
                assert_never(state)

    def wait(self) -> None:
        """Say where an answer is waited for, which may be another place than where it listens."""
        self._console.say(
            f"{self._backend} has not answered yet: is that where the command listens?", "busy"
        )

    def started(self, now: float) -> None:
        """The backend was started; say what may be wrong where that is again and again."""
        self._starts = [*(each for each in self._starts if each > now - _SHORT_TIME), now]
        if len(self._starts) == _MANY_STARTS:
            self._console.say(
                f"{_MANY_STARTS} starts within {_SHORT_TIME:g} s: where the backend itself writes "
                "the files that change, leave them out with --exclude",
                "bad",
            )


def named(paths: Sequence[str]) -> str:
    """Name the first of several files."""
    more = len(paths) - 1
    return paths[0] if not more else f"{paths[0]} and {more} more"
