"""Which requests are slow: those whose client waits for the first byte."""

from types import SimpleNamespace
from typing import Any

import pytest

from aprp.handlers.telling import is_slow as told_slow


def is_slow(limit: float, total: float, first: float | None, tunnel: float | None = None) -> bool:
    app = SimpleNamespace(settings=SimpleNamespace(SLOW_REQUEST=limit))
    exchange: Any = SimpleNamespace(app=app, first_byte=first, tunnel_after=tunnel)
    return told_slow(exchange, total)


@pytest.mark.parametrize(
    ("total", "first", "tunnel", "slow"),
    [
        pytest.param(100.0, 0.5, None, False, id="a film that takes its time"),
        pytest.param(100.0, 2.5, None, True, id="the first byte took long"),
        pytest.param(2.0, 2.0, None, False, id="no longer than that"),
        pytest.param(2.5, None, None, True, id="no body, or given up while waiting"),
        pytest.param(0.5, None, None, False, id="no body, at once"),
        pytest.param(100.0, None, 0.5, False, id="a tunnel that lasts"),
        pytest.param(100.0, None, 2.5, True, id="a tunnel that took long to begin"),
    ],
)
def test_the_wait_counts(
    total: float, first: float | None, tunnel: float | None, slow: bool
) -> None:
    assert is_slow(2.0, total, first, tunnel) is slow


def test_without_a_limit_nothing_is_slow() -> None:
    assert not is_slow(0.0, 1e6, 1e6)
