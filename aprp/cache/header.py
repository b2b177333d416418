"""The first page of an extent's file: where each word lies, and the tag of the boot.

The page stands in front of the data, so that a small object is a small file. Its words are mapped
by every process and written without a lock: each by a single store, and no two slices share one.
The words of heat are the only ones that several processes count up: of two that do so at the very
same moment, one may not be counted.
They are in the machine's own byte order, for a cache does not move to another machine.
"""

import re
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

# Slices of an extent, and bytes in front of the first of them.
SLICES: Final = 64
HEADER: Final = 4096
# A slice is a multiple of this many bytes.
PAGE: Final = 4096

# Numbers of the words of 8 bytes.
MAGIC, SLICE_SIZE, VERSION, NUMBER, SIZE = range(5)
GONE, LAST_USED, COUNTED = range(8, 11)
# One word a slice: valid bytes from the slice's begin; xxh3_64 of them once the slice is whole.
FILLED: Final = 128
CHECKSUM: Final = 192
# One word a slice: bytes of it that were given to clients. Extents of versions that did not count
# them have zeros here.
HEAT: Final = 256
# Places in bytes of the tables with 1 and 4 bytes a slice: whole or not; tag of the boot.
PRESENT_AT: Final = 256
BOOT_AT: Final = 512

_MAGIC: Final = int.from_bytes(b"aprp\0ex1", "big")
_FIXED: Final = struct.Struct("=5Q")
_NAME: Final = re.compile(r"([0-9a-f]{16})\.(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Header:
    """What never changes in an extent: sizes are in bytes, `size` is that of the data."""

    version: int
    number: int
    slice_size: int
    size: int

    def __post_init__(self) -> None:
        """Refuse what no extent can be."""
        if self.slice_size < PAGE or self.slice_size % PAGE:
            raise ValueError(f"a slice is a multiple of {PAGE} bytes, not {self.slice_size}")
        if not 0 < self.size <= SLICES * self.slice_size:
            raise ValueError(f"{self.size} bytes are not the size of an extent")
        if not 0 < self.version < 1 << 63 or not 0 <= self.number < 1 << 63:
            raise ValueError(f"no extent is {self.version:x}.{self.number}")

    def pack(self) -> bytes:
        """Give the page of an extent in which nothing is stored yet."""
        fixed = _FIXED.pack(_MAGIC, self.slice_size, self.version, self.number, self.size)
        return fixed.ljust(HEADER, b"\0")

    @staticmethod
    def parse(page: bytes, file_size: int) -> "Header | None":
        """Read a page; None unless it is that of a file of `file_size` bytes.

        A file that is shorter than its header says must not be mapped: touching what is not there
        ends the process with SIGBUS.
        """
        if len(page) != HEADER:
            return None
        magic, slice_size, version, number, size = _FIXED.unpack_from(page)
        if magic != _MAGIC or file_size != HEADER + size:
            return None
        try:
            return Header(version, number, slice_size, size)
        except ValueError:
            return None


def extent_path(directory: Path, version: int, number: int) -> Path:
    """Name the file of an extent in a cache directory."""
    name = f"{version:016x}.{number}"
    return directory / f"extents/{name[14:16]}/{name}"


def extent_name(path: Path) -> tuple[int, int] | None:
    """Read version and number from the name of a file; None where it is not an extent's."""
    match = _NAME.fullmatch(path.name)
    return (int(match[1], 16), int(match[2])) if match else None


@cache
def boot_tag() -> int:
    """Give the tag of this boot of the machine: 32 bits, never 0, the same in all processes.

    What was written to mapped pages survives the process that wrote it but not the machine: after
    a loss of power, any part of it may be missing. The tag tells the two apart.

    Raises OSError where the kernel does not tell its boot.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return int(boot.replace("-", "")[:8], 16) or 1
