"""The origin's account: what is right for each kind of work, and what is not."""

from pathlib import Path

import pytest

from benchmarks import BenchError
from benchmarks.origin import Ledger, Work, verify
from benchmarks.scenarios import MIB, Kind

SLICE = MIB
ASKED = Work(4, 40 * MIB)


@pytest.mark.parametrize(
    ("kind", "fetched", "slice_size"),
    [
        ("pass", ASKED, None),
        # A request that is sent again after its connection broke is no fault of the measurement.
        ("pass", Work(5, 41 * MIB), None),
        ("hit", Work(0, 0), SLICE),
        ("hit", Work(0, 0), None),
        ("miss", ASKED, None),
        ("miss", ASKED, SLICE),
        ("miss", Work(40, 40 * MIB), SLICE),
        ("miss", Work(17, 40 * MIB + MIB // 2), SLICE),
    ],
)
def test_what_is_right(kind: Kind, fetched: Work, slice_size: int | None) -> None:
    verify(kind, ASKED, fetched, slice_size)


@pytest.mark.parametrize(
    ("kind", "fetched", "slice_size", "says"),
    [
        ("pass", Work(3, 40 * MIB), None, "not everything was passed through"),
        ("pass", Work(4, 40 * MIB - 1), None, "not everything was passed through"),
        ("hit", Work(1, 1), SLICE, "not everything was a hit"),
        # A revalidation carries no body, and is a request all the same.
        ("hit", Work(1, 0), SLICE, "not everything was a hit"),
        ("miss", Work(4, 40 * MIB - 1), SLICE, "not everything was a miss"),
        ("miss", Work(0, 0), SLICE, "not everything was a miss"),
        ("miss", Work(4, 41 * MIB), SLICE, "more than once"),
        ("miss", Work(41, 40 * MIB), SLICE, "expected 4 to 40 requests"),
        ("miss", Work(3, 40 * MIB), SLICE, "expected 4 to 40 requests"),
        ("miss", Work(5, 40 * MIB), None, "expected 4 to 4 requests"),
    ],
)
def test_what_is_not(kind: Kind, fetched: Work, slice_size: int | None, says: str) -> None:
    with pytest.raises(BenchError, match=says):
        verify(kind, ASKED, fetched, slice_size)


def test_the_ledger_counts_whole_lines_since_a_reading(tmp_path: Path) -> None:
    log = tmp_path / "bytes.log"
    log.write_text("100\n0\n")
    ledger = Ledger(log)
    before = ledger.total()
    assert before == Work(2, 100)
    with log.open("a") as file:
        file.write("1048576\n7\n9")
    # The 9 may be the beginning of a longer number.
    assert ledger.since(before, least=1048583) == Work(2, 1048583)
