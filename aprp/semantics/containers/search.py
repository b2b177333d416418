"""Finding the index of a media file from a few bytes of it, without I/O."""

from typing import Final

from aprp.semantics.containers import matroska, mp4
from aprp.semantics.containers.kinds import Kind
from aprp.semantics.containers.walk import Places, Walk
from aprp.semantics.ranges import Span

MAX_LOOKS: Final = 32
"""How many places of a file are looked at before a search gives up."""


class IndexSearch:
    """The search for the index of one file of `length` bytes.

        search = IndexSearch(length, "mp4")
        while (span := search.needs()) is not None:
            search.feed(span.start, read(span))
        search.found

    Each place is 4 KiB at most, mostly 16 bytes. Nothing in the file can make the search raise,
    go on for more than MAX_LOOKS places, or ask for bytes beyond the length. What is found is
    what the file says: a hostile one may call nearly all of itself an index, so bound what is
    fetched of it.
    """

    __slots__ = ("_got", "_looks", "_places", "_walk", "_want")

    def __init__(self, length: int, kind: Kind) -> None:
        """Start before the first byte; a file of no bytes has no index."""
        self._places = Places()
        self._looks = MAX_LOOKS
        self._got = b""
        self._want: Span | None = None
        find = mp4.find if kind == "mp4" else matroska.find
        self._walk: Walk[None] = find(length, self._places)
        self._go_on(None)

    @property
    def done(self) -> bool:
        """Whether the search is over, with an index or without."""
        return self._want is None

    @property
    def found(self) -> Span | None:
        """The place of the index: `moov` with each `sidx` behind it, or `Cues`.

        It is there as soon as it is known; until the search is done, it may still grow.
        """
        return self._places.index

    @property
    def trailer(self) -> Span | None:
        """The place of a second index at the end of a fragmented MP4 file: `mfra`."""
        return self._places.trailer

    def needs(self) -> Span | None:
        """Give the bytes that are wanted next; None when the search is done."""
        want = self._want
        return None if want is None else Span(want.start + len(self._got), want.stop)

    def feed(self, span_start: int, data: bytes | memoryview) -> None:
        """Take bytes of the file that begin at `span_start`.

        They may be fewer than wanted, and the rest is wanted then; where they are more, the
        search goes through them as far as it can. Bytes without the first one wanted are of no
        use, and count as a look.
        """
        before = self.needs()
        while (rest := self.needs()) is not None:
            piece = b""
            if rest.start >= span_start:
                piece = bytes(data[rest.start - span_start : rest.stop - span_start])
            if not piece:
                break
            self._got += piece
            if len(piece) == rest.length:
                self._go_on(self._got)
        if rest is not None and rest == before:
            self._looks -= 1
            if self._looks <= 0:
                self._want = None

    def _go_on(self, looked: bytes | None) -> None:
        """Hand the walk what it waits for, and note what it wants to see next."""
        self._got = b""
        try:
            self._want = self._walk.send(looked) if looked is not None else next(self._walk)
        except StopIteration:
            self._want = None
            return
        self._looks -= 1
        if self._looks < 0:
            self._want = None
