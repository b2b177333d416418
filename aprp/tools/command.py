"""`aprp cache COMMAND`: which command of those that deal with the cache.

Exit codes are those of `aprp.tools.running`. 1: a fetch failed, nothing was stored under a name, a
slice was damaged.
"""

import sys
from collections.abc import Sequence
from typing import Final

from aprp import flags
from aprp.tools import checking, listing, purging, warming
from aprp.tools.running import CANNOT, OK, Command, run_command
from settings.declare import suggestion

_EPILOG: Final = (
    "All options of aprp serve are understood, and the environment variables. Give the same ones "
    "to both, or they mean different caches."
)

COMMANDS: Final[dict[str, Command]] = {
    "ls": Command(
        "[PREFIX] [options]",
        "list what is stored",
        "List the stored responses: size, part present, freshness, last use.",
        ("CACHE_DIR", "UPSTREAM", "ROUTES"),
        listing.add_arguments,
        listing.run,
        _EPILOG,
    ),
    "warm": Command(
        "URL... [options]",
        "fetch files through the running proxy, so that they are stored",
        "Fetch files through the running proxy, so that they are stored. Exit code 1 if any "
        "failed.",
        ("PORT", "ADDRESS", "SIGNED_URLS", "SIGNING_KEY"),
        warming.add_arguments,
        warming.run,
        _EPILOG,
    ),
    "purge": Command(
        "URL... | --prefix PREFIX | --all [options]",
        "remove what is stored under a URL or a prefix, or everything",
        "Remove stored responses; the proxy may be running. Exit code 1 if there were none under "
        "a name.",
        ("CACHE_DIR", "UPSTREAM", "ROUTES", "CACHE_KEY_IGNORE", "RANGE_PARAM", "RANGE_PATH"),
        purging.add_arguments,
        purging.run,
        _EPILOG,
    ),
    "check": Command(
        "[options]",
        "verify all checksums and drop what is damaged",
        "Verify the checksum of every slice, drop what is damaged or belongs to nothing; the "
        "proxy may be running. Exit code 1 if anything was wrong; it has been put right then.",
        ("CACHE_DIR",),
        checking.add_arguments,
        checking.run,
        _EPILOG,
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
    return run_command(COMMANDS[name], rest, f"{prog} {name}")


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
