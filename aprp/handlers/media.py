"""The door of media: GET and HEAD, a range by header, by parameter or by path."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from aprp.handlers import fields
from aprp.handlers.errors import Problem, problem_of
from aprp.handlers.exchange import Exchange
from aprp.media.answering import Answering
from aprp.media.delivery import Delivery
from aprp.media.errors import (
    BadOrigin,
    ConditionFailed,
    OnlyIfCached,
    OriginBroke,
    RangeNotSatisfiable,
)
from aprp.media.output import Sink
from aprp.media.request import Request
from aprp.semantics.answer import Asked
from aprp.semantics.conditions import UNCONDITIONAL, Conditions
from aprp.semantics.headers import BadTarget, safe_query, safe_target
from aprp.semantics.ranges import (
    MalformedRange,
    RangesDisagree,
    RangeSet,
    Statement,
    limit,
    parse_header,
    parse_parameter,
    reconcile,
    split_path,
    take_parameter,
)
from aprp.stats.counters import Count
from aprp.upstream.errors import OriginFailure


@dataclass(frozen=True, slots=True)
class Question:
    """A request read: what to ask the origin for, and what of it the client is to get."""

    target: str
    asked: Asked


class Holding(Sink, Protocol):
    """Takes the answer in the client's place, and may hold it back."""

    def release(self) -> object:
        """Give the client what is held; does nothing where nothing is."""


async def serve(exchange: Exchange, holding: Holding | None = None) -> None:
    """Answer a GET or HEAD from the origin: the client, or `holding` in its place."""
    app = exchange.app
    question = read_question(exchange)
    asked, target = question.asked, question.target
    via = app.settings.VIA_NAME
    delivery: Answering | Delivery
    sink = exchange if holding is None else holding
    source = exchange.site.source
    library = app.library if exchange.site.cached else None
    if library is None:
        delivery = Delivery(asked, target, fields.for_media(exchange), sink, source.make_ask, via)
    else:
        make_fields = partial(fields.for_media, exchange)
        key = source.key(target)
        request = Request(source, asked, target, key, exchange.headers.get, make_fields)
        delivery = Answering(library, request, sink, via, app.counters)
    exchange.work = delivery
    app.counters.add(Count.ACTIVE_TRANSFERS)
    try:
        await delivery.run()
    except (OriginBroke, OriginFailure, BadOrigin) as error:
        if exchange.closed:
            return
        if delivery.begun:
            app.counters.add(Count.ORIGIN_BREAKS)
            if holding is not None:
                holding.release()
            exchange.cut_short("origin broke")
            return
        raise problem_of_answer(error, exchange) from error
    except (RangeNotSatisfiable, ConditionFailed, OnlyIfCached) as error:
        raise problem_of_answer(error, exchange) from error
    finally:
        app.counters.add(Count.ACTIVE_TRANSFERS, -1)


def read_question(exchange: Exchange) -> Question:
    """Read path, parameter and header; raises Problem 400 or 416 (RFC 9110 section 14)."""
    path, query, asked = read_asked(exchange)
    site = exchange.site
    path = site.target(path)
    target = f"{path}?{query}" if query else path
    exchange.asked = site.origins.origins[0].base_path + target
    return Question(target, asked)


def read_asked(exchange: Exchange) -> tuple[str, str, Asked]:
    """Read what is asked of a file: path and query without the proxy's own range, and the rest.

    Raises as read_question does.
    """
    settings = exchange.app.settings
    path, mark, query = exchange.resource.partition("?")
    statements: list[Statement] = []
    try:
        path = safe_target(path)
        if mark:
            query = safe_query(query)
        if settings.RANGE_PATH:
            full = path
            path, by_path = split_path(path)
            if by_path is not None:
                statements.append(Statement("path", full[len(path) :], by_path))
        if mark and settings.RANGE_PARAM:
            query, value = take_parameter(query, settings.RANGE_PARAM)
            if value is not None:
                name = f"?{settings.RANGE_PARAM}="
                statements.append(Statement(name, value, parse_parameter(value)))
    except BadTarget as error:
        raise Problem(400, f"Bad request target: {error}.") from None
    except MalformedRange as error:
        raise Problem(400, f"Malformed range: {error}") from None
    get = exchange.headers.get
    header = get("Range")
    if header is not None and exchange.method == "GET":
        by_header = parse_header(header)
        if by_header is not None:
            statements.append(Statement("Range header", header, by_header))
    conditions = Conditions.from_headers(get, int(time.time()))
    asked = Asked(
        exchange.method,
        _one_range(statements, settings.MAX_RANGES),
        get("If-Range"),
        None if conditions == UNCONDITIONAL else conditions,
    )
    return path, query, asked


def _one_range(statements: list[Statement], most: int) -> RangeSet | None:
    if not statements:
        return None
    try:
        ranges = reconcile(*statements)
    except RangesDisagree as error:
        stated = {statement.source: statement.text for statement in error.statements}
        raise Problem(416, str(error), ranges=stated) from None
    return None if ranges is None else limit(ranges, most)


def problem_of_answer(error: Exception, exchange: Exchange) -> Problem:
    """The problem that an error of the media path makes for the client."""
    if isinstance(error, RangeNotSatisfiable):
        if error.total is None:
            return Problem(416, "The range lies beyond the end of the file.")
        return Problem(
            416,
            f"The range lies beyond the end of the file, which has {error.total} bytes.",
            fields={"Content-Range": f"bytes */{error.total}", "Accept-Ranges": "bytes"},
            length=error.total,
        )
    if isinstance(error, ConditionFailed):
        return Problem(412, f"The precondition {error.field} does not hold: the file differs.")
    if isinstance(error, OnlyIfCached):
        return Problem(504, "The client asked for stored bytes alone, and there are none.")
    # A fill asks for several clients: which of the origins it was is not the exchange's to know.
    origin = exchange.origin or " or ".join(one.url for one in exchange.site.origins.origins)
    if isinstance(error, BadOrigin):
        if not error.counted:
            exchange.app.counters.add(Count.ORIGIN_REJECTED)
        return Problem(
            502,
            "The origin's answer does not fit the request and was not passed on.",
            private=f"{origin}: {error}",
        )
    return problem_of(error, origin)
