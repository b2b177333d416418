"""Patterns of file names, as in `src/**/*.py`; paths are relative and have slashes.

`*` and `?` stand for anything but a slash, `[ab]` and `[!ab]` for one character, `**` as a part of
its own for any number of directories, none included. A pattern without a slash is for names in any
directory; one that ends with a slash is for all that lies in that directory.
"""

import re
from collections.abc import Iterable, Iterator

_TOKEN = re.compile(r"\*+|\?|\[(?P<not>!?)(?P<set>[^\]/]+)\]|.", re.DOTALL)


class BadPatternError(ValueError):
    """A pattern that cannot match anything here; the message says why."""


class Patterns:
    """Any of several patterns."""

    def __init__(self, patterns: Iterable[str], root: str) -> None:
        """`root`: the directory that paths are relative to, for patterns that are absolute.

        Raises BadPatternError.
        """
        expressions = [_compiled(_relative(pattern, root)) for pattern in patterns]
        self._found = re.compile("|".join(expressions), re.DOTALL) if expressions else None

    def match(self, path: str) -> bool:
        """Whether the path itself matches."""
        return self._found is not None and self._found.fullmatch(path) is not None

    def match_within(self, path: str) -> bool:
        """Whether the path or a directory that it lies in matches."""
        return any(self.match(each) for each in (*parents(path), path))


def parents(path: str) -> Iterator[str]:
    """The directories that a relative path lies in, the outermost first."""
    place = path.find("/")
    while place >= 0:
        yield path[:place]
        place = path.find("/", place + 1)


def _relative(pattern: str, root: str) -> str:
    below = f"{root.rstrip('/')}/"
    pattern = pattern.removeprefix(below)
    while pattern.startswith("./"):
        pattern = pattern[2:]
    if not pattern:
        raise BadPatternError("an empty pattern matches nothing; **/* is for every file")
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise BadPatternError(f"{pattern!r} leads out of {root}: only what lies below is watched")
    return pattern


def _compiled(pattern: str) -> str:
    """The regular expression of a pattern, looked at; raises BadPatternError."""
    expression = _expression(pattern)
    try:
        re.compile(expression)
    except re.error as error:
        raise BadPatternError(f"{pattern!r}: {error.msg}") from None
    return expression


def _expression(pattern: str) -> str:
    """The regular expression of a pattern."""
    if pattern.endswith("/"):
        pattern += "**"
    elif "/" not in pattern and pattern != "**":
        pattern = f"**/{pattern}"
    parts = [part for part in pattern.split("/") if part]
    *before, last = parts
    text = "".join("(?:[^/]+/)*" if part == "**" else f"{_of_part(part)}/" for part in before)
    return text + (".+" if last == "**" else _of_part(last))


def _of_part(part: str) -> str:
    return "".join(_of_token(match) for match in _TOKEN.finditer(part))


def _of_token(match: re.Match[str]) -> str:
    if match[0].startswith("*"):
        return "[^/]*"
    if match[0] == "?":
        return "[^/]"
    if match["set"] is None:
        return re.escape(match[0])
    # The hyphen keeps its meaning.
    inside = "-".join(map(re.escape, match["set"].split("-")))
    return f"(?!/)[{'^' if match['not'] else ''}{inside}]"
