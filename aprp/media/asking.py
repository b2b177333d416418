"""What a fill asks origins: one question after the other, until it has what it is there for.

It is taken up again at the next byte where an origin breaks off, at another origin if one has
broken off too often, and nothing that comes is handed on before it is seen to continue what is
there.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aprp.media.checks import Changed, Refused, check_continuation
from aprp.semantics.ranges import IntRange
from aprp.semantics.tracing import TRACING_FIELDS
from aprp.stats.counters import Count
from aprp.upstream.asking import Ask
from aprp.upstream.errors import OriginClosed, OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

if TYPE_CHECKING:
    from aprp.media.context import Link
    from aprp.media.fill import Fill

_LONGEST_BACKOFF: Final = 8.0


class Asking:
    """The questions of one fill; the `Reader` of their answers, whose bodies the fill places.

    `ask` is the one under way. `begun` says whether there has been one, `resumes` how often the
    fill was taken up again. `marks` are the fields that name the request which it is asked for.
    """

    def __init__(self, fill: "Fill", marks: Mapping[str, str]) -> None:
        self._fill = fill
        self._version = fill.version
        self.marks = marks
        self.ask: Ask | None = None
        self.begun = False
        self.resumes = 0
        self._used: Link | None = None
        self._problem: Exception | None = None
        self._avoided: frozenset[Origin] = frozenset()
        self._spent_at = fill.begin

    def adopt(self, ask: Ask) -> None:
        """Take over a question whose answer is under way."""
        self.ask = ask
        self.begun = True
        self._used = self._version.link

    def abort(self) -> None:
        """Want no more of the answer under way, if there is one."""
        if self.ask is not None:
            self.ask.abort()

    def fail(self, error: Exception) -> None:
        """End the answer under way, which is no good, with `error`."""
        self._problem = error
        assert self.ask is not None
        self.ask.abort()

    async def run(self, opening: "asyncio.Future[None] | None") -> None:
        """Ask until the fill is done; `opening` is the end of an adopted answer.

        Raises Changed, Refused, or the OriginFailure after which there is nobody left to ask.
        """
        fill, tuning = self._fill, self._version.context.tuning
        attempt = 0
        while not fill.done:
            before = fill.position
            try:
                if opening is not None:
                    waiting, opening = opening, None
                    await waiting
                else:
                    await self._ask_rest()
                problem, self._problem = self._problem, None
                if problem is not None:
                    raise problem
                if fill.position == before and not fill.done:
                    raise OriginClosed("the origin sent nothing")
            except OriginFailure:
                if fill.done:
                    return
                attempt = 1 if fill.position > before else attempt + 1
                if not self._may_resume:
                    raise
                if attempt > tuning.retries:
                    if not self._turn_away(self.ask):
                        raise
                    attempt = 0
                self.resumes += 1
                self._version.context.counters.add(Count.FILL_RESUMES)
                if attempt > 1:
                    wait = min(tuning.backoff * 2 ** (attempt - 2), _LONGEST_BACKOFF)
                    await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            finally:
                self.ask = None

    @property
    def _may_resume(self) -> bool:
        return self._version.entry.combinable and not self._version.changed

    def _turn_away(self, ask: Ask | None) -> bool:
        """Give up the origin that has broken off too often; False if there is no other to ask."""
        spent = self._version.spent
        origin = ask.origin if ask is not None else None
        if self._fill.position > self._spent_at:
            # What was given up before may be well again: bytes have come since.
            spent.clear()
            self._avoided = frozenset()
        self._spent_at = self._fill.position
        if ask is not None and origin is not None and origin not in self._avoided:
            spent.add(origin)
            if ask.has_others(spent):
                self._version.context.counters.add(Count.ORIGIN_FAILOVERS)
                return True
        spent.clear()
        return False

    async def _ask_rest(self) -> None:
        fill, version = self._fill, self._version
        self.begun = True
        link = self._used = version.link
        fields = {
            name: value
            for name, value in link.fields.items()
            if not (key := name.lower()).startswith("if-") and key not in TRACING_FIELDS
        }
        fields |= self.marks
        if not (version.fields.get("Content-Encoding") or ""):
            fields["Accept-Encoding"] = "identity"
        if not fill.whole:
            fields["Range"] = f"bytes={IntRange(fill.position, fill.stop - 1)}"
            condition = version.if_range()
            if condition is not None:
                fields["If-Range"] = condition
        fill.expect(fill.position, 0)
        ask = self.ask = link.source.make_ask(self)
        self._avoided = frozenset(version.spent)
        await ask.send("GET", link.target, fields, avoid=self._avoided)
        if ask.surplus:
            version.distrust(fill.position)

    # aprp.upstream.asking.Reader

    def on_origin(self, origin: Origin) -> None:
        """Whom the client's log line names is up to the request that opened the version."""

    def on_interim(self, head: ResponseHead) -> None:
        """A download of media has nothing to tell before its answer."""

    def on_head(self, head: ResponseHead) -> None:
        """Check that what comes continues what is there, before a byte of it is stored."""
        assert self.ask is not None
        fill, version = self._fill, self._version
        if head.status in (401, 403) and version.link is not self._used:
            # A link that has run out; a newer client had a better one.
            self.fail(OriginClosed(f"the origin answered {head.status}"))
            return
        try:
            begins, stop = check_continuation(
                version.validators,
                version.length,
                fill.position,
                head,
                version.fields.get("Content-Encoding"),
            )
        except (Changed, Refused, OriginFailure) as error:
            if isinstance(error, Refused):
                version.context.counters.add(Count.ORIGIN_REJECTED)
            self.fail(error)
            return
        if head.status == 200 and not version.without_ranges(fill):
            # Another stream is being read already.
            fill.over = True
            self.ask.abort()
            return
        fill.expect(begins, stop)
        self.ask.place(fill)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Bodies are placed; what a rejected answer still brings is nobody's."""
        return None
