"""Files of extents: they appear under their names whole, and go for everybody at once."""

import os
import secrets
from pathlib import Path

from aprp.cache.header import HEADER, Header
from aprp.cache.pages import OpenFile


def open_file(path: Path) -> tuple[OpenFile, Header | None] | None:
    """Open a file and read its header, None where that is damaged; None where there is no file.

    Raises OSError where it cannot be opened for writing.
    """
    try:
        file = OpenFile(os.open(path, os.O_RDWR))
    except FileNotFoundError:
        return None
    page = os.pread(file.number, HEADER, 0)
    return file, Header.parse(page, os.fstat(file.number).st_size)


def new_file(path: Path, header: Header) -> OpenFile:
    """Make the sparse file of an extent; whoever finds the name finds a header behind it.

    A process that is killed meanwhile leaves a file of a page whose name ends in `.new`.
    Raises FileExistsError where somebody was first, OSError where there is no room or no right.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    file = OpenFile(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        # The header's words are stored to its mapped page later: a full disk must tell now.
        os.posix_fallocate(file.number, 0, HEADER)
        os.pwrite(file.number, header.pack(), 0)
        os.truncate(file.number, HEADER + header.size)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def remove_name(path: Path, file: OpenFile) -> None:
    """Take the name from a file that the caller has locked, unless it is another's already.

    Nobody removes a name without the lock of the file behind it, so between the look and the
    removal the name cannot come to stand for a new file.
    """
    try:
        there = path.stat()
    except FileNotFoundError:
        return
    if os.path.samestat(there, os.fstat(file.number)):
        path.unlink()
