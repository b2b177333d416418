"""LiveReload in the development proxy: pages with the script, and clients that are told."""

import gzip
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from aprp.dev.reloading import PROTOCOL
from tests.e2e.clients import Connection, fetch
from tests.e2e.dev_proxy import Dev
from tests.e2e.programs import PATIENCE

BACKEND = (sys.executable, "-I", "-S", str(Path(__file__).with_name("dev_pages.py")), "{port}")
PAGE = b"<!doctype html><html><head><title>t</title></head><body>x</body></html>"
TAG = b'<script src="/_aprp/livereload.js" async></script>'
WITH_TAG = PAGE.replace(b"<head>", b"<head>" + TAG)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    directory = tmp_path_factory.mktemp("pages")
    (directory / "page.html").write_bytes(PAGE)
    (directory / "style.css").write_text("a { b: c }")
    with Dev(directory, "--exclude", "go", command=BACKEND) as started:
        yield started


def greeted(client: ClientConnection) -> ClientConnection:
    client.send(json.dumps({"command": "hello", "protocols": [PROTOCOL], "ver": "4.0.2"}))
    assert json.loads(client.recv(PATIENCE))["command"] == "hello"
    return client


def reloaded(client: ClientConnection) -> str:
    message = json.loads(client.recv(PATIENCE))
    assert message["command"] == "reload"
    path: str = message["path"]
    return path


def test_a_page_has_the_script_and_the_script_is_there(dev: Dev) -> None:
    reply = dev.get("/page.html")
    assert reply.body == WITH_TAG
    script = dev.get("/_aprp/livereload.js")
    assert script.get("Content-Type") == "text/javascript; charset=utf-8"
    assert script.get("Cache-Control") == "no-store"
    assert b"official-7" in script.body


def test_other_files_are_as_they_are(dev: Dev) -> None:
    reply = dev.get("/style.css")
    assert reply.body == b"a { b: c }"
    assert reply.get("Content-Length") == "10"


def test_head_says_what_get_says(dev: Dev) -> None:
    replies = [fetch(dev.url, "/packed/page.html", method) for method in ("HEAD", "GET")]
    head, get = (
        [pair for pair in reply.fields if pair[0] not in ("Date", "X-Request-ID")]
        for reply in replies
    )
    assert head == [pair for pair in get if pair[0] != "Transfer-Encoding"]
    assert replies[1].body == WITH_TAG


def test_gzip_is_undone_and_tags_are_weak(dev: Dev) -> None:
    reply = dev.get("/packed/page.html", **{"Accept-Encoding": "gzip, br"})
    assert reply.body == WITH_TAG
    assert reply.get("Content-Encoding") is None
    assert reply.get("Content-Length") is None
    assert reply.get("Accept-Ranges") is None
    tag = reply.get("ETag")
    assert tag is not None
    assert tag.startswith('W/"')
    again = dev.get("/packed/page.html", **{"If-None-Match": tag})
    assert (again.status, again.get("ETag"), again.body) == (304, tag, b"")


def test_what_a_script_fetches_is_as_it_is(dev: Dev) -> None:
    reply = dev.get("/packed/page.html", **{"Sec-Fetch-Dest": "empty"})
    assert gzip.decompress(reply.body) == PAGE
    tag = reply.get("ETag")
    assert tag is not None
    assert not tag.startswith("W/")


def test_a_page_goes_on_as_it_comes(dev: Dev) -> None:
    (dev.directory / "go").unlink(missing_ok=True)
    with Connection(dev.port) as client:
        client.ask("/slow")
        client.read_head()
        got = b""
        while not got.endswith(b"<p>one"):
            piece = client.read_chunk()
            assert piece, got
            got += piece
        assert got == b"<!doctype html>" + TAG + b"<title>slow</title><p>one"
        (dev.directory / "go").write_text("")
        assert client.read_chunk() == b"<p>two"
        assert client.read_chunk() == b""


def test_an_extension_is_told_when_the_backend_is_good_again(dev: Dev) -> None:
    port = dev.wait_line(r"^aprp: LiveReload on port (\d+)$")[1]
    with connect(f"ws://127.0.0.1:{port}/livereload") as client:
        greeted(client)
        dev.write("style.css", "a { b: d }")
        assert reloaded(client) == "style.css"
        # It need not wait for anything now.
        assert dev.get("/style.css").body == b"a { b: d }"


def test_the_pages_own_connection_outlives_the_backend(dev: Dev) -> None:
    origin = Origin(f"http://127.0.0.1:{dev.port}")
    with connect(f"ws://127.0.0.1:{dev.port}/_aprp/livereload", origin=origin) as client:
        greeted(client)
        for name in ("page.html", "style.css", "page.html"):
            dev.write(name, PAGE.decode() if name == "page.html" else "a { b: e }")
            assert reloaded(client) == name


def test_the_socket_is_no_page(dev: Dev) -> None:
    reply = dev.get("/_aprp/livereload")
    assert (reply.status, reply.get("Upgrade")) == (426, "websocket")


def test_without_livereload_pages_are_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(PAGE)
    with Dev(tmp_path, "--no-livereload", command=BACKEND) as dev:
        reply = dev.get("/page.html")
        assert (reply.body, reply.get("Content-Length")) == (PAGE, str(len(PAGE)))
        assert dev.get("/_aprp/livereload.js").status == 404


def test_a_taken_port_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(PAGE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Dev(tmp_path, "--livereload-port", str(port), command=BACKEND) as dev:
            dev.wait_line(rf"^aprp: LiveReload's port {port} is taken .*--livereload-port")
            assert dev.get("/page.html").body == WITH_TAG
