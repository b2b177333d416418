"""The words of an extent against a plain model, and the order in which they are stored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.header import HEADER, SLICES
from aprp.cache.words import Words

SLICE = 4096


@dataclass
class Model:
    """What each slice has: a count of valid bytes with its boot, and whether it is whole."""

    size: int
    boot: int = 1
    counts: dict[int, int] = field(default_factory=dict)
    boots: dict[int, int] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)

    def valid(self, n: int) -> int:
        return self.counts.get(n, 0) if self.boots.get(n) == self.boot else 0

    def grow(self, n: int, count: int) -> None:
        if self.boots.get(n) != self.boot:
            self.forget(n)
            self.boots[n] = self.boot
        self.counts[n] = max(count, self.counts.get(n, 0))

    def forget(self, n: int) -> None:
        self.counts.pop(n, None)
        self.whole.discard(n)

    def run(self, offset: int, stop: int) -> int:
        """Walk from slice to slice."""
        while offset < stop and offset % SLICE < self.valid(offset // SLICE):
            offset += min(self.valid(offset // SLICE) - offset % SLICE, stop - offset)
        return offset


def slices(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, (size - 1) // SLICE)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[str, int, float]]]:
    size = draw(st.integers(1, SLICES * SLICE) | st.just(SLICES * SLICE))
    verbs = st.sampled_from(
        ["grow", "whole", "whole", "wholes", "wholes", "forget", "reboot", "verify"]
    )
    steps = st.tuples(verbs, slices(size), st.floats(0, 1))
    return size, draw(st.lists(steps, max_size=30))


def play(size: int, steps: list[tuple[str, int, float]]) -> tuple[Words, Model]:
    page = memoryview(bytearray(HEADER))
    words, model = Words(page, SLICE, size, 1), Model(size)
    for verb, n, part in steps:
        length = min(SLICE, size - n * SLICE)
        match verb:
            case "grow":
                words.grow(n, int(part * length))
                model.grow(n, int(part * length))
            case "whole" | "wholes":
                last = n if verb == "whole" else (size - 1) // SLICE
                for each in range(n, last + 1):
                    room = min(SLICE, size - each * SLICE)
                    words.grow(each, room)
                    words._finish(each, 99)
                    model.grow(each, room)
                    model.whole.add(each)
            case "forget":
                words.forget(n)
                model.forget(n)
            case "reboot":
                model.boot += 1
                words = Words(page, SLICE, size, model.boot)
            case "verify":
                if words.stored(n):
                    words._believe(n)
                if n in model.whole:
                    model.boots[n] = model.boot
    return words, model


@given(histories(), st.data())
def test_words_are_those_of_the_model(
    history: tuple[int, list[tuple[str, int, float]]], data: st.DataObject
) -> None:
    size, steps = history
    words, model = play(size, steps)
    for n in range((size - 1) // SLICE + 1):
        assert words.filled(n) == model.valid(n)
        assert words.stored(n) == (n in model.whole)
        assert words.holds(n) == (n in model.whole and model.boots[n] == model.boot)
        assert words.run(n * SLICE, size) == model.run(n * SLICE, size)
        # What was stored whole in another boot is there too, until it is found wrong.
        whole = min(SLICE, size - n * SLICE) if n in model.whole else 0
        assert words.amounts()[n] == (model.valid(n) or whole)
    for _ in range(20):
        offset = data.draw(st.integers(0, size - 1))
        stop = data.draw(st.integers(offset + 1, size))
        assert words.run(offset, stop) == model.run(offset, stop)
    # Up to the very end, and not beyond.
    assert words.run(0, size) == model.run(0, size)


def test_a_run_begins_nowhere_at_the_extents_end() -> None:
    words, _ = play(SLICES * SLICE, [("wholes", 0, 0)])
    assert words.run(0, SLICES * SLICE + 1) == SLICES * SLICE
    assert words.run(SLICES * SLICE, SLICES * SLICE + 1) == SLICES * SLICE


class Recorder:
    """Words that tell which of them was read or stored, and let others act in between."""

    def __init__(self, name: str, words: Any, told: Callable[[str, str, int], None]) -> None:
        self._name, self._words, self._told = name, words, told

    def __getitem__(self, n: int) -> Any:
        self._told("read", self._name, n)
        return self._words[n]

    def __setitem__(self, n: int, value: int) -> None:
        self._words[n] = value
        self._told("stored", self._name, n)


def watched(words: Words, told: Callable[[str, str, int], None]) -> Words:
    for name in ("_words", "_present", "_boots"):
        setattr(words, name, Recorder(name, getattr(words, name), told))
    return words


def test_a_slice_of_another_boot_is_never_read_while_it_is_begun_anew() -> None:
    """Between any two stores of the one who begins, another process reads."""
    page = memoryview(bytearray(HEADER))
    before = Words(page, SLICE, SLICES * SLICE, 1)
    before.grow(3, SLICE)
    before._finish(3, 99)
    reader = Words(page, SLICE, SLICES * SLICE, 2)
    seen = []

    def look(kind: str, _name: str, _n: int) -> None:
        if kind == "stored":
            seen.append((reader.holds(3), reader.filled(3), reader.run(3 * SLICE, 4 * SLICE)))

    watched(Words(page, SLICE, SLICES * SLICE, 2), look).grow(3, 7)
    assert seen[:-1] == [(False, 0, 3 * SLICE)] * (len(seen) - 1)
    assert seen[-1] == (False, 7, 3 * SLICE + 7)
    assert len(seen) == 4


@pytest.mark.parametrize("after", range(8))
def test_a_reader_is_not_fooled_by_one_who_begins_anew_meanwhile(after: int) -> None:
    """Between any two reads of the reader, another process begins the slice."""
    page = memoryview(bytearray(HEADER))
    before = Words(page, SLICE, SLICES * SLICE, 1)
    for n in (3, 4, 5):
        before.grow(n, SLICE)
        before._finish(n, 99)
    filler = Words(page, SLICE, SLICES * SLICE, 2)
    reads = 0

    def begin(kind: str, _name: str, _n: int) -> None:
        nonlocal reads
        if kind == "read":
            reads += 1
            if reads == after + 1:
                filler.grow(3, 7)

    reader = watched(Words(page, SLICE, SLICES * SLICE, 2), begin)
    assert reader.filled(3) in (0, 7)
    assert reader.run(3 * SLICE, 6 * SLICE) in (3 * SLICE, 3 * SLICE + 7)
    assert not reader.holds(3)


def test_a_mark_is_stored_after_its_checksum_and_count() -> None:
    order = []
    words = Words(memoryview(bytearray(HEADER)), SLICE, SLICES * SLICE, 1)
    watched(words, lambda kind, name, n: order.append((name, n)) if kind == "stored" else None)
    words.grow(2, SLICE)
    words._finish(2, 99)
    assert order == [
        ("_present", 2),
        ("_words", 128 + 2),
        ("_boots", 2),
        ("_words", 128 + 2),
        ("_words", 192 + 2),
        ("_present", 2),
    ]


def test_a_count_never_goes_back() -> None:
    words = Words(memoryview(bytearray(HEADER)), SLICE, SLICES * SLICE, 1)
    words.grow(0, 100)
    words.grow(0, 50)
    assert words.filled(0) == 100


@pytest.mark.parametrize(("n", "count"), [(0, 4097), (1, 1001), (2, 1), (63, 1)])
def test_no_more_is_counted_than_there_is_room(n: int, count: int) -> None:
    words = Words(memoryview(bytearray(HEADER)), SLICE, SLICE + 1000, 1)
    with pytest.raises(ValueError, match=f"slice {n} has"):
        words.grow(n, count)
    assert words.filled(n) == 0


def test_use_is_noted_once_a_second() -> None:
    stores = []
    words = Words(memoryview(bytearray(HEADER)), SLICE, SLICE, 1)
    watched(words, lambda kind, _name, n: stores.append(n) if kind == "stored" else None)
    for now in (1000.0, 1000.4, 1000.999, 1001.0, 1000.5):
        words.touch(now)
    # The last: somebody has put the clock back.
    assert len(stores) == 3
    assert words.last_used == 1000
