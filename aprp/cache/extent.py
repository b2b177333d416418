"""One extent: 64 slices of an object in one file, mapped by every process that uses it."""

import errno
import os
from pathlib import Path
from typing import Final

import xxhash

from aprp.cache import pages
from aprp.cache.files import new_file, open_file, remove_name
from aprp.cache.header import (
    COUNTED,
    GONE,
    HEADER,
    SLICES,
    Header,
    boot_tag,
    extent_name,
    extent_path,
)
from aprp.cache.words import Words

__all__ = ["HEADER", "SLICES", "Extent", "extent_name", "extent_path"]

# How often a name is tried that others make and remove at the same time.
_TRIES: Final = 100
_NOTHING: Final = memoryview(b"")

# How long a slice that was seen in memory counts as being there, in seconds. The kernel does not
# drop what is read often, and asking it is a twentieth of a small hit.
_SEEN_LASTS: Final = 1.0


class Extent(Words):
    """An extent's file, opened and mapped. Offsets are bytes from the begin of its data, half-open.

    The file is closed and its mapping undone when nobody refers to the extent, nor to a view of its
    data, any more: to be rid of one that others may still use, drop the reference to it. `close`
    is for those who know that nobody else uses this object.

    Methods said to be for threads may run beside each other and beside everything else.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_file",
        "_seen",
        "data",
        "number",
        "path",
        "start",
        "version",
    )

    data: memoryview
    """Writable: data[0] is byte `start` of the object."""

    def __init__(self, path: Path, file: pages.OpenFile, header: Header, boot: int) -> None:
        """Map an open file; `Extent.open` and `Extent.create` are the ways to get one."""
        self.path = path
        self.version = header.version
        self.number = header.number
        self.start = header.number * SLICES * header.slice_size
        self._file: pages.OpenFile | None = file
        view, self._address = pages.map_file(file, HEADER + header.size)
        self.data = view[HEADER:]
        self._seen = [0.0] * SLICES
        super().__init__(view[:HEADER], header.slice_size, header.size, boot)

    @classmethod
    def open(cls, path: Path, *, boot: int | None = None) -> "Extent | None":
        """Open an extent; None where there is none.

        A file that is damaged, another extent's, or gone already is removed. Sizes are the file's
        own: compare `slice_size` with the settings.
        boot: the tag of the machine's boot; that of now by default.
        Raises OSError where the file cannot be opened for writing. Reading alone would not do: the
        kernel tells which pages are in memory only to those who may write.
        """
        name = extent_name(path)
        if name is None:
            raise ValueError(f"{path.name} is not the name of an extent")
        found = open_file(path)
        if found is None:
            return None
        file, header = found
        if header is not None and (header.version, header.number) == name:
            extent = cls(path, file, header, boot_tag() if boot is None else boot)
            if not extent.gone:
                return extent
        with file.locked():
            remove_name(path, file)
        return None

    @classmethod
    def create(
        cls,
        path: Path,
        version: int,
        number: int,
        slice_size: int,
        size: int,
        *,
        boot: int | None = None,
    ) -> "Extent":
        """Make a sparse file for `size` bytes of data, or open the one that somebody made before.

        That one may be larger: its object's length was not known then.
        Raises OSError: the disk is full or cannot be written, or its file system has no hard links;
        FileExistsError for an extent that is smaller or of another slice size, to be discarded.
        """
        header = Header(version, number, slice_size, size)
        if extent_name(path) != (version, number):
            raise ValueError(f"{path.name} is not the name of extent {version:016x}.{number}")
        for _ in range(_TRIES):
            found = cls.open(path, boot=boot)
            if found is None:
                try:
                    file = new_file(path, header)
                except FileExistsError:
                    continue
                return cls(path, file, header, boot_tag() if boot is None else boot)
            if found.slice_size == slice_size and found.size >= size:
                return found
            what = f"there are {found.size} bytes in slices of {found.slice_size}: discard it first"
            raise FileExistsError(errno.EEXIST, what, str(path))
        raise FileExistsError(errno.EEXIST, "made and removed by others again and again", str(path))

    @property
    def fd(self) -> int:
        """The descriptor of the file; it stays open as long as this object is not closed."""
        return self._opened().number

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._file is None

    def write(self, offset: int, view: memoryview) -> None:
        """Write bytes from `offset` of the data on; `allocate` has made their place.

        Through the file and not the mapping: there every page would be filled with zeros first.
        Raises OSError, EIO for instance.
        """
        number, place = self._opened().number, HEADER + offset
        while view:
            count = os.pwrite(number, view, place)
            view, place = view[count:], place + count

    def complete(self, n: int, length: int | None = None, checksum: int | None = None) -> None:
        """Mark the slice whole: all of its bytes are valid now.

        length: the slice's bytes where the object ends within it, although the extent was made
        for more. checksum: xxh3 of 64 bits over the slice, if the caller has it already; otherwise
        the bytes are summed up here, mostly without the GIL.
        """
        whole = self.length(n) if length is None else length
        if whole < 1:
            raise ValueError(f"slice {n} of {self.path.name} has no bytes")
        self.grow(n, whole)
        if self.stored(n):
            return
        if checksum is not None:
            self._finish(n, checksum)
            return
        begin = n * self.slice_size
        # `update` releases the GIL in all versions, the function in one call not in xxhash 3.5.
        digest = xxhash.xxh3_64()
        digest.update(self.data[begin : begin + whole])
        self._finish(n, digest.intdigest())

    def verify(self, n: int) -> bool:
        """Compare a stored slice with its checksum; a wrong one is forgotten, and False given.

        False for a slice that is not stored, too. For threads: it reads the file without the GIL.
        Several may verify a slice at once, also while another begins it anew: he writes the very
        same bytes, and the worst that comes of it is that the slice is fetched once more.
        """
        if not self.stored(n):
            return False
        filled, checksum = self._written(n)
        if not 0 < filled <= self.length(n) or self._sum(n, filled) != checksum:
            self.forget(n)
            return False
        self._believe(n)
        return True

    def _sum(self, n: int, length: int) -> int | None:
        """Read a slice from the file and sum it up; None where it cannot be read.

        Not through the mapping: there a disk that fails ends the process with SIGBUS.
        """
        file = self._opened()
        block = pages.scratch()
        place = HEADER + n * self.slice_size
        end = place + length
        digest = xxhash.xxh3_64()
        while place < end:
            try:
                count = os.preadv(file.number, [block[: end - place]], place)
            except OSError as error:
                if error.errno == errno.EIO:
                    return None
                raise
            if not count:
                return None
            digest.update(block[:count])
            place += count
        return digest.intdigest()

    def allocate(self, first: int, count: int) -> int:
        """Give slices `first` to `first + count - 1` their place on the disk: it cannot fill later.

        Returns by how many bytes the file has grown on the disk since that was last returned to
        anybody. The sum over all calls is what `discard` returns. For threads.
        Raises OSError: ENOSPC, EDQUOT, EFBIG and the like; FileNotFoundError if the extent is gone.
        """
        begin = first * self.slice_size
        end = min(begin + count * self.slice_size, self.size)
        if not 0 <= begin < end:
            raise ValueError(f"{self.path.name} has no slices {first} to {first + count - 1}")
        file = self._opened()
        with file.locked():
            if self.gone:
                raise FileNotFoundError(errno.ENOENT, "the extent was removed", str(self.path))
            os.posix_fallocate(file.number, HEADER + begin, end - begin)
            counted = self._words[COUNTED]
            self._words[COUNTED] = size = file.disk_bytes()
        return size - counted

    def resident(self, offset: int, stop: int) -> bool:
        """Whether all of the bytes are in memory, so that reading them does not wait for a disk."""
        begin = self._address + HEADER
        return pages.resident(begin + offset, begin + stop)

    def at_hand(self, offset: int, stop: int, now: float) -> bool:
        """Whether all of the bytes are in memory, or were a moment before `now`, in seconds.

        `now` is of any clock that is never set back, always the same one.
        """
        size, seen = self.slice_size, self._seen
        first, last = offset // size, (stop - 1) // size
        if now - min(seen[first : last + 1]) < _SEEN_LASTS:
            return True
        if not self.resident(first * size, min((last + 1) * size, self.size)):
            return self.resident(offset, stop)
        for n in range(first, last + 1):
            seen[n] = now
        return True

    def load(self, offset: int, stop: int) -> None:
        """Bring the bytes into memory. For threads: it waits for the disk without the GIL.

        Raises OSError where they cannot be read.
        """
        file = self._opened()
        place, end = HEADER + offset, HEADER + stop
        os.posix_fadvise(file.number, place, end - place, os.POSIX_FADV_WILLNEED)
        if pages.populate(self._address + place, end - place):
            return
        # A kernel before 5.14, or one that could not: reading tells.
        block = pages.scratch()
        while place < end:
            count = os.preadv(file.number, [block[: end - place]], place)
            if not count:
                raise OSError(errno.EIO, "the file was cut short", str(self.path))
            place += count

    def write_out(self, offset: int, stop: int) -> None:
        """Write the bytes' dirty pages to the disk and wait for that. For threads.

        Raises OSError where some cannot be written. The kernel may drop such pages, so the slices
        that have bytes among them are forgotten.
        """
        try:
            pages.write_out(self._opened().number, HEADER + offset, stop - offset)
        except OSError:
            for n in range(offset // self.slice_size, -(-stop // self.slice_size)):
                self.forget(n)
            raise

    def discard(self) -> int:
        """Remove the extent for everybody; returns the bytes set free on the disk, as `counted`.

        0 where another was first. Those who have it open keep what they see of it. For threads: it
        may wait for an `allocate`. Raises OSError where the file cannot be removed.
        """
        file = self._opened()
        with file.locked():
            if self.gone:
                return 0
            self._words[GONE] = 1
            try:
                remove_name(self.path, file)
            except OSError:
                self._words[GONE] = 0
                raise
            return self._words[COUNTED]

    def close(self) -> None:
        """Let go of the file: the extent is `gone` and holds nothing afterwards, here alone.

        Views that others have of its data stay good; the mapping goes with the last of them.
        """
        self._file = None
        self._address = 0
        self.data = _NOTHING
        self.size = 0
        self._detach()

    def _opened(self) -> pages.OpenFile:
        if self._file is None:
            raise ValueError(f"{self.path.name} is closed")
        return self._file

    def __repr__(self) -> str:
        state = "closed" if self.closed else "gone" if self.gone else "open"
        whole = sum(map(self.holds, range(SLICES)))
        return f"<Extent {self.path.name} {state}, {whole} slices of {self.slice_size} bytes>"
