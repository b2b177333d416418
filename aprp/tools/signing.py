"""`aprp sign`: makes links that a proxy with SIGNED_URLS lets in, for a while."""

import argparse
import math
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aprp.flags import UsageError
from aprp.semantics.signing import sign, signed_query, take_claim
from aprp.tools.names import is_url, object_of, target_of
from aprp.tools.running import Command
from aprp.tools.screen import Screen
from settings.kinds import Duration, RefusedError

if TYPE_CHECKING:
    from settings.base import Settings

_LIFETIME: Final = Duration(low=1.0)
_LATEST: Final = 10**12 - 1
_is_unix_time: Final = re.compile(r"[0-9]{1,12}", re.ASCII).fullmatch
_TIME: Final = "such as 2030-01-31T18:00Z, 2030-01-31 (this machine's time zone) or Unix seconds"


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what `sign` takes."""
    group.add_argument(
        "urls",
        nargs="*",
        metavar="URL",
        help="a URL of the proxy, or a path such as /film.mp4; what is signed is the path, so "
        "that the link holds for any range of the file",
    )
    group.add_argument(
        "--for",
        dest="lifetime",
        type=_lifetime,
        metavar="DURATION",
        help="how long the link is valid, such as 90 (seconds), 10m, 1h or 2d",
    )
    group.add_argument(
        "--until",
        type=_time,
        metavar="TIME",
        help=f"when the link ends instead, {_TIME}",
    )


def run(settings: "Settings", given: Any) -> bool:
    """Print a link for each URL; True. Raises UsageError."""
    if not settings.SIGNING_KEY:
        raise UsageError(
            "SIGNING_KEY: not set: give the key that the proxy has, best in the environment as "
            "APRP_SIGNING_KEY"
        )
    if not given.urls:
        raise UsageError("no URL is given: as in aprp sign http://localhost:8000/film.mp4 --for 1h")
    expires = _expires(given, time.time())
    links = [link(settings, word, expires) for word in given.urls]
    screen = Screen()
    for each in links:
        screen.result(each)
    return True


def link(settings: "Settings", word: str, expires: int) -> str:
    """Give a URL or path with its signature, which is valid until `expires`, in Unix seconds.

    A signature that it has already is replaced. Raises UsageError.
    """
    target = target_of(word)
    path, _, query = target.partition("?")
    signature = sign(object_of(settings, word).partition("?")[0], expires, settings.SIGNING_KEY)
    signed = f"{path}?{signed_query(take_claim(query)[0], expires, signature)}"
    if not is_url(word):
        return signed
    parts = urlsplit(word)
    return f"{parts.scheme}://{parts.netloc}{signed}"


COMMAND: Final = Command(
    "URL... --for DURATION | --until TIME [options]",
    "make links for a proxy with SIGNED_URLS",
    "Make links that a proxy with SIGNED_URLS=on lets in until they expire, a line for each. The "
    "path is signed; the host and the rest of the query are not.",
    ("SIGNING_KEY", "RANGE_PARAM", "RANGE_PATH"),
    add_arguments,
    run,
    "All options of aprp serve are understood, and the environment variables. SIGNING_KEY, "
    "RANGE_PARAM and RANGE_PATH have to be those of the proxy, or it refuses the links. Give the "
    "key as APRP_SIGNING_KEY or in a settings class: others on this machine can see flags.",
)


def _expires(given: Any, now: float) -> int:
    until: int | None = given.until
    if (given.lifetime is None) == (until is None):
        what = "neither is given" if until is None else "both are given"
        raise UsageError(f"--for DURATION or --until TIME says how long a link is valid: {what}")
    if until is None:
        lifetime: float = given.lifetime
        return math.ceil(now + lifetime)
    if until <= now:
        when = datetime.fromtimestamp(until, UTC).isoformat(" ").replace("+00:00", " UTC")
        raise UsageError(f"--until: {when} is over already")
    return until


def _lifetime(text: str) -> float:
    try:
        seconds: float = _LIFETIME.parse(text)
    except RefusedError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return seconds


def _time(text: str) -> int:
    """Read a time; without a zone it is this machine's."""
    if _is_unix_time(text):
        return int(text)
    try:
        seconds = datetime.fromisoformat(text.strip()).timestamp()
        if 0 <= seconds <= _LATEST:
            return int(seconds)
    except (ValueError, OverflowError, OSError):
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a time {_TIME}")
