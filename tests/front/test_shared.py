"""Numbers by name in shared memory: told apart, bounded, of all workers."""

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.front.shared import WAYS, SharedTable
from tests.front.forks import Worker


def write(table: SharedTable, name: str, *values: int) -> None:
    place = table.place(name)
    entry = table.own(place)
    if entry is None:
        entry = table.claim(place)
    assert entry is not None
    for value, number in enumerate(values):
        table.put(entry, value, number)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 2**64 - 1)), max_size=60
    )
)
def test_it_is_what_each_worker_wrote_last(writes: list[tuple[int, int, int]]) -> None:
    # Enough buckets that twelve names find room.
    table = SharedTable(3, 2, buckets=512)
    model: dict[int, dict[int, list[int]]] = {}
    for worker, name, number in writes:
        table.attach(worker)
        write(table, str(name), number, number ^ 1)
        model.setdefault(name, {})[worker] = [number, number ^ 1]
    for name in range(12):
        expected = [values for _, values in sorted(model.get(name, {}).items())]
        assert table.read(table.place(str(name))) == expected


def test_a_worker_goes_on_with_its_own_entry() -> None:
    table = SharedTable(2, 1)
    place = table.place("192.0.2.1")
    assert table.own(place) is None
    entry = table.claim(place)
    assert entry is not None
    assert table.own(place) == entry
    table.put(entry, 0, 5)
    assert table.get(entry, 0) == 5
    table.attach(1)
    assert table.own(place) is None
    assert table.read(place) == [[5]]
    table.attach(0)
    assert table.own(place) == entry


def test_of_too_many_names_the_least_is_forgotten() -> None:
    table = SharedTable(1, 2, buckets=1)
    for number in range(1, WAYS + 1):
        write(table, f"name {number}", 0, number * 10)
    write(table, "one more", 15, 0)
    assert table.read(table.place("name 1")) == []
    assert table.read(table.place("one more")) == [[15, 0]]
    write(table, "and another", 100, 0)
    # 15 is the least now.
    assert table.read(table.place("one more")) == []
    for number in range(2, WAYS + 1):
        assert table.read(table.place(f"name {number}")) == [[0, number * 10]]


def test_what_is_worth_keeping_is_kept() -> None:
    table = SharedTable(1, 1, buckets=1)
    for number in range(WAYS):
        write(table, f"name {number}", 1)
    assert table.claim(table.place("one more"), below=1) is None
    write(table, "name 3", 0)
    assert table.claim(table.place("one more"), below=1) is not None
    assert table.read(table.place("name 3")) == []
    assert table.read(table.place("name 4")) == [[1]]


def test_clear_is_of_one_worker() -> None:
    table = SharedTable(3, 2)
    names = [str(number) for number in range(100)]
    for worker in range(3):
        table.attach(worker)
        for name in names:
            write(table, name, worker + 1, 7)
    table.attach(1)
    table.clear()
    for name in names:
        assert table.read(table.place(name)) == [[1, 7], [3, 7]]


def test_nobody_else_knows_the_places() -> None:
    # Who could reckon them might have another refused, by sharing its place.
    first, second = SharedTable(1, 1), SharedTable(1, 1)
    names = [f"192.0.2.{number}" for number in range(10)]
    assert not {first.place(n).tag for n in names} & {second.place(n).tag for n in names}


def test_names_are_spread_evenly() -> None:
    table = SharedTable(1, 1, buckets=64)
    used: dict[int, int] = {}
    tags = set()
    for number in range(6400):
        place = table.place(f"10.0.{number // 256}.{number % 256}")
        used[place.begin] = used.get(place.begin, 0) + 1
        tags.add(place.tag)
    assert len(tags) == 6400
    assert len(used) == 64
    # 100 a bucket with a deviation of 10: seven of those are a chance of 1e-10.
    assert all(30 < count < 170 for count in used.values())


def test_workers_in_processes_of_their_own() -> None:
    table = SharedTable(3, 1)
    place = table.place("192.0.2.1")

    def work(worker: int) -> Callable[[int], int]:
        table.attach(worker)

        def step(number: int) -> int:
            if number:
                write(table, "192.0.2.1", number)
            return sum(values[0] for values in table.read(place))

        return step

    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(partial(work, n))) for n in range(3)]
        assert workers[0].do(1) == 1
        assert workers[1].do(20) == 21
        assert workers[2].do(300) == 321
        assert workers[0].do(2) == 322
        assert [worker.do(0) for worker in workers] == [322] * 3
    assert table.read(place) == [[2], [20], [300]]


@pytest.mark.parametrize("worker", [-1, 2])
def test_a_worker_that_is_none(worker: int) -> None:
    with pytest.raises(ValueError, match="they are 0 to 1"):
        SharedTable(2, 1).attach(worker)


def test_no_workers() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        SharedTable(0, 1)
