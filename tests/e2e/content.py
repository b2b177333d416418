"""The files that origins serve, and bytes whose place in a file can be told."""

import os
import random
import struct
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CLIP = PROJECT / "media" / "sample.mp4"
"""An mp4 with its index at the end."""
FILLING = 64 << 20
"""Size of what stands before the index in the film that is made of it."""

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


def film_with_far_index() -> tuple[bytes, bytes]:
    """The clip with a box of zeros before its index: what comes before the zeros, and after."""
    clip = CLIP.read_bytes()
    place = clip.rindex(b"moov") - 4
    return clip[:place] + struct.pack(">I4s", FILLING + 8, b"free"), clip[place:]


def write_files(root: Path) -> None:
    """Write the files that origins serve."""
    files = {"film.bin": FILM, "empty.bin": b"", "one.bin": b"1"}
    files["big.bin"] = endless(0, BIG)
    files |= {name: content_of(name) for name in NAMES}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before, index = film_with_far_index()
    with (root / "clip.mp4").open("wb") as file:
        file.write(before)
        file.seek(FILLING, os.SEEK_CUR)
        file.write(index)
    for path in root.rglob("*"):
        os.utime(path, (MODIFIED, MODIFIED))


HUGE = 8 << 30
"""Size of a sparse file; none of its bytes is on the disk but those of LANDMARKS."""
LANDMARKS = {2**31 - 4: b"2 GiB is here", 2**32 - 4: b"4 GiB is here", HUGE - 7: b"the end"}
"""What stands in it, and where."""


def write_huge(path: Path) -> None:
    """Write the sparse file."""
    with path.open("wb") as file:
        for place, words in LANDMARKS.items():
            file.seek(place)
            file.write(words)


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
