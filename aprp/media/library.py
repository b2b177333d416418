"""What is stored under which key, and whether it may be used: freshness, revalidation, purge.

Requests for what is in memory and fresh wait for nothing.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, assert_never

from aprp.media.admission import NO_LENGTH
from aprp.media.context import Context
from aprp.media.delivery import Delivery
from aprp.media.errors import OnlyIfCached
from aprp.media.opening import Opening
from aprp.media.outcomes import ABORTED, PURGED, Admitted, Confirmed, Failed, Passed
from aprp.media.records import Records
from aprp.media.request import Request
from aprp.media.shelf import Found, Shelf
from aprp.media.shelves import Shelves
from aprp.media.source import Source
from aprp.media.version import Version
from aprp.semantics.cache_status import cache_status
from aprp.semantics.freshness import (
    Fresh,
    MustAsk,
    StaleWhileRevalidating,
    Verdict,
    judge,
    may_collapse,
)
from aprp.semantics.vary import selected
from aprp.stats.counters import Count
from aprp.upstream.errors import OriginClosed, OriginFailure

# How long a key whose answer could not be stored is asked for without waiting for each other's
# answers, in seconds.
_PASSING: Final = 30.0
_PASSING_ERRORS: Final = 2.0
# Reasons that say nothing of the next answer.
_OF_THIS_ANSWER: Final = frozenset({ABORTED, NO_LENGTH, PURGED})


def _excusable(error: Exception | None) -> bool:
    return error is None or isinstance(error, OriginFailure)


class Library:
    """Finds versions for requests, one instance a process."""

    def __init__(self, context: Context, name: str) -> None:
        """`name` is that of this cache in Cache-Status."""
        self.name = name
        self._context = context
        self._shelves = Shelves(context)
        self._in_memory = self._shelves.by_key
        self._records = Records(context, self._shelves)

    @property
    def busy(self) -> Collection[Version]:
        """The versions that this process reads or fills at this moment."""
        return self._context.busy

    # Finding.

    def look(self, request: Request) -> Found | None:
        """What is in memory and fresh: nothing is waited for."""
        shelf = self._in_memory.get(request.key)
        if shelf is None or shelf.generation != self._context.cache.generation(request.key):
            return None
        if shelf.unrecorded:
            # A purge of what is on its way into the index does not show in the generation.
            return None
        version = shelf.select(request)
        if version is None:
            return None
        verdict = self._assess(request, version)
        if not isinstance(verdict, Fresh):
            return None
        self._renew(version, request)
        return Found(version, None, verdict.age, verdict.ttl)

    @staticmethod
    def _renew(version: Version, request: Request) -> None:
        """The newest client's link is the likeliest to be good still."""
        # Others' credentials are for nobody else (RFC 9111 section 3.5).
        if version.link.target != request.target and request.get("Authorization") is None:
            version.link = request.link

    @staticmethod
    def _assess(request: Request, version: Version) -> Verdict:
        policy = request.source.policy
        return judge(
            version.policy(policy.heuristic_max),
            request.directives,
            time.time(),
            default_stale_while_revalidate=policy.stale_while_revalidate,
            default_stale_if_error=policy.stale_if_error,
        )

    async def find(self, request: Request, passer: Delivery) -> Found | None:
        """Find what answers a request, asking an origin where that is needed.

        None: nothing is stored for it, and `passer` has answered. Raises an OriginFailure,
        OnlyIfCached, or what a Delivery raises.
        """
        arrived = time.monotonic()
        collapsed = False
        directives = request.directives
        while not passer.aborted:
            shelf = await self._shelves.of(request)
            if passer.aborted:
                break
            version = shelf.select(request)
            must_ask: MustAsk | None = None
            if version is not None:
                verdict = self._assess(request, version)
                self._renew(version, request)
                if not isinstance(verdict, MustAsk):
                    if isinstance(verdict, StaleWhileRevalidating):
                        self._revalidate_soon(shelf, request, version)
                    return Found(version, None, verdict.age, verdict.ttl)
                must_ask = verdict
            if directives.only_if_cached:
                raise OnlyIfCached
            if request.asked.method == "HEAD" or directives.no_store:
                return await self._pass(request, passer, version, must_ask)
            opening = None
            purges = self._context.cache.purges(request.key)
            if shelf.passing_until <= self._context.loop.time():
                opening = shelf.opening_at(purges)
                if opening is None and not self._shelves.lease(request.key, purges):
                    collapsed = True
                    await self._shelves.wait_for_others(request.key, passer)
                    continue
            if opening is None:
                opening = self._open(shelf, request, version, passer, must_ask, purges)
                await passer.wait(opening)
                found = await self._own(opening, shelf, request, version, must_ask, passer)
            else:
                if not collapsed:
                    self._context.counters.add(Count.COLLAPSED)
                collapsed = True
                await passer.wait(opening)
                asked_since = opening.began >= arrived
                found = self._shared(opening, request, version, must_ask, asked_since)
                if found is None:
                    continue
            return None if found is None else replace(found, collapsed=collapsed)
        return None

    async def _own(
        self,
        opening: Opening,
        shelf: Shelf,
        request: Request,
        version: Version | None,
        must_ask: MustAsk | None,
        passer: Delivery,
    ) -> Found | None:
        """What an opening has brought to the client that began it; None: `passer` has answered."""
        fwd = "miss" if must_ask is None else must_ask.reason
        match opening.outcome:
            case Admitted(admitted, head):
                found = self._found(request, admitted, fwd, opening.status, stored=True)
                return replace(found, head=head)
            case Confirmed(confirmed):
                return self._found(request, confirmed, fwd, opening.status)
            case Failed(error):
                return self._in_spite_of(error, version, must_ask)
            case Passed(why, again):
                if why not in _OF_THIS_ANSWER:
                    lasting = opening.status in (200, 206)
                    wait = _PASSING if lasting else _PASSING_ERRORS
                    shelf.passing_until = self._context.loop.time() + wait
                if again:
                    return await self._pass(request, passer, version, must_ask)
                await opening.over(passer)
                return None
            case None:
                # The client is gone, and others wait for the head.
                return None
            case never:
                assert_never(never)

    @staticmethod
    def _found(
        request: Request, version: Version, fwd: str, status: int, stored: bool = False
    ) -> Found:
        policy = version.policy(request.source.policy.heuristic_max)
        age = policy.age(time.time())
        ttl = policy.lifetime.seconds - age
        return Found(version, fwd, age, ttl, stored=stored, fwd_status=status)

    def _shared(
        self,
        opening: Opening,
        request: Request,
        version: Version | None,
        must_ask: MustAsk | None,
        asked_since: bool,
    ) -> Found | None:
        """What another's opening has brought; None: look again.

        `asked_since`: it asked the origin after this request came, and so its answer is as good as
        one of its own. That of an earlier question may not do for it.
        """
        fwd = "miss" if must_ask is None else must_ask.reason
        match opening.outcome:
            case Admitted(found, _) | Confirmed(found):
                policy = found.policy(request.source.policy.heuristic_max)
                usable = asked_since or may_collapse(policy, request.directives, time.time())
                if usable and not found.changed and selected(found.entry.vary, request.get):
                    return self._found(request, found, fwd, opening.status)
                return None
            case Failed(error):
                return self._in_spite_of(error, version, must_ask)
            case _:
                return None

    def _in_spite_of(
        self, error: Exception | None, version: Version | None, must_ask: MustAsk | None
    ) -> Found | None:
        """Use what is stored where no origin can answer (RFC 5861 section 4), or raise."""
        usable = must_ask is not None and must_ask.usable_on_error
        if version is not None and must_ask is not None and usable and _excusable(error):
            self._context.counters.add(Count.CACHE_STALE)
            return Found(version, must_ask.reason, must_ask.age, must_ask.ttl)
        if error is not None:
            raise error
        return None

    async def _pass(
        self, request: Request, passer: Delivery, version: Version | None, must_ask: MustAsk | None
    ) -> Found | None:
        """Hand a request on that the cache has no part in."""
        method = request.asked.method
        fwd = "method" if method == "HEAD" else "request" if request.directives.no_store else "miss"
        passer.tell(cache_status(self.name, fwd=fwd))
        try:
            await passer.run()
        except OriginFailure as error:
            if passer.begun:
                raise
            return self._in_spite_of(error, version, must_ask)
        return None

    # Asking.

    def _open(
        self,
        shelf: Shelf,
        request: Request,
        version: Version | None,
        passer: Delivery | None,
        must_ask: MustAsk | None,
        purges: int,
    ) -> Opening:
        """Begin to ask the origin; `purges` is `Cache.purges` of the key."""
        if self._context.closed:
            raise OriginClosed("the proxy is stopping")
        usable = must_ask is not None and must_ask.usable_on_error
        passing = shelf.passing_until > self._context.loop.time()
        opening = Opening(
            self._context,
            self._records,
            self.name,
            request,
            version,
            passer,
            usable,
            passing,
            purges,
        )
        alone = shelf.opening_at(purges) is None and not passing
        if alone:
            shelf.opening = opening
        self._context.spawn(self._run(shelf, opening, alone))
        return opening

    async def _run(self, shelf: Shelf, opening: Opening, alone: bool) -> None:
        """See an opening through; others may ask when its head is known."""

        def settled(_: object) -> None:
            if shelf.opening is opening:
                shelf.opening = None
            if not isinstance(opening.outcome, Admitted):
                self._shelves.release(shelf.key, opening.purges)

        if alone:
            opening.settled.add_done_callback(settled)
        await opening.run()

    def _revalidate_soon(self, shelf: Shelf, request: Request, version: Version) -> None:
        """Ask in the background whether a stale version is still valid (RFC 5861 section 3)."""
        self._context.counters.add(Count.CACHE_STALE)
        purges = self._context.cache.purges(shelf.key)
        if shelf.opening is not None or not self._shelves.lease(shelf.key, purges):
            return
        shelf.passing_until = 0.0
        self._open(shelf, request.of_whole(), version, None, None, purges)

    # Removing: what is stored, and what an origin was asked for and has not answered yet.

    async def purge(self, source: Source, target: str) -> int:
        """Remove what is stored for a target; how many objects there were."""
        return await self._context.cache.purge(source.key(target))

    async def purge_prefix(self, source: Source, target: str) -> int:
        """Remove what is stored for all targets that begin so."""
        return await self._context.cache.purge_prefix(source.key(target))

    async def purge_ids(self, ids: Sequence[int]) -> int:
        """Remove stored responses by their ids; how many of them there were."""
        return await self._context.cache.purge_ids(ids)

    async def close(self) -> None:
        """End what is under way."""
        await self._context.close()
