"""What an operator does on the dashboard: POST /stats/purge and /stats/warm.

Allowed are the addresses of ADMIN_ALLOW, for requests that the proxy's own page makes: they carry a
token that only this page can read, since its answer has no CORS fields.
"""

import json
import socket
import time
from collections.abc import Iterable
from typing import Any, Final

from aprp.cache.entry import CannotStore
from aprp.handlers.allowed import refused
from aprp.handlers.bodies import read_small
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE
from aprp.live.warming import TooMany
from aprp.semantics.hosts import address_of, split_authority
from aprp.semantics.same_site import foreign_page, names_this_machine

TOKEN_FIELD: Final = "X-CSRF-Token"

_MOST_BODY: Final = 64 << 10
_MOST_IDS: Final = 1000
_ID_BITS: Final = 63


def why_not(exchange: Exchange) -> str | None:
    """Why who asks may do nothing, in words for people; None where they may."""
    app = exchange.app
    if refused(exchange, app.settings.ADMIN_ALLOW):
        return "Your address is not in ADMIN_ALLOW."
    scheme, host = app.clients.seen_as(exchange)
    if page := foreign_page(exchange.headers.get, scheme, host):
        return f"The request was made by another page: {page}."
    if scheme != "https" and not _is_fixed(host):
        return (
            f"{host or 'A request without a host'} is a name that may lead anywhere tomorrow: use "
            "the proxy's address or https, so that no other page can pass for this one."
        )
    return None


def _is_fixed(host: str | None) -> bool:
    """Whether no page of others can have this name: nobody else's DNS says what it leads to."""
    if host is None or (parts := split_authority(host)) is None:
        return False
    name = parts[0]
    own = socket.gethostname().lower().rstrip(".")
    return address_of(name) is not None or names_this_machine(host) or name == own


def told_to(exchange: Exchange) -> dict[str, object]:
    """Give the member `admin` of /stats/objects, with a token for those who may."""
    why = why_not(exchange)
    token = exchange.app.tokens.make(time.time()) if why is None else None
    return {"allowed": why is None, "token": token, "why": why}


async def purge(exchange: Exchange) -> None:
    """Answer POST /stats/purge: remove responses by their ids, in all workers; 200."""
    ids = await _admitted_ids(exchange)
    library = exchange.app.library
    try:
        purged = 0 if library is None else await library.purge_ids(ids)
    except CannotStore as error:
        raise unusable(error) from None
    _answer(exchange, 200, {"purged": purged})


async def warm(exchange: Exchange) -> None:
    """Answer POST /stats/warm: have responses fetched whole in the background; 202."""
    ids = await _admitted_ids(exchange)
    live = exchange.app.live
    try:
        entries = [] if live.catalogue is None else await live.catalogue.entries(ids)
        warming = exchange.app.warmer.put(entries)
    except CannotStore as error:
        raise unusable(error) from None
    except TooMany as error:
        fields = {"Retry-After": "60"}
        raise Problem(503, f"{str(error).capitalize()}: try again later.", fields=fields) from None
    _answer(exchange, 202, {"warming": warming})


def unusable(error: CannotStore) -> Problem:
    """The answer where CACHE_DIR cannot be used."""
    return Problem(503, "The cache cannot be used now.", private=str(error))


async def _admitted_ids(exchange: Exchange) -> list[int]:
    """The ids that the body names; raises Problem."""
    if (why := why_not(exchange)) is not None:
        who = ", ".join(refused(exchange, exchange.app.settings.ADMIN_ALLOW))
        raise Problem(403, why, private=f"not in ADMIN_ALLOW: {who}" if who else None)
    token = exchange.headers.get(TOKEN_FIELD)
    if token is None or not exchange.app.tokens.good(token, time.time()):
        raise Problem(
            403,
            f"{TOKEN_FIELD} is missing, wrong or too old: /stats/objects gives a new one.",
        )
    return _ids(await read_small(exchange, _MOST_BODY))


def _ids(body: bytes) -> list[int]:
    try:
        said: Any = json.loads(body)
    except ValueError:
        raise Problem(400, 'The body is no JSON: send {"ids": ["…"]}.') from None
    ids = said.get("ids") if isinstance(said, dict) else None
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise Problem(400, 'The body has no list of ids: send {"ids": ["…"]}.')
    if len(ids) > _MOST_IDS:
        raise Problem(400, f"{len(ids)} ids are too many: send at most {_MOST_IDS} at once.")
    return list(dict.fromkeys(_numbers(ids)))


def _numbers(ids: Iterable[str]) -> Iterable[int]:
    for id in ids:
        if len(id) == 16 and not set(id) - set("0123456789abcdef"):
            number = int(id, 16)
            if number < 1 << _ID_BITS:
                yield number
                continue
        raise Problem(400, f"{id[:40]!r} is no id: one has 16 digits, as /stats/objects gives it.")


def _answer(exchange: Exchange, status: int, told: dict[str, int]) -> None:
    body = f"{json.dumps(told)}\n".encode()
    exchange.respond(status, body, "application/json", NO_STORE)
