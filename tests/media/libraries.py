"""Libraries of several processes before one origin that answers when a test says so."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from aprp.cache.cache import Cache
from aprp.media.answering import Answering
from aprp.media.context import Context, Tuning
from aprp.media.library import Library
from aprp.media.plan import Grid
from aprp.media.request import Request
from aprp.media.source import Source
from aprp.media.tally import Tallies
from aprp.semantics.answer import Asked
from aprp.semantics.headers import Fields
from aprp.stats.counters import Counters
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin
from tests.cache.stores import SLICE, running, until
from tests.media.scripted import ORIGIN, PlayedAsk, Sink
from tests.media.sources import site_of

TARGET = "/film.mp4"


@dataclass
class HeldOrigin:
    """An origin whose questions stay open until they are answered by the test, in any order."""

    asked: "list[Question]" = field(default_factory=list)

    def __call__(self, reader: Reader) -> Ask:
        return cast(Ask, Question(self, reader))

    async def question(self, number: int) -> "Question":
        """Wait for the question with this number, from 0 on."""
        await until(lambda: len(self.asked) > number)
        return self.asked[number]


class Question(PlayedAsk):
    """A question to a HeldOrigin, which is an `Ask` to who asks."""

    def __init__(self, source: HeldOrigin, reader: Reader) -> None:
        super().__init__(reader)
        self.fields: Mapping[str, str] = {}
        self._source = source
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    # What the test says.

    def head(self, status: int, **fields: str) -> None:
        """Answer with a head."""
        pairs = Fields([(name.replace("_", "-"), value) for name, value in fields.items()])
        self._reader.on_head(ResponseHead("HTTP/1.1", status, "Reason", pairs, True))

    def body(self, data: bytes) -> None:
        """Send some of the body."""
        self._pieces.put_nowait(data)

    def end(self) -> None:
        """The body is complete."""
        self._pieces.put_nowait(None)

    def answer(self, data: bytes, **fields: str) -> None:
        """Answer with a whole file that stays fresh."""
        told = {"Cache_Control": "max-age=1000", "ETag": '"v"', **fields}
        self.head(200, Content_Length=str(len(data)), **told)
        self.body(data)
        self.end()

    # What who asks says.

    async def send(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str],
        *,
        expects_placement: bool = False,
        avoid: Collection[Origin] = (),
    ) -> None:
        assert (method, target) == ("GET", TARGET)
        self.fields = fields
        self._reader.on_origin(ORIGIN)
        self._source.asked.append(self)
        while not self._over.is_set():
            piece = asyncio.ensure_future(self._pieces.get())
            await self._until(piece)
            piece.cancel()
            data = piece.result() if piece.done() and not piece.cancelled() else None
            if data is None:
                return
            await self._give(data)

    async def _give(self, data: bytes) -> None:
        while data and not self._over.is_set():
            if self._placer is None:
                count = len(data)
                waiting = self._reader.on_body(memoryview(bytearray(data)))
            else:
                room = self._placer.space()[: len(data)]
                count = len(room)
                room[:] = data[:count]
                waiting = self._placer.placed(count)
            data = data[count:]
            if waiting is not None:
                await self._until(waiting)


class Client(Sink):
    """A client that takes at once what it is given."""

    def offer(self, view: memoryview) -> int:
        self.write(view)
        return len(view)


@dataclass
class Worker:
    """What one process has: its cache in a directory that all share, and its library."""

    cache: Cache
    library: Library
    source: Source

    @property
    def key(self) -> str:
        return self.source.key(TARGET)

    async def get(self) -> bytes:
        """GET the file as a client does; the body of a 200."""
        sink = await self.ask()
        assert sink.answer.status == 200
        return sink.body

    async def ask(self) -> Client:
        """GET the file as a client does; all that it is answered."""
        sink = Client()
        asked = Asked("GET", None, None, None)
        request = Request(self.source, asked, TARGET, self.key, lambda name: None, dict)
        await Answering(self.library, request, sink, "1.1 test", Counters()).run()
        return sink


@asynccontextmanager
async def workers(
    directory: Path, origin: HeldOrigin, count: int = 2
) -> AsyncIterator[list[Worker]]:
    """So many workers that share a directory and an origin."""
    source = site_of(origin)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            counters = Counters()
            cache = await stack.enter_async_context(running(directory, counters=counters))
            tuning = Tuning(4 * SLICE, 1, 1, 0.0, False)
            inlet = memoryview(bytearray(SLICE))
            context = Context(cache, counters, tuning, Grid(SLICE), Tallies(), loop, inlet)
            library = Library(context, "test")
            stack.push_async_callback(library.close)
            made.append(Worker(cache, library, source))
        yield made
