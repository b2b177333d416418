"""The Dockerfile, built and run by podman on a base image made here: `make image-test`.

Not collected by a plain pytest run: it needs root, Debian, and a minute or two.
"""

import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.image.podman import Podman

PROJECT = Path(__file__).parents[2]
BASE = PROJECT / "build" / "image" / "base.tar"
SAMPLE = (PROJECT / "media" / "sample.mp4").read_bytes()

Start = Callable[..., str]
"""Starts a container with podman's options and, after `--`, the proxy's; returns its name."""


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    subprocess.run([PROJECT / "tests" / "image" / "make_base", BASE], check=True)
    with Podman() as podman:
        podman("import", str(BASE), "docker.io/library/python:3.11-slim")
        podman(
            *("build", "--pull=never", "--network=host", "--format=docker", "--tag=aprp"),
            *podman.pip_volumes(),
            str(PROJECT),
        )
        yield podman


@pytest.fixture
def start(podman: Podman) -> Iterator[Start]:
    started: list[str] = []

    def start(*options: str, flags: tuple[str, ...] = ()) -> str:
        container = podman("run", "--detach", *options, "aprp", *flags)
        started.append(container)
        return container

    yield start
    for container in started:
        podman("rm", "--force", "--time=0", container)


@pytest.fixture
def origin() -> Iterator[str]:
    """A server of media/ that knows no ranges; its address."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(PROJECT / "media"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def until_healthy(podman: Podman, container: str) -> None:
    """Wait until the container's own health check passes."""
    deadline = time.monotonic() + 30
    while (check := podman.run("healthcheck", "run", container)).returncode != 0:
        state = podman("inspect", "--format={{.State.Status}}", container)
        said = podman("logs", container)
        assert state == "running", said
        assert time.monotonic() < deadline, f"{check.stdout}{check.stderr}{said}"


def test_what_the_image_declares(podman: Podman) -> None:
    image = json.loads(podman("inspect", "--type=image", "aprp"))[0]
    config = image["Config"]
    assert config["Entrypoint"] == ["python", "runserver.py"]
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    assert config["User"] not in ("", "root", "0")
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["Volumes"]) == ["/var/cache/aprp"]
    assert image["Healthcheck"]["Test"][:2] == ["CMD", "python"]


def test_serves_ranges_of_an_origin(podman: Podman, start: Start, origin: str, port: int) -> None:
    environment = [f"--env=APRP_UPSTREAM={origin}", f"--env=ASYNC_PROXY_SERVER_PORT={port}"]
    container = start("--network=host", *environment)
    until_healthy(podman, container)
    address = f"http://127.0.0.1:{port}/sample.mp4"
    curl = ["curl", "--silent", "--show-error", "--noproxy", "*", "--fail"]
    part = subprocess.run([*curl, "--range", "1000-1999", address], capture_output=True, check=True)
    assert part.stdout == SAMPLE[1000:2000]
    whole = subprocess.run([*curl, address], capture_output=True, check=True)
    assert whole.stdout == SAMPLE


def test_does_not_run_as_root(podman: Podman, start: Start) -> None:
    container = start("--network=none", "--env=APRP_UPSTREAM=embedded")
    until_healthy(podman, container)
    process = podman("inspect", "--format={{.State.Pid}}", container)
    status = Path(f"/proc/{process}/status").read_text()
    ids = next(line for line in status.splitlines() if line.startswith("Uid:"))
    assert set(ids.split()[1:]) == {"10001"}


def test_sigterm_ends_it_with_0(podman: Podman, start: Start) -> None:
    container = start("--network=none", "--env=APRP_UPSTREAM=embedded")
    until_healthy(podman, container)
    begun = time.monotonic()
    podman("stop", "--time=20", container)
    assert podman("inspect", "--format={{.State.ExitCode}}", container) == "0"
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("volume", [(), ("--volume=aprp-check:/var/cache/aprp",)])
def test_the_cache_directory_can_be_written(podman: Podman, volume: tuple[str, ...]) -> None:
    code = "import settings; d = settings.load().CACHE_DIR; (d / 'x').touch(); print(d, d.owner())"
    done = podman.run(
        *("run", "--rm", "--no-healthcheck", "--network=none", "--read-only", *volume),
        *("--env=APRP_UPSTREAM=embedded", "--entrypoint=python", "aprp", "-c", code),
    )
    assert (done.returncode, done.stdout) == (0, "/var/cache/aprp aprp\n"), done.stderr


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ((), ()),
        (("--env=ASYNC_PROXY_SERVER_PORT=9001",), ()),
        (("--env=APRP_PORT=9002",), ()),
        (("--env=APRP_ADMIN_PREFIX=/_aprp",), ()),
        ((), ("--port", "9003")),
        (("--read-only",), ()),
    ],
    ids=["defaults", "ASYNC_PROXY_SERVER_PORT", "APRP_PORT", "ADMIN_PREFIX", "--port", "read-only"],
)
def test_health_check(
    podman: Podman, start: Start, options: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    container = start(
        "--network=none",
        "--env=APRP_UPSTREAM=embedded",
        "--env=APRP_WORKERS=1",
        *options,
        flags=flags,
    )
    until_healthy(podman, container)


def test_logs_to_the_console(podman: Podman, start: Start, port: int) -> None:
    environment = ["--env=APRP_UPSTREAM=embedded", f"--env=ASYNC_PROXY_SERVER_PORT={port}"]
    container = start("--network=host", *environment)
    until_healthy(podman, container)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sample.mp4?range=0-9") as answer:
        assert answer.read() == SAMPLE[:10]
    logs = podman.run("logs", container)
    assert "/sample.mp4" in logs.stdout + logs.stderr


def test_without_an_origin_it_says_so_in_one_line(podman: Podman) -> None:
    done = podman.run("run", "--rm", "--no-healthcheck", "--network=none", "aprp")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "UPSTREAM: not set" in done.stderr


def test_help(podman: Podman) -> None:
    done = podman.run("run", "--rm", "--network=none", "aprp", "--help")
    assert done.returncode == 0
    assert "--upstream" in done.stdout
