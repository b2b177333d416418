"""The programs that are compared, and how each is started: one process or worker, access log on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.peers import nginx, varnish
from benchmarks.scenarios import MIB, Kind

ROOT = Path(__file__).resolve().parent.parent.parent
# Room enough for all that a turn stores. On a disk slower than loopback aprp would by default pass
# on without storing, which no other cache here does: it may have all of it unwritten, as they may.
CACHE_FLAGS = ("--cache-size", "8G", "--dirty-limit", "8G")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one proxy of a run works: its port, the origin's port, two directories of its own.

    `directory` is in memory where possible; `disk` is on the disk that holds the caches.
    """

    port: int
    origin_port: int
    directory: Path
    disk: Path

    @property
    def origin(self) -> str:
        """The origin's URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.origin_port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program to compare; `command` writes what it needs into the place and returns argv.

    `program` is looked for on the PATH and in /usr/sbin. A peer that `caches` is measured with hits
    and misses, any other with passing through. `slice_size` is the smallest range in bytes that it
    fetches in a miss, None where it fetches a whole object. One that `uploads` is measured with
    bodies of requests. `aside` is part of the command line of
    processes that come and go beside it and do nothing for a request.
    """

    name: str
    title: str
    command: Callable[[Place], list[str]]
    program: str = sys.executable
    package: str = ""
    caches: bool = False
    slice_size: int | None = None
    aside: str = ""
    uploads: bool = False

    def works(self, kind: Kind) -> bool:
        """Whether it does this kind of work."""
        if kind == "upload":
            return self.uploads
        return self.caches == (kind != "pass")

    def missing(self) -> str | None:
        """What to do before it can be started; None: nothing."""
        if find(self.program) is not None:
            return None
        return f"{self.program} is not installed (apt install {self.package})"


def find(program: str) -> str | None:
    """The path of a program; daemons are in a directory that is not on everybody's PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def find_nginx() -> str:
    """The path of nginx; raises BenchError where it is not installed."""
    path = find("nginx")
    if path is None:
        raise BenchError(
            "nginx is not installed: it is the origin of every run (apt install nginx)"
        )
    return path


def _aprp(place: Place, cache: list[str], profile: Path | None) -> list[str]:
    profiler = [] if profile is None else ["-m", "benchmarks.profiled", str(profile)]
    return [
        sys.executable,
        *profiler,
        *("runserver.py", "--settings", "settings.production"),
        *("--upstream", place.origin, "--address", "127.0.0.1", "--port", str(place.port)),
        *("--workers", "1", "--log-file", str(place.directory / "access.log"), *cache),
    ]


def aprp_command(place: Place, profile: Path | None = None) -> list[str]:
    """aprp with production settings and without a cache.

    With `profile`, under `benchmarks.profiled`, which writes that file.
    """
    return _aprp(place, ["--cache-size", "0"], profile)


def aprp_cache_command(place: Place, profile: Path | None = None) -> list[str]:
    """aprp with production settings and its cache; `profile` as in `aprp_command`."""
    return _aprp(place, ["--cache-dir", str(place.disk / "cache"), *CACHE_FLAGS], profile)


def _nginx_command(place: Place, more: Iterable[str], outside: Iterable[str] = ()) -> list[str]:
    config = place.directory / "nginx.conf"
    config.write_text(
        nginx.proxy_config(place.directory, place.port, place.origin_port, more, outside)
    )
    return [find_nginx(), "-c", str(config)]


def _nginx_plain(place: Place) -> list[str]:
    return _nginx_command(place, ())


def _nginx_large(place: Place) -> list[str]:
    return _nginx_command(place, nginx.LARGE_BUFFERS)


def _nginx_cache(place: Place) -> list[str]:
    return _nginx_command(place, nginx.cache_lines(), nginx.cache_zone(place.disk / "cache"))


def _varnish(place: Place) -> list[str]:
    program = find("varnishd")
    if program is None:
        raise BenchError("varnishd is not installed (apt install varnish)")
    return varnish.command(program, place.directory, place.port, place.origin_port)


def _python_peer(module: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        log = place.directory / "access.log"
        where = ["--port", str(place.port), "--upstream", place.origin, "--log-file", str(log)]
        return [sys.executable, "-m", f"benchmarks.peers.{module}", *where]

    return command


APRP = Peer("aprp", "aprp without its cache", aprp_command, uploads=True)
APRP_CACHE = Peer(
    "aprp-cache", "aprp with its cache", aprp_cache_command, caches=True, slice_size=MIB
)
PEERS = (
    APRP,
    Peer("nginx", "nginx proxy_pass", _nginx_plain, "nginx", "nginx", uploads=True),
    Peer(
        "nginx-large",
        "nginx proxy_pass, 256 KiB buffers",
        _nginx_large,
        "nginx",
        "nginx",
        uploads=True,
    ),
    Peer("aiohttp", "aiohttp proxy", _python_peer("aiohttp_proxy")),
    Peer("tornado", "plain Tornado proxy", _python_peer("tornado_proxy")),
    APRP_CACHE,
    Peer(
        "nginx-cache",
        "nginx slice 1m, proxy_cache",
        _nginx_cache,
        "nginx",
        "nginx",
        caches=True,
        slice_size=nginx.CACHE_SLICE,
        # It reads the directory once, a minute after the start, and ends.
        aside="cache loader",
    ),
    Peer("varnish", "Varnish, store in memory", _varnish, "varnishd", "varnish", caches=True),
)


def environment() -> dict[str, str]:
    """The environment of the programs: without settings of an aprp that the caller may have."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("APRP_", "ASYNC_PROXY_"))}
    return kept | {"PYTHONUNBUFFERED": "1"}
