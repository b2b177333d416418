"""Why the cache directory cannot be used, in words for an operator."""

import errno
from pathlib import Path

from aprp.cache.rows import IndexFailure
from aprp.cache.store import DirectoryLost

__all__ = ["FAILURES", "why"]

FAILURES = (OSError, IndexFailure, DirectoryLost)
"""What the directory, its files and its index fail with."""

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


def why(error: BaseException, directory: Path) -> str:
    """Say the cause and what to do."""
    match error:
        case DirectoryLost():
            return f"CACHE_DIR {directory} has been removed: it is made anew"
        case IndexFailure():
            return str(error)
        case OSError(errno=number) if number in _FULL:
            return f"{_FULL[number]}: make room for CACHE_DIR {directory}, or lower CACHE_SIZE"
        case PermissionError():
            return (
                f"CACHE_DIR cannot be written: {_where(error, directory)}: permission denied; give"
                " the user that aprp runs as the right to write there, or set it to another path"
            )
        case OSError(errno=errno.EROFS):
            return (
                f"CACHE_DIR cannot be written: {directory} is on a read-only file system; set it to"
                " a directory on another"
            )
        case FileExistsError() | NotADirectoryError():
            return (
                f"CACHE_DIR cannot be used: {_no_directory(_where(error, directory))} is not a"
                " directory; set it to another path"
            )
        case TimeoutError():
            return (
                f"the disk of CACHE_DIR {directory} does not answer in time: look whether it is"
                " overloaded, or the server that it belongs to is gone"
            )
        case OSError(errno=errno.EMFILE):
            return "too many files are open: raise the limit of open files (ulimit -n)"
        case OSError():
            return f"CACHE_DIR cannot be used: {_where(error, directory)}: {error.strerror}"
    raise TypeError(f"{error!r} says nothing about the directory")


def _where(error: OSError, directory: Path) -> str:
    return str(error.filename or directory)


def _no_directory(where: str) -> str:
    """What stands in the way of a path: itself, or one above it."""
    path = Path(where)
    return str(next((one for one in (path, *path.parents) if one.is_file()), path))
