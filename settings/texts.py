"""Kinds of settings that are text: words by a pattern, names of files, lists with commas."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from settings.kinds import HIDDEN, Kind, RefusedError, shown

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Text that a regular expression matches as a whole; `meaning` says in words what it allows."""

    pattern: str
    meaning: str

    metavar: ClassVar[str] = "TEXT"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return self.meaning

    def read(self, value: object) -> str:
        """See Kind."""
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class FileName(Kind):
    """The path of a file or directory; relative ones start at the working directory.

    With `optional`, empty text and None mean "none". With `readable`, it must be a file that this
    process can read. `~` stands for the home directory.
    """

    meaning: str = "a path"
    optional: bool = False
    readable: bool = False

    metavar: ClassVar[str] = "PATH"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"{self.meaning}, or empty for none" if self.optional else self.meaning

    def read(self, value: object) -> Path | None:
        """See Kind."""
        if self.optional and (value is None or value == ""):
            return None
        if not isinstance(value, (str, Path)) or value == "" or "\0" in str(value):
            raise ValueError
        path = Path(value).expanduser()
        if self.readable and not (path.is_file() and os.access(path, os.R_OK)):
            raise ValueError
        return path

    def show(self, value: Path | None) -> str:
        """Return the path, relative to the project where it lies in it."""
        if value is None:
            return ""
        inside = value.is_absolute() and value.is_relative_to(PROJECT)
        return (value.relative_to(PROJECT) if inside else value).as_posix()


@dataclass(frozen=True, slots=True)
class Listed(Kind):
    """A list, with commas between the entries; kept as a tuple.

    `entry` checks one entry and returns it as it is kept. `missing` is what to say where the list
    may not be empty. With `numbers`, entries may also be given as whole numbers. Entries that are
    `secret` are never shown, also where they are not allowed.
    """

    entry: Callable[[str], Any]
    meaning: str
    missing: str = ""
    numbers: bool = False
    secret: bool = False

    metavar: ClassVar[str] = "LIST"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return self.meaning

    @property
    def described(self) -> str:
        """See Kind."""
        return f"a list; each entry is {self.meaning}"

    def read(self, value: object) -> tuple[Any, ...]:
        """See Kind."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, Iterable):
            raise TypeError
        entries = tuple(self._checked(part, place) for place, part in enumerate(value, 1))
        if self.missing and not entries:
            raise RefusedError(self.missing)
        return entries

    def show(self, value: Iterable[Any]) -> str:
        """Return the entries with commas between them."""
        return ",".join(HIDDEN if self.secret else str(entry) for entry in value)

    def told(self, value: object) -> str:
        """See Kind."""
        return "what is given" if self.secret else shown(value)

    def _checked(self, part: object, place: int) -> Any:
        if self.numbers and isinstance(part, int) and not isinstance(part, bool):
            part = str(part)
        try:
            if isinstance(part, str):
                return self.entry(part)
        except ValueError:
            pass
        told = f"entry {place}" if self.secret else shown(part)
        raise RefusedError(f"{told} is not {self.allowed}")


@dataclass(frozen=True, slots=True)
class Secret(Kind):
    """Text of at least `shortest` characters that is never shown; empty for none."""

    shortest: int
    longest: int = 1024

    metavar: ClassVar[str] = "TEXT"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"text of {self.shortest} to {self.longest} characters, or empty for none"

    def read(self, value: object) -> str:
        """See Kind."""
        if not isinstance(value, str):
            raise TypeError
        # Bytes of the environment that are no UTF-8 come as surrogates.
        value.encode()
        if value and not self.shortest <= len(value) <= self.longest:
            raise ValueError
        return value

    def show(self, value: str) -> str:
        """Return HIDDEN, or nothing where there is nothing to hide."""
        return HIDDEN if value else ""

    def told(self, value: object) -> str:
        """See Kind."""
        return "what is given"
