"""What the development proxy was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from aprp.dev.places import Place
from aprp.dev.selection import Selection


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `graceful` is in seconds, 0: kill at once.

    `livereload` is the port for browser extensions, 0: any that is free; None: no LiveReload.
    """

    bind: Place
    backend: Place
    command: Sequence[str]
    selection: Selection
    livereload: int | None
    debug: bool
    graceful: float
    watchman: bool
