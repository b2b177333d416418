"""A command with settings: its options, its help, and how it ends.

Settings come from where `aprp serve` has them: class, environment, flags. Exit codes: 0 all is
well; 1 the command did its work and something was not as it should be; 2 it could not be done as
it was asked for; 130 it was interrupted.
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

if TYPE_CHECKING:
    from settings.base import Settings

OK: Final = 0
NOT_AS_IT_SHOULD_BE: Final = 1
CANNOT: Final = 2


@dataclass(frozen=True, slots=True)
class Command:
    """What a command is called with, and what it does."""

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
    epilog: str
    """What its help ends with."""


def run_command(command: Command, argv: Sequence[str], prog: str) -> int:
    """Run a command and return its exit code.

    `prog` is what the user typed before the arguments. Raises UsageError and SettingsError.
    """
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
        epilog=command.epilog,
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
