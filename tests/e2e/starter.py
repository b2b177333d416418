"""Starts aprp quickly: forks it off a process that has imported it already.

To import the program takes 0.4 s of CPU time, to start it after that a tenth. What is started in
this way is a process of its own like any other: its own arguments, environment, directory, standard
streams, signals and exit code; pytest is its parent. Tests of the start itself run the command.
"""

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PROJECT = Path(__file__).resolve().parents[2]
_MODULES = ("aprp.app", "aprp.flags", "settings.base")
"""Imported before the first fork. None of them reads the environment when it is imported."""
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2): orphans below this process become its children."""
_LONGEST = 1 << 20
"""Bytes of a request to the starter: arguments and environment."""


class Started:
    """A process that was forked off; what there is of it is as in `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[str], stderr: IO[str]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            ends = os.pidfd_open(self.pid)
            try:
                if not select.select([ends], [], [], timeout)[0]:
                    assert timeout is not None
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            finally:
                os.close(ends)
        code = self._reap(0)
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Starter:
    """The process that forks; it ends with this one, or with `close`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.python = _for_python(environ)
        self._lock = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-m", __name__, str(theirs.fileno())),
                cwd=_PROJECT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def start(
        self, command: Sequence[str], cwd: Path | None, environ: Mapping[str, str]
    ) -> Started:
        """Start a Python script; `command` has the interpreter, which is not used, before it."""
        request = json.dumps([list(command[1:]), str(cwd or Path.cwd()), dict(environ)]).encode()
        out, their_out = os.pipe()
        errors, their_errors = os.pipe()
        with self._lock:
            _adopt_orphans(True)
            try:
                socket.send_fds(self._channel, [request], [their_out, their_errors])
                reply = self._channel.recv(64)
            finally:
                _adopt_orphans(False)
        os.close(their_out)
        os.close(their_errors)
        if not reply:
            os.close(out)
            os.close(errors)
            raise RuntimeError(f"the starter has ended, exit code {self._process.wait()}")
        return Started(int(reply), os.fdopen(out, "r"), os.fdopen(errors, "r"))

    def close(self) -> None:
        """End it."""
        self._channel.close()
        self._process.wait()


def start(
    command: Sequence[str], cwd: Path | None, environ: Mapping[str, str]
) -> "Started | subprocess.Popen[str]":
    """Start a Python script with this environment; its output can be read from pipes."""
    # What the interpreter itself takes from the environment, it takes at its own start.
    starter = _starter()
    if starter.python == _for_python(environ):
        return starter.start(command, cwd, environ)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    )


@functools.cache
def _starter() -> Starter:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APRP_")}
    starter = Starter(kept | {"LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"})
    atexit.register(starter.close)
    return starter


def _for_python(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith("PYTHON")}


def _adopt_orphans(adopt: bool) -> None:
    """Let orphans below this process become its children, or those of the init process again."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, int(adopt), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _serve(channel: socket.socket) -> None:
    """Fork for each request until the other end closes the channel."""
    for module in _MODULES:
        importlib.import_module(module)
    # To collect would copy each page of what is shared with the forked.
    gc.freeze()
    # An interrupt from the keyboard comes to all; the end of the channel ends this process.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, _LONGEST, 2)
        if not request:
            return
        pid = _fork_orphan()
        if pid == 0:
            channel.close()
            words, cwd, environ = json.loads(request)
            signal.signal(signal.SIGINT, interrupt)
            _run(words, cwd, environ, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(pid).encode())


def _fork_orphan() -> int:
    """Fork, so that this process is not the parent: the process id, or 0 in the forked one."""
    told, tell = os.pipe()
    waits, releases = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid:
            os.write(tell, str(pid).encode())
            os._exit(0)
    os.close(tell)
    if between:
        os.waitpid(between, 0)
        pid = int(os.read(told, 64))
        os.close(releases)
    else:
        # To the end: then it has the parent that it keeps.
        os.close(releases)
        os.read(waits, 1)
    os.close(told)
    os.close(waits)
    return pid


def _run(words: list[str], cwd: str, environ: dict[str, str], outputs: list[int]) -> None:
    """Become the script: from here on this process is as if the interpreter had been started."""
    for number, descriptor in enumerate(outputs, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
