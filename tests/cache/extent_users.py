"""What the processes do that use an extent at once.

Each of them imports this module anew: without pytest that takes a tenth of the time.
"""

import os
import signal
from pathlib import Path
from typing import Any

from aprp.cache.extent import Extent
from tests.cache.bytes_of import (
    LATER,
    SLICE,
    VERSION,
    content,
    fill,
    new_extent,
    open_extent,
    path_of,
)
from tests.cache.children import Connection

STEP = 4096


def fill_in_steps(pipe: Connection, directory: Path, numbers: list[int]) -> None:
    """Fill slices from the front; tell each step, and wait for leave to make it."""
    extent = new_extent(directory)
    data = content()
    for n in numbers:
        for place in range(n * SLICE, (n + 1) * SLICE, STEP):
            pipe.send("growing")
            pipe.recv()
            extent.data[place : place + STEP] = data[place : place + STEP]
            extent.grow(n, place + STEP - n * SLICE)
        pipe.send("completing")
        pipe.recv()
        extent.complete(n)


class Deadly:
    """Words that kill the process with their n-th store, before or after it is done."""

    stores = 0

    def __init__(self, words: memoryview, last: int) -> None:
        self._words, self._last = words, last

    def __getitem__(self, n: Any) -> Any:
        return self._words[n]

    def __setitem__(self, n: Any, value: Any) -> None:
        if Deadly.stores == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
        Deadly.stores += 1
        self._words[n] = value


def fill_until_killed(pipe: Connection, directory: Path, last: int) -> None:
    extent = new_extent(directory, 2 * SLICE, boot=LATER)
    for name in ("_words", "_present", "_boots", "data"):
        setattr(extent, name, Deadly(getattr(extent, name), last))
    data = content(2 * SLICE)
    for n in (0, 1):
        for place in (n * SLICE, n * SLICE + SLICE // 2):
            extent.data[place : place + SLICE // 2] = data[place : place + SLICE // 2]
            extent.grow(n, place + SLICE // 2 - n * SLICE)
        extent.complete(n)
    pipe.send(Deadly.stores)


def set_every_second(pipe: Connection, directory: Path, first: int) -> None:
    extent = open_extent(directory)
    while pipe.recv():
        fill(extent, *range(first, 64, 2))
        pipe.send("done")


def create(pipe: Connection, directory: Path) -> None:
    """Create the extent when told to, and store the slice of that number."""
    while (n := pipe.recv()) is not None:
        extent = new_extent(directory / str(n // 4))
        fill(extent, n % 4)
        pipe.send(os.fstat(extent.fd).st_ino)


def come_and_go(pipe: Connection, directory: Path, rounds: int) -> None:
    """Create, allocate and discard one extent again and again; tell what that summed up to."""
    total = 0
    pipe.send("ready")
    pipe.recv()
    for turn in range(rounds):
        extent = new_extent(directory)
        try:
            total += extent.allocate(turn % 64, 1)
        except FileNotFoundError:
            assert extent.gone
        if turn % 3 == 0:
            total -= extent.discard()
    pipe.send(total)


def watch(pipe: Connection, directory: Path) -> None:
    extent = open_extent(directory)
    while pipe.recv():
        pipe.send((extent.gone, extent.last_used, extent.filled(0), extent.run(0, 9)))


def die_before_the_link(_: Connection, directory: Path) -> None:
    os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    Extent.create(path_of(directory), VERSION, 0, SLICE, SLICE)
