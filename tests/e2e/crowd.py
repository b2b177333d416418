"""Many players at once, in one thread: what they get is checked and not kept."""

import contextlib
import selectors
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.e2e.bodies import Body
from tests.e2e.clients import parse_head
from tests.e2e.programs import PATIENCE

_PIECE = 1 << 18
_BUFFER = bytearray(_PIECE)


@dataclass(slots=True)
class _Player:
    """One player, who wants the bytes `place` to `stop`; every `skips`-th piece is checked."""

    sock: socket.socket
    body: Body
    place: int
    stop: int
    skips: int
    head: bytes = b""
    pieces: int = field(default=0)

    def take(self) -> bool:
        """Take what has come; returns whether that was the last of it."""
        if not self.head.endswith(b"\r\n\r\n"):
            return self._take_head()
        size = min(self.stop - self.place, _PIECE)
        self.pieces += 1
        if self.pieces % self.skips:
            # The kernel throws it away and tells how much it was.
            count = self.sock.recv_into(_BUFFER, size, socket.MSG_TRUNC)
        else:
            count = self.sock.recv_into(_BUFFER, size)
            assert self.body.matches(self.place, bytes(_BUFFER[:count])), self.place
        assert count, f"the answer ends at {self.place} and not at {self.stop}"
        self.place += count
        return self.place == self.stop

    def _take_head(self) -> bool:
        # No more than the head: what follows is read piece by piece.
        seen = self.sock.recv(16384, socket.MSG_PEEK)
        assert seen, "closed instead of an answer"
        end = seen.find(b"\r\n\r\n")
        self.head += self.sock.recv(end + 4 if end >= 0 else len(seen))
        if end >= 0:
            _, status, _, fields = parse_head(self.head)
            assert status == 206, self.head
            place = dict(fields)["Content-Range"]
            assert place == f"bytes {self.place}-{self.stop - 1}/{self.body.size}"
        return False


def play(
    port: int, path: str, body: Body, spans: Sequence[tuple[int, int]], *, skips: int = 1
) -> None:
    """Read the spans of a file at once, a connection each; every `skips`-th piece is checked."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for start, stop in spans:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            asked = f"Range: bytes={start}-{stop - 1}"
            lines = (f"GET {path} HTTP/1.1", "Host: media.example", asked, "", "")
            sock.sendall("\r\n".join(lines).encode())
            sock.setblocking(False)
            player = _Player(sock, body, start, stop, skips)
            selector.register(sock, selectors.EVENT_READ, player)
        while selector.get_map():
            ready = selector.select(PATIENCE)
            assert ready, f"{len(selector.get_map())} players get nothing"
            for key, _ in ready:
                if key.data.take():
                    selector.unregister(key.fileobj)
                    key.data.sock.close()
