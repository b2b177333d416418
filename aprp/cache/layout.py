"""Where things lie in CACHE_DIR; the files of extents are named by `aprp.cache.extent`."""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["extent_folders", "index_path", "leases_path", "state_path"]


def index_path(directory: Path) -> Path:
    """The index: what is stored (SQLite)."""
    return directory / "index.sqlite"


def state_path(directory: Path) -> Path:
    """The words that all processes share."""
    return directory / "state"


def leases_path(directory: Path) -> Path:
    """The file whose byte ranges are locked by who fetches something."""
    return directory / "leases"


def extent_folders(directory: Path) -> Iterator[Path]:
    """The 256 directories that hold extents; each may be missing."""
    for number in range(256):
        yield directory / "extents" / f"{number:02x}"
