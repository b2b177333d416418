"""The container's health check: asks the proxy in the same container for /healthz.

`python -m aprp.healthcheck` exits 0 when the answer is 200, else 1 with one line that says why. It
knows the port and the prefix the way the proxy does: from the settings class, the environment, and
the flags of the container's first process.
"""

import os
import ssl
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from aprp import flags
from settings import DEFAULT_SETTINGS, SettingsError, import_settings, load
from settings.base import Settings

TIMEOUT = 3.0
"""Seconds for the connection, and again for the answer."""

_EVERY_INTERFACE = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}


def main(argv: Sequence[str]) -> int:
    """Ask once and return the exit code. `argv` has the flags the proxy was started with."""
    try:
        status = ask(proxy_settings(argv))
    except (OSError, HTTPException, SettingsError, flags.UsageError) as error:
        print(f"aprp: not healthy: {error or type(error).__name__}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"aprp: not healthy: /healthz answered {status}", file=sys.stderr)
        return 1
    return 0


def proxy_settings(argv: Sequence[str]) -> Settings:
    """Return the settings of a proxy that was started with the flags `argv`.

    Raises `SettingsError` and `flags.UsageError`.
    """
    name = flags.chosen_settings(argv) or os.environ.get("APRP_SETTINGS") or DEFAULT_SETTINGS
    line = flags.parse(argv, import_settings(name), "runserver.py")
    return load(name, os.environ, line.overrides)


def ask(settings: Settings) -> int:
    """Return the status of GET /healthz. Raises `OSError` and `HTTPException`.

    Whether a certificate fits its name is not asked: the connection stays in the container.
    """
    host = _EVERY_INTERFACE.get(settings.ADDRESS, settings.ADDRESS)
    # Not urllib: it would send the request to the proxy that http_proxy names.
    connection = HTTPConnection(host, settings.PORT, timeout=TIMEOUT)
    try:
        connection.connect()
        if settings.PROXY_PROTOCOL:
            # Of the machine itself one that names nobody is taken.
            connection.sock.sendall(b"PROXY UNKNOWN\r\n")
        if settings.TLS_CERT is not None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection.sock = context.wrap_socket(connection.sock)
        connection.request("GET", f"{settings.ADMIN_PREFIX}/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def first_process_flags(command_line: bytes) -> list[str]:
    """Return what follows runserver.py in a command line as /proc/PID/cmdline has it."""
    words = [os.fsdecode(word) for word in command_line.split(b"\0")[:-1]]
    for place, word in enumerate(words):
        if Path(word).name == "runserver.py":
            return words[place + 1 :]
    return []


if __name__ == "__main__":
    sys.exit(main(first_process_flags(Path("/proc/1/cmdline").read_bytes())))
