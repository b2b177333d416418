"""Downloads: a file of the store by its name, in all the ways in which a range can be said."""

import asyncio
from email.utils import formatdate
from typing import assert_never

from aprp.files.store import OpenFile
from aprp.handlers import files, media
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.links import check_signature
from aprp.handlers.reply import SERVER
from aprp.media.cutter import Piece
from aprp.media.errors import ConditionFailed, RangeNotSatisfiable
from aprp.media.output import Output
from aprp.semantics.answer import (
    Asked,
    AskWhole,
    Bad,
    NoSuchRange,
    Part,
    Parts,
    Relay,
    decide,
)
from aprp.semantics.conditions import NotModified, PreconditionFailed
from aprp.semantics.filenames import BadName, disposition, name_from_url
from aprp.semantics.headers import Fields
from aprp.semantics.media_types import is_active
from aprp.semantics.ranges import Span
from aprp.stats.counters import Count
from aprp.upstream.head import ResponseHead


async def get(exchange: Exchange, _: str) -> None:
    """Answer GET and HEAD with a file; raises Problem, a StoreError."""
    app = exchange.app
    store = app.files
    assert store is not None
    if app.settings.SIGNED_URLS:
        check_signature(exchange)
    path, query, asked = media.read_asked(exchange)
    # The range by path is off: what is left is the name.
    segment = path.removeprefix(f"{app.settings.FILES_PREFIX}/download").removeprefix("/")
    name = files.name_in(segment) if segment else _name_in_query(exchange, query)
    file = await store.run(store.open, name)
    app.counters.add(Count.ACTIVE_TRANSFERS)
    try:
        await _Sending(exchange, file, asked).run()
    except (RangeNotSatisfiable, ConditionFailed) as error:
        raise media.problem_of_answer(error, exchange) from error
    finally:
        app.counters.add(Count.ACTIVE_TRANSFERS, -1)
        file.close()


def _name_in_query(exchange: Exchange, query: str) -> str:
    """The name that the parameter `filename` says; raises Problem."""
    if exchange.app.settings.SIGNED_URLS:
        # A signature is of a path: this one would be good for all files.
        raise Problem(403, "Signed links name the file in the path: /download/<name>.")
    pairs = [pair.partition("=") for pair in query.split("&")]
    values = [value for key, _, value in pairs if key == "filename"]
    if len(values) != 1:
        raise Problem(400, "Name one file: /download?filename=<name>, or /download/<name>.")
    try:
        return name_from_url(values[0], form=True)
    except BadName as error:
        raise files.bad_name(error) from None


class _Sending:
    """One answer with a file, or parts of it. It is the sink of its own `Output`."""

    def __init__(self, exchange: Exchange, file: OpenFile, asked: Asked) -> None:
        self._exchange = exchange
        self._file = file
        self._asked = asked
        self._out = Output(self, "", asked.method)

    async def run(self) -> None:
        """Answer; raises RangeNotSatisfiable, ConditionFailed."""
        file = self._file
        head = ResponseHead("HTTP/1.1", 200, "OK", self._fields(), True)
        answer = decide(self._asked, None, 200, head.fields.get)
        match answer:
            case Relay():
                self._out.relay(head)
                await self._send(Span(0, file.size))
            case Part(span, total, _):
                self._out.span(head, span, total)
                await self._send(span)
            case Parts() as parts:
                await self._send_parts(head, parts)
            case NotModified():
                self._out.not_modified(head)
            case PreconditionFailed(field):
                raise ConditionFailed(field)
            case NoSuchRange(total):
                raise RangeNotSatisfiable(total)
            case AskWhole() | Bad():
                raise AssertionError(answer)
            case never:
                assert_never(never)

    def _fields(self) -> Fields:
        file = self._file
        fields = Fields(
            [
                ("Server", SERVER),
                ("Date", formatdate(usegmt=True)),
                ("Content-Type", file.type),
                ("Content-Length", str(file.size)),
                ("ETag", file.etag),
                ("Last-Modified", formatdate(int(file.modified), usegmt=True)),
                ("Content-Disposition", disposition("attachment", file.name)),
                # It may be replaced at any time.
                ("Cache-Control", "no-cache"),
                ("X-Content-Type-Options", "nosniff"),
            ]
        )
        if is_active(file.type):
            fields.add("Content-Security-Policy", "sandbox")
        return fields

    async def _send_parts(self, head: ResponseHead, parts: Parts) -> None:
        framing = self._out.parts(head, parts)
        if self._asked.method == "HEAD":
            return
        for number, span in enumerate(parts.spans):
            await self._write(framing.part_head(number))
            if not await self._send(span):
                return
        await self._write(framing.tail())

    async def _send(self, span: Span) -> bool:
        """Send the bytes of a span; False where they are no longer there, and the answer is cut."""
        if self._asked.method == "HEAD":
            return True
        exchange, place = self._exchange, span.start
        pool = exchange.app.client.buffers
        # Each block is one: what is sent is not to change while the client takes it.
        buffer = pool.acquire()
        try:
            while place < span.stop:
                view = buffer.view[: span.stop - place]
                count = await self._read(view, place)
                if not count:
                    exchange.cut_short("the file became shorter")
                    return False
                await self._write(view[:count])
                place += count
        finally:
            if exchange.wire.unfinished is None:
                pool.release(buffer)
        return True

    async def _read(self, view: memoryview, place: int) -> int:
        """Read what can be had at once, or wait for the disk in a thread."""
        count = self._file.read_at_once(view, place)
        if count is None:
            store = self._exchange.app.files
            assert store is not None
            return await store.run(self._file.read, view, place)
        return count

    async def _write(self, piece: Piece) -> None:
        waiting = self._out.write(piece)
        if waiting is not None:
            await waiting
        else:
            # A client that takes everything at once is not to keep the others waiting.
            await asyncio.sleep(0)

    # aprp.media.output.Sink

    def begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        """Begin the answer: it has come through no proxy, and no Via says so."""
        fields.remove("Via")
        self._exchange.begin(status, reason, fields, length, range_text)

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """See Sink."""
        return self._exchange.write(*pieces)

    def offer(self, view: memoryview) -> int:
        """See Sink."""
        return self._exchange.offer(view)

    def interim(self, head: ResponseHead) -> None:
        """See Sink: nothing comes before this answer."""

    def asks(self, origin: str) -> None:
        """See Sink: nobody is asked."""
