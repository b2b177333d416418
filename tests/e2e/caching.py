"""What the tests of the cache have in common: its units, and what an answer tells of it."""

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.clients import Connection, Reply
from tests.e2e.fault_files import File
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import PATIENCE
from tests.e2e.servers import Proxy

MIB = 1 << 20
SLICE = MIB
"""The unit of what is fetched and kept, in bytes: the default of SLICE_SIZE."""


def cache_status(reply: Reply) -> dict[str, str]:
    """What the cache nearest to the client says of the answer (RFC 9211); flags have no value."""
    value = reply.get("Cache-Status")
    assert value is not None, reply.fields
    *_, nearest = value.split(",")
    name, *parameters = (part.strip() for part in nearest.split(";"))
    assert re.fullmatch(r'[A-Za-z*][\w:/.*-]*|"[^"]+"', name), value
    pairs = [parameter.partition("=") for parameter in parameters]
    return {key: told for key, _, told in pairs}


def check_range(
    reply: Reply, file: File, start: int, stop: int, version: int | None = None
) -> None:
    """Check a 206 with the bytes `start` to `stop`."""
    assert reply.status == 206
    assert reply.get("Content-Range") == f"bytes {start}-{stop - 1}/{file.size}"
    assert reply.get("Content-Length") == str(stop - start) == str(len(reply.body))
    assert file.body(version).matches(start, reply.body)


def check_whole(reply: Reply, file: File, version: int | None = None) -> None:
    """Check a 200 with the whole file."""
    assert (reply.status, len(reply.body)) == (200, file.size)
    assert file.body(version).matches(0, reply.body)


def get_range(proxy: Proxy, file: File, start: int, stop: int, **fields: str) -> Reply:
    """Ask for the bytes `start` to `stop` and check them."""
    reply = proxy.get(file.path, Range=f"bytes={start}-{stop - 1}", **fields)
    check_range(reply, file, start, stop)
    return reply


def get_whole(proxy: Proxy, file: File, **fields: str) -> Reply:
    """Ask for the whole file and check it."""
    reply = proxy.get(file.path, **fields)
    check_whole(reply, file)
    return reply


def small_file(source: FaultOrigin, *fields: str) -> File:
    """A file of a slice and a bit with these fields of freshness."""
    file = source.add(SLICE + 5)
    file.fields = fields
    return file


def age(reply: Reply) -> int:
    """The Age of an answer, in seconds."""
    value = reply.get("Age")
    assert value is not None and value.isdigit(), reply.fields
    return int(value)


def check_aligned(file: File) -> None:
    """Check that each range asked of the origin begins and ends where slices do."""
    for span in file.ranges_asked:
        if span is None:
            # The whole.
            continue
        assert span[0] % SLICE == 0, file.ranges_asked
        assert span[1] % SLICE == 0 or span[1] >= file.size, file.ranges_asked


def begin(proxy: Proxy, file: File, *lines: str, receive_buffer: int | None = None) -> Connection:
    """Ask for a file on a connection of its own and read the head of the answer."""
    connection = Connection(proxy.port, receive_buffer)
    connection.ask(file.path, *lines)
    assert connection.read_head().status in (200, 206)
    return connection


def disk_use(directory: Path) -> int:
    """The bytes that the files below a directory take on the disk."""
    used = 0
    for path in directory.rglob("*"):
        try:
            used += path.stat().st_blocks * 512
        except FileNotFoundError:
            # Evicted under our eyes.
            continue
    return used


def in_threads(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all jobs at once; their results in order, or the first error."""
    results: list[Any] = [None] * len(jobs)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            results[number] = jobs[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 3)
        assert not thread.is_alive(), "a client is still waiting"
    if errors:
        raise errors[0]
    return results
