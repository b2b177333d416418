"""A small web server around `git http-backend`: CGI (RFC 3875), one process a request."""

import io
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tests.e2e.programs import PATIENCE, environment, require


@dataclass(frozen=True, slots=True)
class Call:
    """A request of git: method, target, and the fields that tell of the body."""

    method: str
    target: str
    length: str | None
    transfer: str | None
    encoding: str | None


@dataclass(slots=True)
class GitServer:
    """Where it is, and what it was asked."""

    url: str
    calls: list[Call] = field(default_factory=list)


class _Cgi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    served: GitServer

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """What http.server calls for a method."""
        if name in ("do_GET", "do_POST"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        get = self.headers.get
        self.served.calls.append(
            Call(
                self.command,
                self.path,
                get("Content-Length"),
                get("Transfer-Encoding"),
                get("Content-Encoding"),
            )
        )
        path, _, query = self.path.partition("?")
        body = self._body()
        given = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "tester",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": get("Content-Encoding") or "",
            "GIT_PROTOCOL": get("Git-Protocol") or "",
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=_without_git(**given),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        self._answer(head.decode(), content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") is None:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = io.BytesIO()
        while size := int(self.rfile.readline(), 16):
            body.write(self.rfile.read(size))
            assert self.rfile.readline() == b"\r\n"
        assert self.rfile.readline() == b"\r\n"
        return body.getvalue()

    def _answer(self, head: str, content: bytes) -> None:
        pairs = [line.split(": ", 1) for line in head.split("\r\n")]
        status = next((value for name, value in pairs if name == "Status"), "200 OK")
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in pairs:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place in range(0, len(content), 8192):
            piece = content[place : place + 8192]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def _without_git(**more: str) -> dict[str, str]:
    """An environment that says nothing of a repository that the tests may be run from."""
    kept = {name: value for name, value in environment().items() if not name.startswith("GIT_")}
    return kept | more


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Serve the repositories below a directory, for reading and writing."""
    require("git")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Cgi)
    served = GitServer(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Cgi", (_Cgi,), {"root": root, "served": served})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)


def git(*words: str | Path, cwd: Path, **environ: str) -> str:
    """Run git as nobody in particular, with no settings of this machine; what it prints."""
    own = {
        "HOME": str(cwd),
        "XDG_CONFIG_HOME": str(cwd),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    own |= {f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",)}
    own |= {f"GIT_{who}_EMAIL": "tester@example.org" for who in ("AUTHOR", "COMMITTER")}
    command = (require("git"), *words)
    env = _without_git(**own | environ)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr.decode()}"
    return done.stdout.decode() + done.stderr.decode()


def make_repository(root: Path, name: str, files: int) -> Path:
    """Make a bare repository `name` below `root`, with a commit and a branch a file."""
    work = root / "work"
    work.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    for number in range(files):
        (work / f"{number}.bin").write_bytes(os.urandom(10_000))
        git("add", ".", cwd=work)
        git("commit", "-q", "-m", f"number {number}", cwd=work)
        git("branch", f"branch-{number}", cwd=work)
    bare = root / name
    git("clone", "-q", "--bare", str(work), str(bare), cwd=root)
    git("config", "http.receivepack", "true", cwd=bare)
    return bare
