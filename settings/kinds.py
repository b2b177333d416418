"""The kinds of value a setting can have: how each is written, checked and shown.

A kind stands in the annotation of a setting, `PORT: Annotated[int, Whole(0, 65535)]`, and is the
one place that knows its bounds. The check, the error line, `--help` and the reference page all
ask it. A value is either text (from a flag, the environment or a settings class) or already of
the right type (from a settings class or a test).
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Number = TypeVar("Number", int, float)

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_SIZE_UNITS = {"T": 1024 * GIB, "G": GIB, "M": MIB, "K": KIB}
_DURATION_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SWITCH_WORDS = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}
# Bounded digits: a number of a million digits must not keep int() busy.
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|[smhd])?", re.ASCII | re.IGNORECASE)
_LONGEST_SHOWN = 80

HIDDEN = "***"
"""What is shown of a secret."""


class RefusedError(ValueError):
    """A value is not allowed; the message says which and what would be."""


def shown(value: object) -> str:
    """Return a value as it stands in an error line: quoted, bounded, one line, no passwords."""
    plain = str(value) if isinstance(value, Path) else value
    text = re.sub(r"//[^/@\s]*@", f"//{HIDDEN}@", repr(plain))
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 4] + "...'"


class Kind(ABC):
    """What values a setting takes."""

    __slots__ = ()

    metavar: ClassVar[str] = "VALUE"
    """The placeholder for a value in `--help`."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What is allowed, as the end of the sentence "this is not ..."."""

    @property
    def described(self) -> str:
        """What a value looks like, for the reference page."""
        return self.allowed

    @abstractmethod
    def read(self, value: object) -> Any:
        """Return the checked value; raise ValueError or TypeError if it is not allowed."""

    def decode(self, text: str) -> Any:
        """Return what text from a flag or the environment means; `read` checks it."""
        return text

    def show(self, value: Any) -> str:
        """Return a checked value as an operator would write it; a secret comes as HIDDEN."""
        return str(value)

    def told(self, value: object) -> str:
        """Return a value that is not allowed as it stands in an error line."""
        return shown(value)

    def parse(self, value: object) -> Any:
        """Return the checked value; raise RefusedError with a full sentence otherwise."""
        try:
            return self.read(value.strip() if isinstance(value, str) else value)
        except RefusedError:
            raise
        except (ValueError, TypeError):
            raise RefusedError(f"{self.told(value)} is not {self.allowed}") from None

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic check a field of this kind with `parse` alone."""
        return core_schema.no_info_plain_validator_function(self.parse)


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number between two bounds, both included; `unit` is what it counts."""

    low: int = 0
    high: int | None = None
    unit: str = ""

    metavar: ClassVar[str] = "NUMBER"

    @property
    def allowed(self) -> str:
        """See Kind."""
        bounds = f"from {self.low} to {self.high}" if self.high is not None else f"from {self.low}"
        return f"a whole number {bounds}"

    def read(self, value: object) -> int:
        """See Kind."""
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        return _within(_integer(value), self.low, self.high)

    def show(self, value: int) -> str:
        """Return the number with its unit."""
        return f"{value} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Rate(Kind):
    """How often in a second: a number that may have a fraction; 0 stands for no limit."""

    high: float = 1e6

    metavar: ClassVar[str] = "NUMBER"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"a number from 0 to {self.high:.0f}, such as 50 or 0.5"

    def read(self, value: object) -> float:
        """See Kind."""
        if isinstance(value, str):
            if not _DECIMAL.fullmatch(value):
                raise ValueError
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        if not math.isfinite(value):
            raise ValueError
        return _within(float(value), 0.0, self.high)

    def show(self, value: float) -> str:
        """Return the number without needless digits."""
        return f"{value:.9f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Size(Kind):
    """A number of bytes; K, M, G and T are powers of 1024.

    With `power_of_two`, only 1, 2, 4, 8 and so on are taken.
    """

    low: int = 0
    high: int | None = None
    power_of_two: bool = False

    metavar: ClassVar[str] = "SIZE"

    @property
    def allowed(self) -> str:
        """See Kind."""
        bounds = f" of at least {self.show(self.low)}" if self.low else ""
        if self.high is not None:
            bounds = f" from {self.show(self.low)} to {self.show(self.high)}"
        if self.power_of_two:
            return f"a size{bounds} that is a power of two, such as 65536, 256K or 1M"
        return f"a size{bounds}, such as 65536, 64K, 512M or 4G"

    def read(self, value: object) -> int:
        """See Kind."""
        if isinstance(value, str):
            number, unit = _groups(_SIZE, value)
            value = int(number) * _SIZE_UNITS.get(unit.upper(), 1)
        size = _within(_integer(value), self.low, self.high)
        if self.power_of_two and size.bit_count() != 1:
            raise ValueError
        return size

    def show(self, value: int) -> str:
        """Return the size in the largest unit that divides it."""
        for letter, factor in _SIZE_UNITS.items():
            if value and value % factor == 0:
                return f"{value // factor}{letter}"
        return str(value)


@dataclass(frozen=True, slots=True)
class Duration(Kind):
    """A length of time in seconds, kept as a float."""

    low: float = 0.001
    high: float = 365 * 86400.0

    metavar: ClassVar[str] = "DURATION"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return (
            f"a duration from {self.show(self.low)} to {self.show(self.high)}, "
            "such as 1.5 (seconds), 250ms, 30s, 10m, 1h or 2d"
        )

    def read(self, value: object) -> float:
        """See Kind."""
        if isinstance(value, str):
            number, unit = _groups(_DURATION, value)
            value = float(number) * _DURATION_UNITS[(unit or "s").lower()]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        if not math.isfinite(value):
            raise ValueError
        return _within(float(value), self.low, self.high)

    def show(self, value: float) -> str:
        """Return the duration in the largest unit that leaves a whole number."""
        if value == 0:
            return "0s"
        for letter, factor in _DURATION_UNITS.items():
            count = round(value / factor, 6)
            if count >= 1 and count == int(count):
                return f"{int(count)}{letter}"
        return f"{value:g}s"


@dataclass(frozen=True, slots=True)
class Switch(Kind):
    """On or off."""

    metavar: ClassVar[str] = "on|off"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return "on or off"

    def read(self, value: object) -> bool:
        """See Kind."""
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        if word not in _SWITCH_WORDS:
            raise ValueError
        return _SWITCH_WORDS[word]

    def show(self, value: bool) -> str:
        """Return the word for the switch's position."""
        return "on" if value else "off"


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words, in any case; kept as declared."""

    words: tuple[str, ...]

    metavar: ClassVar[str] = "WORD"

    @property
    def allowed(self) -> str:
        """See Kind."""
        return f"one of {', '.join(self.words)}"

    def read(self, value: object) -> str:
        """See Kind."""
        same = {word.lower(): word for word in self.words}
        if not isinstance(value, str) or value.lower() not in same:
            raise ValueError
        return same[value.lower()]


def _groups(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError
    return match[1], match[2] or ""


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _within(value: Number, low: Number, high: Number | None) -> Number:
    if value < low or (high is not None and value > high):
        raise ValueError
    return value
