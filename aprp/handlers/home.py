"""Directories for people: a listing that an origin makes itself is shown as a page with links.

The answer goes the way of any other, through the cache too, and is held back while it may be a
listing. If it is none it is given as it came, byte for byte: an origin's own pages are never
hidden.
"""

import asyncio
import zlib
from typing import Final
from urllib.parse import unquote

from aprp.front.wire import Piece
from aprp.handlers import media
from aprp.handlers.exchange import Exchange
from aprp.pages import listing as pages
from aprp.pages.sizes import size_text
from aprp.semantics.accept import quality
from aprp.semantics.autoindex import Index, Item, may_begin_index, read_index
from aprp.semantics.headers import Fields, safe_target
from aprp.upstream.head import ResponseHead
from aprp.upstream.listing import is_media

LARGEST: Final = 1 << 20
"""Bytes of a body, decoded or not, up to which it may be a listing."""

# So many bytes show whether a page may be a listing: others need not wait for their end.
_TELLING: Final = 1024

_Head = tuple[int, str, Fields, int | None, str | None]


def is_for(exchange: Exchange) -> bool:
    """Whether a browser wants the page of a directory (HOME_PAGE)."""
    if not exchange.app.settings.HOME_PAGE or exchange.method != "GET":
        return False
    if not exchange.resource.partition("?")[0].endswith("/") or not exchange.site.named:
        return False
    accept = exchange.headers.get("Accept") or ""
    return quality(accept, "text", "html") > quality(accept, "application", "json")


async def serve(exchange: Exchange) -> None:
    """Answer a GET of a directory; raises Problem."""
    held = Held(exchange)
    await media.serve(exchange, held)
    await held.settle()


class Held:
    """The client's side of an answer that may be a listing, for `media.serve` to write to."""

    def __init__(self, exchange: Exchange) -> None:
        """Nothing is held yet."""
        self._exchange = exchange
        self._head: _Head | None = None
        self._body = bytearray()
        self._looks_like_one = False

    # aprp.media.output.Sink

    def begin(
        self,
        status: int,
        reason: str,
        fields: Fields,
        length: int | None,
        range_text: str | None = None,
    ) -> None:
        """Start the answer, or hold it back where it may be a listing."""
        self._head = (status, reason, fields, length, range_text)
        if not _may_be_listing(status, fields, length):
            self.release()
        # The first bytes of these tell nothing.
        packed = "Content-Encoding" in fields
        self._looks_like_one = packed or "caddy" in (fields.get("Server") or "").lower()

    def write(self, *pieces: Piece) -> "asyncio.Future[None] | None":
        """Send body bytes, or hold a copy of them."""
        if self._head is None:
            return self._exchange.write(*pieces)
        for piece in pieces:
            self._body += piece
        if not self._looks_like_one and len(self._body) >= _TELLING:
            begin = self._body[:_TELLING].decode("utf-8", "replace")
            self._looks_like_one = may_begin_index(_media_type(self._head[2]), begin)
            if not self._looks_like_one:
                return self.release()
        return self.release() if len(self._body) > LARGEST else None

    def offer(self, view: memoryview) -> int:
        """Send of body bytes what can be sent now; how many those are."""
        return self._exchange.offer(view) if self._head is None else 0

    def interim(self, head: ResponseHead) -> None:
        """Hand on an interim response."""
        self._exchange.interim(head)

    def asks(self, origin: str) -> None:
        """Note which origin is asked."""
        self._exchange.asks(origin)

    # What becomes of it.

    def release(self) -> "asyncio.Future[None] | None":
        """Give the client what is held, as it came; does nothing where nothing is."""
        if self._head is None:
            return None
        head, self._head = self._head, None
        self._exchange.begin(*head)
        body, self._body = bytes(self._body), bytearray()
        return self._exchange.write(body) if body else None

    async def settle(self) -> None:
        """Give the page where all that came is a listing, else what came."""
        if self._head is None:
            return
        fields = self._head[2]
        # Reading a megabyte takes a while.
        index = await asyncio.to_thread(_read, fields, bytes(self._body))
        if index is None:
            waiting = self.release()
            if waiting is not None:
                await waiting
            return
        self._head = None
        page = pages.render(_page_of(index, self._exchange))
        own = (
            ("Content-Security-Policy", page.policy),
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept"),
        )
        self._exchange.respond(200, page.html.encode(), "text/html; charset=utf-8", own)


def _may_be_listing(status: int, fields: Fields, length: int | None) -> bool:
    media_type = _media_type(fields)
    # A generated listing sets no cookie, and where one is set it must reach the client.
    return (
        status == 200
        and media_type in ("text/html", "application/json")
        and (fields.get("Content-Encoding") or "identity").lower() in ("identity", "gzip")
        and (length is None or length <= LARGEST)
        and "Set-Cookie" not in fields
    )


def _media_type(fields: Fields) -> str:
    return (fields.get("Content-Type") or "").partition(";")[0].strip().lower()


def _read(fields: Fields, body: bytes) -> Index | None:
    """Decode a body and read it; None where it is no listing."""
    if (fields.get("Content-Encoding") or "identity").lower() == "gzip":
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            body = decoder.decompress(body, LARGEST)
        except zlib.error:
            return None
        if not decoder.eof:
            return None
    # Names are read from the links, which are ASCII.
    return read_index(_media_type(fields), body.decode("utf-8", "replace"))


def _page_of(index: Index, exchange: Exchange) -> pages.Listing:
    settings = exchange.app.settings
    # The origin has answered: the path is one that may be asked for.
    path = safe_target(exchange.resource.partition("?")[0])
    prefix = settings.ADMIN_PREFIX
    base = pages.relative(path, f"{prefix}/play{path}") if settings.PLAYER else ""
    entries = tuple(_entry(item, base) for item in index.items)
    playable = (
        entry
        for entry, item in zip(entries, index.items, strict=True)
        if not item.directory and is_media(item.name)
    )
    return pages.Listing(
        unquote(path),
        entries,
        pages.Ways(settings.RANGE_PARAM, settings.RANGE_PATH),
        pages.relative(path, f"{prefix}/stats"),
        next(playable, None),
        sorts=index.sorts,
    )


def _entry(item: Item, base: str) -> pages.Entry:
    told = item.size.isdecimal()
    return pages.Entry(
        item.name,
        item.href,
        play=f"{base}{item.href.removeprefix('./')}"
        if base and not item.directory and is_media(item.name)
        else "",
        directory=item.directory,
        size=size_text(int(item.size)) if told else item.size,
        title=f"{item.size} bytes" if told else "",
        modified=item.modified,
    )
