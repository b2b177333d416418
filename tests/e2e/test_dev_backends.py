"""The development proxy before backends of all kinds, and what it leaves behind: nothing."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.e2e.clients import Connection
from tests.e2e.content import PROJECT
from tests.e2e.dev_proxy import BACKEND, Dev
from tests.e2e.programs import (
    PATIENCE,
    alive,
    anonymous_memory,
    environment,
    require,
    wait_until,
)
from tests.peers import closed_port

ECHO = """\
import asyncio, sys
import tornado.web, tornado.websocket

class Echo(tornado.websocket.WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message)

class Version(tornado.web.RequestHandler):
    def get(self):
        self.set_header("Content-Type", "text/plain")
        self.write(open("version").read() + " ")

async def main():
    pages = [("/echo", Echo), ("/", Version)]
    tornado.web.Application(pages).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_http_server_behind_sleep(tmp_path: Path) -> None:
    script = f"sleep 0.3; exec {sys.executable} -m http.server {{port}} --bind 127.0.0.1"
    with Dev(tmp_path, command=("sh", "-c", script)) as dev:
        assert dev.get("/version").body == b"one"
        with dev.expect("changed: restarting"):
            dev.write("version", "two")
        assert dev.get("/version").body == b"two"
        # Its output is seen as it comes, on the stream that it was written to.
        wait_until(lambda: '"GET /version HTTP/1.1" 200' in dev.stderr, "the log line is shown")


def test_websockets_of_tornado(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    with Dev(tmp_path, command=(sys.executable, "echo.py", "{port}")) as dev:
        # Tornado compares the page's origin with the name that it is asked by.
        url, origin = f"ws://127.0.0.1:{dev.port}/echo", Origin(f"http://127.0.0.1:{dev.port}")
        with connect(url, origin=origin, proxy=None, close_timeout=1) as websocket:
            for message in ("hello", "x" * 200_000):
                websocket.send(message)
                assert websocket.recv(PATIENCE) == message
            dev.write("version", "two")
            with pytest.raises(ConnectionClosedError):
                websocket.recv(PATIENCE)
        dev.change("three")
        with connect(url, origin=origin, proxy=None) as websocket:
            websocket.send("again")
            assert websocket.recv(PATIENCE) == "again"


def test_fifty_changes_are_a_few_starts(tmp_path: Path) -> None:
    with Dev(tmp_path, todo=("sleep=0.1",)) as dev:
        dev.wait_served("one")
        with dev.expect("aprp: running"):
            for number in range(50):
                dev.write("version", f"v{number}")
                time.sleep(0.06)
        wait_until(lambda: dev.served().startswith(b"v49 "), "the last state is served")
        assert dev.count("aprp: loading") <= 1 + 5


def test_sigterm_is_ignored(tmp_path: Path) -> None:
    with Dev(tmp_path, "--graceful", "0.3", todo=("ignore-sigterm",)) as dev:
        dev.wait_served("one")
        began = time.monotonic()
        dev.change("two")
        assert time.monotonic() - began > 0.3


def test_sigterm_is_heard(tmp_path: Path) -> None:
    with Dev(tmp_path, "--graceful", "15", todo=("say-goodbye",)) as dev:
        dev.wait_served("one")
        with dev.expect("goodbye"):
            dev.change("two")


def test_forked_children_are_killed_with_it(tmp_path: Path) -> None:
    with Dev(tmp_path, todo=("fork", "fork-away")) as dev:
        dev.wait_served("one")
        first = dev.processes()
        assert len(first) == 3
        dev.change("two")
        assert not [process for process in first if alive(process)]
        # Children that outlive a leader that ends by itself.
        before = dev.processes()
        assert len(before) == 3
        with dev.expect("error: exit code 4"), contextlib.suppress(OSError, AssertionError):
            dev.get("/exit")
        assert not [process for process in before if alive(process)]


def test_a_hundred_megabytes_of_output(tmp_path: Path) -> None:
    port = closed_port()
    (tmp_path / "version").write_text("one")
    out = tmp_path / "out.log"
    command = (sys.executable, "-m", "aprp", "dev", "127.0.0.1:0", str(port), "--exclude", "*.log")
    backend = (sys.executable, "-I", "-S", str(BACKEND), str(port), "print=100000000")
    with out.open("wb") as file:
        program = subprocess.Popen(
            (*command, "--exec", *backend),
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(PROJECT)),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: out.stat().st_size > 1_000_000, "the output comes")
        before = anonymous_memory(program.pid)
        wait_until(lambda: out.stat().st_size > 100_000_000, "all the output has come")
        assert anonymous_memory(program.pid) - before < 8 << 20
    finally:
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE) == 0
        out.unlink()


