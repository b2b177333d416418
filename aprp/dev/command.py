"""`aprp dev BIND BACKEND [options] --exec COMMAND ...`: its options, and what runs with them."""

import argparse
import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from aprp import flags
from aprp.dev.ignores import ConfigError
from aprp.dev.options import Options
from aprp.dev.patterns import BadPatternError
from aprp.dev.places import BadPlaceError, Place, parse_place
from aprp.dev.selection import Selection

OK: Final = 0

# Where servers of this machine may listen, by name.
_LOCAL: Final = frozenset({"", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})

_DESCRIPTION: Final = (
    "Start a development server, pass requests on to it, and start it anew when files change."
)
_USAGE: Final = "[options] BIND BACKEND --exec COMMAND ..."
_EPILOG: Final = """\
The working directory is watched. Patterns are relative to it: * stands for
anything in a name, **/ for any number of directories; without a slash a
pattern is for names in any directory. Not watched are what .gitignore files
name, version control, __pycache__, and what editors write beside a file.

COMMAND is all that follows --exec; no shell reads it. Its standard input is
empty. Ctrl+C ends it and everything it has started.

  aprp dev 8000 8001 --pattern 'src/**/*' --exclude 'src/**/test_*' \\
      --exec python manage.py runserver --noreload 8001
"""


def run(argv: Sequence[str], command: Sequence[str] | None, prog: str) -> int:
    """Run the development proxy until it is stopped and return the exit code.

    `command` is what followed --exec, None where that was not given. Raises UsageError.
    """
    parser = _parser(prog)
    known, rest = parser.parse_known_intermixed_args(argv)
    if known.help:
        print(parser.format_help(), end="")
        return OK
    if rest and command is None and known.exec is None and not rest[0].startswith("-"):
        raise flags.UsageError(f"{rest[0]}: --exec is missing: it comes before the command")
    if rest:
        raise flags.UsageError(flags.not_understood(rest, parser, prog))
    options = _options(known, command)

    # Only now: Tornado and the rest take their time, and `--help` needs none of it.
    from aprp.dev import running

    return running.run(options)


def _options(known: argparse.Namespace, command: Sequence[str] | None) -> Options:
    if known.exec is not None:
        raise flags.UsageError("--exec: a space comes after it, not =, and then the command")
    if known.bind is None and command:
        raise flags.UsageError("BIND and BACKEND are missing: they come before --exec")
    if known.bind is None or known.backend is None:
        missing = "BIND" if known.bind is None else "BACKEND"
        raise flags.UsageError(
            f"{missing} is missing: a port or host:port, as in aprp dev 8000 8001 --exec COMMAND"
        )
    if not command:
        raise flags.UsageError("--exec COMMAND ... is missing: what starts the backend")
    bind, backend = _place("BIND", known.bind), _place("BACKEND", known.backend)
    if backend.port == 0:
        raise flags.UsageError("BACKEND: 0 is not a port that can be connected to")
    backend = Place(backend.host or "localhost", backend.port)
    if bind.port == backend.port and (
        bind.host == backend.host or {bind.host, backend.host} <= _LOCAL
    ):
        raise flags.UsageError(f"BIND and BACKEND both have port {bind.port}: choose another")
    _check_program(command[0])
    return Options(
        bind,
        backend,
        command,
        _selection(known),
        _livereload(known, bind, backend),
        known.debug,
        _seconds(known.graceful),
        known.watcher == "watchman",
    )


def _livereload(known: argparse.Namespace, bind: Place, backend: Place) -> int | None:
    if not known.livereload:
        return None
    text = known.livereload_port
    port = int(text) if re.fullmatch("[0-9]{1,5}", text) else -1
    if not 0 <= port <= 65535:
        raise flags.UsageError(f"--livereload-port: {text!r} is not a port, a number up to 65535")
    if port and port in (bind.port, backend.port):
        name = "BIND" if port == bind.port else "BACKEND"
        raise flags.UsageError(f"--livereload-port and {name} are both {port}: choose another port")
    return port


def _place(name: str, text: str) -> Place:
    try:
        return parse_place(text)
    except BadPlaceError as error:
        raise flags.UsageError(f"{name}: {error}") from None


def _selection(known: argparse.Namespace) -> Selection:
    try:
        return Selection(Path.cwd(), known.pattern, known.exclude, known.default_ignores)
    except BadPatternError as error:
        raise flags.UsageError(f"--pattern or --exclude: {error}") from None
    except ConfigError as error:
        raise flags.UsageError(str(error)) from None


def _check_program(program: str) -> None:
    if shutil.which(program) is not None:
        return
    if Path(program).is_file():
        raise flags.UsageError(
            f"--exec: {program} may not be executed: chmod +x it, or name what runs it"
        )
    hint = "is it installed, and in PATH? (a virtual environment has to be active)"
    if " " in program:
        hint = "without quotes its words would be words, or name a shell: --exec sh -c '...'"
    raise flags.UsageError(f"--exec: {program}: no such program; {hint}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise flags.UsageError(f"--graceful: {text!r} is not a number of seconds from 0 to 3600")
    return seconds


def _parser(prog: str) -> flags.Parser:
    parser = flags.Parser(
        prog=prog,
        usage=f"{prog} {_USAGE}",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=28),
        add_help=False,
        allow_abbrev=False,
    )
    own = parser.add_argument_group("Arguments")
    # Their absence is told in words of our own.
    own.add_argument(
        "bind",
        metavar="BIND",
        nargs="?",
        help="where to listen: 8000 (on localhost), 0.0.0.0:8000, [::1]:8000, *:8000",
    )
    own.add_argument(
        "backend",
        metavar="BACKEND",
        nargs="?",
        help="where the server that is developed listens, likewise",
    )
    own.add_argument(
        "--exec", metavar="COMMAND ...", help="starts that server; takes all that follows"
    )
    watch = parser.add_argument_group("Watching")
    watch.add_argument(
        "--pattern",
        metavar="GLOB",
        action="append",
        default=[],
        help="files whose changes matter (default: all); may be repeated",
    )
    watch.add_argument(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="files and directories whose changes do not, whatever --pattern says; may be repeated",
    )
    watch.add_argument(
        "--no-default-ignores",
        dest="default_ignores",
        action="store_false",
        help="watch what .gitignore names, too, and .git, __pycache__, editors' files",
    )
    watch.add_argument(
        "--watcher",
        choices=("watchfiles", "watchman"),
        default="watchfiles",
        help="who watches: aprp itself (watchfiles), or Watchman where it is installed",
    )
    other = parser.add_argument_group("Other")
    other.add_argument(
        "--graceful",
        metavar="SECONDS",
        default="0",
        help="at a restart, send SIGTERM so long before SIGKILL (default: 0, kill at once)",
    )
    other.add_argument(
        "--no-livereload",
        dest="livereload",
        action="store_false",
        help="do not reload pages in the browser",
    )
    other.add_argument(
        "--livereload-port",
        metavar="PORT",
        default="35729",
        help="where browser extensions hear of changes (default: 35729, where they look)",
    )
    other.add_argument(
        "--debug", action="store_true", help="tell of each change, each process and each request"
    )
    other.add_argument("-h", "--help", action="store_true", help="show this list and exit")
    other.add_argument("--version", action="store_true", help="show the version and exit")
    return parser
