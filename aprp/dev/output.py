"""What the user sees in the terminal: the backend's output as it comes, and lines of our own.

One thread writes: a terminal that is stopped holds up the backend's output and nothing else.
"""

import os
import re
import threading
from collections import deque
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2

# Output that waits for a slow terminal, in bytes; beyond it the backend waits.
_MOST_PENDING: Final = 1 << 20

# How much of the last output is kept, and how much of it is shown, in bytes and lines.
_KEPT: Final = 32 << 10
MOST_LINES: Final = 100

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_STYLES: Final = {
    "plain": "",
    "soft": "\x1b[2m",
    "good": "\x1b[32m",
    "busy": "\x1b[36m",
    "bad": "\x1b[1;31m",
}


def coloured() -> bool:
    """Whether the standard output is a terminal that shows colours."""
    return os.isatty(STDOUT) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Tail:
    """The last of what a program has printed."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._kept = bytearray()
        self._cut = False
        self._lock = threading.Lock()

    def feed(self, data: bytes) -> None:
        """Take what was printed; any thread."""
        with self._lock:
            self._kept += data[-_KEPT:]
            if len(self._kept) > 2 * _KEPT:
                del self._kept[:-_KEPT]
                self._cut = True
            elif len(data) > _KEPT:
                self._cut = True

    def lines(self) -> list[str]:
        """The last lines as text, without colours; at most MOST_LINES."""
        with self._lock:
            text, cut = self._kept.decode("utf-8", "replace"), self._cut
        lines = [_shown(line) for line in text.split("\n")]
        if lines and not lines[-1]:
            lines.pop()
        # The first one may have lost its beginning.
        return lines[1:][-MOST_LINES:] if cut else lines[-MOST_LINES:]


def _shown(line: str) -> str:
    # What a carriage return overwrites in a terminal is not seen there either.
    line = line.rstrip("\r").rpartition("\r")[2]
    return _UNPRINTABLE.sub("", _ESCAPES.sub("", line))


class Console:
    """Writes to standard output and standard error, in the order in which it is told."""

    def __init__(self, debug: bool) -> None:
        """`debug`: lines of `detail` are written, too."""
        self._debug = debug
        self._coloured = coloured()
        self._pending: deque[tuple[int, bytes, bool]] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._closing = False
        # Where the last byte that went out did not end a line. A terminal that is both is one.
        self._open: set[int] = set()
        self._one = os.isatty(STDOUT) and os.isatty(STDERR)
        self._gone: set[int] = set()
        self._thread = threading.Thread(target=self._write_all, name="console", daemon=True)
        self._thread.start()

    def say(self, text: str, style: str = "plain") -> None:
        """Write a line of our own; never waits."""
        line = f"aprp: {text}"
        if self._coloured and _STYLES[style]:
            line = f"{_STYLES[style]}{line}\x1b[0m"
        data = f"{line}\n".encode("utf-8", "replace")
        with self._changed:
            self._pending.append((STDOUT, data, True))
            self._changed.notify_all()

    def detail(self, text: str) -> None:
        """Write a line that only helps to find out what is wrong."""
        if self._debug:
            self.say(text, "soft")

    def pass_on(self, descriptor: int, data: bytes) -> None:
        """Write the backend's output; waits while the terminal takes nothing. Not on a loop."""
        with self._changed:
            while self._size > _MOST_PENDING and not self._closing:
                self._changed.wait()
            self._pending.append((descriptor, data, False))
            self._size += len(data)
            self._changed.notify_all()

    def close(self, patience: float = 0.5) -> None:
        """Write what is left; what a terminal does not take within `patience` seconds is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(patience)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._pending:
                    if self._closing:
                        return
                    self._changed.wait()
                descriptor, data, own = self._pending.popleft()
            self._write(descriptor, data, own)
            if not own:
                with self._changed:
                    self._size -= len(data)
                    self._changed.notify_all()

    def _write(self, descriptor: int, data: bytes, own: bool) -> None:
        if descriptor in self._gone or not data:
            return
        place = STDOUT if self._one else descriptor
        if own and place in self._open:
            data = b"\n" + data
        if data.endswith(b"\n"):
            self._open.discard(place)
        else:
            self._open.add(place)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            # Nobody reads it any more (a closed terminal or pipe); the proxy goes on.
            self._gone.add(descriptor)
