"""All settings of aprp in one class.

A class of your own derives from `Settings` and gives new defaults (`PORT = 9000`) or adds settings
(`STUDIO: str = "A"`). Each setting's type, bounds, default, unit and meaning are declared in the
room of its group; `docs/settings.md` is made from them.
"""

from __future__ import annotations

from settings.caching import Caching
from settings.clients import Clients
from settings.counting import Counting
from settings.doors import Doors
from settings.files import Files
from settings.general import General
from settings.logs import Logs
from settings.pages import Pages


# The last of the bases comes first in help and reference page.
class Settings(Logs, Counting, Pages, Files, Doors, Clients, Caching, General):
    """What an operator may change, with defaults that are safe and need an origin to be named.

    `Settings(PORT=0)` takes what it is given and the class's defaults, nothing else: it reads no
    environment, and raises pydantic's ValidationError for a wrong value. `settings.load` adds
    the environment and the flags. Lists are kept as tuples, sizes in bytes, durations in seconds.
    """
