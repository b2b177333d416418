"""A client in a process of its own that reads at a line's pace: PORT TARGET FIRST LAST RATE.

RATE is in bytes a second; 0: as fast as the bytes come. It prints how many bytes of the body came.
"""

import socket
import sys
import time

_PIECE = 65536
_PAUSE = 0.0005
"""Seconds below which it is not worth to sleep."""


def main() -> None:
    """Read one range, and say how much came."""
    port, target, first, last, rate = sys.argv[1:]
    with socket.socket() as sock:
        if float(rate):
            # What the kernel takes in advance does not come at the line's pace.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _PIECE)
        sock.connect(("127.0.0.1", int(port)))
        lines = (f"GET {target} HTTP/1.1", "Host: media.example", f"Range: bytes={first}-{last}")
        sock.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode())
        held = b""
        while b"\r\n\r\n" not in held:
            piece = sock.recv(_PIECE)
            if not piece:
                sys.exit(f"closed in the head: {held!r}")
            held += piece
        head, body = held.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 206 "):
            sys.exit(f"not the answer: {head!r}")
        got = len(body)
        begun = time.perf_counter()
        buffer = bytearray(_PIECE if float(rate) else 64 * _PIECE)
        while count := sock.recv_into(buffer):
            got += count
            if float(rate):
                early = begun + got / float(rate) - time.perf_counter()
                if early > _PAUSE:
                    time.sleep(early)
    print(got)


if __name__ == "__main__":
    main()
