"""A client's side and an origin's side for a delivery, both plain objects that follow a script."""

import asyncio
import email.parser
import email.policy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from typing import cast

from aprp.media.cutter import Piece
from aprp.media.delivery import Delivery
from aprp.semantics.answer import Asked
from aprp.semantics.headers import Fields
from aprp.semantics.ranges import parse_header
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.dial import Endpoint
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin
from aprp.upstream.receiver import Placer

ORIGIN = Origin("http://origin.test", "", "origin.test", Endpoint("origin.test", 80, None))

# Where a reply stops until the delivery aborts it.
STOP = object()


class PlayedAsk:
    """A question to an origin that a test plays; it comes to its end with an abort."""

    origin = ORIGIN
    surplus = False

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._placer: Placer | None = None
        self._over = asyncio.Event()

    def place(self, placer: Placer | None) -> None:
        self._placer = placer

    def abort(self) -> None:
        self._over.set()

    def has_others(self, avoid: Collection[Origin]) -> bool:
        return False

    async def _until(self, waiting: "asyncio.Future[bytes | None] | asyncio.Future[None]") -> None:
        """Wait for it, or for an abort."""
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait({waiting, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()


@dataclass(frozen=True)
class Reply:
    """One response: `body` comes in the pieces given, and `error` after them.

    No response at all where `status` is 0.
    """

    status: int
    fields: Mapping[str, str] = field(default_factory=dict)
    body: Sequence[bytes | object] = ()
    error: OriginFailure | None = None
    stop_before_head: bool = False


def whole(data: bytes, *, told: bool = True, split: int = 7, **fields: str) -> Reply:
    """A 200, with its length unless `told` is false."""
    length = {"Content-Length": str(len(data))} if told else {}
    return Reply(200, length | _named(fields), _pieces(data, split))


def part(data: bytes, first: int, last: int, *, split: int = 7, **fields: str) -> Reply:
    """A 206 with bytes `first` to `last`."""
    body = data[first : last + 1]
    told = {
        "Content-Range": f"bytes {first}-{last}/{len(data)}",
        "Content-Length": str(len(body)),
    }
    return Reply(206, told | _named(fields), _pieces(body, split))


def no_such_range(length: int) -> Reply:
    return Reply(416, {"Content-Range": f"bytes */{length}", "Content-Length": "4"}, [b"none"])


def _named(fields: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


class Script:
    """Makes the asks of a delivery; each gets the next reply.

    `asked` has the fields of each request, `aborted` the number of each that was aborted;
    `stopped` tells that a reply waits, for an abort or for the client.
    """

    def __init__(self, *replies: Reply) -> None:
        self.replies = replies
        self.requests: list[tuple[str, str]] = []
        self.asked: list[Mapping[str, str]] = []
        self.aborted: list[int] = []
        self.stopped = asyncio.Event()

    def __call__(self, reader: Reader) -> Ask:
        return cast(Ask, _Ask(self, reader))


class _Ask(PlayedAsk):
    def __init__(self, script: Script, reader: Reader) -> None:
        super().__init__(reader)
        self._script = script
        self._number = -1

    def abort(self) -> None:
        if not self._over.is_set():
            self._script.aborted.append(self._number)
        super().abort()

    async def send(self, method: str, target: str, fields: Mapping[str, str]) -> None:
        script = self._script
        self._number = len(script.asked)
        reply = script.replies[self._number]
        script.requests.append((method, target))
        script.asked.append(dict(fields))
        self._reader.on_origin(ORIGIN)
        if reply.stop_before_head:
            await self._until(asyncio.get_running_loop().create_future())
        if self._over.is_set():
            return
        if reply.status:
            pairs = Fields(reply.fields.items())
            self._reader.on_head(ResponseHead("HTTP/1.1", reply.status, "Reason", pairs, True))
        for piece in () if method == "HEAD" else reply.body:
            if self._over.is_set():
                return
            if isinstance(piece, bytes):
                buffer = bytearray(piece)
                waiting = self._reader.on_body(memoryview(buffer))
                if waiting is not None:
                    await self._until(waiting)
                # As a connection does: its memory is used again.
                buffer[:] = b"?" * len(buffer)
            else:
                await self._until(asyncio.get_running_loop().create_future())
        if reply.error is not None and not self._over.is_set():
            raise reply.error

    async def _until(self, waiting: "asyncio.Future[bytes | None] | asyncio.Future[None]") -> None:
        self._script.stopped.set()
        await super()._until(waiting)


@dataclass
class Begun:
    """What an answer began with."""

    status: int
    reason: str
    fields: Fields
    length: int | None
    range_text: str | None


class Sink:
    """Keeps what it gets; with `slow`, each write waits until the test says that it is done."""

    def __init__(self, *, slow: bool = False) -> None:
        self.answers: list[Begun] = []
        self.body = b""
        self.origins: list[str] = []
        self.slow = slow
        self.waiting: list[asyncio.Future[None]] = []
        self.written = asyncio.Event()

    def begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        self.answers.append(Begun(status, reason, fields, length, range_text))

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        assert self.answers, "body before the head"
        assert all(pieces), "nothing to write"
        self.body += b"".join(pieces)
        self.written.set()
        if not self.slow:
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def offer(self, view: memoryview) -> int:
        raise AssertionError("only what follows a version in the cache is offered")

    def interim(self, head: ResponseHead) -> None:
        raise AssertionError("no origin here sends an interim response")

    def asks(self, origin: str) -> None:
        self.origins.append(origin)

    @property
    def answer(self) -> Begun:
        """The one answer."""
        (begun,) = self.answers
        return begun

    def parts(self) -> list[tuple[str, bytes]]:
        """Content-Range and bytes of each part of a complete multipart answer."""
        media_type = self.answer.fields["Content-Type"]
        head = f"Content-Type: {media_type}\r\n\r\n".encode()
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        message = parser.parsebytes(head + self.body)
        assert message.get_content_type() == "multipart/byteranges"
        assert not message.defects
        return [(part["Content-Range"], payload(part)) for part in message.iter_parts()]


def payload(part: Message) -> bytes:
    """The bytes of a part."""
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def asks(ranges: str | None = None, *, method: str = "GET", if_range: str | None = None) -> Asked:
    """What a client asks: `ranges` as in the Range field."""
    return Asked(
        method, None if ranges is None else parse_header(f"bytes={ranges}"), if_range, None
    )


def delivery(
    asked: Asked, script: Script, sink: Sink, fields: Mapping[str, str] | None = None
) -> Delivery:
    return Delivery(asked, "/a?b", fields or {"Accept": "*/*"}, sink, script, "proxy")
