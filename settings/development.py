"""Settings for work on a desk: the embedded origin, this machine only, the log on the console."""

from __future__ import annotations

from collections.abc import Sequence

from settings import base


class Settings(base.Settings):
    """The settings if none are chosen."""

    DEBUG = True
    ADDRESS = "localhost"
    FORWARD = True
    HOME_PAGE = True
    PLAYER = True
    CORS_ORIGINS: Sequence[str] = ("*",)
    UPLOADS = True
    LOG_CONSOLE = True
