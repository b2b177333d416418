"""The development proxy as a whole: made of its parts, run, and ended without leaving anything."""

import asyncio
import errno
import os
import shlex
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from tornado.netutil import bind_sockets

from aprp import __version__, logs
from aprp.dev.doors import open_doors
from aprp.dev.guard import Guard
from aprp.dev.injecting import Injecting
from aprp.dev.livereload import LiveReload
from aprp.dev.options import Options
from aprp.dev.output import Console, coloured
from aprp.dev.places import Place
from aprp.dev.process import adopt_orphans
from aprp.dev.proxy import DevApplication, DevServer
from aprp.dev.supervisor import Supervisor, backend_environment
from aprp.dev.watching import FilesWatcher, Watcher, WatchError
from aprp.dev.watchman import WatchmanWatcher
from aprp.flags import UsageError
from aprp.serving import StopRequests, new_loop
from settings.base import Settings

OK: Final = 0

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BACKLOG: Final = 1024
# A developer may stop in a debugger for as long as it takes.
_LONG: Final = 86400.0


def run(options: Options) -> int:
    """Run until a signal says stop, and return the exit code. Raises UsageError."""
    sockets = _listen(options.bind)
    # Before there are threads.
    guard = Guard()
    console = Console(options.debug)
    try:
        logs.configure(_settings(options, sockets))
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_run(options, sockets, guard, console))
    finally:
        for listening in sockets:
            listening.close()
        logs.close()
        guard.close()
        console.close()


async def _run(
    options: Options, sockets: Sequence[socket.socket], guard: Guard, console: Console
) -> int:
    loop = asyncio.get_running_loop()
    stop = StopRequests()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.ask)
    answers = Injecting() if options.livereload is not None else None
    app = DevApplication(_settings(options, sockets), answers)
    app.attach(0)
    watcher = _make_watcher(options, console, loop, lambda paths: supervisor.changed(paths))
    try:
        # Before the first start: what changes later is seen by it, or told.
        await asyncio.to_thread(watcher.start)
    except WatchError as error:
        await app.close()
        raise UsageError(str(error)) from None
    live = LiveReload(console) if options.livereload is not None else None
    supervisor = Supervisor(
        options.command,
        backend_environment(coloured()),
        options.backend,
        console,
        graceful=options.graceful,
        guard=guard,
        adopts=adopt_orphans(),
        reloads=live.changed if live is not None else lambda paths: None,
        turned=app.turned,
    )
    app.supervisor = supervisor
    app.server = _make_server(app)
    try:
        await app.server.listen(sockets)
        if live is not None:
            open_doors(app, live)
            live.listen(sockets, options.livereload or 0)
        for pattern in await asyncio.to_thread(options.selection.unmatched):
            console.say(f"no file that is watched matches --pattern {shlex.quote(pattern)}", "bad")
        console.say(f"{__version__} on {_url(options.bind, sockets)} for {options.backend}")
        supervisor.begin()
        await stop.first.wait()
    finally:
        await _either(supervisor.stop(), stop.second.wait())
        await app.shut(sockets)
        if live is not None:
            await live.close()
        await asyncio.to_thread(watcher.stop)
    return OK


async def _either(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Return when one of them has; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()


def _make_watcher(
    options: Options,
    console: Console,
    loop: asyncio.AbstractEventLoop,
    changed: Callable[[Sequence[str]], None],
) -> Watcher:
    make = WatchmanWatcher if options.watchman else FilesWatcher

    def tell(paths: Sequence[str]) -> None:
        loop.call_soon_threadsafe(changed, paths)

    return make(options.selection, tell, lambda text: console.say(text, "bad"))


def _make_server(app: DevApplication) -> DevServer:
    settings = app.settings
    return DevServer(
        app,
        max_head=settings.MAX_HEADER_SIZE,
        idle_timeout=settings.KEEPALIVE_TIMEOUT,
        header_timeout=settings.HEADER_TIMEOUT,
        body_timeout=settings.BODY_TIMEOUT,
        buffer_size=settings.BUFFER_SIZE,
    )


def _settings(options: Options, sockets: Sequence[socket.socket]) -> Settings:
    """The proxy's settings; those of the environment are for `aprp serve`."""
    port = sockets[0].getsockname()[1]
    return Settings(
        DEBUG=options.debug,
        PORT=port,
        ADMIN_PREFIX="/_aprp",
        UPSTREAM=(f"http://{options.backend}",),
        CACHE_DIR=None,
        # Servers for development may have one thread, which a kept connection would hold.
        ORIGIN_MAX_IDLE=0,
        ORIGIN_RETRY_AFTER=0.0,
        FIRST_BYTE_TIMEOUT=_LONG,
        IDLE_TIMEOUT=_LONG,
        TUNNEL_IDLE_TIMEOUT=_LONG,
        BODY_TIMEOUT=_LONG,
        SEND_TIMEOUT=_LONG,
        MAX_HEADER_SIZE=256 << 10,
        LOG_FILE=None,
        LOG_CONSOLE=True,
        LOG_DELAY=0.0,
        LOG_LEVEL="DEBUG" if options.debug else "WARNING",
        ACCESS_LOG=options.debug,
        # The backend may be an aprp itself.
        VIA_NAME=f"aprp-dev-{port}",
    )


def _listen(bind: Place) -> list[socket.socket]:
    where = f"port {bind.port} of {bind.host or 'all interfaces'}"
    try:
        return bind_sockets(bind.port, bind.host or None, backlog=_BACKLOG)
    except PermissionError:
        raise UsageError(
            f"BIND: {where} is not allowed for this user: choose a port above 1023"
        ) from None
    except socket.gaierror as error:
        raise UsageError(f"BIND: {bind.host} is not an address here: {error.strerror}") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        todo = "choose another address"
        if error.errno == errno.EADDRINUSE:
            todo = "stop the program that uses it, or choose another port"
        raise UsageError(f"BIND: cannot listen on {where}: {reason.lower()}; {todo}") from None


def _url(bind: Place, sockets: Sequence[socket.socket]) -> str:
    return f"http://{Place(bind.host or 'localhost', sockets[0].getsockname()[1])}/"
