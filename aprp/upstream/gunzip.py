"""Decoding of `Content-Encoding: gzip`, for fetches that ask for it; media never does."""

import zlib
from collections.abc import Iterator

from tornado.httputil import HTTPHeaders
from tornado.util import GzipDecompressor

from aprp.upstream.errors import BadResponse

_PIECE = 65536


class Gunzip:
    """A gzip body decoded in pieces of bounded size."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._decompressor = GzipDecompressor()

    @classmethod
    def for_response(cls, headers: HTTPHeaders) -> "Gunzip | None":
        """A decoder, where the response needs one; renames the header as Tornado does."""
        if headers.get("Content-Encoding", "").lower() != "gzip":
            return None
        headers.add("X-Consumed-Content-Encoding", headers["Content-Encoding"])
        del headers["Content-Encoding"]
        return cls()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decode `data`; raises BadResponse where it is no gzip."""
        while data:
            try:
                piece = self._decompressor.decompress(data, _PIECE)
            except zlib.error as error:
                raise BadResponse(f"invalid gzip data: {error}") from None
            if piece:
                yield piece
            rest = self._decompressor.unconsumed_tail
            if not piece and len(rest) >= len(data):
                raise BadResponse("invalid gzip data: no progress")
            data = rest

    def finish(self) -> None:
        """Check that the body was whole; raises BadResponse."""
        try:
            self._decompressor.flush()
        except zlib.error as error:
            raise BadResponse(f"invalid gzip data: {error}") from None
