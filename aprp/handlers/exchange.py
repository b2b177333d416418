"""One request of a client and its response: what every door has in common.

A bare `HTTPMessageDelegate`: a `RequestHandler` costs more than all of the proxy's own work on
a small range (docs/architecture.md has the figures).
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from tornado import httputil

from aprp.front.connection import ClientConnection
from aprp.front.wire import ClientGone, RequestConnection
from aprp.handlers.errors import PROBLEM_TYPE, Problem
from aprp.handlers.naming import rename, tells
from aprp.handlers.reply import Reply
from aprp.handlers.telling import tell
from aprp.semantics.easing import eased
from aprp.semantics.headers import Fields
from aprp.semantics.requests import origin_form
from aprp.semantics.tracing import REQUEST_ID
from aprp.sites.site import Site
from aprp.stats.counters import Count
from aprp.upstream.asking import Ask, Reader
from aprp.upstream.detached import Detached
from aprp.upstream.outgoing import RequestBody

if TYPE_CHECKING:
    from aprp.application import Application

_log = logging.getLogger("aprp")


class BodyFailed(Exception):
    """The request's body broke the rules or a limit: `problem` is the answer to that."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Work(Protocol):
    """What goes on for an exchange elsewhere."""

    def abort(self) -> None:
        """End it: the client is gone."""