def test_output_that_nobody_takes_holds_up_nobody_else(tmp_path: Path) -> None:
    # The reader of the pipe is stopped: the backend has to wait, the proxy must not.
    ours, theirs = os.pipe()
    port, front = closed_port(), closed_port()
    (tmp_path / "version").write_text("one")
    command = (sys.executable, "-m", "aprp", "dev", str(front), str(port))
    program = subprocess.Popen(
        (*command, "--exec", sys.executable, "-I", "-S", str(BACKEND), str(port), "print=10000000"),
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(PROJECT)),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        told: list[bytes] = []

        def asked() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", front)) as s:
                s.settimeout(PATIENCE)
                s.sendall(b"GET /_aprp/state HTTP/1.0\r\n\r\n")
                told.append(s.recv(65536))
                return True
            return False

        wait_until(asked, "the proxy answers")
        assert b'"loading"' in told[0] or told[0].startswith(b"HTTP/1.1 200")
    finally:
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE) == 0
        os.close(ours)


@pytest.mark.parametrize(
    ("state", "number"),
    [
        ("loading", signal.SIGINT),
        ("running", signal.SIGTERM),
        ("error", signal.SIGINT),
        ("killing", signal.SIGHUP),
    ],
)
def test_a_signal_ends_all_at_once(tmp_path: Path, state: str, number: signal.Signals) -> None:
    # In Killing the backend, which ignores SIGTERM, would have a minute.
    todo = ("fork", "ignore-sigterm")
    version = {"loading": "never", "error": "crash"}.get(state, "one")
    with Dev(tmp_path, "--graceful", "60", todo=todo, version=version) as dev:
        match state:
            case "loading":
                dev.wait_line("^sleeping")
            case "error":
                dev.wait_line("^aprp: error")
            case _:
                dev.wait_served("one")
        if state == "killing":
            with dev.expect("changed: restarting"):
                dev.write("version", "two")
        before = dev.processes()
        assert len(before) == (0 if state == "error" else 2)
        began = time.monotonic()
        dev.signal(number)
        assert dev.wait() == 0
        assert time.monotonic() - began < 5
        assert not [process for process in before if alive(process)]


