"""The server of LiveReload: pages and browser extensions connect, and hear of changed files.

It listens where extensions look for it, and, for the script that is put into pages, at a port that
only this machine reaches: the proxy carries that WebSocket, so that a page needs no more than its
own origin, and is told of changes also where the known port is taken by another program.
"""

import errno
import ipaddress
import json
import os
import secrets
import socket
from asyncio import Future
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from aprp.dev import reloading
from aprp.dev.injecting import SOCKET_PATH
from aprp.dev.output import Console
from aprp.pages.page import asset

SERVER_NAME: Final = "aprp"

SCRIPT_TYPE: Final = "text/javascript; charset=utf-8"

# Seconds: so often it is seen whether a page is still there, and so long it may take to answer.
_PING_INTERVAL: Final = 30.0
_PING_PATIENCE: Final = 20.0

# The longest message of a client is the list of its plugins, with the page's URL.
_MOST_MESSAGE: Final = 64 << 10

_EXTENSIONS: Final = ("chrome-extension", "moz-extension", "safari-web-extension")
# Names that are given out in no public zone (RFC 6761, RFC 6762, RFC 8375, ICANN's "internal").
_LOCAL_NAMES: Final = (".localhost", ".test", ".local", ".home.arpa", ".internal", ".lan")


class LiveReload:
    """Knows who listens and tells them of changes."""

    def __init__(self, console: Console) -> None:
        """It is to be made on the running loop."""
        self._console = console
        self.library = asset("vendor/livereload.min.js")
        """The client of the protocol as it is published."""
        self._history = reloading.History(secrets.token_hex(4))
        self._listeners: set[_Listener] = set()
        application = Application(
            [(r"/livereload\.js", _Script), (rf"(?:/livereload|{SOCKET_PATH})", _Listener)],
            log_function=lambda handler: None,
            default_handler_class=_Other,
            websocket_ping_interval=_PING_INTERVAL,
            websocket_ping_timeout=_PING_PATIENCE,
            websocket_max_message_size=_MOST_MESSAGE,
            live=self,
        )
        self._server = HTTPServer(application)
        own = bind_sockets(0, "127.0.0.1")
        self._server.add_sockets(own)
        self.url = f"http://127.0.0.1:{own[0].getsockname()[1]}"
        """Where the proxy reaches it."""

    def listen(self, beside: Sequence[socket.socket], port: int) -> None:
        """Listen for extensions, too, at the addresses of other sockets; say if that cannot be."""
        try:
            sockets = _listen(beside, port)
        except OSError as error:
            self._console.say(_cannot_listen(port, error), "bad")
            return
        self._server.add_sockets(sockets)
        # Where it is one that nobody has named, it is news.
        tell = self._console.detail if port else self._console.say
        tell(f"LiveReload on port {sockets[0].getsockname()[1]}")

    def script(self) -> bytes:
        """The script for a page that is loaded now: it connects to where it comes from."""
        options = json.dumps({"path": f"{SOCKET_PATH[1:]}?since={self._history.position}"})
        return b"".join(
            (
                f"window.LiveReloadOptions = Object.assign({options}, ".encode(),
                b'{https: location.protocol === "https:", host: location.hostname, ',
                b"port: location.port});\n",
                self.library,
                # For another LiveReload that the page may have.
                b"\ndelete window.LiveReloadOptions;\n",
            )
        )

    def changed(self, paths: Sequence[str]) -> None:
        """Tell of files that changed, now that the backend is good; paths are relative."""
        if not paths:
            return
        self._history.add(paths)
        told = reloading.worth_telling(paths)
        for listener in self._listeners:
            listener.tell(told)
        self._console.detail(f"{len(self._listeners)} pages are told of {', '.join(told)}")

    @property
    def listeners(self) -> int:
        """How many clients have said hello and are there."""
        return len(self._listeners)

    def join(self, listener: "_Listener", since: str | None) -> None:
        """A client has said hello; `since` is the position that its page was loaded at."""
        self._listeners.add(listener)
        if since is not None:
            listener.tell(self._history.since(since))

    def leave(self, listener: "_Listener") -> None:
        """A client is gone."""
        self._listeners.discard(listener)

    async def close(self) -> None:
        """Close all connections."""
        self._server.stop()
        for listener in list(self._listeners):
            listener.close(1001)
        await self._server.close_all_connections()


