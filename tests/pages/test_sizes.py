"""Numbers of bytes for people, in the program and in its pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.pages.sizes import size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (0.4, "0 B"),
        (100, "100 B"),
        (1023, "1023 B"),
        (1023.6, "1 KiB"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (586197, "572 KiB"),
        (1023 * 1024, "1023 KiB"),
        (1024**2 - 1, "1 MiB"),
        (1024**2, "1 MiB"),
        (1_500_000, "1.43 MiB"),
        (9.994 * 1024**2, "9.99 MiB"),
        (9.996 * 1024**2, "10 MiB"),
        (99.96 * 1024**2, "100 MiB"),
        (700 * 1024**2, "700 MiB"),
        (8 << 30, "8 GiB"),
        (3 << 40, "3 TiB"),
        (3000 * 1024**5, "3000 PiB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size_text(count) == text


@given(st.integers(0, 1024**6 - 1))
def test_a_size_is_off_by_a_half_of_its_last_figure_at_most(count: int) -> None:
    number, unit = size_text(count).split()
    shown = float(number) * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB", "PiB"].index(unit)
    assert abs(shown - count) <= count * 0.00501
    assert float(number) < 1024 or unit == "PiB"
