"""The proxy's own requests to origins: what `AsyncHTTPClient.fetch` takes, lean and streamed."""

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from tornado.httpclient import HTTPRequest

from aprp.semantics.headers import Pair, head_bytes
from aprp.upstream.detached import Detached
from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import OriginClosed
from aprp.upstream.head import ResponseHead, head_of_lines
from aprp.upstream.outgoing import RequestBody
from aprp.upstream.receiver import Placer

if TYPE_CHECKING:
    import asyncio

    from aprp.upstream.connection import OriginConnection
    from aprp.upstream.stream import StreamFetch

_TARGET: Final = re.compile(r"[!-~\x80-\xff]+")


class OriginRequest(HTTPRequest):
    """A request of the proxy: streamed as it is, without a limit on the whole time.

    `on_head` gets the response's head, `on_body` memoryviews of its body that are valid until
    what it returns is done. Time limits, in seconds, are on connecting, on the first byte of the
    answer, and on silence in the middle of the body while this side is ready to read. `abort`
    ends the fetch. Any AsyncHTTPClient can fetch it, if it has no body, no repeated fields and
    does not upgrade; the project's own leaves out the detour over `header_callback`.

    A body comes from `outgoing`. `on_interim` gets the heads of interim responses, except 100 and
    101. With `upgrade`, a 101 goes to `on_head` and ends the fetch; `detach` then gives the
    connection away, at once or in `on_head`: after `connect_timeout` it is closed.

    Where there is a `placer` when `on_head` has returned, it takes the body and `on_body` is not
    called; `on_head` may set and clear it, and later changes come too late. `expects_placement`
    says beforehand that there may be one. `surplus` becomes True where the origin was seen to send
    more than the body that it had declared: the fetch ends well, and its connection is closed.
    `status` is that of the answer's head, 0 before it; `received` how many bytes of its body came.
    """

    def __init__(
        self,
        url: str,
        endpoint: Endpoint,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | Sequence[Pair],
        on_head: Callable[[ResponseHead], None],
        on_body: "Callable[[memoryview], asyncio.Future[None] | None]",
        connect_timeout: float,
        first_byte_timeout: float,
        idle_timeout: float,
        placer: Placer | None = None,
        expects_placement: bool = False,
        outgoing: RequestBody | None = None,
        on_interim: Callable[[ResponseHead], None] | None = None,
        upgrade: bool = False,
        target: str | None = None,
    ) -> None:
        """`headers` go out as they are, names and order; Host is among them.

        With a body, or where they are no dict, Content-Length and Transfer-Encoding are not theirs
        to say. `target` is sent in the place of the URL's path and query (`*`, with OPTIONS).
        """
        self._pairs: list[Pair] | None = None
        if outgoing is not None or not isinstance(headers, dict):
            pairs = headers.items() if isinstance(headers, Mapping) else headers
            self._pairs = framed(pairs, method, outgoing)
            headers = dict(self._pairs)
        super().__init__(
            url,
            method=method,
            headers=cast(dict[str, str], headers),
            connect_timeout=connect_timeout,
            request_timeout=0,
            follow_redirects=False,
            decompress_response=False,
            allow_nonstandard_methods=True,
            ssl_options=endpoint.tls,
        )
        self.endpoint = endpoint
        self.on_head = on_head
        self.on_body = on_body
        self.first_byte_timeout = first_byte_timeout
        self.idle_timeout = idle_timeout
        self.placer = placer
        self.expects_placement = expects_placement or placer is not None
        self.outgoing = outgoing
        self.on_interim = on_interim
        self.upgrade = upgrade
        self.target = target
        self.surplus = False
        self.status = 0
        self.received = 0
        self.switched: OriginConnection | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self.running: StreamFetch | None = None
        self._lines: list[str] = []

    @property
    def header_callback(self) -> Callable[[str], None]:
        """What other clients tell the head to (made anew: kept, it would be a cycle)."""
        return self._on_line

    @header_callback.setter
    def header_callback(self, value: object) -> None:
        """HTTPRequest sets what it was given: nothing."""

    @property
    def streaming_callback(self) -> Callable[[bytes | memoryview], Any]:
        """What other clients hand body bytes to."""
        return self._on_piece

    @streaming_callback.setter
    def streaming_callback(self, value: object) -> None:
        """HTTPRequest sets what it was given: nothing."""

    def abort(self) -> None:
        """Close the origin's connection and fail the fetch with `Aborted`; idempotent."""
        if self.running is not None:
            self.running.abort()
        switched = self._take_switched()
        if switched is not None:
            switched.abort()

    def detach(self) -> Detached:
        """Give away the connection on which a 101 came; raises OriginClosed if it is gone."""
        switched = self._take_switched()
        if switched is None:
            raise OriginClosed("no connection that has switched to another protocol")
        return switched.detach()

    def _take_switched(self) -> "OriginConnection | None":
        switched, self.switched = self.switched, None
        if self.expiry is not None:
            self.expiry.cancel()
            self.expiry = None
        return switched

    @property
    def expects_continue(self) -> bool:
        """Whether the body is to wait for a 100 response (RFC 9110 section 10.1.1)."""
        if self.outgoing is None or self.outgoing.length == 0 or self._pairs is None:
            return False
        return any(
            name.lower() == "expect" and value.lower() == "100-continue"
            for name, value in self._pairs
        )

    def to_bytes(self) -> bytes:
        """The head as it is sent; raises ValueError for what must not stand in one."""
        target = self.target
        if target is None:
            target = self.url[self.url.find("/", self.url.find("://") + 3) :]
        pairs = self._pairs
        if pairs is None:
            pairs = list(self.headers.items())
        return request_head(self.method, target, pairs)

    def _on_line(self, line: str) -> None:
        """Take the head line by line, as `header_callback` has it."""
        if line.strip("\r\n"):
            self._lines.append(line)
        else:
            lines, self._lines = self._lines, []
            self.on_head(head_of_lines(lines))

    def _on_piece(
        self, piece: bytes | memoryview
    ) -> "asyncio.Future[None] | Coroutine[Any, Any, None] | None":
        """Take body bytes, as `streaming_callback` has it."""
        if self.placer is not None:
            return _place(self.placer, memoryview(piece))
        return self.on_body(cast(memoryview, piece))


