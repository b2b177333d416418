"""A film larger than memory, and a client that reads it slowly: nothing piles up in the proxy."""

import pytest

from tests.e2e.content import HUGE, LANDMARKS
from tests.e2e.programs import socket_buffers
from tests.e2e.slow_reader import RATE, SECONDS, SlowReader


@pytest.mark.parametrize("place", LANDMARKS)
def test_ranges_beyond_32_bits(slow_reader: SlowReader, place: int) -> None:
    words = LANDMARKS[place]
    last = place + len(words) - 1
    for target, fields in (
        ("/huge.bin", {"Range": f"bytes={place}-{last}"}),
        (f"/huge.bin?range={place}-{last}", {}),
        (f"/huge.bin/{place}/{last}", {}),
    ):
        reply = slow_reader.proxy.get(target, **fields)
        assert (reply.status, reply.body) == (206, words)
        assert reply.get("Content-Range") == f"bytes {place}-{last}/{HUGE}"


def test_a_slow_reader_of_8_gib_costs_little_memory(slow_reader: SlowReader) -> None:
    slow_reader.wait()
    assert slow_reader.length == str(HUGE)
    assert slow_reader.read >= 0.9 * RATE * SECONDS
    assert not slow_reader.wrong
    assert 0 < slow_reader.memory < 120_000_000
    # The rest is at the origin still: what is under way fits into the sockets' buffers.
    assert slow_reader.ahead < socket_buffers("w")
