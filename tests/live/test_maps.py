"""The columns of an object's map, against each byte's own story."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.header import SLICES
from aprp.cache.survey import NOTHING, Look
from aprp.live.maps import MOST_COLUMNS, columns_of

SLICE = 4096


def look(stored: dict[int, int], heat: dict[int, int], slice_size: int = SLICE) -> Look:
    numbers = range(SLICES)
    return Look(
        tuple(stored.get(n, 0) for n in numbers),
        tuple(heat.get(n, 0) for n in numbers),
        slice_size,
        0,
    )


def test_a_column_for_each_slice() -> None:
    length = 2 * SLICE + 100
    found = columns_of(length, SLICE, [(0, look({0: SLICE, 1: 1, 2: 100}, {0: 3 * SLICE, 2: 50}))])
    assert found.present == (100, 1, 100)
    assert found.heat == (3.0, 0.0, 0.5)


def test_nothing() -> None:
    assert columns_of(0, SLICE, []).present == ()
    assert columns_of(1, SLICE, []).present == (0,)
    assert columns_of(SLICE, SLICE, [(0, NOTHING)]).heat == (0.0,)


def test_extents_of_another_slice_size_hold_nothing() -> None:
    assert columns_of(SLICE, SLICE, [(0, look({0: SLICE}, {0: 5}, 2 * SLICE))]).present == (0,)


@pytest.mark.parametrize("number", [-1, 5, 1 << 60])
def test_extents_that_the_object_has_no_room_for(number: int) -> None:
    assert columns_of(SLICE, SLICE, [(number, look({0: SLICE}, {}))]).present == (0,)


@given(st.data(), st.integers(1, 3 * MOST_COLUMNS * SLICE))
def test_columns_tell_what_slices_hold(data: st.DataObject, length: int) -> None:
    slices = -(-length // SLICE)
    some = st.dictionaries(st.integers(0, slices - 1), st.floats(0, 1), max_size=20)
    stored = {n: int(part * min(SLICE, length - n * SLICE)) for n, part in data.draw(some).items()}
    heat = {n: int(part * 9 * SLICE) for n, part in data.draw(some).items()}
    looks = [
        (
            number,
            look(
                {n % SLICES: v for n, v in stored.items() if n // SLICES == number},
                {n % SLICES: v for n, v in heat.items() if n // SLICES == number},
            ),
        )
        for number in range(-(-slices // SLICES))
    ]
    found = columns_of(length, SLICE, looks)
    count = len(found.present)
    assert count == len(found.heat) == min(slices, MOST_COLUMNS)
    seen_stored = seen_heat = 0.0
    for column in range(count):
        own = range(column * slices // count, (column + 1) * slices // count)
        size = sum(min(SLICE, length - n * SLICE) for n in own)
        there = sum(stored.get(n, 0) for n in own)
        percent = found.present[column]
        assert (percent == 0) == (there == 0)
        assert (percent == 100) == (there == size)
        assert percent == 1 or abs(percent - 100 * there / size) < 1
        watched = sum(heat.get(n, 0) for n in own)
        assert found.heat[column] == pytest.approx(watched / size, abs=0.0006)
        seen_stored, seen_heat = seen_stored + there, seen_heat + watched
    # Every slice is in one column.
    assert (seen_stored, seen_heat) == (sum(stored.values()), sum(heat.values()))