class _Script(RequestHandler):
    """`/livereload.js`, as extensions and pages that name it themselves load it."""

    def get(self) -> None:
        self.set_header("Content-Type", SCRIPT_TYPE)
        self.set_header("Cache-Control", "no-cache")
        # For pages that only take what says that anybody may have it.
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        live: LiveReload = self.settings["live"]
        self.finish(live.library)


class _Other(RequestHandler):
    """Any other path, as somebody meets it who looks what listens here."""

    def prepare(self) -> None:
        self.set_status(404)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("LiveReload of aprp dev: /livereload.js and the WebSocket /livereload.\n")


class _Listener(WebSocketHandler):
    """The WebSocket of a client."""

    _greeted = False

    def check_origin(self, origin: str) -> bool:
        """Whether the page that connects may hear of files; programs have no Origin."""
        return may_listen(origin, self.request.host)

    def open(self, *_: str, **__: str) -> None:
        """The client has its turn."""
        self.set_nodelay(True)

    def on_message(self, message: str | bytes) -> None:
        """The first message has to be hello; `info` and `url` are the client's to tell."""
        if self._greeted:
            return
        try:
            reloading.check_hello(message)
        except reloading.HelloError as error:
            self.close(1002, f"LiveReload: {error}")
            return
        self._greeted = True
        self._send(reloading.hello(SERVER_NAME))
        self._live.join(self, self.get_query_argument("since", None))

    def on_close(self) -> None:
        """The client is gone."""
        self._live.leave(self)

    def tell(self, paths: Sequence[str]) -> None:
        """Have the client reload."""
        for path in paths:
            self._send(reloading.reload(path))

    def _send(self, text: str) -> None:
        # A client that is gone meanwhile is told nothing, and `on_close` hears of it.
        sent = self.write_message(text) if self.ws_connection is not None else None
        if sent is not None:
            sent.add_done_callback(_look_at)

    @property
    def _live(self) -> LiveReload:
        live: LiveReload = self.settings["live"]
        return live


def _look_at(sent: "Future[Any]") -> None:
    if not sent.cancelled():
        sent.exception()


def may_listen(origin: str, host: str) -> bool:
    """Whether a page or extension may hear of files, by its Origin; `host` is the Host it asked.

    These may: extensions, pages of the same host, and pages of a host that is not in the public
    network. Any other web page would hear which files its visitor is at work on; that includes
    files, which have the Origin `null`, as any page in a sandbox has.
    """
    try:
        parts = urlsplit(origin)
        name = (parts.hostname or "").rstrip(".")
        asked = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if parts.scheme in _EXTENSIONS:
        return True
    if parts.scheme not in ("http", "https") or not name:
        return False
    if name == asked or name.endswith(_LOCAL_NAMES):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # A name without a dot is of this machine or its own network.
        return "." not in name
    return address.is_private or address.is_loopback or address.is_link_local


def _listen(beside: Sequence[socket.socket], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for other in beside:
            host, _, *more = other.getsockname()
            sockets.append(socket.create_server((host, port, *more), family=other.family))
            sockets[-1].setblocking(False)
            port = sockets[0].getsockname()[1]
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _cannot_listen(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        why = "is taken by another program"
    else:
        why = f"cannot be had ({os.strerror(error.errno or 0).lower()})"
    return (
        f"LiveReload's port {port} {why}: browser extensions are not told of changes, pages with "
        "the script are; stop that program, or choose another port with --livereload-port"
    )
