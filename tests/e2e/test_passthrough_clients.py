"""Real clients that send bodies: curl, and git over HTTP."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import curl
from tests.e2e.git_server import GitServer, git, git_server, make_repository
from tests.e2e.scripted import Peer, Script, ScriptedOrigin, answer
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.uploads import echoes, whole

LARGE = random.Random(5).randbytes(20 << 20)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to upload."""
    path = tmp_path_factory.mktemp("upload") / "large file.bin"
    path.write_bytes(LARGE)
    return path


def consenting(peer: Peer) -> None:
    """Ask for the body, and echo it."""
    if peer.request.get("Expect") is not None:
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    echoes()(peer)


@pytest.mark.parametrize("script", [echoes(), consenting])
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-H", "Transfer-Encoding: chunked"),
        ("-H", "Expect:"),
        ("-H", "Expect: 100-continue", "--expect100-timeout", "20"),
        ("--http1.0",),
        ("-X", "POST", "-H", "Expect:", "-H", "Transfer-Encoding: chunked"),
    ],
    ids=" ".join,
)
def test_curl_uploads_a_file(
    origin: ScriptedOrigin,
    scripted_proxy: Proxy,
    file: Path,
    script: Script,
    arguments: tuple[str, ...],
) -> None:
    path = origin.plays(script)
    done = curl(scripted_proxy.url + path, "-T", str(file), *arguments)
    assert (done.exit_code, done.errors, done.reply.status) == (0, "", 200)
    assert done.reply.body == LARGE
    (request,) = origin.asked(path)
    assert request.method == ("POST" if "POST" in arguments else "PUT")
    assert request.target == path


def test_curl_sends_a_form(origin: ScriptedOrigin, scripted_proxy: Proxy, file: Path) -> None:
    received = []

    def script(peer: Peer) -> None:
        received.append(whole(peer))
        peer.send(answer("200 OK", b"thanks"))

    path = origin.plays(script)
    form = ("-F", f"film=@{file};type=video/mp4", "-F", "title=A film", "-H", "Expect:")
    done = curl(scripted_proxy.url + path, *form)
    assert (done.exit_code, done.reply.body) == (0, b"thanks")
    (body,) = received
    (request,) = origin.asked(path)
    kind, _, boundary = (request.get("Content-Type") or "").partition("; boundary=")
    assert (request.method, kind) == ("POST", "multipart/form-data")
    assert body.startswith(b"--" + boundary.encode())
    assert body.endswith(b"--" + boundary.encode() + b"--\r\n")
    assert LARGE in body and b"A film" in body


@pytest.mark.parametrize(
    "arguments",
    [
        ("-d", "a=b&c=d"),
        ("--http1.0", "-d", "a=b&c=d"),
        ("-X", "PATCH", "-d", "a=b&c=d"),
        ("-X", "DELETE", "-d", "a=b&c=d"),
        ("-X", "DELETE", "--http1.0"),
        ("-X", "OPTIONS"),
        ("-X", "PROPFIND", "-H", "Depth: 1"),
        ("-G", "-d", "a=b&c=d"),
    ],
    ids=" ".join,
)
def test_curl_with_other_methods(
    origin: ScriptedOrigin, scripted_proxy: Proxy, arguments: tuple[str, ...]
) -> None:
    path = origin.plays(echoes("X-Repeated: 1", "X-Repeated: 2", status="200 Well Done"))
    done = curl(scripted_proxy.url + path, *arguments)
    sent = b"a=b&c=d" if "-d" in arguments and "-G" not in arguments else b""
    assert (done.exit_code, done.reply.body) == (0, sent)
    assert (done.reply.reason, done.reply.all("X-Repeated")) == ("Well Done", ["1", "2"])


def test_curl_goes_on_with_its_connection(
    origin: ScriptedOrigin, scripted_proxy: Proxy, file: Path
) -> None:
    path = origin.plays(echoes())
    url = scripted_proxy.url + path
    each = ("-T", str(file), "-o", "/dev/null")
    done = curl(url, *each, url, *each, url, *each, "-v")
    assert done.exit_code == 0
    assert done.errors.count("Re-using existing connection") == 2
    assert len(origin.asked(path)) == 3


# git.


@pytest.fixture(params=[False, True], ids=["plain", "cached"])
def git_proxy(request: pytest.FixtureRequest, served: GitServer, start_proxy: StartProxy) -> Proxy:
    """A proxy before the git server."""
    return start_proxy("--upstream", served.url, cache=request.param)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the bare repository `films.git`."""
    directory = tmp_path_factory.mktemp("git")
    make_repository(directory, "films.git", 30)
    return directory


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[GitServer]:
    """A server of that."""
    with git_server(root) as server:
        yield server


@pytest.mark.parametrize("version", ["0", "2"])
def test_git_clones_fetches_and_pushes(
    git_proxy: Proxy, served: GitServer, root: Path, tmp_path: Path, version: str
) -> None:
    url = f"{git_proxy.url}/films.git"
    bare = root / "films.git"
    first, second = tmp_path / "first", tmp_path / "second"
    protocol = ("-c", f"protocol.version={version}")
    served.calls.clear()
    for clone in (first, second):
        git(*protocol, "clone", "-q", url, str(clone), cwd=tmp_path)
        git("fsck", "--strict", cwd=clone)
        assert git("rev-parse", "HEAD", cwd=clone) == git("rev-parse", "main", cwd=bare)
    # Larger than http.postBuffer, so that it goes in chunks; and a small one.
    for size in (3 << 19, 10):
        (first / f"{size}.bin").write_bytes(os.urandom(size))
        git("add", ".", cwd=first)
        git("commit", "-q", "-m", f"{size} bytes", cwd=first)
        git(*protocol, "push", "-q", "origin", "main", cwd=first)
        assert git("rev-parse", "HEAD", cwd=first) == git("rev-parse", "main", cwd=bare)
        # What was answered before the push is not answered again.
        git(*protocol, "pull", "-q", "--ff-only", cwd=second)
        assert git("rev-parse", "HEAD", cwd=second) == git("rev-parse", "main", cwd=bare)
    git("fsck", "--strict", cwd=bare)
    kinds = {call.target.rpartition("/")[2] for call in served.calls}
    programs = ("git-upload-pack", "git-receive-pack")
    assert kinds == {*programs, *(f"refs?service={program}" for program in programs)}
    posts = [call for call in served.calls if call.method == "POST"]
    assert any(call.transfer == "chunked" for call in posts)
    assert any(call.length is not None and call.encoding == "gzip" for call in posts)


def test_git_tells_what_the_server_refuses(git_proxy: Proxy, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not found"):
        git("clone", "-q", f"{git_proxy.url}/none.git", "none", cwd=tmp_path)
