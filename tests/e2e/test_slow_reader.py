"""A film larger than memory and a client that reads it slowly: nothing piles up in the proxy."""

from tests.e2e.slow_reader import RATE, SECONDS, SlowReader


def test_a_slow_reader_of_8_gib_costs_little_memory(slow_reader: SlowReader) -> None:
    slow_reader.wait()
    assert slow_reader.length == str(8 << 30)
    assert slow_reader.read >= 0.9 * RATE * SECONDS
    assert not slow_reader.wrong
    assert 0 < slow_reader.memory < 120_000_000
    # The rest is at the origin still: what is under way fits into the sockets' buffers.
    assert slow_reader.ahead < 8_000_000
