"""What is kept of a program's output."""

from hypothesis import given
from hypothesis import strategies as st

from aprp.dev.output import MOST_LINES, Tail


def tail_of(*pieces: bytes) -> list[str]:
    tail = Tail()
    for piece in pieces:
        tail.feed(piece)
    return tail.lines()


def test_lines_in_pieces() -> None:
    assert tail_of(b"one\ntw", b"o\nthr", b"ee") == ["one", "two", "three"]


def test_nothing() -> None:
    assert tail_of() == []


def test_without_what_terminals_make_of_it() -> None:
    assert tail_of(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x07\n") == ["red text"]
    assert tail_of(b" 10%\r 50%\r100%\r\ndone\r\n") == ["100%", "done"]


def test_bytes_that_are_no_text() -> None:
    assert tail_of(b"\xff\n") == ["\ufffd"]


def test_no_more_than_the_last_lines() -> None:
    lines = tail_of(*(b"%d\n" % number for number in range(1000)))
    assert lines == [str(number) for number in range(1000 - MOST_LINES, 1000)]


@given(st.lists(st.integers(1, 5000), max_size=200), st.integers(1, 1 << 16))
def test_it_is_bounded_and_ends_with_the_end(lengths: list[int], piece: int) -> None:
    text = "".join(f"{number:05}{'x' * length}\n" for number, length in enumerate(lengths)).encode()
    tail = Tail()
    for place in range(0, len(text), piece):
        tail.feed(text[place : place + piece])
    assert len(tail._kept) <= 64 << 10
    expected = text.decode().splitlines()
    kept = tail.lines()
    assert kept == expected[len(expected) - len(kept) :]
    assert len(kept) >= min(len(expected), 4)
