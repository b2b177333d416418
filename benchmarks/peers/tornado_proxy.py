"""A reverse proxy on Tornado as its documentation leads one to write it: a row for reference.

SimpleAsyncHTTPClient (a connection a request) with `streaming_callback`, RequestHandler.write and
an awaited flush. It has uvloop as the others have, so that the difference is in the shape.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path
from typing import TextIO

import uvloop
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders, parse_response_start_line
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import Application, RequestHandler

VIA = "1.1 tornado"
HOP_BY_HOP = (
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
UNBOUNDED = 1 << 50


def end_to_end(headers: HTTPHeaders) -> HTTPHeaders:
    """A copy without the hop-by-hop fields and those named in Connection."""
    kept = headers.copy()
    for name in [*HOP_BY_HOP, *headers.get("Connection", "").split(",")]:
        if name.strip() in kept:
            del kept[name.strip()]
    return kept


class Proxy(RequestHandler):
    """Passes GET on to the origin, piece by piece."""

    def initialize(self, upstream: str, client: AsyncHTTPClient) -> None:
        """Keep what the application gives each handler."""
        self.upstream = upstream
        self.client = client

    async def get(self) -> None:
        """One exchange."""
        request = self.request
        headers = end_to_end(request.headers)
        headers["X-Forwarded-For"] = request.remote_ip or "unknown"
        headers["X-Forwarded-Proto"] = request.protocol
        headers["X-Forwarded-Host"] = request.host
        headers["Forwarded"] = (
            f'for={request.remote_ip};proto={request.protocol};host="{request.host}"'
        )
        headers["Via"] = VIA
        lines: list[str] = []

        def take_line(line: str) -> None:
            if line != "\r\n":
                lines.append(line)
                return
            start = parse_response_start_line(lines[0].strip())
            self.set_status(start.code, start.reason)
            for name in ("Server", "Content-Type", "Date"):
                self.clear_header(name)
            for name, value in end_to_end(HTTPHeaders.parse("".join(lines[1:]))).get_all():
                self.add_header(name, value)
            self.set_header("Via", VIA)

        async def take_piece(piece: bytes) -> None:
            self.write(piece)
            await self.flush()

        await self.client.fetch(
            HTTPRequest(
                self.upstream + str(request.uri),
                headers=headers,
                header_callback=take_line,
                streaming_callback=take_piece,
                decompress_response=False,
                follow_redirects=False,
                connect_timeout=5,
                request_timeout=0,
            ),
            raise_error=False,
        )


async def serve(port: int, upstream: str, log: TextIO) -> None:
    """Serve until SIGTERM or SIGINT."""

    def line(handler: RequestHandler) -> None:
        sent = handler._headers.get("Content-Length", "-")
        part = handler._headers.get("Content-Range", "-")
        request = handler.request
        log.write(
            f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {request.remote_ip} {request.method} "
            f"{request.uri} {handler.get_status()} {part} {sent} "
            f"{request.request_time():.6f} {upstream}\n"
        )

    client = SimpleAsyncHTTPClient(
        force_instance=True, max_clients=1000, max_body_size=UNBOUNDED, max_buffer_size=1 << 20
    )
    app = Application(
        [(r"/.*", Proxy, {"upstream": upstream, "client": client})], log_function=line
    )
    server = app.listen(port, "127.0.0.1")
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    server.stop()
    await server.close_all_connections()
    client.close()


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--log-file", type=Path, required=True)
    given = parser.parse_args()
    with given.log_file.open("a", buffering=1) as log:
        uvloop.run(serve(given.port, given.upstream, log))


if __name__ == "__main__":
    main()
