"""CACHE_DIR as the tools open it: only where there is a cache, and with errors of one line."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aprp.cache.layout import index_path, state_path
from aprp.cache.rows import IndexFailure
from aprp.cache.state import State
from aprp.cache.store import Store
from aprp.flags import UsageError

if TYPE_CHECKING:
    from settings.base import Settings


@contextmanager
def opened(settings: "Settings") -> Iterator[Store]:
    """Open the cache of CACHE_DIR. Raises UsageError, also for what goes wrong while it is open."""
    path = directory_of(settings)
    with (
        errors_of(path),
        closing(State(state_path(path))) as state,
        closing(Store(path, state)) as store,
    ):
        yield store


def directory_of(settings: "Settings") -> Path:
    """Give CACHE_DIR. Raises UsageError where there is no cache in it; none is made."""
    path = settings.CACHE_DIR
    if path is None:
        raise UsageError("CACHE_DIR: empty: nothing is cached; give a directory with --cache-dir")
    with errors_of(path):
        if index_path(path).exists():
            return path
        what = "holds no cache" if path.is_dir() else "no such directory"
        hint = "it is made when the proxy starts, and --cache-dir names another"
        raise UsageError(f"CACHE_DIR: {path}: {what}; {hint}")


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Make one line of what goes wrong in a directory. Raises UsageError."""
    try:
        yield
    except IndexFailure as error:
        raise UsageError(f"CACHE_DIR: {error}") from None
    except BrokenPipeError:
        # Of the standard output, and not of the directory.
        raise
    except OSError as error:
        name = error.filename or path
        raise UsageError(f"CACHE_DIR: {name} cannot be used: {error.strerror or error}") from None
