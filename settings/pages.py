"""Settings of the pages that a person looks at beside the statistics: directories, the player."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from settings.declare import option
from settings.kinds import Switch
from settings.root import Root

_pages = partial(option, group="Pages")


class Pages(Root):
    """The group Pages."""

    HOME_PAGE: Annotated[bool, Switch()] = _pages(
        False,
        "show browsers a page of links for directories: those of MEDIA_DIR, and those of which an "
        "origin makes a list itself (autoindex); all other pages of an origin stay as they are",
    )
    PLAYER: Annotated[bool, Switch()] = _pages(
        False,
        "have a page with a player at /play/<path>, behind ADMIN_PREFIX; an origin's own files "
        "below /play/ cannot be reached then, unless ADMIN_PREFIX is set",
    )
