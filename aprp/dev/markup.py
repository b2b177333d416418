"""Putting a script into an HTML document as its bytes pass; no I/O.

Its place is at the beginning of the head: there no `<base>` and no policy of a `<meta>` comes
before it, and it is seen early. Only what stands before the head is looked at, in the way in
which browsers read it (HTML Standard section 13.2.5): comments, the doctype, `<html>` and
`<head>`, of which the last two may be missing. Whatever comes otherwise begins the content, and
browsers make a head for a script that stands there.
"""

import re
from typing import Final

# So many bytes of a tag or doctype are held back until its end comes.
_MOST_HELD: Final = 16 << 10

_BOM: Final = b"\xef\xbb\xbf"
_BOMS_OF_UTF16: Final = (b"\xfe\xff", b"\xff\xfe")

_space = re.compile(rb"[ \t\n\f\r]*").match
# The start of a tag; the end of input is no end of its name.
_tag = re.compile(
    rb"<(html|head)(?=[ \t\n\f\r/>])"
    rb"""(?>[^>=]++|=[ \t\n\f\r]*+(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r"'>][^ \t\n\f\r>]*+|(?=>)))*+>""",
    re.IGNORECASE,
).match
_comment_end = re.compile(rb"--!?>").search
# What is kept of a comment that has not ended: the beginning of its end.
_COMMENT_REST: Final = 3


class Insertion:
    """Takes a document in pieces and gives it back with `tag` in it.

    The tag is of ASCII; documents that begin with the byte order mark of UTF-16 are left alone.
    """

    def __init__(self, tag: bytes) -> None:
        """Nothing has come yet."""
        self._tag = tag
        self._held = bytearray()
        self._first = True
        self._in_comment = False
        self._done = False

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take bytes and return those that can go on."""
        if self._done:
            return bytes(data)
        self._held += data
        return self._pass_on(ended=False)

    def end(self) -> bytes:
        """The document is complete: return what is left of it."""
        return b"" if self._done else self._pass_on(ended=True)

    def _pass_on(self, ended: bool) -> bytes:
        held = bytes(self._held)
        end, place = self._look(held, ended)
        if place:
            self._done = True
            self._held.clear()
            return held[:end] + self._tag + held[end:]
        if self._done:
            self._held.clear()
            return held
        del self._held[:end]
        return held[:end]

    def _look(self, held: bytes, ended: bool) -> tuple[int, bool]:
        """How much can go on, and whether the tag's place is there."""
        position = 0
        if self._first:
            if not ended and any(mark.startswith(held) for mark in (_BOM, *_BOMS_OF_UTF16)):
                return 0, False
            self._first = False
            if held.startswith(_BOMS_OF_UTF16):
                self._done = True
                return len(held), False
            if held.startswith(_BOM):
                position = len(_BOM)
        while True:
            if self._in_comment:
                match = _comment_end(held, position)
                if match is None:
                    rest = len(held) if ended else max(len(held) - _COMMENT_REST, position)
                    return rest, ended
                self._in_comment = False
                position = match.end()
            space = _space(held, position)
            assert space is not None
            position = space.end()
            after = self._token(held, position)
            if after is None:
                # A document that ends in the middle of a tag has no such tag.
                waits = not ended and len(held) - position <= _MOST_HELD
                return position, not waits
            if after - position > _MOST_HELD:
                # Come in pieces, it would not have been waited for.
                return position, True
            if after == position or self._is_head(held, position):
                return after, True
            position = after

    def _token(self, held: bytes, position: int) -> int | None:
        """The end of what is passed over here; `position` itself: nothing; None: unknown yet."""
        if position == len(held):
            return None
        if held[position] != ord("<"):
            return position
        rest = held[position : position + 6].lower()
        if rest.startswith(b"<!--"):
            # A comment that ends at once: `<!-->` or `<!--->`.
            opened = held[position + 4 : position + 6]
            for ending in (b">", b"->"):
                if opened.startswith(ending):
                    return position + 4 + len(ending)
                if ending.startswith(opened):
                    return None
            self._in_comment = True
            return position + 4
        if b"<!--".startswith(rest):
            return None
        if rest.startswith((b"<!", b"<?")):
            end = held.find(b">", position)
            return end + 1 if end >= 0 else None
        if match := _tag(held, position):
            return match.end()
        for name in (b"<html", b"<head"):
            if name.startswith(rest):
                return None
            if rest.startswith(name) and rest[5:] in (b" ", b"\t", b"\n", b"\f", b"\r", b"/", b">"):
                return None
        return position

    @staticmethod
    def _is_head(held: bytes, position: int) -> bool:
        return held[position : position + 5].lower() == b"<head"
