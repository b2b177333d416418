"""Uploads: a file in a form, a file as it is, and a file in parts."""

from collections.abc import Callable
from functools import partial
from typing import Final

from aprp.files.errors import TooLarge
from aprp.files.form import FormUpload, boundary_of
from aprp.files.parts import PartialUpload
from aprp.files.receiving import Left, Receiving, Taker
from aprp.files.room import Unfinished
from aprp.files.upload import Progress, Stored, Upload, check_length, too_large
from aprp.front.wire import ClientGone
from aprp.handlers import files
from aprp.handlers.errors import Problem
from aprp.handlers.exchange import Exchange
from aprp.handlers.exchange import too_large as body_too_large
from aprp.handlers.reply import NO_STORE
from aprp.semantics.conditions import Conditions
from aprp.semantics.ranges import ContentRange
from aprp.stats.counters import Count

# What a form may have around its file and is no part of it, in bytes.
_AROUND: Final = 1 << 20


async def post(exchange: Exchange, _: str) -> None:
    """Take the file of a form (RFC 7578)."""
    files.admit(exchange)
    store = exchange.app.files
    assert store is not None
    overwrite = _overwrites(exchange)
    boundary = boundary_of(exchange.headers.get("Content-Type"))
    if boundary is None:
        raise Problem(
            415,
            "Send the file as multipart/form-data, as curl -F file=@name does; or PUT it to "
            "/upload/<name> as it is.",
        )
    length = _length(exchange)
    conditions = Conditions.from_headers(exchange.headers.get)
    rules = store.rules
    if length is not None and 0 < rules.most < length - _AROUND:
        raise TooLarge(too_large(rules.most))

    def begin(name: str) -> Upload:
        return Upload(store.room, rules, name, None, overwrite, conditions)

    await _take(exchange, FormUpload(boundary, length, begin))


async def put(exchange: Exchange, segment: str) -> None:
    """Take a file as it is, or a part of it (RFC 9110 section 14.5)."""
    files.admit(exchange)
    store = exchange.app.files
    assert store is not None
    name = files.name_in(segment)
    overwrite = _overwrites(exchange)
    get = exchange.headers.get
    if (get("Content-Encoding") or "identity").lower() != "identity":
        raise Problem(415, "Files are taken as they are: without Content-Encoding.")
    length = _length(exchange)
    conditions = Conditions.from_headers(get)
    said = get("Content-Range")
    if said is None:
        check_length(store.rules, length)
        make: Callable[[], Upload] = partial(
            Upload, store.room, store.rules, name, length, overwrite, conditions
        )
    else:
        span = _span(said, length)
        check_length(store.rules, span[2])
        make = partial(PartialUpload, store.room, store.rules, name, span, overwrite, conditions)
    await _take(exchange, await store.run(make))


def _span(said: str, length: int | None) -> tuple[int, int, int]:
    """Read Content-Range of a part; raises Problem."""
    part = ContentRange.parse(said)
    if not isinstance(part, ContentRange) or part.total is None:
        raise Problem(400, "Content-Range has to be bytes first-last/total, with the total known.")
    if length is not None and length != part.stop - part.start:
        raise Problem(
            400,
            f"Content-Range is of {part.stop - part.start} bytes, and Content-Length of {length}.",
        )
    return part.start, part.stop, part.total


async def head(exchange: Exchange, segment: str) -> None:
    """Say how far an upload has got."""
    files.admit(exchange)
    store = exchange.app.files
    assert store is not None
    found = await store.run(store.progress, files.name_in(segment))
    if isinstance(found, Unfinished):
        there, total, whole = found.received, found.total, "?0"
    else:
        there, total, whole = found.size, found.size, "?1"
    fields = {
        "Upload-Offset": str(there),
        "Upload-Length": str(total),
        "Upload-Complete": whole,
    }
    exchange.respond(204, b"", "", (*NO_STORE, *fields.items()))


async def give_up(exchange: Exchange, segment: str) -> None:
    """Remove what came of an upload in parts."""
    files.admit(exchange)
    store = exchange.app.files
    assert store is not None
    await store.run(store.give_up, files.name_in(segment))
    exchange.respond(204, b"", "", NO_STORE)


async def _take(exchange: Exchange, taker: Taker) -> None:
    """Take the body, and answer when the file is in its place."""
    app, store = exchange.app, exchange.app.files
    assert store is not None
    receiving = Receiving(taker, store.executor)
    exchange.work = receiving
    if exchange.closed:
        receiving.abort()
    app.counters.add(Count.ACTIVE_TRANSFERS)
    try:
        stored = await receiving.run(exchange.body)
    except Left:
        raise ClientGone from None
    finally:
        exchange.work = None
        app.counters.add(Count.ACTIVE_TRANSFERS, -1)
    if isinstance(stored, Progress):
        _tell_progress(exchange, stored)
        return
    await files.forget(exchange, stored.name)
    _tell_stored(exchange, stored)


def _tell_progress(exchange: Exchange, progress: Progress) -> None:
    body = {"name": progress.name, "received": progress.received, "total": progress.total}
    fields = {"Upload-Offset": str(progress.received), "Upload-Length": str(progress.total)}
    files.respond_json(exchange, 202, body, fields)


def _tell_stored(exchange: Exchange, stored: Stored) -> None:
    app = exchange.app
    body = {
        "name": stored.name,
        "size": stored.size,
        "sha256": stored.sha256,
        "type": stored.type,
        "url": files.url_of(app, stored.name),
    }
    fields = {"Location": files.download_url(app, stored.name), "ETag": stored.etag}
    files.respond_json(exchange, 201, body, fields)


def _overwrites(exchange: Exchange) -> bool:
    return bool(files.number_in(files.query_of(exchange), "overwrite", 0, 1))


def _length(exchange: Exchange) -> int | None:
    """How long the body is, None where it comes in chunks; raises Problem 411, 413."""
    get = exchange.headers.get
    if get("Transfer-Encoding") is not None:
        return None
    length = get("Content-Length")
    if length is None:
        raise Problem(411, "A file has to come with Content-Length, or in chunks.")
    most = exchange.app.settings.MAX_BODY_SIZE
    if 0 < most < int(length):
        raise body_too_large(most)
    return int(length)
