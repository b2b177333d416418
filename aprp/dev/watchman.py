"""Watching with Watchman, where it is installed: https://facebook.github.io/watchman/.

Spoken with over its socket, in lines of JSON.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from typing import Any, Final

from aprp.dev.selection import Selection
from aprp.dev.watching import Changes, Trouble, WatchError

_NAME: Final = "aprp-dev"
# Looking through a large tree for the first time takes Watchman a while.
_PATIENCE: Final = 60.0


class WatchmanWatcher:
    """Watches with Watchman; the arguments are those of `FilesWatcher`."""

    def __init__(self, selection: Selection, changed: Changes, trouble: Trouble) -> None:
        """Nothing is watched yet."""
        self._selection = selection
        self._changed = changed
        self._trouble = trouble
        self._stopping = False
        self._socket: socket.socket | None = None
        self._input = b""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See `Watcher.start`."""
        self._socket = _connect(_socket_name())
        try:
            self._subscribe(str(self._selection.root))
        except (OSError, ValueError) as error:
            self._socket.close()
            raise WatchError(f"Watchman does not answer as it should: {error}") from None
        except WatchError:
            self._socket.close()
            raise
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._watch, name="watch")
        self._thread.start()

    def stop(self) -> None:
        """See `Watcher.stop`."""
        self._stopping = True
        if self._socket is not None and self._thread is not None:
            # What wakes the thread, where Watchman has not ended the connection by itself.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._socket.close()

    def _subscribe(self, root: str) -> None:
        project = self._ask("watch-project", root)
        watch = project["watch"]
        query: dict[str, Any] = {"fields": ["name", "type", "exists"]}
        if "relative_path" in project:
            query["relative_root"] = project["relative_path"]
        # What is there already is no change.
        query["since"] = self._ask("clock", watch, {"sync_timeout": int(_PATIENCE * 1000)})["clock"]
        self._ask("subscribe", watch, _NAME, query)

    def _ask(self, *command: Any) -> dict[str, Any]:
        assert self._socket is not None
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise WatchError(f"Watchman refuses {command[0]}: {answer['error']}")
            if not answer.get("unilateral"):
                return answer

    def _read(self) -> dict[str, Any]:
        """Read an answer; raises OSError at the connection's end."""
        assert self._socket is not None
        while b"\n" not in self._input:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("the connection has ended")
            self._input += data
        line, _, self._input = self._input.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("an answer that is no object")
        return answer

    def _watch(self) -> None:
        try:
            while True:
                self._take(self._read())
        except (OSError, ValueError) as error:
            if not self._stopping:
                self._trouble(f"Watchman tells of no more changes: {error}; start aprp dev again")

    def _take(self, answer: dict[str, Any]) -> None:
        # With is_fresh_instance it has lost count and lists everything: any of it may have changed.
        if answer.get("subscription") != _NAME:
            return
        wants = self._selection.wants
        files = answer.get("files", ())
        self._selection.reads_rules(file["name"] for file in files)
        paths = [f["name"] for f in files if f["type"] != "d" and wants(f["name"])]
        if paths:
            self._changed(sorted(paths))


def _socket_name() -> str:
    """The path of Watchman's socket; starts it where it does not run."""
    program = shutil.which("watchman")
    if program is None:
        raise WatchError(
            "--watcher watchman: the program watchman is not installed; install it, or leave the "
            "option out"
        )
    try:
        told = subprocess.run(
            (program, "get-sockname"), capture_output=True, timeout=_PATIENCE, check=True
        )
        answer = json.loads(told.stdout)
        return str(answer["sockname"])
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise WatchError(f"watchman get-sockname failed: {last}") from None
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        raise WatchError(f"watchman get-sockname failed: {error}") from None


def _connect(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(_PATIENCE)
    try:
        connected.connect(path)
    except OSError as error:
        connected.close()
        raise WatchError(f"Watchman does not listen at {path}: {error}") from None
    return connected
