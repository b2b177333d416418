"""What walks through media files share: how they ask for bytes, and what they found."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from aprp.semantics.ranges import Span

Result = TypeVar("Result")

Walk: TypeAlias = Generator[Span, bytes, Result]
"""Yields the place of bytes, never an empty one or one beyond the file, and is sent all of them."""


@dataclass(slots=True)
class Places:
    """What a walk has found so far."""

    index: Span | None = None
    trailer: Span | None = None
