"""`aprp cache warm`: has the running proxy fetch files, so that the first player finds them."""

import argparse
import asyncio
import math
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from tornado.httpclient import AsyncHTTPClient

from aprp.flags import UsageError
from aprp.pages.sizes import size_text
from aprp.tools import interruptible
from aprp.tools.fetching import Fetched, FetchFailed, fetch
from aprp.tools.names import is_url, target_of
from aprp.tools.screen import Screen
from aprp.tools.signing import link
from aprp.tools.texts import count_text
from aprp.upstream.client import OriginClient
from aprp.upstream.origins import Origin

if TYPE_CHECKING:
    from settings.base import Settings

_EVERY_INTERFACE: Final = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}
# Seconds; looked at when the proxy begins to answer.
_VALID: Final = 3600.0
_MOST_JOBS: Final = 64
_LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True)
class File:
    """A file to fetch: `word` is how the user named it."""

    word: str
    proxy: Origin
    target: str


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what `warm` takes."""
    group.add_argument(
        "urls", nargs="*", metavar="URL", help="a URL of the proxy, or a path such as /film.mp4"
    )
    group.add_argument(
        "--proxy",
        metavar="URL",
        help="where the proxy is, for paths (default: http://localhost and PORT)",
    )
    group.add_argument(
        "--jobs", type=_jobs, default=2, metavar="N", help="files at once (default: 2)"
    )


def run(settings: "Settings", given: Any) -> bool:
    """Fetch each file; True if all were fetched. Raises UsageError."""
    if not given.urls:
        raise UsageError("no URL is given: as in aprp cache warm /film.mp4")
    tls = ssl.create_default_context()
    proxy = given.proxy or own_proxy(settings)
    files = [_file(word, proxy, tls) for word in dict.fromkeys(given.urls)]
    sign = partial(_signed, settings) if settings.SIGNED_URLS else None
    return interruptible.run(_warm(files, given.jobs, sign))


def own_proxy(settings: "Settings") -> str:
    """Give the URL at which a proxy with these settings listens. Raises UsageError."""
    if settings.PORT == 0:
        raise UsageError("PORT is 0, which is any free one: say where the proxy is with --proxy")
    host = _EVERY_INTERFACE.get(settings.ADDRESS, settings.ADDRESS)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:5]) <= _MOST_JOBS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MOST_JOBS}")
    return int(text)


def _file(word: str, proxy: str, tls: ssl.SSLContext) -> File:
    target = target_of(word)
    if is_url(word):
        parts = urlsplit(word)
        return File(word, _origin(f"{parts.scheme}://{parts.netloc}", tls), target)
    return File(word, _origin(proxy, tls), target)


def _origin(url: str, tls: ssl.SSLContext) -> Origin:
    """The proxy at a URL."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if not right or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("such as http://localhost:8000")
    except ValueError as error:
        raise UsageError(f"{url}: not the URL of a proxy: {error}") from None
    return Origin.parse(url, tls)


def _signed(settings: "Settings", target: str) -> str:
    """Give a target with a signature that holds for a proxy with these settings, from now on."""
    return link(settings, target, math.ceil(time.time() + _VALID))


async def _warm(files: Sequence[File], jobs: int, sign: Callable[[str], str] | None) -> bool:
    client = OriginClient(force_instance=True, max_clients=jobs, unlimited_body=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    try:
        with Screen(*columns) as screen:
            tally = _Tally(screen, len(files))
            queue = iter(files)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(jobs, len(files))):
                    group.create_task(_work(client, queue, tally, sign))
    finally:
        client.close()
    print(tally.summary(time.monotonic() - started))
    return tally.failed == 0


async def _work(
    client: AsyncHTTPClient,
    queue: Iterator[File],
    tally: "_Tally",
    sign: Callable[[str], str] | None,
) -> None:
    """Fetch one file after another, as long as there are any."""
    for file in queue:
        bar = _Bar(tally, file.word)
        target = file.target if sign is None else sign(file.target)
        try:
            fetched = await fetch(client, file.proxy, target, bar)
        except FetchFailed as error:
            tally.failure(file.word, str(error))
        else:
            tally.success(file.word, fetched)
        finally:
            bar.close()


class _Tally:
    """What has become of the files; its own bar is over all of them."""

    def __init__(self, screen: Screen, files: int) -> None:
        self.screen = screen
        self.files = files
        self.done = self.failed = self.bytes = 0
        self._task = screen.progress.add_task(self._text(), total=None, visible=files > 1)

    def received(self, count: int) -> None:
        """Bytes have come for one of them."""
        self.bytes += count
        self.screen.progress.advance(self._task, count)

    def success(self, word: str, fetched: Fetched) -> None:
        """A file was fetched."""
        speed = size_text(fetched.bytes / max(fetched.seconds, 1e-6))
        self.screen.result(f"{word}  {size_text(fetched.bytes)}  {speed}/s")
        if not fetched.stored:
            why = f"the proxy does not store it: {fetched.status}"
            self.screen.complaint(f"{word}: fetched, but {why}")
        self._one_more()

    def failure(self, word: str, why: str) -> None:
        """A file was not fetched."""
        self.failed += 1
        self.screen.complaint(f"{word}: {why}")
        self._one_more()

    def _one_more(self) -> None:
        self.done += 1
        self.screen.progress.update(self._task, description=self._text())

    def _text(self) -> str:
        return f"{self.done} of {self.files} files"

    def summary(self, seconds: float) -> str:
        """One line on everything."""
        speed = size_text(self.bytes / max(seconds, 1e-6))
        told = f"{count_text(self.files - self.failed, 'file')} fetched"
        told += f", {size_text(self.bytes)} in {seconds:.1f} s ({speed}/s)"
        return told + (f", {self.failed:,} failed" if self.failed else "")


class _Bar:
    """The bar of one file, from the moment its bytes begin to come."""

    def __init__(self, tally: _Tally, name: str) -> None:
        self._tally = tally
        self._progress = tally.screen.progress
        self._name = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
        self._task: TaskID | None = None

    def begun(self, total: int | None) -> None:
        """See Watcher."""
        self._task = self._progress.add_task(self._name, total=total)

    def received(self, count: int) -> None:
        """See Watcher."""
        assert self._task is not None
        self._progress.advance(self._task, count)
        self._tally.received(count)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._task is not None:
            self._progress.remove_task(self._task)
