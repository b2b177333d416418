"""Adds up the counters of many machines in Redis; docs/redis.md says why it is exact.

One worker exchanges records with Redis, once a second unless REDIS_INTERVAL says otherwise, in a
task of its own. No request waits for it or fails because of it: whoever wants the sum reads memory.
While Redis cannot be reached, what is counted stays where it always is, in memory shared by the
workers, and is written later.
"""

import asyncio
import logging
import random
import secrets
import socket
import time
from typing import Final

from aprp.stats.counters import Counters
from aprp.stats.machines import Ledger, Run, totals_of
from aprp.stats.redis_store import Store, StoreError
from aprp.stats.shared_sum import SharedSum, State, Sum

_log = logging.getLogger("aprp")

# Between attempts while Redis is down, in intervals: doubled each time.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
# A task that is to end and has not is told again, in seconds.
_CANCEL_AGAIN: Final = 0.05


class RedisSum:
    """The sum over all machines; make it before the fork, it is a run of its own from then on."""

    def __init__(
        self, counters: Counters, url: str, key: str, *, interval: float, timeout: float
    ) -> None:
        """Take what is added up, and the settings REDIS_URL, _KEY, _INTERVAL and _TIMEOUT."""
        self._settings = (url, key, timeout)
        self._interval = interval
        self._counters = counters
        self._ident = secrets.token_hex(8)
        self._machine = socket.gethostname()
        self._shared = SharedSum()
        self._writes = False
        self._task: asyncio.Task[None] | None = None
        self._ledger = Ledger()

    def attach(self, worker: int) -> None:
        """Be this worker from now on; the first is the one that talks to Redis."""
        self._writes = worker == 0

    def read(self) -> Sum:
        """Give the sum as it is known now; this waits for nothing."""
        return self._shared.read(self._counters)

    def start(self) -> None:
        """Begin to exchange records, where this worker is the one to do it."""
        if self._writes:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End the exchange; what is counted from now on is left to `finish`."""
        task, self._task = self._task, None
        # redis-py uses asyncio.wait_for, which before Python 3.12 can lose a cancellation.
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN)

    def finish(self) -> None:
        """Write the last totals when all workers have ended; waits for REDIS_TIMEOUT at most."""
        try:
            asyncio.run(self._write_last())
        except StoreError as error:
            _log.warning("redis: the last counts are not written: %s", error)

    async def _write_last(self) -> None:
        store = Store(*self._settings)
        try:
            # One more than what has been written by the worker in this same millisecond.
            run = self._own(over=True, later=1)
            await store.exchange(Ledger({self._ident: run}))
        finally:
            await store.close()

    def _own(self, *, over: bool = False, later: int = 0) -> Run:
        order = int(self._counters.uptime(time.monotonic()) * 1000) + later
        totals = totals_of(self._counters)
        return Run(order, int(time.time()), self._machine, over, totals)

    async def _run(self) -> None:
        store = Store(*self._settings)
        pause = _FIRST_PAUSE
        lacking = Ledger()
        try:
            while True:
                try:
                    lacking = await self._exchange(store, lacking)
                except StoreError as error:
                    if self._is_new(State.DOWN):
                        _log.warning("redis: down, counts are kept and added later: %s", error)
                    # Not all machines at once, when Redis comes back.
                    await asyncio.sleep(pause * self._interval * random.uniform(0.75, 1.0))
                    pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    pause = _FIRST_PAUSE
                    await asyncio.sleep(self._interval)
        finally:
            await store.close()

    async def _exchange(self, store: Store, lacking: Ledger) -> Ledger:
        """Write our record and those that Redis lacks, read all; return what it lacks now."""
        own = self._own()
        read = await store.exchange(lacking.with_run(self._ident, own))
        self._ledger = self._ledger.with_run(self._ident, own).learn(read)
        now = time.time()
        machines = self._ledger.machines(now)
        self._shared.write(machines, self._ledger.others(self._ident))
        if self._is_new(State.UP):
            _log.info("redis: up, machines that count: %d", machines)
        fold = self._ledger.fold(now, self._ident)
        if fold is not None:
            # Whoever folds first does it for all; it is read with the next exchange.
            await store.fold(fold)
        return self._ledger.lacking(read)

    def _is_new(self, state: State) -> bool:
        """Let all workers know how it stands; return whether it has changed."""
        # Read from there: a worker before this one may have written it.
        changed = self.read().state is not state
        if changed:
            self._shared.write_state(state, time.time())
        return changed

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell of a task that ended by itself, which is a fault of ours."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._shared.write_state(State.DOWN, time.time())
            _log.error("redis: counters are no longer added up", exc_info=error)
