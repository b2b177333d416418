"""A clock that stands still until it is moved, with the timers of a loop."""

import asyncio
from collections.abc import Callable
from typing import cast


class Timer:
    def __init__(self, clock: "VirtualClock", when: float, callback: Callable[[], None]) -> None:
        self.clock = clock
        self.when = when
        self.callback = callback

    def cancel(self) -> None:
        self.clock.timers.remove(self)


class VirtualClock:
    """The timers of a loop. `lag`: by how much each comes late (or early, where it is below 0)."""

    def __init__(self, lag: Callable[[], float] = lambda: 0.0) -> None:
        self.now = 50.0
        self.timers: list[Timer] = []
        self.fired = 0
        self._lag = lag

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        timer = Timer(self, when, callback)
        self.timers.append(timer)
        return cast(asyncio.TimerHandle, timer)

    def next(self) -> None:
        """Let the time come for the next timer."""
        timer = min(self.timers, key=lambda timer: timer.when)
        self.timers.remove(timer)
        self.now = max(self.now, timer.when + self._lag())
        self.fired += 1
        assert self.fired < 100_000, "the same timer is asked for again and again"
        timer.callback()

    def advance(self, seconds: float) -> None:
        """Let time go on, and all timers come that are due meanwhile."""
        end = self.now + seconds
        while self.timers and min(timer.when for timer in self.timers) <= end:
            self.next()
        self.now = max(self.now, end)
