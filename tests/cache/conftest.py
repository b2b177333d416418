"""What tests of the cache share."""

import logging
from collections.abc import Callable

import pytest


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """What the cache has logged: levels and texts."""
    caplog.set_level(logging.INFO, "aprp.cache")
    return lambda: [(r.levelname, r.getMessage()) for r in caplog.records]
