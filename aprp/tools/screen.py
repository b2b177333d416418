"""What is told while a command works: lines, and progress bars where there is a terminal."""

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text


class Screen:
    """Results go to the standard output and complaints to the standard error, a line each.

    `progress` draws its bars on the standard error while the screen is entered; where that is no
    terminal it draws nothing, so that files and pipes get the lines alone.
    """

    def __init__(self, *columns: ProgressColumn) -> None:
        self._console = Console(stderr=True)
        self._drawing = False
        # Rich would send what is printed on the standard output to the standard error, also
        # where the standard output is a file: lines are kept clear of the bars here instead.
        self.progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "Screen":
        # Rich 13 writes an empty line at the end of bars that it did not draw.
        if self._console.is_terminal:
            self.progress.start()
            self._drawing = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawing:
            self._drawing = False
            self.progress.stop()

    def result(self, line: str) -> None:
        """Tell a result."""
        if self._drawing and sys.stdout.isatty():
            self._above_the_bars(line)
        else:
            print(_visible(line))

    def complaint(self, line: str) -> None:
        """Tell what went wrong, after the program's name."""
        line = f"aprp: {line}"
        if self._drawing:
            self._above_the_bars(line)
        else:
            print(_visible(line), file=sys.stderr)

    def _above_the_bars(self, line: str) -> None:
        self._console.print(Text(_visible(line)), soft_wrap=True)


def _visible(line: str) -> str:
    """Without characters that would steer the terminal: a server may have sent them."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
