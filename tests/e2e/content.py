"""The files that origins serve, and bytes whose place in a file can be told."""

import os
import random
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CLIP = PROJECT / "media" / "sample.mp4"
"""An mp4 with its index at the end."""

SIZE = 1_000_003
FILM = random.Random(1).randbytes(SIZE)
"""What most requests of the tests are for: no piece of it is like another."""

BIG = 8 << 20
"""Size of the file for clients that fetch with several connections."""

MODIFIED = 1_577_934_245
"""When all files were written: Thu, 02 Jan 2020 03:04:05 GMT."""
LAST_MODIFIED = "Thu, 02 Jan 2020 03:04:05 GMT"

NAMES = {
    "films/2020/part 1/long.bin": "/films/2020/part%201/long.bin",
    "été à Paris.bin": "/%C3%A9t%C3%A9%20%C3%A0%20Paris.bin",
    "名前.bin": "/%E5%90%8D%E5%89%8D.bin",
    "100%.bin": "/100%25.bin",
    "what?.bin": "/what%3F.bin",
    "no#1.bin": "/no%231.bin",
    "a+b&c=d;e.bin": "/a+b&c=d;e.bin",
    "%41.bin": "/%2541.bin",
    "7/8": "/7/8",
    "12": "/12",
}
"""Names of files, and the paths that clients ask for."""


def content_of(name: str) -> bytes:
    """The content of one of NAMES: each has its own."""
    return random.Random(name).randbytes(5000)


def write_files(root: Path) -> None:
    """Write the files that origins serve."""
    files = {"film.bin": FILM, "empty.bin": b"", "one.bin": b"1", "clip.mp4": CLIP.read_bytes()}
    files["big.bin"] = endless(0, BIG)
    files |= {name: content_of(name) for name in NAMES}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (MODIFIED, MODIFIED))


_BLOCK = random.Random(2).randbytes((1 << 20) + 7)


def endless(start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` of a body of any length; it repeats itself at no round number."""
    out = bytearray()
    while start < stop:
        place = start % len(_BLOCK)
        piece = _BLOCK[place : place + stop - start]
        out += piece
        start += len(piece)
    return bytes(out)