async def _place(placer: Placer, view: memoryview) -> None:
    while view:
        room = placer.space()
        count = min(len(room), len(view))
        room[:count] = view[:count]
        view = view[count:]
        waiting = placer.placed(count)
        if waiting is not None:
            await waiting


_FRAMING: Final = ("content-length", "transfer-encoding")
# RFC 9110 section 8.6: where the method's meaning has a body, its absence is told.
_SAY_EMPTY: Final = frozenset({"POST", "PUT", "PATCH"})


def framed(pairs: Iterable[Pair], method: str, body: RequestBody | None) -> list[Pair]:
    """Say in a request's fields how long its body is, and nothing else about that.

    The line stands where the first one on this matter was, or else at the end.
    """
    own: Pair | None = None
    if body is None:
        own = ("Content-Length", "0") if method in _SAY_EMPTY else None
    elif body.length is None:
        own = ("Transfer-Encoding", "chunked")
    else:
        own = ("Content-Length", str(body.length))
    lines: list[Pair] = []
    for pair in pairs:
        if pair[0].lower() not in _FRAMING:
            lines.append(pair)
        elif own is not None:
            lines.append(own)
            own = None
    if own is not None:
        lines.append(own)
    return lines


def request_head(method: str, target: str, pairs: list[tuple[str, str]]) -> bytes:
    """Write a request's head; raises ValueError for characters that would break its framing."""
    if _TARGET.fullmatch(target) is None:
        raise ValueError(f"Illegal characters in the request target: {target!r}")
    return head_bytes(f"{method} {target} HTTP/1.1", pairs)
