"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.tools.texts import count_text, percent_text, size_text, span_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (700 * 1024**2, "700.0 MiB"),
        (1024**3 * 1023, "1023.0 GiB"),
        (5 * 1024**4, "5.0 TiB"),
        (3000 * 1024**5, "3000.0 PiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


@given(st.integers(0, 1024**6))
def test_a_size_never_needs_more_than_four_digits_before_the_point(count: int) -> None:
    number = size_text(count).split()[0]
    assert float(number) <= 1024
    assert number.startswith("1024") == (count >= 1023.95 * 1024**5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86399, "23h"),
        (86400, "1d"),
        (1000 * 86400, "1000d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0.0%"),
        (1, 10**9, "0.1%"),
        (123, 1000, "12.3%"),
        (10**9 - 1, 10**9, "99.9%"),
        (10, 10, "100%"),
        (0, 0, "100%"),
    ],
)
def test_shares(part: int, whole: int, text: str) -> None:
    assert percent_text(part, whole) == text


def test_counts() -> None:
    assert [count_text(n, "object") for n in (0, 1, 2, 1000)] == [
        "0 objects",
        "1 object",
        "2 objects",
        "1,000 objects",
    ]
