"""When to start after changes: bursts are one restart; no I/O, `now` is an argument.

Editors and version control change many files one after the other, so a start waits until nothing
has changed for a moment. A start that was for nothing, because the next change came before anybody
was served, makes the next moment longer, so that changes that go on and on lead to few starts.
"""

from typing import Final

QUIET: Final = 0.05
"""A start waits until nothing has changed for so long, in seconds."""

# Where more files than one saves by hand have changed, more are on their way: version control
# writes them with gaps.
_MANY: Final = 20
_QUIET_AFTER_MANY: Final = 0.11

_QUIET_AFTER_WASTE: Final = 0.1

# Changes that come at least so far apart are not one burst, and no start waits for longer to see
# whether the next one comes, in seconds.
_APART: Final = 1.0

LONGEST: Final = 5.0
"""Files that change all the time put a start off by so long at most, in seconds."""


class Settling:
    """Knows the changes since the last start, and when the next start is due."""

    def __init__(self) -> None:
        """Nothing has changed and nothing was started."""
        self._first: float | None = None
        self._last: float | None = None
        self._files = 0
        self._wasted = 0
        self._in_use = False

    def changed(self, now: float, files: int = 1) -> None:
        """So many files changed."""
        if self._first is None:
            self._files = 0
            burst = self._last is not None and now - self._last < _APART
            if not burst:
                self._wasted = 0
            else:
                self._wasted = max(self._wasted + (-1 if self._in_use else 1), 0)
            self._first = now
        self._last = now
        self._files += files

    def started(self) -> None:
        """The backend was started: changes from now on are for the next start."""
        self._first = None
        self._in_use = False

    def used(self) -> None:
        """The backend was asked something: its start was not for nothing."""
        self._in_use = True

    @property
    def quiet(self) -> float:
        """For how long nothing may have changed at a start, in seconds."""
        if self._wasted == 0:
            return QUIET if self._files < _MANY else _QUIET_AFTER_MANY
        return min(_QUIET_AFTER_WASTE * 2.0 ** min(self._wasted - 1, 16), _APART)

    def left(self, now: float) -> float:
        """Seconds until the start is due, if nothing else changes; 0: it is."""
        if self._first is None or self._last is None:
            return 0.0
        due = min(self._last + self.quiet, self._first + LONGEST)
        return max(due - now, 0.0)
