"""From settings to a running proxy."""

import errno
import functools
import logging
import os
import signal
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tornado.netutil import bind_sockets

from aprp import __version__, logs
from aprp.application import Application
from aprp.front.tls import ServerTLS, TLSFilesError
from aprp.serving import reload_tls, run_worker
from aprp.stats.counters import Counters
from aprp.tracing import setup
from aprp.upstream.origins import Origin, origin_tls
from aprp.workers import OWN_SIGNALS, Supervisor

if TYPE_CHECKING:
    from settings.base import Settings

_log = logging.getLogger("aprp")

EMBEDDED = "embedded"
_BACKLOG = 1024


class StartError(Exception):
    """The proxy cannot start; the text is one line for the operator."""


def make_app(settings: "Settings") -> Application:
    """Make the application for settings.

    An embedded origin's socket is bound here, on a free loopback port; serving it is up to who
    serves the application. Raises StartError.
    """
    try:
        tls = origin_tls(str(settings.UPSTREAM_CA) if settings.UPSTREAM_CA else None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"UPSTREAM_CA: {settings.UPSTREAM_CA} cannot be used: {error}") from None
    embedded: list[socket.socket] = []
    if EMBEDDED in settings.UPSTREAM:
        embedded = bind_sockets(0, "127.0.0.1", backlog=_BACKLOG)
    urls = [
        f"http://127.0.0.1:{embedded[0].getsockname()[1]}" if url == EMBEDDED else url
        for url in settings.UPSTREAM
    ]
    origins = [Origin.parse(url, tls) for url in urls]
    counters = Counters(settings.WORKERS or len(os.sched_getaffinity(0)))
    return Application(settings, counters, origins, tls, embedded)


def start_proxy(app: Application) -> int:
    """Listen, serve until a signal says stop, and return the exit code.

    With WORKERS above one this process only looks after the workers. Raises StartError.
    """
    settings = app.settings
    try:
        logs.configure(settings)
    except logs.LogSetupError as error:
        raise StartError(str(error)) from None
    if settings.OTEL:
        try:
            setup.check()
        except setup.TracingSetupError as error:
            raise StartError(f"OTEL: {error}") from None
    if settings.UPLOADS and not settings.UPLOAD_TOKEN and not settings.DEBUG:
        _log.warning("UPLOADS is on and has no effect: UPLOAD_TOKEN is not set, and DEBUG is off")
    if settings.PROXY_PROTOCOL and not settings.TRUSTED_PROXIES:
        raise StartError(
            "PROXY_PROTOCOL: it is on and TRUSTED_PROXIES is empty, so that no connection could be "
            "taken: name the proxies in front, such as --trusted-proxies 10.0.0.0/8"
        )
    tls = _tls(settings)
    sockets = _listen(settings)
    app.own.listen(sockets)
    # A signal that comes before somebody listens to it waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, OWN_SIGNALS)
    origins = ", ".join(origin.url for origin in app.sites.default.origins.origins)
    print(f"aprp {__version__} on {_shown_url(settings, sockets)} for {origins}", flush=True)
    run = functools.partial(run_worker, app, sockets, tls)
    try:
        if app.counters.workers == 1:
            return run(0, None)
        # While the workers drain, nobody must be let in by the parent's copies.
        close = functools.partial(_close, sockets)
        reload = functools.partial(reload_tls, tls)
        supervisor = Supervisor(app.counters.workers, run, app.worker_gone, close, reload)
        return supervisor.run()
    finally:
        _close(sockets)
        if app.redis is not None:
            app.redis.finish()
        logs.close()


def _tls(settings: "Settings") -> ServerTLS | None:
    """Read certificate and key; before the fork, so that workers resume each other's sessions."""
    if settings.TLS_CERT is None or settings.TLS_KEY is None:
        return None
    try:
        return ServerTLS(settings.TLS_CERT, settings.TLS_KEY)
    except TLSFilesError as error:
        raise StartError(str(error)) from None


def _close(sockets: Sequence[socket.socket]) -> None:
    for listening in sockets:
        listening.close()


def _listen(settings: "Settings") -> list[socket.socket]:
    """Bind before the fork: all workers accept from the same sockets, and a second aprp fails."""
    where = settings.ADDRESS or "all interfaces"
    try:
        return bind_sockets(settings.PORT, settings.ADDRESS or None, backlog=_BACKLOG)
    except PermissionError:
        raise StartError(
            f"PORT: {settings.PORT} on {where} is not allowed for this user: "
            "choose one above 1023, such as --port 8000"
        ) from None
    except socket.gaierror as error:
        raise StartError(f"ADDRESS: {where} is not an address here: {error.strerror}") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"PORT: cannot listen on port {settings.PORT} of {where}: {reason.lower()}; "
                "stop the program that uses it, or choose another with --port"
            ) from None
        raise StartError(
            f"ADDRESS: cannot listen on {where}: {reason.lower()}; choose another with --address"
        ) from None


def _shown_url(settings: "Settings", sockets: list[socket.socket]) -> str:
    port = sockets[0].getsockname()[1]
    host = settings.ADDRESS or "localhost"
    scheme = "http" if settings.TLS_CERT is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
