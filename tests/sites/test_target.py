"""The switched target, which processes share."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.sites.target import SharedTarget


def test_none_is_set_at_first() -> None:
    assert SharedTarget().url == ""


@given(st.lists(st.text(max_size=50)))
def test_the_last_one_counts(urls: list[str]) -> None:
    target = SharedTarget()
    for url in urls:
        target.set(url)
        assert target.url == url


def test_a_process_that_is_forked_shares_it() -> None:
    target = SharedTarget()
    target.set("http://before")
    here, there = os.pipe()
    back, forth = os.pipe()
    child = os.fork()
    if child == 0:
        seen = target.url
        target.set(f"{seen}/child")
        os.write(there, b"1")
        os.read(back, 1)
        os._exit(0 if target.url == "http://after" else 1)
    os.read(here, 1)
    assert target.url == "http://before/child"
    target.set("http://after")
    os.write(forth, b"1")
    assert os.waitpid(child, 0)[1] == 0
    for end in (here, there, back, forth):
        os.close(end)


def test_one_that_is_too_long_leaves_the_other() -> None:
    target = SharedTarget()
    target.set("http://a")
    with pytest.raises(ValueError, match="a target of 5000 bytes"):
        target.set("x" * 5000)
    assert target.url == "http://a"


def test_nobody_reads_half_of_one() -> None:
    target, seen = SharedTarget(), set()
    # Of different lengths, and none the beginning of another.
    urls = [f"http://{letter}/" + letter * 500 * n for n, letter in enumerate("abc", 1)]
    over = threading.Event()

    def write() -> None:
        for _ in range(2000):
            for url in urls:
                target.set(url)
        over.set()

    reader = SharedTarget()
    # Another process's view: the same memory, and nothing remembered.
    reader._memory = target._memory
    writing = threading.Thread(target=write)
    writing.start()
    while not over.is_set():
        seen.add(reader.url)
    writing.join()
    seen.add(reader.url)
    assert seen <= {"", *urls}
    assert reader.url == urls[-1]


def test_a_process_that_died_while_it_switched_does_not_stop_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = SharedTarget()
    monkeypatch.setattr("aprp.sites.target._PATIENCE", 0.01)
    target._lock.acquire()
    target.set("http://a")
    assert target.url == "http://a"
