"""The servers of the tests: aprp itself, and nginx and Python's http.server as origins."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e import starter
from tests.e2e.clients import Reply, fetch
from tests.e2e.content import PROJECT
from tests.e2e.programs import Program, children, environment, require, run, state, wait_until

RUNSERVER = (sys.executable, str(PROJECT / "runserver.py"))
"""The command that starts aprp."""

_EACH_ANEW = os.environ.get("APRP_LONG") == "1"

_NGINX_CONF = """\
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush off;
    keepalive_timeout 65;
    types {{ video/mp4 mp4; }}
    default_type application/octet-stream;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        {inside}
    }}
}}
"""


@contextmanager
def nginx(root: Path, prefix: Path, inside: str = "") -> Iterator[str]:
    """Serve a directory with nginx, which keeps all it writes below `prefix`; gives the URL.

    `inside` are further directives for the server.
    """
    binary = require("nginx")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = prefix / "nginx.conf"
        # Started by root, the worker would run as a user who cannot read the test's files.
        user = "user root;" if Path("/proc/self").owner() == "root" else ""
        text = _NGINX_CONF.format(prefix=prefix, root=root, port=port, user=user, inside=inside)
        config.write_text(text)
        # nginx takes over a socket that NGINX names, as when one nginx follows another: no other
        # program can take the port before it listens.
        descriptor = listening.fileno()
        command = (binary, "-p", prefix, "-c", config, "-e", prefix / "error.log")
        env = environment(NGINX=f"{descriptor};")
        program = Program(*command, env=env, pass_fds=(descriptor,))
    with program:
        wait_until(
            lambda: (prefix / "nginx.pid").exists() or program.process.poll() is not None,
            "nginx writes its process id",
        )
        assert program.process.poll() is None, str(program)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def http_server(root: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Serve a directory with `python -m http.server`, which knows no ranges; gives the URL."""
    command = (sys.executable, "-m", "http.server", "0", "--bind", address)
    with Program(*command, "--directory", root) as program:
        yield program.wait_line(r"^Serving HTTP on .*\((http://\S+)/\)")[1]


