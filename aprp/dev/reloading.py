"""What pages are told when files have changed; no I/O (LiveReload protocol 7).

The protocol is JSON over a WebSocket: the client says hello with the protocols that it speaks, the
server says hello with its own, and from then on sends a command for each file. The client, a script
in the page or a browser extension, decides by the file's name what is to be done.
"""

import json
import re
from collections import deque
from collections.abc import Sequence
from typing import Final

PROTOCOL: Final = "http://livereload.com/protocols/official-7"

_is_live: Final = re.compile(
    r".*\.(?:css|css\.map|jpe?g|png|gif|svg)", re.IGNORECASE | re.S
).fullmatch

# More files than these are a reload of the page.
_MOST_LIVE: Final = 20
# As many changes are remembered for pages that were not connected at the time.
_MOST_REMEMBERED: Final = 100
# Stands for files that are not known any more; it has no ending that is taken for a style.
_ANYTHING: Final = "*"


class HelloError(ValueError):
    """A first message that is no hello of protocol 7; the text says why."""


def check_hello(message: str | bytes) -> None:
    """Check a client's first message; raises HelloError."""
    try:
        hello = json.loads(message)
    except ValueError:
        raise HelloError("no JSON") from None
    if not isinstance(hello, dict) or hello.get("command") != "hello":
        raise HelloError("the first command has to be hello")
    protocols = hello.get("protocols")
    if not isinstance(protocols, list) or PROTOCOL not in protocols:
        raise HelloError(f"protocols without {PROTOCOL}")


def hello(server: str) -> str:
    """The server's hello."""
    return json.dumps({"command": "hello", "protocols": [PROTOCOL], "serverName": server})


def reload(path: str) -> str:
    """The command that says that a file changed."""
    return json.dumps({"command": "reload", "path": path, "liveCSS": True, "liveImg": True})


def worth_telling(paths: Sequence[str]) -> Sequence[str]:
    """Of changed files those that pages are to hear of.

    Styles and images are renewed in place, one by one. Any other file means that the page is
    loaded anew, and then there is no need to name more than that one.
    """
    for path in paths:
        if not _is_live(path):
            return (path,)
    if len(paths) > _MOST_LIVE:
        return (_ANYTHING,)
    return tuple(paths)


class History:
    """The changes so far, and where in them a page stands.

    A position is the history's name and the number of changes before it: `5f3a.12`. The name is
    another one whenever the proxy is started, so that pages of an earlier one can be told apart.
    """

    def __init__(self, name: str) -> None:
        """Nothing has changed; `name` has no dot in it."""
        self._name = name
        self._count = 0
        self._changes: deque[Sequence[str]] = deque(maxlen=_MOST_REMEMBERED)

    @property
    def position(self) -> str:
        """Where a page stands that is loaded now."""
        return f"{self._name}.{self._count}"

    def add(self, paths: Sequence[str]) -> None:
        """Remember a change."""
        self._changes.append(paths)
        self._count += 1

    def since(self, position: str) -> Sequence[str]:
        """What a page is to hear of that was loaded at a position."""
        name, _, number = position.partition(".")
        if not (number.isascii() and number.isdecimal() and len(number) < 16):
            return (_ANYTHING,)
        missed = self._count - int(number)
        if name != self._name or not 0 <= missed <= len(self._changes):
            return (_ANYTHING,)
        changed = list(self._changes)[len(self._changes) - missed :]
        return worth_telling(list(dict.fromkeys(path for paths in changed for path in paths)))
