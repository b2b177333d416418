"""The door of the switchable target: `/?target_url=http://host` makes that the upstream."""

import logging
from typing import Final

from aprp.handlers.errors import LOOP, Problem, problem_of
from aprp.handlers.exchange import Exchange
from aprp.semantics.ranges import MalformedRange, take_parameter
from aprp.sites.guards import Loop
from aprp.sites.sites import LeadsBack, NotAllowed
from aprp.upstream.errors import Forbidden, OriginFailure

_PARAMETER: Final = "target_url"

_log = logging.getLogger("aprp")


def is_for(exchange: Exchange) -> bool:
    """Whether a request switches the target; raises Problem."""
    return (
        exchange.resource.startswith("/?")
        and exchange.method in ("GET", "HEAD")
        and _value(exchange)[1] is not None
    )


async def switch(exchange: Exchange) -> None:
    """Switch, and leave of the request what is the target's; raises Problem.

    The target stays as it is where the new one is not allowed, or its host cannot be found.
    """
    app = exchange.app
    rest, value = _value(exchange)
    assert value is not None
    if app.sites.switch is None:
        raise Problem(
            403,
            f"?{_PARAMETER}= is not allowed here. TARGET_URL_ALLOW names the hosts it may name.",
        )
    url = value.strip()
    try:
        if url:
            url, site = app.sites.target_of(url)
            (origin,) = site.origins.origins
            exchange.asks(origin.url)
            await app.client.look_up(origin.endpoint, app.settings.CONNECT_TIMEOUT)
        app.sites.switch_to(url)
    except NotAllowed as error:
        raise refused(error) from None
    except (LeadsBack, Loop):
        raise Problem(508, LOOP) from None
    except Forbidden as error:
        raise refused(error) from None
    except OriginFailure as error:
        raise problem_of(error, url) from None
    except ValueError as error:
        raise Problem(400, f"?{_PARAMETER}=: {error}.") from None
    _log.info(
        "the target is %s now, asked by %s",
        url or "UPSTREAM again",
        exchange.client,
        extra=exchange.about,
    )
    exchange.resource = f"/?{rest}" if rest else "/"


def refused(error: Exception) -> Problem:
    """The answer to a target that may not be reached."""
    return Problem(
        403,
        "The target is not allowed here. TARGET_URL_ALLOW names the hosts.",
        private=f"{error}: not in TARGET_URL_ALLOW",
    )


def _value(exchange: Exchange) -> tuple[str, str | None]:
    try:
        return take_parameter(exchange.resource.partition("?")[2], _PARAMETER)
    except MalformedRange:
        raise Problem(400, f"?{_PARAMETER}= is given more than once.") from None
