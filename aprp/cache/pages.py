"""Mapped files and their pages, by calls to the C library that Python has no names for.

Python's own `mmap` keeps a second descriptor of the file for as long as a view of it lives, and
does not tell its address.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)  # releases the GIL while it is in the call
_quick = ctypes.PyDLL(None, use_errno=True)  # does not: for calls that never wait

_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_munmap = _quick.munmap
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_mincore = _quick.mincore
_mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)

_FAILED: Final = ctypes.c_void_p(-1).value
_PAGE_MASK: Final = ~(mmap.PAGESIZE - 1)
_POPULATE_READ: Final = 22
_WAIT_BEFORE_WRITE_WAIT_AFTER: Final = 7
# mincore's answers, one byte a page; longer stretches take several calls.
_ANSWERS: Final = bytearray(4096)
_ANSWERS_ADDRESS: Final = ctypes.addressof((ctypes.c_ubyte * len(_ANSWERS)).from_buffer(_ANSWERS))
_SPAN: Final = len(_ANSWERS) * mmap.PAGESIZE

_scratch = threading.local()


def scratch() -> memoryview:
    """Lend this thread its block of 256 KiB to read files into; valid until the next call."""
    block: memoryview | None = getattr(_scratch, "block", None)
    if block is None:
        block = _scratch.block = memoryview(bytearray(256 << 10))
    return block


class OpenFile:
    """A descriptor that is closed with the last reference to it, also where a thread still uses it.

    Closing it earlier could give its number to a client's socket under a thread's hands.
    """

    __slots__ = ("__weakref__", "_lock", "number")

    def __init__(self, number: int) -> None:
        """Own the descriptor `number`."""
        self.number = number
        self._lock = threading.Lock()

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file against other threads and against everybody who opened it on their own."""
        with self._lock:
            fcntl.flock(self.number, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self.number, fcntl.LOCK_UN)

    def disk_bytes(self) -> int:
        """Give the bytes that the file takes on the disk."""
        return os.fstat(self.number).st_blocks * 512


def map_file(file: OpenFile, length: int) -> tuple[memoryview, int]:
    """Map the first `length` bytes for reading and writing; give a view of them and its address.

    The mapping goes with the last view that was made of it. Raises OSError where it cannot be made.
    """
    shared = mmap.MAP_SHARED
    address = _mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, shared, file.number, 0)
    if address is None or address == _FAILED:
        raise _failure("the file cannot be mapped")
    # An array type is made for each length that is asked for: powers of two are few. No more than
    # `length` bytes of the array are ever reached.
    array = (ctypes.c_ubyte * (1 << (length - 1).bit_length())).from_address(address)
    weakref.finalize(array, _munmap, address, length).atexit = False
    return memoryview(array).cast("B")[:length], address


def resident(address: int, stop: int) -> bool:
    """Whether all mapped pages of the addresses up to `stop` are in memory."""
    address &= _PAGE_MASK
    while stop - address > _SPAN:
        if not _in_core(address, _SPAN):
            return False
        address += _SPAN
    return _in_core(address, stop - address)


def _in_core(address: int, length: int) -> bool:
    # _ANSWERS is safe to share between threads: the GIL is held from the call to the reading.
    if _mincore(address, length, _ANSWERS_ADDRESS):
        raise _failure("the kernel does not tell which pages are in memory")
    return _ANSWERS.find(0, 0, (length + mmap.PAGESIZE - 1) // mmap.PAGESIZE) < 0


def populate(address: int, length: int) -> bool:
    """Bring mapped pages into memory and wait for them; False where the kernel could not.

    Kernels before 5.14 cannot.
    """
    start = address & _PAGE_MASK
    done: int = _madvise(start, address + length - start, _POPULATE_READ)
    return done == 0


def _sync_file_range() -> Callable[[int, int, int], None]:
    try:
        call = _libc.sync_file_range
    except AttributeError:
        # A C library without it, such as musl's.
        return lambda number, _start, _length: os.fdatasync(number)
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def write_out(number: int, start: int, length: int) -> None:
        if call(number, start, length, _WAIT_BEFORE_WRITE_WAIT_AFTER):
            if ctypes.get_errno() not in (errno.ENOSYS, errno.ESPIPE):
                raise _failure("the pages cannot be written")
            os.fdatasync(number)

    return write_out


# Starts writing the dirty pages of a stretch of a file and waits until they are written. Raises
# OSError if some could not be: they may read as anything from then on.
write_out: Final = _sync_file_range()


def _failure(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")