class Exchange(Reply, httputil.HTTPMessageDelegate):
    """A request, the way to answer it, and what is told of it afterwards.

    It is the `Sink` of a delivery. Attributes a door reads: `method`, `resource` (path and query
    as they came; `target` is the whole request target), `version`, `headers`, `body` (None: it has
    none), `peer` (the address of the connection's other end) and `client` (of whom the request
    comes from: another one where the peer is a trusted proxy), `scheme`, `site` (where the request
    goes), `closed`, `request_id`. `work`, if set, is aborted when the client goes away.
    """

    def __init__(self, app: "Application", connection: RequestConnection) -> None:
        super().__init__(app, connection)
        context = connection.context
        self.peer: str = getattr(context, "remote_ip", "")
        self.client = self.peer
        self.scheme: str = getattr(context, "protocol", "http")
        self.body: RequestBody | None = None
        self.work: Work | None = None
        # Path and query as the origin was asked for them, where they came from the client.
        self.asked: str | None = None
        self._site: Site | None = None
        self._task: asyncio.Task[None] | None = None
        self._detached = False

    # tornado.httputil.HTTPMessageDelegate, and aprp.front.request_body.RequestDelegate

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> None:
        """The request's head has come; with a body it is answered from here on."""
        assert isinstance(start_line, httputil.RequestStartLine)
        self.started = self.loop.time()
        self.method, self.target, self.version = start_line
        self.resource = origin_form(self.target)
        self.headers = headers
        self.request_id = self.app.ids.of(self.peer, headers.get(REQUEST_ID))
        self.client = self.app.clients.address(self.peer, headers.get)
        if (tracing := self.app.tracing) is not None and not self.app.is_own_page(self.target):
            self.span = tracing.request(
                self.method,
                self.resource,
                self.version,
                self.app.clients.seen_as(self),
                headers.get,
                client=self.client,
                peer=self.peer,
                request_id=self.request_id,
            )
        if "Content-Length" in headers or "Transfer-Encoding" in headers:
            self._expect_body()

    def _expect_body(self) -> None:
        chunked = "Transfer-Encoding" in self.headers
        length = None if chunked else int(self.headers["Content-Length"])
        if length == 0 or getattr(self.connection, "malformed", None) is not None:
            return
        self.body = RequestBody(length)
        if isinstance(self.connection, ClientConnection):
            self.body.on_wanted = self.connection.send_continue
        self._begin()

    def data_received(self, chunk: bytes | memoryview) -> "asyncio.Future[None] | None":
        """A piece of the body; its memory is used again when the future, if any, is done."""
        body = self.body
        if body is None:
            return None
        most = self.app.settings.MAX_BODY_SIZE
        if most and body.fed + len(chunk) > most:
            body.fail(BodyFailed(too_large(most)))
            body.release()
        return body.feed(memoryview(chunk))

    def body_failed(self, status: int, detail: str) -> None:
        """No more of the body comes, and what came is not to be trusted."""
        assert self.body is not None
        self.body.fail(BodyFailed(Problem(status, detail)))

    def finish(self) -> None:
        """The request is complete."""
        if self.body is None:
            self._begin()
        else:
            self.body.end()

    def on_connection_close(self) -> None:
        """The connection ended in the middle of the request."""
        self.closed = True

    def _begin(self) -> None:
        self.connection.set_close_callback(self.lose_client)
        self._task = self.loop.create_task(self._serve())
        self.app.exchanges.add(self)

    # For the doors.

    @property
    def site(self) -> Site:
        """Where the request goes."""
        assert self._site is not None
        return self._site

    @site.setter
    def site(self, site: Site) -> None:
        self._site = site

    def ask(self, reader: Reader) -> Ask:
        """Make a question to the origins of the request's site."""
        return self.site.source.make_ask(reader)

    @property
    def cors_origins(self) -> frozenset[str]:
        """See Reply; who may read the pages of another host is for that host to say."""
        foreign = self._site is not None and not self._site.named
        return frozenset() if foreign or self.private else self.app.cors_origins

    @property
    def is_transfer(self) -> bool:
        """Whether it carries bytes between the client and a site, and is no tunnel."""
        return self._site is not None and not self._detached

    def cache_status_of(self, fields: Fields) -> str | None:
        """See Reply."""
        site = self._site
        if site is None or self.app.library is None:
            return None
        # Of a site that is not cached, the origin's own would be taken for it.
        takes_part = site.cached or self.method not in ("GET", "HEAD")
        return fields.get("Cache-Status") if takes_part else None

    def detach(self) -> Detached:
        """Give the connection away, for a tunnel; raises ClientGone."""
        assert isinstance(self.connection, ClientConnection)
        self._detached = True
        return self.connection.detach()

    def rewrite(self, fields: Fields) -> None:
        """Turn the origin's own name into the one that clients know it by."""
        site = self._site
        if site is None:
            return
        settings = self.app.settings
        if settings.REWRITE_ORIGIN and site.named:
            pairs = fields.get_all()
            if (changed := eased(pairs)) != pairs:
                fields.replace(changed)
        if not settings.REWRITE_REDIRECTS or not tells(fields):
            return
        names = site.names(*self.app.clients.seen_as(self), self.origin)
        if names is not None:
            rename(fields, names, self.asked)

    # The life of the exchange.

    async def _serve(self) -> None:
        counters = self.app.counters
        counters.add(Count.REQUESTS)
        try:
            await self._answer()
            if not self.closed and not self._detached:
                await self._complete()
        except ClientGone:
            self.lose_client()
        finally:
            self.app.exchange_over(self)
            if self._stalled is not None:
                self._stalled.cancel()
            # No cycle of references: what is over is freed now, not by the collector.
            self.work = None
            if self.body is not None:
                self.body.release()
                self.body.on_wanted = None
            tell(self)

    async def _answer(self) -> None:
        try:
            await self.app.door(self)
        except Problem as problem:
            self.problem(problem)
        except BodyFailed as failure:
            self.problem(failure.problem)
        except ClientGone:
            raise
        except Exception:
            # A bug, or what nobody thought of: the log has the trace, the client has not.
            _log.exception(
                "error while answering %s %r", self.method, self.target, extra=self.about
            )
            if self.status:
                self.cut_short("internal error")
            else:
                self.problem(Problem(500, "The proxy failed. Its log has the cause."))

    async def _complete(self) -> None:
        """Let the client take the last bytes, and leave the connection as HTTP has it."""
        self._flush_head()
        if self._chunked:
            self._watch(self.wire.send(b"0\r\n\r\n"))
        unfinished = self.wire.unfinished
        if unfinished is not None:
            await asyncio.wait((unfinished,))
        if self.wire.closed:
            raise ClientGone
        self.connection.finish()
        if not self._keep_alive or self.app.draining:
            self.connection.close()

    def lose_client(self) -> None:
        """See Reply."""
        if self.closed:
            return
        self.closed = True
        if self.end is None and not self.taken:
            self.end = "client went away"
            self.app.counters.add(Count.CLIENT_ABORTS)
        if self.work is not None:
            self.work.abort()
        if self.body is not None:
            self.body.release()
        self.wire.close()

    def cut_short(self, why: str) -> None:
        """End a begun answer so that the client sees that bytes are missing."""
        if self.end is None:
            self.end = why
        self.closed = True
        self.connection.close()

    @property
    def about(self) -> dict[str, str]:
        """What a line in the log about this request takes as `extra`."""
        return {"request_id": self.request_id}

    def problem(self, problem: Problem) -> None:
        """Answer with problem details (RFC 9457), or cut short what has begun."""
        if problem.private:
            _log.warning(
                "%s %s: %d %s (%s)",
                self.method,
                self.target,
                problem.status,
                problem.detail,
                problem.private,
                extra=self.about,
            )
        if self.status:
            self.cut_short(problem.detail)
            return
        fields = {"Cache-Control": "no-store", **problem.fields}
        if getattr(self.connection, "malformed", None):
            # Where the next request would begin is not known.
            fields["Connection"] = "close"
        body = problem.body(self.app.settings.DEBUG, self.request_id)
        self.respond(problem.status, body, PROBLEM_TYPE, fields.items())


def too_large(most: int) -> Problem:
    """The answer to a request whose body has more bytes than MAX_BODY_SIZE."""
    return Problem(413, f"The request's body is larger than MAX_BODY_SIZE, {most} bytes.")
