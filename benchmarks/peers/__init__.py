"""The programs that are compared, and how each is started: one process or worker, access log on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.peers import nginx

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where one proxy of a run works: its port, the origin's port, a directory of its own."""

    port: int
    origin_port: int
    directory: Path

    @property
    def origin(self) -> str:
        """The origin's URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.origin_port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program to compare; `command` writes what it needs into the place and returns argv."""

    name: str
    title: str
    command: Callable[[Place], list[str]]


def find_nginx() -> str:
    """The path of nginx; raises BenchError where it is not installed."""
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        raise BenchError(
            "nginx is not installed: it is the origin of every run (apt install nginx)"
        )
    return path


def aprp_command(place: Place, profile: Path | None = None) -> list[str]:
    """aprp with production settings; with `profile`, under cProfile, which writes that file."""
    profiler = [] if profile is None else ["-m", "cProfile", "-o", str(profile)]
    return [
        sys.executable,
        *profiler,
        *("runserver.py", "--settings", "settings.production"),
        *("--upstream", place.origin, "--address", "127.0.0.1", "--port", str(place.port)),
        *("--workers", "1", "--log-file", str(place.directory / "access.log")),
    ]


def _nginx_command(place: Place, *more: str) -> list[str]:
    config = place.directory / "nginx.conf"
    config.write_text(nginx.proxy_config(place.directory, place.port, place.origin_port, more))
    return [find_nginx(), "-c", str(config)]


def _nginx_plain(place: Place) -> list[str]:
    return _nginx_command(place)


def _nginx_large(place: Place) -> list[str]:
    return _nginx_command(place, *nginx.LARGE_BUFFERS)


def _python_peer(module: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        log = place.directory / "access.log"
        where = ["--port", str(place.port), "--upstream", place.origin, "--log-file", str(log)]
        return [sys.executable, "-m", f"benchmarks.peers.{module}", *where]

    return command


PEERS = (
    Peer("aprp", "aprp", aprp_command),
    Peer("nginx", "nginx proxy_pass", _nginx_plain),
    Peer("nginx-large", "nginx proxy_pass, 256 KiB buffers", _nginx_large),
    Peer("aiohttp", "aiohttp proxy", _python_peer("aiohttp_proxy")),
    Peer("tornado", "plain Tornado proxy", _python_peer("tornado_proxy")),
)


def environment() -> dict[str, str]:
    """The environment of the programs: without settings of an aprp that the caller may have."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("APRP_", "ASYNC_PROXY_"))}
    return kept | {"PYTHONUNBUFFERED": "1"}