def test_in_a_terminal(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    (tmp_path / "version").write_text("crash")
    command = (require("setsid"), "--ctty", sys.executable, "-m", "aprp", "dev", "127.0.0.1:0", "1")
    script = (
        "import os; print('colour', os.environ['FORCE_COLOR'], end=''); import time; time.sleep(60)"
    )
    program = subprocess.Popen(
        (*command, "--exec", sys.executable, "-c", script),
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(PROJECT), TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while b"colour 1" not in seen:
        seen += os.read(ours, 65536)
    # As the user types it.
    os.write(ours, b"\x03")
    assert program.wait(PATIENCE) == 0
    os.close(ours)
    assert b"\x1b[36maprp: loading" in seen


def test_a_crowd_that_waited_finds_place_in_a_short_queue(tmp_path: Path) -> None:
    # A server with one thread and a queue of five: what finds no place is tried again by TCP after
    # 1, 3, 7, 15, 31 seconds, and a hundred at once would take minutes.
    script = """\
import http.server, os, sys, time
while not os.path.exists("go"):
    time.sleep(0.01)
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
    command = (sys.executable, "-c", script, "{port}")
    with Dev(tmp_path, "--exclude", "go", command=command) as dev, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Connection(dev.port)) for _ in range(100)]
        for client in clients:
            client.ask("/version")
        began = time.monotonic()
        (tmp_path / "go").write_text("")
        assert {client.read_reply().status for client in clients} == {200}
        assert time.monotonic() - began < 10


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    with Dev(tmp_path, version="never") as dev:
        dev.wait_line("^sleeping")
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as answered:
            for _ in range(1001):
                client = stack.enter_context(Connection(dev.port))
                client.ask("/")
                answered.register(client.socket, selectors.EVENT_READ, client)
            ((key, _),) = answered.select(PATIENCE)
            reply = key.data.read_reply()
            assert reply.status == 503
            assert b"1000 requests wait" in reply.body


def test_a_proxy_that_is_killed_leaves_no_backend(tmp_path: Path) -> None:
    with Dev(tmp_path, todo=("fork",)) as dev:
        dev.wait_served("one")
        assert len(dev.processes()) == 2
        dev.signal(signal.SIGKILL)
        dev.wait_nothing_left()


def test_nobody_else_has_the_socket_that_listens(tmp_path: Path) -> None:
    with Dev(tmp_path) as dev:
        dev.wait_served("one")
        (guard,) = dev.guards()
        # Its end of the pipe, and nothing for what it would read and print.
        descriptors = Path(f"/proc/{guard}/fd")
        wait_until(lambda: len(list(descriptors.iterdir())) == 4, "the guard closes the rest")
        held = sorted(str(path.readlink()).partition(":")[0] for path in descriptors.iterdir())
        assert held == [os.devnull, os.devnull, os.devnull, "pipe"]
        # Stopped, it cannot end with the proxy.
        os.kill(guard, signal.SIGSTOP)
        try:
            dev.signal(signal.SIGKILL)
            dev.process.wait(PATIENCE)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", dev.port), PATIENCE).close()
            socket.create_server(("127.0.0.1", dev.port)).close()
        finally:
            os.kill(guard, signal.SIGCONT)


def test_a_port_that_somebody_else_has_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = (sys.executable, "-c", "import time; time.sleep(60)")
        command = (sys.executable, "-m", "aprp", "dev", "127.0.0.1:0", str(port), "--exec", *script)
        env = environment(PYTHONPATH=str(PROJECT))
        program = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        with program.stdout:
            lines = iter(program.stdout.readline, "")
            line = next(line for line in lines if "error" in line)
            program.send_signal(signal.SIGINT)
            assert program.wait(PATIENCE) == 0
    assert f"localhost:{port} is taken by another program" in line


def test_watchman(tmp_path: Path) -> None:
    watchman = require("watchman")
    state = tmp_path / "state"
    work = tmp_path / "work"
    for directory in (state, work):
        directory.mkdir()
    # A Watchman of the test's own, in a state directory of its own.
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    sock = state / "sock"
    flags = (
        f"--sockname={sock} --pidfile={state}/pid --logfile={state}/log --statefile={state}/state"
    )
    (wrapper / "watchman").write_text(f'#!/bin/sh\nexec {watchman} {flags} "$@"\n')
    (wrapper / "watchman").chmod(0o755)
    path = f"{wrapper}:{os.environ['PATH']}"
    try:
        flags_of_dev = ("--watcher", "watchman", "--pattern", "version", "--pattern", "sub/**/*")
        with Dev(work, *flags_of_dev, PATH=path) as dev:
            dev.wait_served("one")
            (work / "other.txt").write_text("x")
            dev.change("two")
            assert dev.count("changed: restarting") == 1
            (work / "sub").mkdir()
            with dev.expect("sub/a.txt changed: restarting"):
                (work / "sub/a.txt").write_text("x")
    finally:
        subprocess.run(
            (wrapper / "watchman", "shutdown-server"), capture_output=True, timeout=60, check=False
        )
