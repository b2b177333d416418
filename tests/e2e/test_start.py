"""The start: the line that says where it listens, and starts that are not possible."""

import contextlib
import http.client
import os
import re
import socket
from pathlib import Path

import pytest

import aprp
from tests.e2e import servers
from tests.e2e.clients import fetch
from tests.e2e.content import CLIP, FILM
from tests.e2e.programs import PATIENCE, Program, environment
from tests.e2e.servers import RUNSERVER, Proxy, StartProxy, refused_start


def test_the_clip_comes_out_of_a_clone(tmp_path: Path) -> None:
    # No settings at all, but for the port, which may be taken on this machine.
    with Program(*RUNSERVER, "--port", "0", cwd=tmp_path, env=environment()) as program:
        line = program.wait_line(
            rf"^aprp {re.escape(aprp.__version__)} on (http://localhost:\d+)/ for http://\S+$"
        )
        url = line[1]
        assert fetch(url, "/sample.mp4", Range="bytes=0-1").body == CLIP.read_bytes()[:2]
        page = fetch(url, "/", Accept="text/html")
        assert (page.status, page.get("Content-Type")) == (200, "text/html; charset=UTF-8")
        assert b"<video" in page.body
        # Development logs to the console too.
        program.wait_line(r"206 GET\s+/sample\.mp4", "stderr")
        program.process.terminate()
        assert program.wait() == 0
        assert program.stdout == line[0]
    assert "/sample.mp4" in (tmp_path / "aprp.log").read_text()


@pytest.mark.parametrize(
    ("workers", "address"), [("1", ""), ("1", "127.0.0.1"), ("1", "localhost"), ("2", "")]
)
def test_a_port_that_another_program_has(tmp_path: Path, workers: str, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        flags = ("--port", port, "--workers", workers, "--address", address)
        line = refused_start(tmp_path, *flags)
    assert f"port {port}" in line and "in use" in line and "--port" in line


def test_an_address_that_this_machine_does_not_have(tmp_path: Path) -> None:
    # RFC 5737: of no machine.
    line = refused_start(tmp_path, "--port", "0", "--address", "192.0.2.1")
    assert "ADDRESS: cannot listen on 192.0.2.1" in line and "--address" in line


@pytest.mark.parametrize("others", ["1", "2"])
def test_it_listens_when_it_says_so_and_keeps_its_port(
    start_proxy: StartProxy, tmp_path: Path, others: str
) -> None:
    other = start_proxy("--upstream", "embedded", "--workers", others)
    # It listens when it says so, on one line.
    assert other.port != 0
    assert other.get("/sample.mp4", Range="bytes=-5").body == CLIP.read_bytes()[-5:]
    assert len(other.stdout.splitlines()) == 1
    for workers in ("1", "2"):
        flags = ("--port", str(other.port), "--workers", workers, "--address", "127.0.0.1")
        assert f"port {other.port}" in refused_start(tmp_path, *flags)
        assert other.get("/sample.mp4", Range="bytes=0-0").status == 206


def unusable_log(kind: str, directory: Path) -> Path:
    """A path at which no log can be written."""
    match kind:
        case "in a directory that is missing":
            return directory / "missing" / "aprp.log"
        case "a directory":
            return directory
        case "below a file":
            (directory / "file").write_bytes(b"")
            return directory / "file" / "aprp.log"
        case "a socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(directory / "socket"))
            return directory / "socket"
        case _ if os.geteuid() == 0:
            # Where not even root may write.
            return Path("/sys/aprp.log")
        case _:
            (directory / "closed").mkdir(mode=0o500)
            return directory / "closed" / "aprp.log"


@pytest.mark.parametrize(
    "kind",
    [
        "in a directory that is missing",
        "a directory",
        "below a file",
        "a socket",
        "where it may not write",
    ],
)
def test_a_log_that_cannot_be_written(tmp_path: Path, kind: str) -> None:
    path = unusable_log(kind, tmp_path)
    line = refused_start(tmp_path, "--port", "0", APRP_LOG_FILE=str(path))
    assert line.startswith(f"aprp: LOG_FILE: {path} cannot be opened for writing: ")


@pytest.mark.parametrize(
    ("flags", "environ", "said"),
    [
        (["--port", "eighty"], {}, "PORT: 'eighty'"),
        ([], {"APRP_PORT": "70000"}, "PORT: '70000'"),
        (["--upstream", "ftp://a"], {}, "UPSTREAM: 'ftp://a'"),
        ([], {"APRP_SETTINGS": "settings.production"}, "UPSTREAM: not set"),
        ([], {"APRP_SETTINGS": "no.such.module"}, "settings 'no.such.module'"),
        (["--address", "host.invalid"], {}, "ADDRESS: host.invalid"),
        (["--upstream-ca", "/nothing.pem"], {}, "UPSTREAM_CA: "),
        (["--media-dir", "/nothing"], {}, "MEDIA_DIR: '/nothing'"),
        (["--prot", "1"], {}, "--port"),
    ],
)
def test_a_setting_that_is_wrong(
    tmp_path: Path, flags: list[str], environ: dict[str, str], said: str
) -> None:
    assert said in refused_start(tmp_path, *flags, **environ)


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    line = refused_start(tmp_path, "--port", "0", "--upstream-ca", str(tmp_path / "ca.pem"))
    assert "UPSTREAM_CA" in line


def test_it_speaks_ipv6_on_both_sides(files: Path, start_proxy: StartProxy) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with servers.http_server(files, "::1") as url:
        proxy = start_proxy("--upstream", url, APRP_ADDRESS="::1")
        assert re.search(r" on http://\[::1\]:\d+/ for http://\[::1\]:\d+$", proxy.stdout)
        connection = http.client.HTTPConnection("::1", proxy.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/film.bin/5/9")
            assert connection.getresponse().read() == FILM[5:10]
    assert proxy.wait_access_line("/film.bin/5/9")["client"] == "::1"


def test_production_serves_with_a_worker_for_each_core(nginx: str, start_proxy: StartProxy) -> None:
    environ = {"APRP_SETTINGS": "settings.production", "APRP_UPSTREAM": nginx}
    proxy = start_proxy(**environ)
    assert proxy.stats()["workers"] == len(os.sched_getaffinity(0))
    assert proxy.get("/film.bin", Range="bytes=0-9").status == 206


def test_a_class_of_ones_own(tmp_path: Path, nginx: str) -> None:
    (tmp_path / "studio.py").write_text(
        "from settings import base\n\n\nclass Settings(base.Settings):\n"
        f"    UPSTREAM = [{nginx!r}]\n    VIA_NAME = 'studio'\n"
    )
    with Proxy(tmp_path, APRP_SETTINGS="studio") as proxy:
        assert proxy.get("/film.bin", Range="bytes=0-9").get("Via") == "1.1 studio"
