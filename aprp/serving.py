"""One worker: serves sockets on an event loop until it is told to stop, then drains."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence

from tornado.httpserver import HTTPServer

from aprp import logs
from aprp.application import Application
from aprp.front.server import ProxyServer
from aprp.front.tls import ServerTLS, TLSFilesError
from aprp.handlers import player
from aprp.pages.listing import Uploads
from aprp.upstream.embedded import make_origin
from aprp.workers import OWN_SIGNALS, RELOAD, RELOAD_SIGNAL, STOP_SIGNALS

new_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop as new_loop
except ImportError:  # uvloop has no build for this platform
    new_loop = asyncio.new_event_loop

# Objects made and not freed between two looks of the garbage collector.
_COLLECT_AFTER = 50_000

_log = logging.getLogger("aprp")


def reload_tls(tls: ServerTLS | None, level: int = logging.INFO) -> bool:
    """Read certificate and key again, log how it went, and return whether they are new.

    `level` is that of the line about new ones: with workers the parent has told of them.
    """
    if tls is None:
        _log.info("SIGHUP: there is nothing to read again, TLS_CERT is not set")
        return False
    try:
        tls.reload()
    except TLSFilesError as error:
        _log.error("SIGHUP: the certificate stays as it is: %s", error)
        return False
    _log.log(level, "SIGHUP: new connections get the certificate of %s", tls.certificate)
    return True


def run_worker(
    app: Application,
    sockets: Sequence[socket.socket],
    tls: ServerTLS | None,
    number: int,
    control: int | None,
) -> int:
    """Serve until told to stop, and return the exit code.

    `control` is the read end of a pipe from the parent: STOP says drain, a second one or the
    pipe's end says stop, RELOAD says that the files of `tls` are to be read again. Without one,
    SIGTERM, SIGINT and SIGHUP say it.
    """
    app.attach(number)
    # What is there now stays; and a request leaves no cycles behind for the collector to find,
    # which at its usual pace takes a tenth of the time of small requests.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_serve(app, sockets, tls, control))


async def _serve(
    app: Application,
    sockets: Sequence[socket.socket],
    tls: ServerTLS | None,
    control: int | None,
) -> int:
    delay = app.settings.LOG_DELAY
    if delay:
        logs.hold_lines(delay, asyncio.get_running_loop().call_later)
    try:
        return await _run(app, sockets, tls, control)
    finally:
        logs.hold_lines(0, None)


async def _run(
    app: Application,
    sockets: Sequence[socket.socket],
    tls: ServerTLS | None,
    control: int | None,
) -> int:
    stop = StopRequests()
    if control is None:
        stop.listen_to_signals(tls)
    else:
        stop.listen_to(control, tls)
    settings = app.settings
    server = ProxyServer(
        app,
        max_head=settings.MAX_HEADER_SIZE,
        idle_timeout=settings.KEEPALIVE_TIMEOUT,
        header_timeout=settings.HEADER_TIMEOUT,
        tls=tls,
        trusts=app.is_trusted if settings.PROXY_PROTOCOL else None,
        body_timeout=settings.BODY_TIMEOUT,
        buffer_size=settings.BUFFER_SIZE,
        rate_limit=settings.RATE_LIMIT,
        rate_limit_after=settings.RATE_LIMIT_AFTER,
        quotas=app.quotas,
        exempt=app.is_trusted,
    )
    await server.listen(sockets)
    app.live.start()
    if app.files is not None:
        app.files.start()
    origin = _serve_embedded(app)
    if app.redis is not None:
        app.redis.start()
    try:
        await stop.first.wait()
        await _drain(app, server, stop.second)
    finally:
        # A signal that comes now has nothing left to stop.
        signal.pthread_sigmask(signal.SIG_BLOCK, OWN_SIGNALS)
        server.stop()
        # Before the clients' connections are closed: that would look as if they had left.
        await app.close_tunnels()
        server.close_all()
        if origin is not None:
            origin.stop()
            await origin.close_all_connections()
        await app.close()
    return 0


class StopRequests:
    """The first request to stop is for an end in good order, a second one does not wait for that.

    `first` and `second` are set when they come.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def listen_to_signals(self, tls: ServerTLS | None) -> None:
        """Take them from the signals that workers get; RELOAD_SIGNAL reads `tls` again."""
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self.ask)
        self._loop.add_signal_handler(RELOAD_SIGNAL, reload_tls, tls)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OWN_SIGNALS)

    def listen_to(self, control: int, tls: ServerTLS | None) -> None:
        """Take them from the parent's pipe; RELOAD reads `tls` again."""
        self._loop.add_reader(control, self._read, control, tls)

    def _read(self, control: int, tls: ServerTLS | None) -> None:
        said = os.read(control, 16)
        for word in said:
            if word == RELOAD[0]:
                reload_tls(tls, logging.DEBUG)
            else:
                self.ask()
        if not said:
            # The parent is gone: nobody will say anything more.
            self._loop.remove_reader(control)
            self.ask()

    def ask(self) -> None:
        """A request has come."""
        if self.first.is_set():
            self.second.set()
        self.first.set()


async def _drain(app: Application, server: ProxyServer, at_once: asyncio.Event) -> None:
    app.drain()
    server.stop()
    server.close_idle()
    limit = app.settings.DRAIN_TIMEOUT
    if app.exchanges:
        under_way = len(app.exchanges)
        _log.info("stopping: what is under way finishes (%d), for %g s at most", under_way, limit)
    waits = [asyncio.ensure_future(app.drained()), asyncio.ensure_future(at_once.wait())]
    await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if app.exchanges:
        _log.warning("stopped; requests cut short: %d", len(app.exchanges))


def _serve_embedded(app: Application) -> HTTPServer | None:
    if not app.embedded:
        return None
    settings = app.settings
    origin = HTTPServer(
        make_origin(
            settings.MEDIA_DIR,
            index=settings.HOME_PAGE,
            range_param=settings.RANGE_PARAM,
            range_path=settings.RANGE_PATH,
            stats_url=f"{settings.ADMIN_PREFIX}/stats",
            play_url=f"{settings.ADMIN_PREFIX}{player.PATH}" if settings.PLAYER else "",
            uploads=Uploads(
                settings.FILES_PREFIX, bool(settings.UPLOAD_TOKEN), settings.MAX_UPLOAD_SIZE
            )
            if app.files is not None
            else None,
        )
    )
    origin.add_sockets(app.embedded)
    return origin
