"""Changing answers on their way to the browser, piece by piece."""

import asyncio
from typing import Protocol

from aprp.handlers.exchange import Exchange
from aprp.handlers.passthrough import Relay
from aprp.semantics.headers import Fields, Pair
from aprp.upstream.head import ResponseHead


class BodyFilter(Protocol):
    """Changes the body of one answer."""

    def feed(self, data: memoryview) -> bytes:
        """Take bytes of the backend's and return those for the client; `data` is not kept."""

    def end(self) -> bytes:
        """The body is complete: return what is still to be sent."""


class AnswerFilter(Protocol):
    """Says which answers are changed, and how."""

    def ask(self, exchange: Exchange, pairs: list[Pair]) -> list[Pair]:
        """Change the fields that the backend is asked with, as Accept-Encoding."""

    def of_answer(self, exchange: Exchange, head: ResponseHead) -> BodyFilter | None:
        """Return what changes an answer's body; None: it is handed through as it is.

        The field Content-Length is left out of one that is changed; other fields of `head` may be
        changed in place (`head.fields`). It is asked for answers without a body (HEAD, 304), too,
        whose fields are to be those of the answer with one.
        """


class FilteringRelay(Relay):
    """Hands an answer on through a filter."""

    def __init__(self, exchange: Exchange, answers: AnswerFilter) -> None:
        """See Relay."""
        super().__init__(exchange)
        self._answers = answers
        self._filter: BodyFilter | None = None

    def on_head(self, head: ResponseHead) -> None:
        """See Relay."""
        body_filter = self._answers.of_answer(self._exchange, head)
        if body_filter is not None:
            if self._exchange.method != "HEAD" and head.status not in (204, 304):
                self._filter = body_filter
            pairs = head.fields.get_all()
            kept = Fields([pair for pair in pairs if pair[0].lower() != "content-length"])
            head = ResponseHead(head.version, head.status, head.reason, kept, head.keep_alive)
        super().on_head(head)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """See Relay."""
        if self._filter is None:
            return super().on_body(view)
        data = self._filter.feed(view)
        return self._exchange.write(data) if data else None

    async def complete(self) -> None:
        """Send what the filter has kept back; to be called when the whole answer has come."""
        if self._filter is None or self._exchange.closed:
            return
        if rest := self._filter.end():
            waiting = self._exchange.write(rest)
            if waiting is not None:
                await waiting
