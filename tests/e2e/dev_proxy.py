"""`aprp dev` as a user starts it, in a directory of its own."""

import http.client
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.clients import Reply, fetch
from tests.e2e.content import PROJECT
from tests.e2e.programs import PATIENCE, Program, environment, wait_until
from tests.peers import unshared_port

BACKEND = Path(__file__).with_name("dev_backend.py")


class Dev(Program):
    """The development proxy before a backend.

    `command` is what it is to run, the backend of `dev_backend.py` if none is given; `{port}`
    in it is the backend's port. At the end of the `with` block nothing of it may be left.
    """

    def __init__(
        self,
        directory: Path,
        *flags: str,
        todo: tuple[str, ...] = (),
        command: tuple[str, ...] = (),
        version: str = "one",
        **environ: str,
    ) -> None:
        self.directory = directory
        self.backend_port = unshared_port()
        self.write("version", version)
        command = command or (sys.executable, "-I", "-S", str(BACKEND), "{port}", *todo)
        words = [word.replace("{port}", str(self.backend_port)) for word in command]
        super().__init__(
            *(sys.executable, "-m", "aprp", "dev", "127.0.0.1:0"),
            # Others may use the known port of LiveReload at the same time.
            *(f"127.0.0.1:{self.backend_port}", "--livereload-port", "0", *flags),
            *("--exec", *words),
            cwd=directory,
            env=environment(PYTHONPATH=str(PROJECT), **environ),
        )

    def __enter__(self) -> "Dev":
        try:
            line = self.wait_line(r"^aprp: \S+ on (http://[^/]+:(\d+))/ for ")
        except BaseException:
            self.stop()
            raise
        self.url, self.port = line[1], int(line[2])
        return self

    def __exit__(self, *raised: Any) -> None:
        code = self.stop()
        if raised[0] is None:
            assert code in (0, -signal.SIGKILL), str(self)
            assert "raceback (most" not in self.stderr, self.stderr
            self.wait_nothing_left()

    def write(self, name: str, text: str) -> None:
        """Change a file as editors do: the new one takes the old one's place."""
        beside = self.directory / f"{name}~"
        beside.write_text(text)
        beside.rename(self.directory / name)

    def get(self, target: str = "/", **fields: str) -> Reply:
        """GET through the proxy, on a connection of its own."""
        return fetch(self.url, target, **fields)

    def served(self) -> bytes:
        """What the backend says at this moment; nothing where the connection was dropped."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            client.request("GET", "/")
            return client.getresponse().read()
        except (OSError, http.client.HTTPException):
            return b""
        finally:
            client.close()

    def change(self, version: str) -> None:
        """Change the backend, and wait until the new one answers."""
        self.write("version", version)
        self.wait_served(version)

    def wait_served(self, version: str) -> None:
        """Wait until the backend answers and is of this version."""
        said = f"{version} ".encode()
        wait_until(lambda: self.served().startswith(said), f"{version} is served by {self}")

    @contextmanager
    def expect(self, text: str, count: int = 1) -> Iterator[None]:
        """Wait, after what the `with` block does, until so many more of its lines hold a text."""
        wanted = self.count(text) + count
        yield
        wait_until(lambda: self.count(text) >= wanted, f"{count} more of {text!r} from {self}")

    def count(self, text: str) -> int:
        """How many of its lines hold a text."""
        return sum(text in line for line in self.stdout.split("\n"))

    def processes(self) -> list[int]:
        """The processes in the directory, other than the proxy and its guard."""
        return self._here(own=False)

    def guards(self) -> list[int]:
        """The processes that the proxy has forked of itself."""
        return self._here(own=True)

    def _here(self, own: bool) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            try:
                here = (entry / "cwd").readlink() == self.directory
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            # Its guard is itself once more.
            if here and (b"aprp" in command) == own:
                found.append(int(entry.name))
        return sorted(found)

    def wait_nothing_left(self) -> None:
        """Wait until no process of the backend is there."""
        wait_until(lambda: not self.processes(), f"no process in {self.directory}", 5.0)


def killed(process: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False
