"""Figures as people read them."""

import pytest

from aprp.tools.texts import count_text, percent_text, span_text


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
