"""Settings of what else may come in and go out: whole sites, forward proxying, signed links."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pydantic import ValidationInfo, field_validator

from settings import lists
from settings.declare import option
from settings.kinds import Duration, RefusedError, Switch
from settings.root import Root
from settings.texts import Secret

SHORTEST_KEY = 16
"""Least number of characters in SIGNING_KEY."""

_rewriting = partial(option, group="Rewriting")
_forwarding = partial(option, group="Forwarding")
_links = partial(option, group="Signed links")


class Doors(Root):
    """The groups Rewriting, Forwarding and Signed links."""

    REWRITE_REDIRECTS: Annotated[bool, Switch()] = _rewriting(
        True,
        "put this proxy's name and path in place of the origin's in Location, Content-Location "
        "and cookies, so that a browser stays with the proxy",
    )
    REWRITE_ORIGIN: Annotated[bool, Switch()] = _rewriting(
        False,
        "put the origin's name in place of this proxy's in Origin and Referer, and take off the "
        "origin's rules about frames and referrers; for sites that refuse foreign ones",
    )

    FORWARD: Annotated[bool, Switch()] = _forwarding(
        False, "be a forward proxy too: absolute requests (curl -x) and CONNECT"
    )
    FORWARD_ALLOW: Annotated[Sequence[str], lists.REACHABLE] = _forwarding(
        (),
        "hosts that forwarding may reach, as names, patterns such as *.example.org, addresses and "
        "networks; empty: every public host; set: only these, private ones too",
    )
    CONNECT_PORTS: Annotated[Sequence[int], lists.PORTS] = _forwarding(
        (443,), "ports to which CONNECT makes tunnels; empty: none"
    )
    PROXY_USERS: Annotated[Sequence[str], lists.USERS] = _forwarding(
        (),
        "who may use forwarding, as name:password; empty: everybody; better given in the "
        "environment than as a flag, which others on this machine can see",
        secret=True,
    )
    TUNNEL_IDLE_TIMEOUT: Annotated[float, Duration()] = _forwarding(
        600.0, "a tunnel or WebSocket through which no byte goes for so long is closed"
    )
    TARGET_URL_ALLOW: Annotated[Sequence[str], lists.REACHABLE] = _forwarding(
        (),
        "hosts that /?target_url=http://host/ may make the upstream, for all clients; written as "
        "in FORWARD_ALLOW; empty: none",
    )

    SIGNED_URLS: Annotated[bool, Switch()] = _links(
        False, "let in only requests with links that aprp sign has made, 403 otherwise"
    )
    SIGNING_KEY: Annotated[str, Secret(SHORTEST_KEY)] = _links(
        "",
        "secret that links are signed with; better given in the environment than as a flag, which "
        "others on this machine can see",
        secret=True,
    )

    @field_validator("SIGNING_KEY")
    @classmethod
    def _links_need_a_key(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("SIGNED_URLS") and not value:
            raise RefusedError(
                "not set, and SIGNED_URLS is on: give a secret of at least "
                f"{SHORTEST_KEY} characters"
            )
        return value
