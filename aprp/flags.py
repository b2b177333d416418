"""Command-line flags made from the declarations of a settings class."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from settings.base import Settings
from settings.declare import Option, groups, options, suggestion
from settings.kinds import Switch
from settings.texts import Listed

_DESCRIPTION = "Serve byte ranges of media from an HTTP origin."

_EPILOG = (
    "The defaults above are those of {name}. Each option is also an environment variable: APRP_ "
    "and its name, such as APRP_LOG_MAX_BYTES=10M. An option wins over the environment, and the "
    "environment over the default. Lists have commas between their entries, or the option is "
    "repeated. Sizes: 512, 64K, 512M, 4G. Durations: 1.5 (seconds), 250ms, 30s, 10m, 1h, 2d."
)


class UsageError(Exception):
    """A command line that cannot be understood; the message is one line."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the flags say."""

    help: bool
    overrides: dict[str, str]
    """Text by name of the setting, as `settings.load` takes it."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing its usage and ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(message.removeprefix("argument "))


def chosen_settings(argv: Sequence[str]) -> str | None:
    """Return the value of `--settings`, which decides what other flags there are.

    Raises UsageError.
    """
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    known, _ = parser.parse_known_args(argv)
    name: str | None = known.settings
    if name == "":
        raise UsageError("--settings: expected one argument")
    return name


def parse(argv: Sequence[str], settings_class: type[Settings], prog: str) -> CommandLine:
    """Read the flags that a settings class declares.

    Raises UsageError.
    """
    parser = build_parser(settings_class, prog, "")
    known, rest = parser.parse_known_args(argv)
    if rest:
        hint = f"an origin is given as --upstream {rest[0]}" if "://" in rest[0] else ""
        raise UsageError(not_understood(rest, parser, prog, hint))
    return CommandLine(help=known.help, overrides=overrides(known, settings_class))


def overrides(known: argparse.Namespace, settings_class: type[Settings]) -> dict[str, str]:
    """Return what was given of the settings, as text by name, as `settings.load` takes it."""
    return {
        option.name: ",".join(value) if isinstance(value, list) else value
        for option in options(settings_class)
        if (value := getattr(known, option.name, None)) is not None
    }


def build_parser(settings_class: type[Settings], prog: str, settings_name: str) -> Parser:
    """Return a parser with a flag for each setting; its help shows their defaults."""
    parser = Parser(
        prog=prog,
        usage=f"{prog} [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(name=settings_name),
        formatter_class=partial(argparse.HelpFormatter, max_help_position=34),
        add_help=False,
        allow_abbrev=False,
    )
    program = parser.add_argument_group("Program")
    program.add_argument("-h", "--help", action="store_true", help="show this list and exit")
    program.add_argument("--version", action="store_true", help="show the version and exit")
    add_settings_flag(program)
    for title, members in groups(options(settings_class)).items():
        group = parser.add_argument_group(title)
        for option in members:
            _add(group, option, shown=True)
    return parser


def add_settings_flag(group: argparse._ArgumentGroup) -> None:
    """Add `--settings`, which names the class."""
    group.add_argument(
        "--settings",
        metavar="MODULE",
        help="settings class, as module or module:Class, also APRP_SETTINGS "
        "(default: settings.development)",
    )


def add_options(
    parser: Parser, group: argparse._ArgumentGroup, settings_class: type[Settings], *shown: str
) -> None:
    """Add every setting's flag to a parser that has flags of its own, which win.

    So the flags that the proxy was started with can be given to another command as they are; the
    help, under `group`, has only the settings that matter to it, which `shown` names.
    """
    taken = parser._option_string_actions
    for option in options(settings_class):
        if not any(flag in taken for flag in option.flags):
            _add(group, option, shown=option.name in shown)


def _add(group: argparse._ArgumentGroup, option: Option, *, shown: bool) -> None:
    # argparse takes % in a help text for a placeholder.
    text = f"{option.help} (default: {option.shown_default})".strip().replace("%", "%%")
    name = option.name
    if not shown:
        text = argparse.SUPPRESS
    if isinstance(option.kind, Switch):
        on, off = option.flags
        group.add_argument(on, dest=name, nargs="?", const="on", metavar="on|off", help=text)
        same = f"the same as {on} off" if shown else text
        group.add_argument(off, dest=name, action="store_const", const="off", help=same)
    elif isinstance(option.kind, Listed):
        group.add_argument(option.flag, dest=name, action="append", metavar="LIST", help=text)
    else:
        group.add_argument(option.flag, dest=name, metavar=option.kind.metavar, help=text)


def not_understood(rest: Sequence[str], parser: Parser, prog: str, hint: str = "") -> str:
    """Say in one line which argument is not understood, and what was probably meant.

    `hint` is for a first word that is no option.
    """
    known = [flag for action in parser._actions for flag in action.option_strings]
    for argument in rest:
        if argument.startswith("-") and argument != "-":
            flag = argument.partition("=")[0]
            near = suggestion(flag, known) or f"; {prog} --help lists all"
            return f"{flag}: no such option{near}"
    return f"{rest[0]}: {hint or f'unexpected argument; {prog} --help lists all options'}"
