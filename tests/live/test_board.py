"""The board that workers share: whole sheets or none, whoever writes and dies meanwhile."""

import os
import signal
from functools import partial

import pytest
from xxhash import xxh3_64_intdigest

from aprp.live.board import SHEET, Board, Sheet
from tests.stats.forks import ended, in_worker


def test_what_is_written_is_read_by_others() -> None:
    board = Board(3)

    def work(worker: int) -> None:
        board.attach(worker, os.getpid())
        board.write(b"first")
        board.write(b"of %d" % worker)

    pids = [in_worker(partial(work, worker)) for worker in (0, 2)]
    assert [ended(pid) for pid in pids] == [0, 0]
    assert [board.read(worker) for worker in range(3)] == [
        Sheet(2, b"of 0"),
        None,
        Sheet(2, b"of 2"),
    ]
    assert [board.pid(worker) for worker in range(3)] == [pids[0], 0, pids[1]]


def test_a_sheet_has_an_end() -> None:
    board = Board()
    board.write(bytes(SHEET))
    with pytest.raises(ValueError, match=f"a sheet has {SHEET} bytes, not {SHEET + 1}"):
        board.write(bytes(SHEET + 1))
    assert board.read(0) == Sheet(1, bytes(SHEET))
    # Rows do not touch each other.
    board = Board(2)
    board.attach(0, 1)
    board.write(b"\xff" * SHEET)
    board.write(b"\xff" * SHEET)
    assert (board.read(1), board.pid(1)) == (None, 0)


def test_who_dies_at_writing_leaves_the_sheet_before() -> None:
    board = Board()
    board.write(b"whole")

    def dies() -> None:
        # As `write` does, up to where it is killed.
        row, words = board._rows[0], board._words[0]
        side = 2 % 2
        row[64 + side * SHEET : 64 + side * SHEET + 4] = b"half"
        words[2 + 2 * side] = 8
        os.kill(os.getpid(), signal.SIGKILL)

    assert ended(in_worker(dies)) == -signal.SIGKILL
    assert board.read(0) == Sheet(1, b"whole")


def test_a_torn_sheet_is_not_read() -> None:
    board = Board()
    board.write(b"a" * 1000)
    side = 1
    board._rows[0][64 + side * SHEET + 500] ^= 1
    assert board.read(0) is None
    board.write(b"b")
    assert board.read(0) == Sheet(2, b"b")
    # A length that cannot be, and a sheet of another time with its right checksum.
    board._words[0][2] = 1 << 60
    assert board.read(0) is None
    board._words[0][2], board._words[0][3] = 1, xxh3_64_intdigest(b"b", 0)
    assert board.read(0) is None


def test_what_is_read_while_another_writes_is_whole() -> None:
    board = Board()
    sheets = 20_000

    def writes() -> None:
        for number in range(1, sheets + 1):
            board.write(b"%d," % number * (number % 700))

    writer = in_worker(writes)
    last, whole = 0, 0
    while last < sheets:
        sheet = board.read(0)
        if sheet is not None:
            assert sheet.content == b"%d," % sheet.number * (sheet.number % 700)
            assert sheet.number >= last
            last, whole = sheet.number, whole + 1
    assert ended(writer) == 0
    assert whole


def test_a_worker_that_is_gone_has_laid_out_nothing() -> None:
    board = Board(2)
    for worker in (0, 1):
        board.attach(worker, 100 + worker)
        board.write(b"x")
    board.clear(0)
    assert (board.read(0), board.pid(0)) == (None, 0)
    assert (board.read(1), board.pid(1)) == (Sheet(1, b"x"), 101)
    # Nor has the one that takes its place.
    board.attach(1, 7)
    assert (board.read(1), board.pid(1)) == (None, 7)


def test_somebody_looks_until_then() -> None:
    board = Board(2)
    assert not board.watched(0.0)

    def looks() -> None:
        board.watch(103.5)
        # Who looks for less does not take it away.
        board.watch(101.0)

    assert ended(in_worker(looks)) == 0
    assert board.watched(100.0)
    assert board.watched(103.4)
    assert not board.watched(103.5)


@pytest.mark.parametrize("worker", [-1, 2])
def test_a_worker_that_is_not_there(worker: int) -> None:
    with pytest.raises(ValueError, match=rf"no worker {worker}: they are 0 to 1"):
        Board(2).attach(worker, 1)


def test_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        Board(0)
