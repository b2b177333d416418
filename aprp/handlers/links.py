"""Signed links: only what `aprp sign` has made a link to is given (SIGNED_URLS)."""

import time

from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.semantics.headers import BadTarget, safe_query, safe_target
from aprp.semantics.ranges import MalformedRange, split_path
from aprp.semantics.signing import take_claim, verify


def check_signature(exchange: Exchange) -> None:
    """Return where the request's link is good, and take its claim off; raises Problem 403."""
    settings = exchange.app.settings
    path, _, query = exchange.resource.partition("?")
    try:
        signed, unclaimed = safe_target(path), safe_query(query)
        if settings.RANGE_PATH:
            signed, _ = split_path(signed)
    except BadTarget as error:
        raise Problem(400, f"Bad request target: {error}.") from None
    except MalformedRange as error:
        raise Problem(400, f"Malformed range: {error}") from None
    rest, claim = take_claim(unclaimed)
    reason = verify(signed, claim, settings.SIGNING_KEY, time.time())
    if reason is not None:
        raise Problem(403, f"{reason[0].upper()}{reason[1:]}.")
    exchange.resource = f"{path}?{rest}" if rest else path
