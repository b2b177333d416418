"""The question to an origin that finds out what there is under a key, or whether it still is.

One at a time for a key, in all processes: the others wait for its head. Where the answer may be
stored it becomes a version with a fill; where not, it goes to the client that asked for it.
"""

import asyncio
import time
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from aprp.cache.entry import Entry
from aprp.media.admission import NO_LENGTH, combinable, entry_of, place_of, whole_head
from aprp.media.context import Context
from aprp.media.delivery import Delivery
from aprp.media.errors import OriginBroke
from aprp.media.fill import Fill
from aprp.media.keeping import Keeping
from aprp.media.outcomes import ABORTED, PURGED, Admitted, Confirmed, Failed, Outcome, Passed
from aprp.media.plan import opening_range
from aprp.media.request import Request
from aprp.media.version import Version
from aprp.semantics.cache_status import cache_status
from aprp.semantics.ranges import RangeSpec
from aprp.semantics.storing import (
    selects_for_update,
    storable,
    updated_fields,
)
from aprp.stats.counters import Count
from aprp.upstream.errors import OriginFailure
from aprp.upstream.head import ResponseHead
from aprp.upstream.origins import Origin

if TYPE_CHECKING:
    from aprp.media.records import Records

# Answers that say that the origin cannot answer now (RFC 5861 section 4).
_ERRORS: Final = frozenset({500, 502, 503, 504})
_BODILESS: Final = frozenset({204, 304})


