"""The house: which part of the program may import which. A map of it is in docs/architecture.md."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the roof to the ground. A room, that is a module or package directly under aprp, imports
# itself and rooms of lower floors, never one beside it. A new room needs its place here.
FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "__main__",
        "cli healthcheck",
        "flags app",
        "serving workers",
        "server",
        "application",
        "handlers",
        "media",
        "upstream",
        "stats logs",
        "semantics",
    )
)
HEIGHT = {room: -depth for depth, floor in enumerate(FLOORS) for room in floor}
READERS_OF_SETTINGS = frozenset({"cli", "flags", "healthcheck"})
CLOSED_TO_THE_GROUND_FLOOR = frozenset({"asyncio", "os", "settings", "time", "tornado"})


@dataclass(frozen=True)
class Import:
    """`importer` needs `imported`; both are dotted names of modules, or of what is in them."""

    importer: str
    imported: str
    line: int
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def imports_of(source: str, module: str, is_package: bool = False) -> list[Import]:
    """Every import in a module's source, wherever it stands."""
    return list(_walk(ast.parse(source), module, is_package, typing_only=False))


def _walk(node: ast.AST, module: str, is_package: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, alias.name, child.lineno, typing_only)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                up = module.split(".")[: None if is_package and child.level == 1 else _cut(child, is_package)]
                base = ".".join([*up, *filter(None, [child.module])])
            for alias in child.names:
                yield Import(module, f"{base}.{alias.name}", child.lineno, typing_only)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield from _walk(ast.Module([statement], []), module, is_package, True)
            for statement in child.orelse:
                yield from _walk(ast.Module([statement], []), module, is_package, typing_only)
        else:
            yield from _walk(child, module, is_package, typing_only)
