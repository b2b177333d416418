"""Carries out what the state machine says: starts, pings and kills; requests pass or wait."""

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

from aprp.dev.guard import Guard
from aprp.dev.machine import (
    Answered,
    Arrived,
    Changed,
    Delay,
    Delayed,
    Drop,
    Effect,
    Event,
    Exited,
    Kill,
    Killed,
    Left,
    Machine,
    Pass,
    Ping,
    Ready,
    Refuse,
    Start,
    State,
    TurnAway,
)
from aprp.dev.output import Console
from aprp.dev.pinging import is_taken, wait_for_http
from aprp.dev.places import Place
from aprp.dev.process import Process
from aprp.dev.settling import Settling
from aprp.dev.telling import Teller, named

MOST_WAITING: Final = 1000
"""As many requests wait for the backend at a time; the next are answered with 503."""

# How long the port of a backend that has ended may still be taken, in seconds.
_PORT_PATIENCE: Final = 1.0
_PORT_PAUSE: Final = 0.02
# So long those who wait are held up by others that are not over, in seconds.
_MOMENT: Final = 0.2
# After so long without an answer it is said where one is expected, in seconds.
_HINT_AFTER: Final = 10.0


class Visitor(Protocol):
    """A request, as the supervisor speaks with it."""

    def admit(self) -> None:
        """Go on to the backend."""

    def refuse(self) -> None:
        """Answer with 503 and the failure."""

    def turn_away(self) -> None:
        """Answer with 503: too many wait."""

    def drop(self) -> None:
        """Close the connection, in whatever state."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How the backend ended: for the page that says so. `run`: the number of its run."""

    command: Sequence[str]
    ending: str
    output: Sequence[str]
    run: int


