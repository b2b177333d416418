"""Names of files that clients choose: which are taken, and how they are written in HTTP.

A name is one segment of a path. It is kept in Unicode's composed form (NFC), so that what looks
the same is the same file, whichever system it was typed on.
"""

import unicodedata
from typing import Final
from urllib.parse import quote, unquote_to_bytes

MOST_BYTES: Final = 255
"""The longest name, in bytes of UTF-8: more is no name to the usual file systems."""

# They turn the order of what is shown around: "gpj.exe" looks like "exe.jpg" (Unicode Annex 9).
_BIDI_CONTROLS: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
# With one of them two names look the same. The joiners are not among them: words and emoji are
# written with these.
_UNSEEN: Final = frozenset("\u00ad\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff")
# Control characters, halves of characters, and the separators of lines and paragraphs.
_NOT_IN_NAMES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# RFC 8187 section 3.2.1: attr-char, without letters and digits, which `quote` leaves as they are.
_ATTR_CHARS: Final = "!#$&+-.^_`|~"


class BadName(ValueError):
    """A name that no file may have here; the text says why."""


def clean_name(name: str) -> str:
    """Give a name in the form in which it is kept; raises BadName where it is none."""
    name = unicodedata.normalize("NFC", name)
    if not name:
        raise BadName("it is empty")
    if "/" in name or "\\" in name:
        raise BadName("it has a slash: it must be one segment of a path")
    if name.startswith("."):
        raise BadName("it begins with a dot")
    for char in name:
        if unicodedata.category(char) in _NOT_IN_NAMES:
            raise BadName(f"it has the control character U+{ord(char):04X}")
        if char in _BIDI_CONTROLS:
            raise BadName(f"it has U+{ord(char):04X}, which changes the direction of writing")
        if char in _UNSEEN:
            raise BadName(f"it has U+{ord(char):04X}, which nobody sees")
    if name != name.strip():
        raise BadName("it begins or ends with a blank")
    if (size := len(name.encode())) > MOST_BYTES:
        raise BadName(f"it has {size} bytes in UTF-8, and {MOST_BYTES} are the most")
    return name


def name_from_url(text: str, *, form: bool = False) -> str:
    """Give the name that a segment of a URL's path stands for, or a parameter (`form`: + is blank).

    `text` is as it came: percent-encoded, raw bytes as Latin-1. Decoded once. Raises BadName.
    """
    if form:
        text = text.replace("+", " ")
    try:
        raw = unquote_to_bytes(text.encode("latin-1"))
    except UnicodeEncodeError:
        raise BadName("it has a character that is no byte of the wire") from None
    return name_from_bytes(raw)


def name_from_form(text: str) -> str:
    """Give the name that the parameter `filename` of a form's field says (RFC 7578 section 4.2).

    `text` is unquoted, its bytes as Latin-1. Browsers write three characters as %22, %0D and %0A
    (HTML, "multipart/form-data encoding algorithm"); other escapes are what the name has in it.
    """
    for escape, char in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        text = text.replace(escape, char)
    return name_from_bytes(text.encode("latin-1"))


def name_from_bytes(raw: bytes) -> str:
    """Give the name that UTF-8 says; raises BadName."""
    try:
        return clean_name(raw.decode())
    except UnicodeDecodeError:
        raise BadName("it is not UTF-8") from None


def path_of(name: str) -> str:
    """Write a name as a segment of a URL's path (RFC 3986 section 3.3)."""
    return quote(name, safe="")


def spellings(path: str) -> tuple[str, ...]:
    """Give the ways in which clients usually write a decoded path in a request, the first ours.

    What may stay as it is differs: RFC 3986 lets the sub-delims, and browsers some more (WHATWG URL
    section 1.3).
    """
    ways = (quote(path, safe=f"/{more}") for more in ("", "!$&'()*+,;=:@", "!$&'()*+,;=:@[]|^"))
    return tuple(dict.fromkeys(ways))


def disposition(kind: str, name: str) -> str:
    """Write Content-Disposition (RFC 6266): `kind` is attachment or inline.

    `filename*` (RFC 8187) says the name as it is; `filename` is for clients that do not know it.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # "%" too: some clients decode escapes there, others do not (RFC 6266 appendix D).
    plain = "".join("_" if char in '"%\\' else char for char in plain).strip()
    if not plain or plain.startswith("."):
        # Of a name without ASCII the ending is left, which alone would hide the file.
        plain = f"file{plain}"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