class Proxy(Program):
    """aprp as a user starts it: `python runserver.py` with flags and environment.

    With APRP_LONG=1 that is the command indeed; else it is forked off, see `tests.e2e.starter`.

    Its log goes to `directory` in JSON. At the end of the `with` block the exit code must be the
    one of a clean stop and no traceback may have been logged, unless `expect_faults` is called.

    `cache` is off where a test counts what the origin is asked, True for a new cache below
    `directory`, or the directory of a cache that another proxy has left.
    """

    def __init__(
        self, directory: Path, *flags: str, cache: bool | Path = False, **environ: str
    ) -> None:
        self.log_file = directory / "aprp.log"
        self.cache_dir = cache if isinstance(cache, Path) else directory / "cache"
        self._faults_expected = False
        given = {"APRP_SETTINGS": "settings.base", "APRP_ADDRESS": "127.0.0.1"}
        given |= {"APRP_CACHE_DIR": str(self.cache_dir)} if cache else {"APRP_CACHE_SIZE": "0"}
        given |= {"APRP_LOG_FILE": str(self.log_file), "APRP_LOG_FORMAT": "json"}
        # Lines are looked for as soon as an answer is read.
        given["APRP_LOG_DELAY"] = "0"
        # What a test leaves under way is not to hold up the stop.
        given |= {"APRP_DRAIN_TIMEOUT": "0.2"} | environ
        command = (*RUNSERVER, "--port", "0", *flags)
        super().__init__(*command, cwd=directory, env=environment(**given))

    def _start(
        self, cwd: Path | None, env: Mapping[str, str], pass_fds: tuple[int, ...]
    ) -> "subprocess.Popen[str] | starter.Started":
        if _EACH_ANEW:
            return super()._start(cwd, env, pass_fds)
        return starter.start(self.command, cwd, env)

    def wait_started(self) -> Self:
        """Wait for the line that says where it listens."""
        line = self.wait_line(r"^aprp \S+ on (https?)://\S*:(\d+)/ for ")
        self.port = int(line[2])
        self.url = f"{line[1]}://127.0.0.1:{self.port}"
        return self

    def __enter__(self) -> Self:
        try:
            return self.wait_started()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *raised: Any) -> None:
        code = self.stop()
        if raised[0] is None:
            self.check_faultless()
            assert code == 0 or self._faults_expected, str(self)

    def expect_faults(self) -> None:
        """Let the exit code be any: the test does something to this process."""
        self._faults_expected = True

    def check_faultless(self) -> None:
        """Fail if a traceback was logged."""
        for text in (self.stderr, self.log()):
            assert "raceback" not in text, text[max(text.index("raceback") - 500, 0) :][:5000]

    def log(self) -> str:
        """The text of the log."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def warnings(self) -> list[dict[str, Any]]:
        """The lines of the log so far that warn of something or tell of an error."""
        lines = [json.loads(line) for line in self.log().split("\n")[:-1]]
        return [line for line in lines if line["level"] not in ("DEBUG", "INFO")]

    def access_lines(self) -> list[dict[str, Any]]:
        """The access lines so far, in the order in which the requests ended."""
        # The last line may be half written.
        lines = [json.loads(line) for line in self.log().split("\n")[:-1]]
        return [line for line in lines if line["logger"] == "aprp.access"]

    def wait_access_line(self, target: str) -> dict[str, Any]:
        """Wait for the access line of a request: it is written when the answer is over."""
        found: list[dict[str, Any]] = []

        def appeared() -> bool:
            found[:] = [line for line in self.access_lines() if line["target"] == target]
            return bool(found)

        wait_until(appeared, f"access line of {target}")
        assert len(found) == 1, found
        return found[0]

    def stats(self) -> dict[str, Any]:
        """What /stats tells, as JSON; this asking is counted in it."""
        told: dict[str, Any] = json.loads(fetch(self.url, "/stats?format=json").body)
        return told

    def wait_idle(self) -> dict[str, Any]:
        """Wait until no transfer is under way; what /stats tells then."""
        told: dict[str, Any] = {}

        def idle() -> bool:
            told.update(self.stats())
            return bool(told["transfers"]["active"] == 0)

        wait_until(idle, "no transfer is active")
        return told

    def workers(self) -> list[int]:
        """The process ids of the workers; none where this process serves itself."""
        return children(self.pid)

    def get(self, target: str, **fields: str) -> Reply:
        """GET through the proxy, on a connection of its own."""
        return fetch(self.url, target, **fields)

    def head(self, target: str, **fields: str) -> Reply:
        """HEAD through the proxy, on a connection of its own."""
        return fetch(self.url, target, "HEAD", **fields)


StartProxy = Callable[..., Proxy]
"""Starts a proxy with the flags and the APRP_ variables that it is given, and with `cache`."""


@contextmanager
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    """Start proxies, each in a directory of its own; all are stopped at the end of the block."""
    with ExitStack() as stack:

        def start(*flags: str, cache: bool | Path = False, **environ: str) -> Proxy:
            directory = tmp_path_factory.mktemp("proxy")
            return stack.enter_context(Proxy(directory, *flags, cache=cache, **environ))

        yield start


def refused_start(directory: Path, *flags: str, **environ: str) -> str:
    """Start aprp where that is not possible; the one line it says."""
    given = {"APRP_LOG_FILE": str(directory / "aprp.log")} | environ
    done = run(*RUNSERVER, *flags, cwd=directory, env=environment(**given))
    assert (done.returncode, done.stdout) == (2, b""), done
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("aprp: ")
    return line


def wait_replaced(proxy: Proxy, victim: int) -> None:
    """Wait until another worker has taken the place of one that was killed."""

    def replaced() -> bool:
        workers = proxy.workers()
        return len(workers) == 2 and victim not in workers

    wait_until(replaced, "another worker takes its place")


@contextmanager
def only(proxy: Proxy, worker: int) -> Iterator[None]:
    """Let one worker take all connections: the others stand still."""
    others = [pid for pid in proxy.workers() if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: all(state(pid) == "T" for pid in others), "the others stand still")
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)
