"""A proxy with a file store, and clients that put files in."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.clients import Connection, Reply, request
from tests.e2e.programs import environment, require, run
from tests.e2e.servers import Proxy

TOKEN = "the token of the tests"
AUTHORIZED = f"Authorization: Bearer {TOKEN}"
HIDDEN = ".aprp-uploads"


class StoreProxy(Proxy):
    """A proxy before the embedded origin, with uploads for who has TOKEN; `root` is MEDIA_DIR."""

    def __init__(
        self, directory: Path, root: Path, *flags: str, cache: bool = False, **environ: str
    ) -> None:
        self.root = root
        given = {"APRP_UPLOADS": "on", "APRP_UPLOAD_TOKEN": TOKEN} | environ
        served = ("--upstream", "embedded", "--media-dir", str(root))
        super().__init__(directory, *served, *flags, cache=cache, **given)

    def request(
        self, method: str, target: str, body: bytes | None = None, *lines: str, host: str = ""
    ) -> Reply:
        """Ask on a connection of its own, with TOKEN unless `lines` have another Authorization."""
        known = any(line.startswith("Authorization:") for line in lines)
        told = lines if known else (*lines, AUTHORIZED)
        return request(self.port, method, target, body, *told, host=host)

    def put(self, name: str, body: bytes, *lines: str, query: str = "") -> Reply:
        """PUT a file; `name` as it stands in the path."""
        return self.request("PUT", f"/upload/{name}{query}", body, *lines)

    def curl(self, *arguments: str | Path) -> tuple[int, Any]:
        """Run curl with TOKEN; the status, and the JSON that it printed, None where none."""
        command = (require("curl"), "-s", "--path-as-is", "-w", "\n%{http_code}", "-H", AUTHORIZED)
        done = run(*command, *arguments, env=environment())
        body, _, status = done.stdout.decode().rpartition("\n")
        return int(status), json.loads(body) if body.strip() else None

    def names(self) -> list[str]:
        """The files that everybody sees."""
        return sorted(path.name for path in self.root.iterdir() if path.name != HIDDEN)

    def left_behind(self) -> list[Path]:
        """What there is of unfinished uploads."""
        hidden = self.root / HIDDEN
        return [path for path in hidden.glob("*.*") if path.exists()] if hidden.exists() else []


def form(body: bytes, filename: str, field: str = "file") -> tuple[str, bytes]:
    """A form with one file: its Content-Type line, and its bytes."""
    boundary = "boundary-of-the-tests"
    about = f'Content-Disposition: form-data; name="{field}"; filename="{filename}"'
    head = f"--{boundary}\r\n{about}\r\n\r\n".encode()
    line = f"Content-Type: multipart/form-data; boundary={boundary}"
    return line, head + body + f"\r\n--{boundary}--\r\n".encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def unfinished(proxy: StoreProxy, target: str, length: int, *lines: str) -> Iterator[Connection]:
    """A PUT of `length` bytes, none of which is sent yet; the client leaves at the end."""
    head = (f"PUT {target} HTTP/1.1", "Host: x", AUTHORIZED, f"Content-Length: {length}", *lines)
    with Connection(proxy.port) as connection:
        connection.send("\r\n".join((*head, "", "")).encode())
        yield connection
