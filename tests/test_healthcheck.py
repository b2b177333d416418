"""The container's health check against a small real server."""

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from aprp import healthcheck

ENVIRONMENT = {"APRP_SETTINGS": "settings.production", "APRP_UPSTREAM": "http://localhost:1"}


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers 200 at /healthz and 204 at /other/healthz."""

    def do_GET(self) -> None:
        self.send_response({"/healthz": 200, "/other/healthz": 204}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("http_proxy", "http://localhost:1")


@pytest.mark.parametrize("variable", ["APRP_PORT", "ASYNC_PROXY_SERVER_PORT"])
def test_healthy_on_the_port_of_the_environment(
    port: int, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(port))
    assert healthcheck.main([]) == 0


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_healthy_on_the_port_of_the_flags(port: int, address: str) -> None:
    assert healthcheck.main(["--port", str(port), "--address", address]) == 0


@pytest.mark.parametrize(("prefix", "status"), [("/other", 204), ("/none", 404)])
def test_another_status_is_not_healthy(
    port: int, prefix: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert healthcheck.main(["--port", str(port), "--admin-prefix", prefix]) == 1
    assert capsys.readouterr().err == f"aprp: not healthy: /healthz answered {status}\n"


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert healthcheck.main(["--port", str(bound.getsockname()[1])]) == 1
    assert "refused" in capsys.readouterr().err


def test_wrong_settings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(["--port", "many"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("command_line", "expected"),
    [
        (b"python\0runserver.py\0", []),
        (b"python\0runserver.py\0--port\x009000\0", ["--port", "9000"]),
        (b"/sbin/docker-init\0--\0python\0/app/runserver.py\0--debug\0", ["--debug"]),
        (b"python\0runserver.py\0--via-name\0\0", ["--via-name", ""]),
        (b"/bin/sh\0", []),
        (b"", []),
    ],
)
def test_flags_of_the_first_process(command_line: bytes, expected: list[str]) -> None:
    assert healthcheck.first_process_flags(command_line) == expected
