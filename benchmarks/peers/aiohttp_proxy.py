"""A streaming reverse proxy on aiohttp, written as one would write it well: a peer to measure.

One ClientSession with keep-alive, no decompression, pieces passed on as they arrive, uvloop.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

VIA = "1.1 aiohttp"
HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)


def end_to_end(headers: aiohttp.typedefs.LooseHeaders) -> CIMultiDict[str]:
    """The fields that go further: without hop-by-hop ones and those named in Connection."""
    kept = CIMultiDict(headers)
    named = {name.strip().lower() for v in kept.getall("Connection", ()) for name in v.split(",")}
    for name in HOP_BY_HOP | named:
        kept.popall(name, None)
    return kept


class Proxy:
    """Passes GET and HEAD on to one origin and writes a line for each to `log`."""

    def __init__(self, upstream: str, log: TextIO) -> None:
        """`upstream` is the origin's URL without a slash at the end."""
        self.upstream = upstream
        self.log = log
        self.session: aiohttp.ClientSession | None = None

    async def client(self, _: web.Application) -> AsyncIterator[None]:
        """The session's life: from the application's start to its end."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=55),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30),
            auto_decompress=False,
            # read_bufsize stays at 64 KiB: larger ones were tried and cost more.
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as self.session:
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One exchange."""
        assert self.session is not None
        began = time.perf_counter()
        headers = end_to_end(request.headers)
        hops = [*request.headers.getall("X-Forwarded-For", ()), request.remote or "unknown"]
        headers["X-Forwarded-For"] = ", ".join(hops)
        headers["X-Forwarded-Proto"] = request.scheme
        headers["X-Forwarded-Host"] = request.host
        headers["Forwarded"] = f'for={request.remote};proto={request.scheme};host="{request.host}"'
        headers["Via"] = VIA
        try:
            origin = await self.session.request(
                request.method,
                URL(self.upstream + request.raw_path, encoded=True),
                headers=headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectionError, TimeoutError) as problem:
            raise web.HTTPBadGateway(text=str(problem)) from problem
        async with origin:
            first_byte = time.perf_counter() - began
            answer = web.StreamResponse(
                status=origin.status, reason=origin.reason, headers=end_to_end(origin.headers)
            )
            answer.headers["Via"] = VIA
            await answer.prepare(request)
            sent = 0
            async for piece in origin.content.iter_any():
                await answer.write(piece)
                sent += len(piece)
            await answer.write_eof()
        self.log.write(
            f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {request.remote} {request.method} "
            f"{request.raw_path} {answer.status} {answer.headers.get('Content-Range', '-')} {sent} "
            f"{first_byte:.6f} {time.perf_counter() - began:.6f} {self.upstream}\n"
        )
        return answer


async def serve(port: int, proxy: Proxy) -> None:
    """Serve until SIGTERM or SIGINT."""
    app = web.Application()
    app.cleanup_ctx.append(proxy.client)
    app.router.add_get("/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--log-file", type=Path, required=True)
    given = parser.parse_args()
    # A line a write, as a server's access log is unless somebody trades safety for speed.
    with given.log_file.open("a", buffering=1) as log:
        uvloop.run(serve(given.port, Proxy(given.upstream, log)))


if __name__ == "__main__":
    main()
