"""The development proxy before a backend that is quick: requests, changes, failures."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.clients import Connection
from tests.e2e.dev_proxy import Dev
from tests.e2e.programs import PATIENCE, wait_until


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with Dev(tmp_path_factory.mktemp("dev"), "--exclude", "go", "--exclude", "*.log") as started:
        yield started


@pytest.fixture
def dev(shared: Dev) -> Dev:
    """A proxy whose backend runs and is of version `one`; the tests of this file share it."""
    if not shared.served().startswith(b"one "):
        shared.change("one")
    return shared


def test_requests_pass_as_they_are(dev: Dev) -> None:
    head = dev.get("/head?range=0-3&x=%20", Range="bytes=0-3", Accept="text/x-odd").body.decode()
    assert head.startswith("GET /head?range=0-3&x=%20 HTTP/1.1\r\n")
    assert "\r\nRange: bytes=0-3\r\n" in head
    assert "\r\nAccept: text/x-odd\r\n" in head
    # The backend knows itself by the name that the client has, and who asked (RFC 7239).
    assert "\r\nHost: media.example\r\n" in head
    assert "\r\nForwarded: for=127.0.0.1;host=media.example;proto=http\r\n" in head


@pytest.mark.parametrize("path", ["/stats", "/metrics", "/film.mp4/0/99", "/healthz"])
def test_the_proxys_own_pages_are_not_in_the_way(dev: Dev, path: str) -> None:
    assert dev.get(path).body.endswith(f" {path}".encode())


def test_requests_wait_while_the_backend_starts(dev: Dev) -> None:
    with dev.expect("aprp: loading"):
        dev.write("version", "two")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: dev.get(), range(8)))
    assert [reply.status for reply in replies] == [200] * 8
    assert {reply.body.split()[0] for reply in replies} == {b"two"}


def test_a_change_is_named(dev: Dev) -> None:
    dev.write("why.txt", "x")
    dev.wait_line(r"^aprp: why\.txt changed: restarting")


def test_a_file_in_a_new_directory_is_named(dev: Dev) -> None:
    (dev.directory / "new/deep").mkdir(parents=True)
    (dev.directory / "new/deep/why.txt").write_text("x")
    dev.wait_line(r"^aprp: new/deep/why\.txt changed: restarting")
    # It may be told of twice: as part of the directory, and by itself.
    dev.change("two")


@pytest.mark.parametrize(
    "name", ["x.log", "go", "__pycache__/a.pyc", ".git/index", ".a.swp", "sub/4913", "a~"]
)
def test_changes_that_do_not_matter(dev: Dev, name: str) -> None:
    process = dev.get().body
    (dev.directory / name).parent.mkdir(exist_ok=True)
    (dev.directory / name).write_text("x")
    # What is told of is told in order: the next change that matters is the next restart.
    with dev.expect("changed: restarting"):
        dev.write("matters.txt", name)
    assert name not in dev.stdout
    assert dev.get().body != process
    (dev.directory / name).unlink()


def read_to_the_end(connection: Connection) -> bytes:
    """What still comes, where the end is no good one."""
    data = b""
    try:
        while piece := connection.socket.recv(65536):
            data += piece
    except ConnectionResetError:
        return data
    pytest.fail("the connection ended as if all had come")


@pytest.mark.parametrize("path", ["/chunks", "/rest"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_answer_under_way_is_cut(dev: Dev, path: str, version: str) -> None:
    with Connection(dev.port) as client:
        client.socket.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        data = b""
        while data.count(b"hello") < 2:
            piece = client.socket.recv(65536)
            assert piece
            data += piece
        dev.write("version", "two")
        data += read_to_the_end(client)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not data.endswith(b"\r\n0\r\n\r\n")
    assert b"two" not in data


def test_an_idle_connection_is_closed_by_a_change(dev: Dev) -> None:
    with Connection(dev.port) as client:
        client.ask("/")
        assert client.read_reply().get("Connection") is None
        dev.write("version", "two")
        assert client.at_end()


def test_a_request_that_waited_keeps_its_connection(dev: Dev) -> None:
    with dev.expect("aprp: loading"):
        dev.write("version", "two")
    with Connection(dev.port) as client:
        for _ in range(2):
            client.ask("/")
            assert client.read_reply().body.startswith(b"two ")


def test_a_post_is_not_sent_again(dev: Dev) -> None:
    notes = dev.directory / "notes.log"
    notes.unlink(missing_ok=True)
    with Connection(dev.port) as client:
        client.socket.sendall(b"POST /note HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        wait_until(notes.exists, "the backend has the request")
        dev.change("two")
        assert read_to_the_end(client) == b""
    assert notes.read_text() == "noted\n"


def test_a_body_waits_with_its_request(dev: Dev) -> None:
    with dev.expect("aprp: loading"):
        dev.write("version", "two")
    with Connection(dev.port) as client:
        client.socket.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        assert client.socket.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_who_leaves_while_waiting_asks_nothing(dev: Dev) -> None:
    notes = dev.directory / "notes.log"
    notes.unlink(missing_ok=True)
    with dev.expect("sleeping"):
        dev.write("version", "never")
    with Connection(dev.port) as client:
        client.socket.sendall(b"POST /note HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    dev.change("two")
    assert not notes.exists()


def test_a_crash_is_shown_to_browsers_and_others(dev: Dev) -> None:
    with dev.expect("aprp: error: exit code 3"):
        dev.write("version", "crash")
    text = dev.get()
    assert text.status == 503
    assert text.get("Content-Type") == "text/plain; charset=utf-8"
    assert text.get("Cache-Control") == "no-store"
    shown = text.body.decode()
    assert "exit code 3" in shown
    assert f"dev_backend.py {dev.backend_port}" in shown
    assert "Traceback: <b>no & go</b>" in shown
    page = dev.get(Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.status == 503
    assert page.get("Content-Type") == "text/html; charset=utf-8"
    assert "script-src 'sha256-" in (page.get("Content-Security-Policy") or "")
    html = page.body.decode()
    assert "exit code 3" in html
    assert "Traceback: &lt;b&gt;no &amp; go&lt;/b&gt;" in html
    assert "\x1b" not in html

    # What the page asks for comes when the backend is back.
    data = re.search(r'id="data">(.*?)</script>', html)
    assert data is not None
    told = json.loads(data[1])
    answers: list[dict[str, str]] = []

    def wait_for_turn() -> None:
        key = told["key"]
        while not answers or answers[-1]["state"] not in ("running", "error"):
            answers.append(json.loads(dev.get(f"{told['state']}?after={key}").body))
            key = answers[-1]["key"]

    asking = threading.Thread(target=wait_for_turn)
    asking.start()
    asking.join(0.1)
    assert asking.is_alive()
    assert not answers
    dev.change("two")
    asking.join(PATIENCE)
    assert answers[-1]["state"] == "running"
    assert answers[-1]["key"] != told["key"]


def test_a_signal_is_named(dev: Dev) -> None:
    with dev.expect("aprp: error: signal SIGSEGV"):
        dev.write("version", "abort")
    assert b"signal SIGSEGV" in dev.get().body


def test_those_who_wait_for_a_backend_that_crashes_are_told(dev: Dev) -> None:
    with dev.expect("sleeping"):
        dev.write("version", "never")
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(dev.get) for _ in range(3)]
        dev.write("version", "crash")
        assert [each.result().status for each in waiting] == [503] * 3


def test_a_backend_that_ends_while_it_runs(dev: Dev) -> None:
    dev.change("two")
    with Connection(dev.port) as client:
        client.socket.sendall(b"GET /exit HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_to_the_end(client) == b""
    assert b"exit code 4" in dev.get().body
    dev.change("three")


def test_a_pushed_burst_is_one_restart(dev: Dev) -> None:
    dev.change("two")
    before = dev.count("loading")
    for number in range(200):
        (dev.directory / f"burst{number}.txt").write_text("x")
    dev.change("three")
    # One, and perhaps another if this machine was so busy that the burst had gaps.
    assert 1 <= dev.count("loading") - before <= 2


def test_from_change_to_answer(dev: Dev) -> None:
    # The backend takes some 50 ms; there is room for a machine that is busy.
    took = []
    for number in range(4):
        began = time.monotonic()
        dev.write("version", f"v{number}")
        while not dev.served().startswith(f"v{number} ".encode()):
            assert time.monotonic() - began < PATIENCE
        took.append(time.monotonic() - began)
    assert min(took) < 0.4, took


def test_connections_are_not_left(dev: Dev) -> None:
    # A backend with one thread would be held up by a connection that is kept.
    with socket.create_connection(("127.0.0.1", dev.port)) as client:
        client.sendall(b"GET /head HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_nothing_is_written_but_what_the_backend_writes(dev: Dev) -> None:
    names = {path.name for path in Path(dev.directory).iterdir()}
    assert not {"aprp.log", "cache"} & names
