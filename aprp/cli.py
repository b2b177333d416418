"""The command line: `aprp COMMAND ARGS`, and `python runserver.py ARGS` for `aprp serve ARGS`.

Exit codes: 0 after a stop that was asked for, 2 for a start that is not possible as it was asked
for (one line on the standard error for each cause), 130 for an interrupt before the start. Those
of `aprp cache` and `aprp sign` are in `aprp.tools.running`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aprp import __version__

OK = 0
CANNOT_START = 2
INTERRUPTED = 130

REQUIRED = frozenset(
    {
        "httptools",
        "pathspec",
        "pydantic",
        "pydantic_settings",
        "rich",
        "tornado",
        "watchfiles",
        "xxhash",
    }
)
"""Modules of other projects without which nothing runs."""


def main(argv: list[str] | None = None) -> int:
    """Run the command that the arguments name and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments:
        print(_overview(), file=sys.stderr)
        return CANNOT_START
    name, *rest = arguments
    if name in ("-h", "--help", "help"):
        print(_overview())
        return OK
    if name == "--version":
        return _print_version()
    if name not in COMMANDS:
        return _complain(_unknown_command(name))
    return COMMANDS[name](rest, f"aprp {name}")


def serve(argv: Sequence[str], prog: str) -> int:
    """Run the proxy until it is stopped and return the exit code.

    `prog` is the command as the user typed it, for `--help`.
    """
    return _guarded(_serve, argv, prog)


def cache(argv: Sequence[str], prog: str) -> int:
    """Run a command of `aprp cache` and return its exit code."""
    return _guarded(_cache, argv, prog)


def sign(argv: Sequence[str], prog: str) -> int:
    """Make signed links and return the exit code."""
    return _guarded(_sign, argv, prog)


def dev(argv: Sequence[str], prog: str) -> int:
    """Run the development proxy until it is stopped and return the exit code."""
    # What follows --exec is for another program.
    end = argv.index("--exec") if "--exec" in argv else None
    command = None if end is None else argv[end + 1 :]

    def run(own: Sequence[str], prog: str) -> int:
        from aprp.dev import command as dev_command

        return dev_command.run(own, command, prog)

    return _guarded(run, argv[:end], prog)


def _guarded(command: Callable[[Sequence[str], str], int], argv: Sequence[str], prog: str) -> int:
    """Run a command; what stops it becomes a line and an exit code."""
    # Imported here: an interrupt during the imports shall end quietly too.
    try:
        _import_settings()
        from aprp import flags
        from settings import SettingsError

        if "--version" in argv:
            return _print_version()
        try:
            return command(argv, prog)
        except flags.UsageError as error:
            return _complain(str(error))
        except SettingsError as error:
            return _complain(*error.lines)
    except ModuleNotFoundError as error:
        if error.name not in REQUIRED:
            raise
        return _complain(f"{error.name} is not installed: pip install -r requirements.txt")
    except KeyboardInterrupt:
        return INTERRUPTED


def _import_settings() -> None:
    """Import the package `settings` that is beside this one.

    With `python -m aprp`, or PYTHONPATH=., modules of the working directory come first, and many a
    project has a `settings` of its own.
    """
    here = str(Path(__file__).resolve().parents[1])
    sys.path.insert(0, here)
    try:
        import settings  # noqa: F401 - for sys.modules
    finally:
        sys.path.remove(here)


def _serve(argv: Sequence[str], prog: str) -> int:
    import settings
    from aprp import flags

    name = flags.chosen_settings(argv) or os.environ.get("APRP_SETTINGS")
    name = name or settings.DEFAULT_SETTINGS
    settings_class = settings.import_settings(name)
    line = flags.parse(argv, settings_class, prog)
    if line.help:
        print(flags.build_parser(settings_class, prog, name).format_help(), end="")
        return OK
    for warning in settings.unknown_variables(settings_class, os.environ):
        print(f"aprp: warning: {warning}", file=sys.stderr)
    loaded = settings.load(name, os.environ, line.overrides)

    # Only now: Tornado and the rest take their time, and `--help` needs none of it.
    from aprp import app

    try:
        return app.start_proxy(app.make_app(loaded))
    except app.StartError as error:
        return _complain(str(error))


def _cache(argv: Sequence[str], prog: str) -> int:
    from aprp.tools import command

    return command.run(argv, prog)


def _sign(argv: Sequence[str], prog: str) -> int:
    from aprp.tools import running, signing

    return running.run_command(signing.COMMAND, argv, prog)


def _overview() -> str:
    return (
        "usage: aprp COMMAND [options]\n\n"
        "commands:\n"
        "  serve    run the proxy\n"
        "  dev      run a server that is being developed behind a proxy, restart it on changes\n"
        "  cache    list, fill, empty and check the cache\n"
        "  sign     make links for a proxy with SIGNED_URLS\n\n"
        "aprp COMMAND --help lists a command's options; aprp --version shows the version."
    )


def _unknown_command(name: str) -> str:
    if name.startswith("-"):
        return f"{name}: a command comes first, as in aprp serve {name}"
    from settings.declare import suggestion

    return f"{name}: no such command{suggestion(name, COMMANDS) or '; aprp --help lists them'}"


def _print_version() -> int:
    print(f"aprp {__version__}")
    return OK


def _complain(*lines: str) -> int:
    for line in lines:
        print(f"aprp: {line}", file=sys.stderr)
    return CANNOT_START


COMMANDS: dict[str, Callable[[Sequence[str], str], int]] = {
    "serve": serve,
    "dev": dev,
    "cache": cache,
    "sign": sign,
}
