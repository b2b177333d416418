"""What runs and what is stored, for the dashboard: /stats/events, /stats/objects, /stats/object."""

import json
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qsl

from aprp.cache.entry import CannotStore
from aprp.handlers.admin import told_to, unusable, why_not
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.reply import NO_STORE, SERVER
from aprp.live.choosing import Query, Sort
from aprp.live.feed import MOST_STREAMS, Stream
from aprp.semantics.headers import BadTarget, Fields, safe_query, safe_target
from aprp.semantics.ranges import MalformedRange, split_path, take_parameter
from aprp.sites.sites import NotAllowed

MOST_SHOWN: Final = 200
"""Objects that one answer shows at most."""
_LONGEST_SEARCH: Final = 500
_LARGEST: Final = 10**9
_JSON: Final = "application/json"
_RETRY: Final = b"retry: 2000\n\n"


async def events(exchange: Exchange) -> None:
    """Answer /stats/events: server-sent events, one at once and one a second (HTML Standard, 9.2).

    It ends when the proxy drains. Whoever may not administrate sees no client's address and no
    query. The stream is not counted among the bytes given to clients, and may be left at any time.
    """
    exchange.counted = False
    if exchange.method == "HEAD":
        _begin(exchange)
        return
    stream = exchange.app.live.feed.open(full=why_not(exchange) is None)
    if stream is None:
        raise Problem(
            503,
            f"{MOST_STREAMS} streams of events are open already: close some pages.",
            fields={"Retry-After": "5"},
        )
    exchange.work = stream
    try:
        _begin(exchange)
        exchange.taken = True
        await _send(exchange, stream)
    finally:
        stream.close()


def _begin(exchange: Exchange) -> None:
    fields = Fields(
        [
            ("Server", SERVER),
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", "text/event-stream; charset=utf-8"),
            *NO_STORE,
            ("X-Content-Type-Options", "nosniff"),
            # An nginx in front would hold them back.
            ("X-Accel-Buffering", "no"),
        ]
    )
    exchange.begin(200, "OK", fields, None)


async def _send(exchange: Exchange, stream: Stream) -> None:
    piece: bytes | None = _RETRY
    while piece is not None:
        waiting = exchange.write(piece)
        if waiting is not None and not await stream.taken(waiting):
            # Nobody can be told that it ends here.
            if not exchange.closed:
                exchange.cut_short("the proxy stops")
            return
        piece = await stream.next()


async def objects(exchange: Exchange) -> None:
    """Answer /stats/objects: what is stored, found and sorted by the query."""
    query = _query(exchange)
    live = exchange.app.live
    admin = told_to(exchange)
    try:
        page = None if live.catalogue is None else await live.catalogue.page(query)
    except CannotStore as error:
        raise unusable(error) from None
    busy = live.busy()
    full = bool(admin["allowed"])
    told = {
        "total": page.total if page else 0,
        "offset": query.offset,
        "objects": [shown.to_json(busy, full=full) for shown in page.shown] if page else [],
        "admin": admin,
    }
    exchange.respond(200, _dump(told), _JSON, NO_STORE)


async def one_object(exchange: Exchange) -> None:
    """Answer /stats/object?target=: what is stored of the file that clients know by that path."""
    word = _parameters(exchange, "target").get("target", "")
    key = _key(exchange, word)
    live = exchange.app.live
    try:
        found = None if live.catalogue is None or not key else await live.catalogue.of_key(key)
    except CannotStore as error:
        raise unusable(error) from None
    if found is None:
        raise Problem(404, f"Nothing is stored under {word}.")
    told = found.to_json(live.busy(), full=why_not(exchange) is None)
    exchange.respond(200, _dump(told), _JSON, NO_STORE)


def _key(exchange: Exchange, word: str) -> str | None:
    """The cache key of a path as clients of this name of the proxy ask for it."""
    settings = exchange.app.settings
    if not word.startswith("/"):
        raise Problem(400, "target= names no file: it begins with /, as in ?target=/film.mp4.")
    path, mark, query = word.encode().decode("latin-1").partition("?")
    try:
        path = safe_target(path)
        if settings.RANGE_PATH:
            path, _ = split_path(path)
        if mark:
            query = safe_query(query)
        if query and settings.RANGE_PARAM:
            query, _ = take_parameter(query, settings.RANGE_PARAM)
        site = exchange.app.sites.find(exchange.headers.get("Host"), path)
    except (BadTarget, MalformedRange) as error:
        raise Problem(400, f"target= names no file: {error}.") from None
    except NotAllowed:
        return None
    path = site.target(path)
    return site.source.key(f"{path}?{query}" if query else path)


def _query(exchange: Exchange) -> Query:
    said = _parameters(exchange, "search", "sort", "order", "limit", "offset")
    search, sort = said.get("search", ""), said.get("sort", Sort.NAME)
    order = said.get("order", "asc")
    if sort not in list(Sort):
        raise Problem(400, f"sort={sort[:40]} is not known: use {', '.join(Sort)}.")
    if order not in ("asc", "desc"):
        raise Problem(400, f"order={order[:40]} is not known: use asc or desc.")
    if len(search) > _LONGEST_SEARCH:
        raise Problem(400, f"search= is longer than {_LONGEST_SEARCH} characters.")
    return Query(
        search,
        Sort(sort),
        order == "desc",
        _number(said, "limit", 50, 1, MOST_SHOWN),
        _number(said, "offset", 0, 0, _LARGEST),
    )


def _number(said: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = said.get(name, str(default))
    if text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high:
        return int(text)
    raise Problem(400, f"{name}={text[:40]} is not a whole number from {low} to {high}.")


def _parameters(exchange: Exchange, *known: str) -> dict[str, str]:
    """What the query says; raises Problem for what it may not say, so that no typo is missed."""
    said: dict[str, str] = {}
    query = exchange.resource.partition("?")[2]
    # What is written as it is, and not as %C3%BC, is UTF-8 as well.
    query = query.encode("latin-1").decode("utf-8", "replace")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise Problem(400, f"{name[:40]}= is not known: use {', '.join(known)}.")
        if name in said:
            raise Problem(400, f"{name}= is given more than once.")
        said[name] = value
    return said


def _dump(value: object) -> bytes:
    return (json.dumps(value, separators=(",", ":")) + "\n").encode()
