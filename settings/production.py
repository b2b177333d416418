"""Settings for a server: port 80, a worker for each core, and an origin that must be named."""

from __future__ import annotations

from collections.abc import Sequence

from settings import base


class Settings(base.Settings):
    """The settings for `APRP_SETTINGS=settings.production`."""

    PORT = 80
    WORKERS = 0
    UPSTREAM: Sequence[str] = ()