class Supervisor:
    """Keeps the backend as the machine wants it.

    `reloads` is called when the backend is good again, with the paths that changed since it was
    the last time (none after the first start); `turned` after each change of state.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        backend: Place,
        console: Console,
        *,
        graceful: float = 0.0,
        guard: Guard | None = None,
        adopts: bool = False,
        reloads: Callable[[Sequence[str]], None] = lambda paths: None,
        turned: Callable[[State], None] = lambda state: None,
    ) -> None:
        """`adopts`: `adopt_orphans` is on, and only the guard is not the backend's."""
        self.command = command
        self.failure = Failure(command, "", (), 0)
        self._environment = environment
        self._backend = backend
        self._console = console
        self._teller = Teller(console, command, backend)
        self._graceful = graceful
        self._guard = guard
        self._spared = {guard.pid if guard else 0} if adopts else None
        self._reloads = reloads
        self._turned = turned
        self._machine = Machine(MOST_WAITING)
        self._settling = Settling()
        self._more_changes = asyncio.Event()
        self._visitors: dict[int, Visitor] = {}
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._pinging: asyncio.Task[None] | None = None
        self._killing = False
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    @property
    def state(self) -> State:
        """Where the backend stands."""
        return self._machine.state

    @property
    def run(self) -> int:
        """The number of the present run."""
        return self._machine.run

    def begin(self) -> None:
        """Start the backend for the first time."""
        effects = self._machine.begin()
        self._teller.tell(self.state, "")
        self._carry_out(effects, self.state)

    def changed(self, paths: Sequence[str]) -> None:
        """Files changed."""
        if self._stopping or not paths:
            return
        self._settling.changed(self._loop.time(), len(paths))
        self._more_changes.set()
        if self._process is None and self.state is State.LOADING:
            # What is about to be started will see them.
            self._machine.note(tuple(paths))
            self._console.detail(f"changed before the start: {named(paths)}")
            return
        self._console.detail(f"changed: {', '.join(paths[:20])}")
        self._handle(Changed(tuple(paths)), f"{named(paths)} changed")

    def arrive(self, visitor: Visitor) -> int:
        """Take in a request and return its number; one of its methods is called, now or later."""
        number = next(self._numbers)
        self._visitors[number] = visitor
        self._handle(Arrived(number))
        return number

    def leave(self, number: int) -> None:
        """A request is over."""
        self._visitors.pop(number, None)
        self._handle(Left(number))

    async def stop(self) -> None:
        """Kill the backend, from any state, and return when nothing of it is left."""
        self._stopping = True
        self._cancel_ping()
        if self._process is not None:
            self._process.kill_now()
        elif self._running is not None:
            self._running.cancel()
        if self._running is not None:
            await asyncio.wait((self._running,))

    # The machine.

    def _handle(self, event: Event, why: str = "") -> None:
        before = self.state
        self._carry_out(self._machine.handle(event), before, why)

    def _carry_out(self, effects: Sequence[Effect], before: State, why: str = "") -> None:
        if self._stopping:
            return
        if self.state is not before:
            self._teller.tell(self.state, why)
        for effect in effects:
            self._do(effect)
        if self.state is not before:
            self._turned(self.state)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Start(run):
                self._running = self._loop.create_task(self._live(run))
                self._running.add_done_callback(_complain)
            case Ping():
                # Begun when there is somebody to ask: see `_live`.
                pass
            case Kill():
                self._cancel_ping()
                self._killing = True
                if self._process is not None:
                    self._process.kill(self._graceful)
            case Pass(request):
                self._settling.used()
                self._visitors[request].admit()
            case Delay(run):
                self._loop.call_later(_MOMENT, self._handle, Delayed(run))
            case Refuse(request):
                self._visitors[request].refuse()
            case TurnAway(request):
                self._visitors[request].turn_away()
            case Drop(request):
                self._visitors[request].drop()
            case Ready(paths):
                self._reloads(paths)
            case _:
                assert_never(effect)

    # A run of the backend.

    async def _live(self, run: int) -> None:
        """Start the backend, and tell the machine of its end when nothing of it is left."""
        self._killing = False
        await self._settle()
        ending, output = await self._run(run)
        self._process = None
        if self._stopping:
            return
        if self._killing:
            self._handle(Killed(run))
            return
        self.failure = Failure(self.command, ending, output, run)
        self._handle(Exited(run, ending), ending)

    async def _run(self, run: int) -> tuple[str, Sequence[str]]:
        """How it ended, and the last lines of its output."""
        if await self._port_stays_taken():
            what = f"{self._backend} is taken by another program, which the backend would need"
            return f"not started: {what}", ()
        self._settling.started()
        self._teller.started(self._loop.time())
        try:
            process = Process(self.command, self._environment, self._console, self._spared)
        except OSError as error:
            return f"not started: {error.strerror}: {self.command[0]}", ()
        self._process = process
        self._console.detail(f"started as process {process.pid}")
        if self._guard is not None:
            self._guard.watch(process.pid)
        self._pinging = self._loop.create_task(self._ping(run))
        self._pinging.add_done_callback(_complain)
        ending = await process.ended()
        self._cancel_ping()
        await process.bury()
        if self._guard is not None:
            self._guard.watch(0)
        return ending, process.tail.lines()

    async def _settle(self) -> None:
        """Wait until files cease to change."""
        while (left := self._settling.left(self._loop.time())) > 0:
            self._more_changes.clear()
            try:
                async with asyncio.timeout(left):
                    await self._more_changes.wait()
            except TimeoutError:
                continue

    async def _port_stays_taken(self) -> bool:
        """Whether somebody else listens where the backend is to listen."""
        until = self._loop.time() + _PORT_PATIENCE
        while await is_taken(self._backend):
            if self._loop.time() > until:
                return True
            await asyncio.sleep(_PORT_PAUSE)
        return False

    async def _ping(self, run: int) -> None:
        hint = self._loop.call_later(_HINT_AFTER, self._teller.wait)
        try:
            await wait_for_http(self._backend)
        finally:
            hint.cancel()
        self._pinging = None
        self._handle(Answered(run))

    def _cancel_ping(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None


def _complain(task: asyncio.Task[None]) -> None:
    """Have the loop's handler tell of an error that nobody else would hear of."""
    if not task.cancelled():
        task.result()


def backend_environment(coloured: bool) -> dict[str, str]:
    """What the backend is started with: its output is to come at once, in colours if we show them.

    It writes to pipes, where programs otherwise leave colours out and hold lines back.
    """
    wanted = {"PYTHONUNBUFFERED": "1"}
    if coloured:
        wanted |= {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}
    return wanted | os.environ
