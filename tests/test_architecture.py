"""The house: which part of the program may import which."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the roof to the ground. A room is a module or package directly under aprp; it imports
# itself and rooms of lower floors, never one beside it. A new room needs its place here.
FLOORS = (
    "__main__",
    "cli healthcheck",
    "tools dev",
    "flags app",
    "serving",
    "workers",
    "application",
    "handlers",
    "live",
    "sites",
    "files front media tunnel",
    "cache",
    "upstream",
    "stats logs tracing",
    "pages",
    "semantics",
)
HEIGHT = {room: -depth for depth, floor in enumerate(FLOORS) for room in floor.split()}
READ_SETTINGS = {"cli", "dev", "flags", "healthcheck", "tools"}
NOT_ON_THE_GROUND_FLOOR = {"asyncio", "os", "settings", "time", "tornado"}


@dataclass(frozen=True)
class Import:
    """`importer` needs `imported`: a module, or a name in it. `idle`: for type checking alone."""

    importer: str
    imported: str
    line: int
    idle: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def imports_of(source: str, module: str) -> list[Import]:
    """Every import in a module, also those inside functions."""

    def walk(node: ast.AST, idle: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, idle)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Import(module, f"{base}.{alias.name}", node.lineno, idle)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.body:
                yield from walk(statement, True)
            for statement in node.orelse:
                yield from walk(statement, idle)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, idle)

    return list(walk(ast.parse(source), False))


def room_of(name: str) -> str | None:
    """The room under aprp that a dotted name lies in; None for anything else."""
    match name.split("."):
        case ["aprp", room, *_] if room in HEIGHT:
            return room
    return None


def climbs(room: str | None, other: str | None) -> bool:
    """Whether `other` is beside or above `room`."""
    return (
        room is not None and other is not None and room != other and (HEIGHT[other] >= HEIGHT[room])
    )


def wrong(imports: list[Import]) -> list[str]:
    """What the plan of the house forbids."""
    found = []
    for each in imports:
        room = room_of(each.importer)
        top = each.imported.partition(".")[0]
        if not top:
            found.append(f"{each}: relative imports hide the floor")
        elif room == "semantics" and top in NOT_ON_THE_GROUND_FLOOR:
            found.append(f"{each}: the ground floor does no I/O and reads no clock")
        elif top == "settings" and not each.idle and room not in READ_SETTINGS:
            found.append(f"{each}: settings are handed in")
        # What is named for type checking alone does not run: a caller from above may hand itself
        # in. The ground floor has no callers to know.
        elif climbs(room, room_of(each.imported)) and (room == "semantics" or not each.idle):
            found.append(f"{each}: imports run downwards only")
    return found


def module_name(path: Path) -> str:
    """The dotted name of a module of the project by its file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted((ROOT / "aprp").rglob("*.py"))}
IMPORTS = [
    each for name, path in MODULES.items() for each in imports_of(path.read_text("utf-8"), name)
]


def test_every_room_has_its_floor() -> None:
    rooms = {name.split(".")[1] for name in MODULES if name != "aprp"}
    assert rooms - HEIGHT.keys() == set(), "give the room its place in FLOORS"
    assert HEIGHT.keys() - rooms == set(), "a room in FLOORS that is not there"


def test_imports_keep_to_the_plan() -> None:
    assert IMPORTS
    assert wrong(IMPORTS) == []


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    assert [str(each) for each in IMPORTS if each.importer == "aprp"] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    needs: dict[str, set[str]] = {name: set() for name in MODULES}
    for each in IMPORTS:
        parent = each.imported.rpartition(".")[0]
        target = each.imported if each.imported in MODULES else parent
        if target in MODULES and not each.idle:
            needs[each.importer].add(target)
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
    assert len(order) == len(MODULES)


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("aprp.semantics.dates", "import time", "does no I/O"),
        ("aprp.semantics.dates", "from os import path", "does no I/O"),
        ("aprp.semantics.dates", "def f():\n    import asyncio.events", "does no I/O"),
        ("aprp.semantics.dates", "from tornado.httputil import HTTPHeaders", "does no I/O"),
        ("aprp.semantics.ranges.model", "from aprp import stats", "downwards only"),
        ("aprp.semantics.a", "if TYPE_CHECKING:\n    import aprp.media", "downwards only"),
        ("aprp.semantics.a", "if t.TYPE_CHECKING:\n    import os", "does no I/O"),
        ("aprp.semantics.a", "from .headers import Fields", "relative"),
        ("aprp.upstream.pool", "from aprp.media import fields", "downwards only"),
        ("aprp.upstream.pool", "import aprp.handlers.media", "downwards only"),
        ("aprp.media.a", "if TYPE_CHECKING:\n    x\nelse:\n    import aprp.app", "downwards only"),
        ("aprp.stats.counters", "from aprp import logs", "downwards only"),
        ("aprp.handlers.media", "class A:\n    from settings import base", "handed in"),
        ("aprp.app", "import settings.production", "handed in"),
    ],
)
def test_a_breach_is_seen(module: str, source: str, complaint: str) -> None:
    found = wrong(imports_of(source, module))
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("aprp.semantics.dates", "import re, datetime\nfrom aprp.semantics.ranges import Span"),
        ("aprp.upstream.pool", "import os, time, asyncio\nfrom tornado import gen"),
        ("aprp.upstream.pool", "from aprp.upstream.dial import dial\nfrom aprp import stats, logs"),
        ("aprp.handlers.a", "if TYPE_CHECKING:\n    from aprp.application import Application"),
        ("aprp.app", "from aprp import __version__\nif TYPE_CHECKING:\n    import settings.base"),
        ("aprp.cli", "import settings"),
        ("aprp.__main__", "from aprp.cli import main"),
    ],
)
def test_what_is_allowed(module: str, source: str) -> None:
    assert wrong(imports_of(source, module)) == []