class Opening:
    """A request to the origin on behalf of one client, and of all who want the same.

    `stale` is what is stored and needs to be confirmed; `passer` delivers an answer that is not
    stored, None where nobody waits for it. `settled` is done when `outcome` is known, `finished`
    when the answer is over. `began` is a time of the monotonic clock. `purges` is `Cache.purges` of
    the key from before the origin is asked: at another number, what the origin answers is no answer
    for who comes now.
    """

    def __init__(
        self,
        context: Context,
        records: "Records",
        name: str,
        request: Request,
        stale: Version | None,
        passer: Delivery | None,
        usable: bool,
        exact: bool,
        purges: int,
    ) -> None:
        """Nothing is sent yet; `records` are told what comes of it.

        `name` is that of this cache in Cache-Status. `usable` says whether `stale` may be served
        where the origin cannot answer, `exact` that the very range of the client is asked for,
        since storing is not likely.
        """
        self._context = context
        self._records = records
        self._name = name
        self._request = request
        self._stale = stale
        self._passer = passer
        self._usable = usable
        self._ask = request.source.make_ask(self)
        self._exact = exact
        self.purges = purges
        self._own_range: RangeSpec | None = None
        self._sent: RangeSpec | None = None
        self._sent_at = 0.0
        self.began = time.monotonic()
        self._keeping: Keeping | None = None
        self._wanted_by: set[Delivery] = set()
        self.status = 0
        self.outcome: Outcome | None = None
        self.settled: asyncio.Future[None] = context.loop.create_future()
        self.finished: asyncio.Future[None] = context.loop.create_future()

    def joined(self, passer: Delivery) -> None:
        """A client waits for the head."""
        self._wanted_by.add(passer)

    def left(self, passer: Delivery) -> None:
        """A client is gone: without others that wait, nobody wants the head."""
        self._wanted_by.discard(passer)
        if self.outcome is None and not self._wanted_by:
            self._ask.abort()

    async def over(self, passer: Delivery) -> None:
        """Return when the answer has gone to the client; raises what a Delivery raises."""
        try:
            await asyncio.shield(self.finished)
        except OriginFailure as error:
            if not passer.discards:
                if passer.begun:
                    raise OriginBroke(str(error)) from error
                raise
        await passer.conclude()

    async def run(self) -> None:
        """Ask, and see the answer through."""
        error: Exception | None = None
        try:
            self._sent_at = time.time()
            await self._ask.send(
                "GET", self._request.target, self._fields(), expects_placement=True
            )
        except Exception as failure:
            # One that nobody thought of goes to the client's exchange, which logs it.
            error = failure
            if self.outcome is None:
                self._settle(Failed(failure))
        finally:
            if self.outcome is None:
                self._settle(Passed(ABORTED))
            if self._keeping is not None:
                await self._keep(self._keeping, error is None)
            if not self.finished.done():
                if error is not None:
                    self.finished.set_exception(error)
                    # Whether anybody awaits it or not.
                    self.finished.exception()
                else:
                    self.finished.set_result(None)
        if self._ask.surplus and isinstance(self.outcome, Admitted):
            version = self.outcome.version
            version.distrust(version.length)

    async def _keep(self, keeping: Keeping, ended: bool) -> None:
        """The end of a body of unknown length: it counts if it came by itself."""
        self._records.keeps_no_more(self._request.key)
        if not ended or self._passer is None or self._passer.cut:
            await keeping.drop()
            return
        if await keeping.finish() is not None:
            self._records.kept(self._request.key)

    def _fields(self) -> dict[str, str]:
        """The client's fields; for a stored version its validators (RFC 9111 section 4.3.1)."""
        request = self._request
        fields = dict(request.fields)
        ranges = request.asked.ranges
        if ranges is not None:
            own = self._own_range = ranges.specs[0]
            window = self._context.tuning.read_ahead
            self._sent = own if self._exact else opening_range(own, self._context.grid, window)
            fields["Range"] = f"bytes={self._sent}"
            fields["Accept-Encoding"] = "identity"
        if self._stale is not None:
            self._context.counters.add(Count.CACHE_REVALIDATIONS)
            for name in [name for name in fields if name.lower().startswith("if-")]:
                del fields[name]
            stored = self._stale.fields
            for field, name in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")):
                value = stored.get(field)
                if value is not None:
                    fields[name] = value
        return fields

    def _settle(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if not self.settled.done():
            self.settled.set_result(None)

    # aprp.upstream.asking.Reader

    def on_origin(self, origin: Origin) -> None:
        """Note who is asked, for the log."""
        if self._passer is not None:
            self._passer.on_origin(origin)

    def on_interim(self, head: ResponseHead) -> None:
        """Hand on what comes before the answer."""
        if self._passer is not None:
            self._passer.on_interim(head)

    def on_head(self, head: ResponseHead) -> None:
        """Decide what becomes of the answer."""
        if "Date" not in head.fields:
            head.fields.add("Date", formatdate(usegmt=True))
        self.status = head.status
        stale = self._stale
        if stale is not None and head.status == 304:
            if selects_for_update(stale.fields.get, head.fields.get):
                self._confirm(stale, head)
                return
            # It speaks of a version that is not there: the client's own question will tell.
            stale.supersede()
            self._settle(Passed("another-version", again=True))
            self._ask.abort()
            return
        if stale is not None and self._usable and head.status in _ERRORS:
            self._settle(Failed(None))
            self._ask.abort()
            return
        why = self._admit(head)
        if why is None:
            return
        if why == NO_LENGTH and self._records.may_keep(self._request.key):
            # Nobody may take it for what it will be.
            entry = replace(self._entry(head, 0), combinable=False, complete=False)
            most = self._context.tuning.most_kept
            joins = self._is_combinable(head)
            self._keeping = Keeping(self._context, entry, joins, most, self.purges)
        again = head.status == 206 and self._sent != self._own_range
        self._settle(Passed(why, again))
        if self._passer is None or self._passer.aborted or again:
            self._ask.abort()
            return
        self._passer.adopt(self._ask, self._sent)
        fwd = "stale" if stale is not None else "miss"
        self._passer.tell(cache_status(self._name, fwd=fwd, fwd_status=head.status, detail=why))
        self._passer.on_head(head)

    def on_body(self, view: memoryview) -> "asyncio.Future[None] | None":
        """Hand on what is not stored, or is stored only if it comes to its end."""
        if not isinstance(self.outcome, Passed) or self._passer is None:
            return None
        waiting = self._passer.on_body(view)
        return waiting if self._keeping is None else self._keeping.take(view, waiting)

    # Outcomes.

    def _confirm(self, stale: Version, head: ResponseHead) -> None:
        old = stale.entry
        fields = updated_fields(old.fields, head.fields.get_all())
        self._records.confirmed(stale, tuple(fields), self._sent_at, time.time())
        self._settle(Confirmed(stale))

    def _admit(self, head: ResponseHead) -> str | None:
        """Make a version of the answer; if it is not to be stored, the reason."""
        request = self._request
        get = head.fields.get
        status = 200 if head.status == 206 else head.status
        why = storable("GET", request.get, status, get, time.time())
        if why is not None:
            return why
        if head.status in _BODILESS or self._context.cache.problem is not None:
            return "not-stored"
        if self._context.cache.purges(request.key) != self.purges:
            return PURGED
        place = place_of(head, self._sent)
        if isinstance(place, str):
            return place
        begins, stop, length = place
        if head.status == 206 and not self._is_combinable(head):
            return "no-validator"
        grid = self._context.grid
        begin = grid.ceil(begins)
        if begin >= stop and length > 0:
            return "small-part"
        entry = self._entry(head, length)
        version = Version(self._context, entry, request.link)
        self._records.admitted(version, self.purges)
        if length:
            whole = not version.ranges
            until = min(grid.ceil(stop), length)
            fill = Fill(version, begin, until, whole=whole, marks=request.marks)
            # Until its reader has joined.
            fill.keep = min(begin + 1, length)
            if whole:
                fill.lease_stream()
            else:
                fill.lease_window()
            fill.adopt(self._ask, begins, stop, head.status != 206)
            self._ask.place(fill)
            version.fills.append(fill)
            self._context.busy.add(version)
            self._context.spawn(fill.run(self.finished))
        self._settle(Admitted(version, whole_head(head, length)))
        return None

    def _is_combinable(self, head: ResponseHead) -> bool:
        return combinable(head, self._context.tuning.without_validator)

    def _entry(self, head: ResponseHead, length: int) -> Entry:
        times = self._sent_at, time.time()
        return entry_of(self._request, head, length, self._sent, times, self._is_combinable(head))
