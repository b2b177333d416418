"""The origin of uploads: takes bodies, notes their sizes, and answers with what it has read.

A process of its own (`python -m benchmarks.sink`) on the core of the load generator, for nginx has
nowhere to put a body but a file. Each answer is a line with the number of bytes and, where the
request has `X-Check`, their CRC-32; without that the bytes are dropped: to look at them would make
the origin the slowest part of the run. To the log it adds a line a request, as the other origin.
"""

from __future__ import annotations

import argparse
import socket
import threading
import zlib
from pathlib import Path
from typing import IO

BUFFER = 1 << 20
MAX_HEAD = 64 << 10


class SinkError(Exception):
    """What came is no request that this origin understands, or it broke off."""


def body_length(head: bytes) -> int:
    """The Content-Length of a request's head; raises SinkError without one."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    raise SinkError("the request says no Content-Length: sized uploads are measured")


def serve(sock: socket.socket, log: IO[bytes]) -> None:
    """Take requests until the other end closes the connection; raises SinkError, OSError."""
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    while True:
        held = b""
        while b"\r\n\r\n" not in held:
            piece = sock.recv(MAX_HEAD)
            if not piece and not held:
                return
            if not piece or len(held) > MAX_HEAD:
                raise SinkError("the request's head has no end")
            held += piece
        head, _, begun = held.partition(b"\r\n\r\n")
        length, checked = body_length(head), b"\r\nx-check:" in head.lower()
        crc = zlib.crc32(begun) if checked else 0
        left = length - len(begun)
        while left > 0:
            got = sock.recv_into(buffer, min(left, BUFFER))
            if not got:
                raise SinkError(f"the request broke off with {left} bytes missing")
            if checked:
                crc = zlib.crc32(view[:got], crc)
            left -= got
        if left:
            raise SinkError("bytes behind the end of a request's body")
        log.write(b"%d\n" % length)
        log.flush()
        text = b"%d %08x\n" % (length, crc)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


def _run(sock: socket.socket, log: IO[bytes]) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            serve(sock, log)
        except (SinkError, OSError) as problem:
            # The proxy gets no answer, and the load generator tells of that.
            print(f"sink: {problem}", flush=True)


def main() -> None:
    """Listen, a thread a connection, until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    with (
        given.log.open("ab") as log,
        socket.create_server(("127.0.0.1", given.port), backlog=64) as listening,
    ):
        while True:
            sock, _ = listening.accept()
            threading.Thread(target=_run, args=(sock, log), daemon=True).start()


if __name__ == "__main__":
    main()
