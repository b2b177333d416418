"""The load generator of uploads: sends bodies of any size, one after the other.

A process of its own (`python -m benchmarks.upload`) with the dialogue of `benchmarks.load`: the
warm-up's bodies are compared with the file by the origin's CRC-32, `ready`, a line on standard
input, the measured requests, a JSON object. Bodies larger than the file repeat it; the kernel sends
them from the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import time
import zlib
from pathlib import Path

from benchmarks.load import MAX_HEAD, LoadError, parse_head


def crc_of(file: Path, size: int) -> int:
    """The CRC-32 of `size` bytes of the file, repeated."""
    content = file.read_bytes()
    crc, left = 0, size
    while left > 0:
        crc = zlib.crc32(memoryview(content)[:left], crc)
        left -= len(content)
    return crc


def wait_at_most(sock: socket.socket, seconds: float) -> None:
    """Have the kernel bound each wait for the other end: for sendfile a socket has to block."""
    sock.setblocking(True)
    bound = struct.pack("ll", int(seconds), 0)
    for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, bound)


def send_body(sock: socket.socket, descriptor: int, total: int, size: int) -> None:
    """Send `size` bytes of the open file of `total` bytes, repeated; raises OSError."""
    sent = 0
    while sent < size:
        place = sent % total
        sent += os.sendfile(sock.fileno(), descriptor, place, min(total - place, size - sent))


def read_answer(sock: socket.socket) -> str:
    """Read a small answer; gives its text. Raises LoadError where it is none with status 200."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(MAX_HEAD)
        if not piece or len(data) > MAX_HEAD:
            raise LoadError("the proxy closed the connection without an answer")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    parsed = parse_head(head)
    while len(body) < parsed.content_length and (piece := sock.recv(MAX_HEAD)):
        body += piece
    if parsed.status != 200 or len(body) != parsed.content_length:
        raise LoadError(f"status {parsed.status}, {body[:200]!r}")
    return body.decode("latin-1").strip()


def post(sock: socket.socket, given: argparse.Namespace, crc: int | None) -> None:
    """Send one request; raises LoadError unless all of it arrived: `crc`, where it is checked."""
    lines = (
        f"POST {given.path} HTTP/1.1",
        f"Host: {given.host}:{given.port}",
        "User-Agent: aprp-bench",
        "Content-Type: application/octet-stream",
        f"Content-Length: {given.size}",
        *(["X-Check: 1"] if crc is not None else []),
        *("", ""),
    )
    sock.sendall("\r\n".join(lines).encode())
    with given.file.open("rb") as file:
        send_body(sock, file.fileno(), given.file.stat().st_size, given.size)
    answer, expected = read_answer(sock), f"{given.size} {crc or 0:08x}"
    if answer != expected:
        raise LoadError(f"the origin got {answer!r} instead of {expected!r}")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line; sizes in bytes, times in seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--file", type=Path, required=True, help="what bodies are made of")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds without progress")
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> dict[str, float]:
    """Warm up, wait for the line, measure; what was done. Raises LoadError or OSError."""
    with socket.create_connection((given.host, given.port), given.deadline) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait_at_most(sock, given.deadline)
        crc = crc_of(given.file, given.size) if given.warmup else 0
        for _ in range(given.warmup):
            post(sock, given, crc)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.monotonic()
        for _ in range(given.count):
            post(sock, given, None)
        seconds = time.monotonic() - began
    return {"requests": given.count, "bytes": given.count * given.size, "seconds": seconds}


def main() -> int:
    """Entry point of the process."""
    try:
        print(json.dumps(run(arguments())), flush=True)
    except (LoadError, OSError) as problem:
        print(json.dumps({"error": str(problem)}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
