"""Stores of the tests, and bytes to put into them."""

import hashlib
from pathlib import Path

from aprp.files.room import HIDDEN
from aprp.files.store import Store
from aprp.files.upload import Progress, Rules, Stored, Upload

BYTES = bytes(range(256)) * 1024
"""A quarter of a mebibyte; no two pieces of it that begin elsewhere in 256 are the same."""


def make_store(
    directory: Path,
    *,
    most: int = 0,
    types: tuple[str, ...] = (),
    quota: int = 0,
    expires: float = 3600.0,
) -> Store:
    return Store(directory, Rules(most, types), quota, expires)


def send(upload: Upload, content: bytes, piece: int = 65536) -> Stored | Progress:
    """Put all of it, and finish; where that fails nothing is left open."""
    try:
        for place in range(0, len(content), piece):
            upload.put(memoryview(content)[place : place + piece])
        return upload.finish()
    finally:
        upload.discard()


def begin(store: Store, name: str, length: int | None = None, overwrite: bool = False) -> Upload:
    return Upload(store.room, store.rules, name, length, overwrite)


def names(directory: Path) -> list[str]:
    """The files that are there for everybody to see."""
    return sorted(path.name for path in directory.iterdir() if path.name != HIDDEN)


def left_behind(directory: Path) -> list[str]:
    """What there is of unfinished uploads."""
    hidden = directory / HIDDEN
    found = [path.name for path in hidden.iterdir()] if hidden.exists() else []
    return sorted(name for name in found if name not in ("lock", "names"))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
