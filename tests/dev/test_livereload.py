"""The server of LiveReload, and clients of protocol 7: who may listen, and what they hear."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from aprp.dev.livereload import LiveReload, may_listen
from aprp.dev.output import Console
from aprp.dev.reloading import PROTOCOL
from aprp.pages.page import asset
from tests.peers import closed_port

PATIENCE = 10.0
HELLO = json.dumps({"command": "hello", "protocols": [PROTOCOL]})


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """A socket of the proxy's."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


class Lines:
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, style: str = "plain") -> None:
        self.said.append(text)

    def detail(self, text: str) -> None:
        """Is not asked for."""


def serve(test: Callable[[LiveReload, Lines], Awaitable[None]]) -> None:
    """Run a test with a server."""

    async def run() -> None:
        lines = Lines()
        live = LiveReload(cast(Console, lines))
        try:
            await test(live, lines)
        finally:
            await live.close()

    asyncio.run(asyncio.wait_for(run(), 3 * PATIENCE))


@asynccontextmanager
async def listening(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A client that has said hello and heard the server's."""
    async with connect(f"{url.replace('http', 'ws')}/livereload", **options) as client:
        await client.send(HELLO)
        hello = json.loads(await client.recv())
        assert hello["command"] == "hello"
        assert PROTOCOL in hello["protocols"]
        yield client


async def heard(client: ClientConnection) -> str:
    """The path of the next command, which is to reload."""
    message = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
    assert message["command"] == "reload"
    assert message["liveCSS"] is True
    path: str = message["path"]
    return path


def test_an_extension_hears_of_changes_at_the_known_port(bound: socket.socket) -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        port = closed_port()
        live.listen([bound], port)
        url = f"http://127.0.0.1:{port}"
        with await asyncio.to_thread(urlopen, f"{url}/livereload.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert answer.read() == asset("vendor/livereload.min.js")
        async with listening(url, origin="chrome-extension://jnihajbh") as client:
            await client.send(json.dumps({"command": "info", "plugins": {}, "url": "http://x/"}))
            await client.send(json.dumps({"command": "url", "url": "http://x/"}))
            live.changed(["a.css", "b.png"])
            assert [await heard(client) for _ in range(2)] == ["a.css", "b.png"]
            live.changed([])
            live.changed(["a.css", "views/x.py"])
            assert await heard(client) == "views/x.py"
        assert lines.said == []

    serve(test)


def test_another_path_says_what_listens_there() -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        with pytest.raises(HTTPError) as refused:
            await asyncio.to_thread(urlopen, live.url)
        with refused.value as answer:
            assert answer.status == 404
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert b"/livereload.js" in answer.read()

    serve(test)


def test_all_clients_hear_and_those_that_are_gone_are_forgotten() -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        async with listening(live.url) as one:
            async with listening(live.url) as two:
                live.changed(["a.css"])
                assert [await heard(one), await heard(two)] == ["a.css", "a.css"]
            live.changed(["b.css"])
            assert await heard(one) == "b.css"
            # The server closes first (RFC 6455 section 7.1.1).
            assert live.listeners == 1

    serve(test)


def test_what_a_page_has_missed_since_it_was_loaded_is_told() -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        line = live.script().decode().partition("\n")[0]
        path = json.loads(line[line.index("{") : line.index("}") + 1])["path"]
        since = path.removeprefix("_aprp/livereload")
        live.changed(["a.css"])
        async with connect(f"{live.url.replace('http', 'ws')}/livereload{since}") as client:
            await client.send(HELLO)
            await client.recv()
            assert await heard(client) == "a.css"
        async with connect(f"{live.url.replace('http', 'ws')}/livereload?since=old.0") as client:
            await client.send(HELLO)
            await client.recv()
            assert not (await heard(client)).endswith(".css")

    serve(test)


def test_nobody_hears_before_hello_and_other_protocols_are_refused() -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        async with connect(f"{live.url.replace('http', 'ws')}/livereload") as client:
            live.changed(["a.css"])
            six = "http://livereload.com/protocols/official-6"
            await client.send(json.dumps({"command": "hello", "protocols": [six]}))
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1002
            assert "official-7" in closed.value.rcvd.reason

    serve(test)


def test_a_page_of_the_public_network_is_refused() -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(
                f"{live.url.replace('http', 'ws')}/livereload",
                origin=Origin("https://evil.example"),
            ):
                pass
        assert refused.value.response.status_code == 403

    serve(test)


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        ("chrome-extension://jnihajbhpnppcggbcgedagnkighmdlei", "localhost:35729", True),
        ("moz-extension://0c9b7ab6", "localhost:35729", True),
        ("safari-web-extension://0c9b7ab6", "localhost:35729", True),
        ("http://localhost:8000", "localhost:35729", True),
        ("http://127.0.0.1:8000", "localhost:35729", True),
        ("http://[::1]:8000", "localhost:35729", True),
        ("http://app.localhost:8000", "127.0.0.1:35729", True),
        ("https://shop.test", "localhost:35729", True),
        ("http://192.168.1.5:8000", "192.168.1.5:35729", True),
        ("http://box:8000", "localhost:35729", True),
        ("http://box.example.org:8000", "box.example.org:8000", True),
        ("https://evil.example", "localhost:35729", False),
        ("http://localhost.evil.example", "localhost:35729", False),
        ("http://8.8.8.8", "localhost:35729", False),
        ("http://test", "localhost", True),
        ("null", "localhost:35729", False),
        ("file://", "localhost:35729", False),
        ("http://", "localhost:35729", False),
        ("http://[::1", "localhost:35729", False),
        ("", "", False),
    ],
)
def test_extensions_and_local_pages_may_listen(origin: str, host: str, may: bool) -> None:
    assert may_listen(origin, host) is may


def test_a_taken_port_is_said_and_pages_with_the_script_hear_all_the_same(
    bound: socket.socket,
) -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        other = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        live.listen([bound], port)
        (said,) = lines.said
        assert f"port {port} is taken" in said
        assert "--livereload-port" in said
        async with listening(live.url) as client:
            live.changed(["a.css"])
            assert await heard(client) == "a.css"
        other.close()

    serve(test)


def test_any_free_port_is_named(bound: socket.socket) -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        live.listen([bound], 0)
        port = int(lines.said[0].removeprefix("LiveReload on port "))
        async with listening(f"http://127.0.0.1:{port}") as client:
            live.changed(["a.css"])
            assert await heard(client) == "a.css"

    serve(test)


def test_the_end_closes_connections() -> None:
    async def test(live: LiveReload, lines: Lines) -> None:
        async with listening(live.url) as client:
            await live.close()
            with pytest.raises(ConnectionClosed):
                await client.recv()

    serve(test)
