"""Runs a program under cProfile between two signals.

`python -m benchmarks.profiled OUT PROGRAM ARGUMENTS...` runs the Python file PROGRAM. SIGNAL begins
the profile and, the second time, ends it and writes OUT: so the profile holds the requests that are
measured, and neither the start nor the filling of a cache. Only the main thread is profiled: the
one of the event loop.
"""

from __future__ import annotations

import cProfile
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType

# One that no program uses for something else.
SIGNAL = signal.SIGRTMIN + 7


class Switch:
    """Begins and ends one profile."""

    def __init__(self, out: Path) -> None:
        """`out` is the file to write, which appears under its name when it is complete."""
        self.out = out
        self.profiler: cProfile.Profile | None = None

    def __call__(self, *_: int | FrameType | None) -> None:
        """Begin; or end and write."""
        if self.profiler is None:
            self.profiler = cProfile.Profile()
            self.profiler.enable()
            return
        self.profiler.disable()
        part = self.out.with_name(f"{self.out.name}.part")
        self.profiler.dump_stats(part)
        part.rename(self.out)
        self.profiler = None


def main() -> None:
    """Entry point: become the program, with its arguments."""
    out, program = Path(sys.argv[1]).resolve(), sys.argv[2]
    signal.signal(SIGNAL, Switch(out))
    sys.argv = sys.argv[2:]
    sys.path.insert(0, str(Path(program).resolve().parent))
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
