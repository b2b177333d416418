"""`aprp cache COMMAND`: which command, with which options and settings.

Settings come from where `aprp serve` has them: class, environment, flags. Exit codes: 0 all is
well; 1 the command did its work and something was not as it should be (a fetch failed, nothing was
stored under a name, a slice was damaged); 2 it could not be done as it was asked for; 130 it was
interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import settings
from aprp import flags
from aprp.tools import checking, listing, purging, warming
from settings.declare import suggestion

if TYPE_CHECKING:
    from settings.base import Settings

OK: Final = 0
NOT_AS_IT_SHOULD_BE: Final = 1
CANNOT: Final = 2

_EPILOG = (
    "All options of aprp serve are understood, and the environment variables. Give the same ones "
    "to both, or they mean different caches."
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `aprp cache`."""

    usage: str
    """What follows its name."""
    summary: str
    description: str
    settings: tuple[str, ...]
    """The settings that matter to it, for its help."""
    add: Callable[[argparse._ArgumentGroup], None]
    """Adds its own arguments."""
    run: "Callable[[Settings, Any], bool]"
    """Does it, with what was given; False if something was not as it should be.

    Raises UsageError for what cannot be done.
    """


COMMANDS: Final[dict[str, Command]] = {
    "ls": Command(
        "[PREFIX] [options]",
        "list what is stored",
        "List the stored responses: size, part present, freshness, last use.",
        ("CACHE_DIR",),
        listing.add_arguments,
        listing.run,
    ),
    "warm": Command(
        "URL... [options]",
        "fetch files through the running proxy, so that they are stored",
        "Fetch files through the running proxy, so that they are stored. Exit code 1 if any "
        "failed.",
        ("PORT", "ADDRESS"),
        warming.add_arguments,
        warming.run,
    ),
    "purge": Command(
        "URL... | --prefix PREFIX | --all [options]",
        "remove what is stored under a URL or a prefix, or everything",
        "Remove stored responses; the proxy may be running. Exit code 1 if there were none under "
        "a name.",
        ("CACHE_DIR", "UPSTREAM", "CACHE_KEY_IGNORE", "RANGE_PARAM", "RANGE_PATH"),
        purging.add_arguments,
        purging.run,
    ),
    "check": Command(
        "[options]",
        "verify all checksums and drop what is damaged",
        "Verify the checksum of every slice, drop what is damaged or belongs to nothing; the "
        "proxy may be running. Exit code 1 if anything was wrong; it has been put right then.",
        ("CACHE_DIR",),
        checking.add_arguments,
        checking.run,
    ),
}


def run(argv: Sequence[str], prog: str) -> int:
    """Run the command that the arguments name and return its exit code.

    `prog` is what the user typed before them. Raises UsageError and SettingsError.
    """
    if not argv:
        print(_overview(prog), file=sys.stderr)
        return CANNOT
    name, *rest = argv
    if name in ("-h", "--help", "help"):
        print(_overview(prog))
        return OK
    if name not in COMMANDS:
        if name.startswith("-"):
            raise flags.UsageError(f"{name}: a command comes first, as in {prog} ls {name}")
        hint = suggestion(name, COMMANDS) or f"; {prog} --help lists them"
        raise flags.UsageError(f"{name}: no such command of {prog}{hint}")
    return _run(COMMANDS[name], rest, f"{prog} {name}")


def _run(command: Command, argv: Sequence[str], prog: str) -> int:
    name = flags.chosen_settings(argv) or os.environ.get("APRP_SETTINGS")
    name = name or settings.DEFAULT_SETTINGS
    settings_class = settings.import_settings(name)
    parser = _parser(command, prog, settings_class)
    # URLs may stand between options.
    known, rest = parser.parse_known_intermixed_args(argv)
    if known.help:
        print(parser.format_help(), end="")
        return OK
    if rest:
        raise flags.UsageError(flags.not_understood(rest, parser, prog))
    for warning in settings.unknown_variables(settings_class, os.environ):
        print(f"aprp: warning: {warning}", file=sys.stderr)
    loaded = settings.load(name, os.environ, flags.overrides(known, settings_class))
    try:
        return OK if command.run(loaded, known) else NOT_AS_IT_SHOULD_BE
    except BrokenPipeError:
        # Whoever read the list has seen enough. The interpreter would flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _parser(command: Command, prog: str, settings_class: "type[Settings]") -> flags.Parser:
    parser = flags.Parser(
        prog=prog,
        usage=f"{prog} {command.usage}",
        description=command.description,
        epilog=_EPILOG,
        formatter_class=partial(argparse.HelpFormatter, max_help_position=34),
        add_help=False,
        allow_abbrev=False,
    )
    own = parser.add_argument_group("Arguments")
    command.add(own)
    own.add_argument("-h", "--help", action="store_true", help="show this list and exit")
    group = parser.add_argument_group("Settings")
    flags.add_settings_flag(group)
    flags.add_options(parser, group, settings_class, *command.settings)
    return parser


def _overview(prog: str) -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            f"usage: {prog} COMMAND [options]\n\ncommands:",
            *lines,
            f"\n{prog} COMMAND --help lists a command's options.",
        )
    )
