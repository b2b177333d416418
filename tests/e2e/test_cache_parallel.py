"""Long lines: several requests at once for one reader, where that helps."""

import os
import time

import pytest

from tests.e2e.caching import MIB, check_aligned, get_whole
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.servers import StartProxy

_FULL = os.environ.get("CI") == "true" or os.environ.get("APRP_LONG") == "1"

DELAY = 0.08
"""Seconds before each answer, as on a long line."""
RATE = 2_000_000
"""Bytes a second for each connection."""
SIZE, LEARNING = (100 * MIB, 0.0) if _FULL else (24 * MIB, 2.0)
"""Of the file in bytes; and the seconds for finding out what several connections carry, which
weigh more where the file is small.
"""


def test_a_cold_read_over_a_long_line(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, "--parallel-fetches", "3", cache=True)
    file = source.add(SIZE)
    file.delay, file.rate = DELAY, RATE
    begun = time.monotonic()
    get_whole(proxy, file)
    took = time.monotonic() - begun
    # One connection cannot be faster than this origin lets it be.
    assert took <= 0.4 * SIZE / RATE + LEARNING
    # One that has been given up is noticed with the next piece that is sent.
    assert 1 < file.at_once <= 3 + 1
    assert file.size <= file.sent <= 1.02 * file.size
    check_aligned(file)
    # Nothing was stored when it was asked for, although some came earlier than the client took it.
    assert proxy.stats()["cache"]["bytes_from_cache"]["bytes"] == 0


def test_one_at_a_time_where_that_is_set(source: FaultOrigin, start_proxy: StartProxy) -> None:
    proxy = start_proxy("--upstream", source.url, "--parallel-fetches", "1", cache=True)
    file = source.add(12 * MIB)
    file.delay, file.rate = 0.02, 8_000_000
    get_whole(proxy, file)
    assert file.at_once == 1
    assert file.sent == file.size


@pytest.mark.parametrize("ranges", [True, False])
def test_a_near_origin_is_asked_once_at_a_time(
    source: FaultOrigin, start_proxy: StartProxy, ranges: bool
) -> None:
    # What one connection carries quickly enough needs no second one.
    proxy = start_proxy("--upstream", source.url, cache=True)
    file = source.add(48 * MIB)
    file.ranges = ranges
    get_whole(proxy, file)
    assert file.at_once == 1
