"""What the development proxy does next: states, events, and effects as values; no I/O, no clock.

| state   | file changed         | answered            | backend ended         | request came |
| ------- | -------------------- | ------------------- | --------------------- | ------------ |
| Loading | kill: Killing        | pass all: Running   | refuse all: Error     | waits        |
| Running | drop, kill: Killing  | -                   | drop all: Error       | passes (*)   |
| Error   | start: Loading       | -                   | -                     | refused      |
| Killing | nothing              | -                   | start: Loading        | waits        |

(*) Those who have waited go first, in their order and AT_ONCE at a time: until they are through,
whoever comes waits behind them.

Runs of the backend are numbered. What comes of an earlier run than the present one changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never


class State(Enum):
    """Where the backend stands."""

    LOADING = "loading"
    RUNNING = "running"
    ERROR = "error"
    KILLING = "killing"


# Events.


@dataclass(frozen=True, slots=True)
class Changed:
    """Files changed, were made or removed."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The ping succeeded: the backend answers HTTP."""

    run: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The backend ended by itself, or could not be started, and nothing of it is left."""

    run: int
    ending: str


@dataclass(frozen=True, slots=True)
class Killed:
    """The backend was killed, and nothing of it is left."""

    run: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request came; its number is used once."""

    request: int


@dataclass(frozen=True, slots=True)
class Left:
    """A request is over: it was answered, dropped, or its client went away."""

    request: int


@dataclass(frozen=True, slots=True)
class Delayed:
    """The moment is over that Delay has asked for."""

    run: int


Event = Changed | Answered | Exited | Killed | Arrived | Left | Delayed


# Effects.


@dataclass(frozen=True, slots=True)
class Start:
    """Start the backend."""

    run: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask the backend until it answers, or ends."""

    run: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the backend and all that it has started."""

    run: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Let a request through to the backend."""

    request: int


@dataclass(frozen=True, slots=True)
class Delay:
    """Tell when a moment has passed: requests wait until others are over, which may take long."""

    run: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer a request with 503 and what is known of the backend's end."""

    request: int


@dataclass(frozen=True, slots=True)
class TurnAway:
    """Answer a request with 503: too many wait already."""

    request: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection of a request that was passed, in whatever state it is."""

    request: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The backend is good, with all that changed since it was the last time."""

    paths: tuple[str, ...]


Effect = Start | Ping | Kill | Pass | Delay | Refuse | TurnAway | Drop | Ready

AT_ONCE: Final = 6
"""So many of those who have waited are let through at a time.

Servers for development let few connections queue (Python's http.server five). More at once would
find no place, be tried again seconds later, and come out of order. A browser has six.
"""

MOST_PATHS = 1000
"""As many changed paths are remembered until the backend is good again."""


class Machine:
    """The state, and what each event does to it.

    `handle` returns the effects, to be carried out in their order. `run` is the number of the
    present run; `alive` says whether there is a backend: from Start until Exited or Killed.
    `ending` says how the last run ended, in the state Error.
    """

    def __init__(self, most_waiting: int, at_once: int = AT_ONCE) -> None:
        """At most `most_waiting` requests wait at a time; for `at_once` see AT_ONCE."""
        self.state = State.LOADING
        self.run = 0
        self.alive = False
        self.ending = ""
        self._most_waiting = most_waiting
        self._at_once = at_once
        # In the order in which they came.
        self._waiting: dict[int, None] = {}
        self._live: dict[int, None] = {}
        # Of the live ones those that the waiting ones wait for, and which of them were there when
        # the moment began that is waited for; None: no moment is.
        self._ahead: set[int] = set()
        self._long: frozenset[int] | None = None
        self._changed: dict[str, None] = {}

    @property
    def waiting(self) -> Sequence[int]:
        """The requests that wait, in their order."""
        return tuple(self._waiting)

    @property
    def live(self) -> Sequence[int]:
        """The requests that were passed to the present run and are not over."""
        return tuple(self._live)

    def begin(self) -> list[Effect]:
        """Start for the first time; to be called once, before `handle`."""
        return self._start()

    def handle(self, event: Event) -> list[Effect]:
        """Take an event and return what is to be done."""
        match event:
            case Changed(paths):
                return self._change(paths)
            case Answered(run):
                return self._answered() if run == self.run else []
            case Exited(run, ending):
                return self._ended(ending) if run == self.run else []
            case Killed(run):
                return self._ended("killed") if run == self.run else []
            case Arrived(request):
                return self._arrive(request)
            case Left(request):
                return self._leave(request)
            case Delayed(run):
                return self._delayed() if run == self.run else []
            case _:
                assert_never(event)

    def note(self, paths: tuple[str, ...]) -> None:
        """Remember what changed before the present run was really started: it sees that."""
        for path in paths[: max(MOST_PATHS - len(self._changed), 0)]:
            self._changed[path] = None

    def _change(self, paths: tuple[str, ...]) -> list[Effect]:
        self.note(paths)
        match self.state:
            case State.LOADING | State.RUNNING:
                dropped = self._drop_live()
                self.state = State.KILLING
                return [*dropped, Kill(self.run)]
            case State.ERROR:
                return self._start()
            case State.KILLING:
                return []
            case _:
                assert_never(self.state)

    def _answered(self) -> list[Effect]:
        if self.state is not State.LOADING:
            return []
        self.state = State.RUNNING
        paths, self._changed = tuple(self._changed), {}
        return [*self._let_through(), Ready(paths)]

    def _let_through(self) -> list[Effect]:
        effects: list[Effect] = []
        for request in tuple(self._waiting)[: self._at_once - len(self._ahead)]:
            del self._waiting[request]
            self._live[request] = None
            self._ahead.add(request)
            effects.append(Pass(request))
        if self._waiting and self._long is None:
            self._long = frozenset(self._ahead)
            effects.append(Delay(self.run))
        return effects

    def _delayed(self) -> list[Effect]:
        if self._long is None:
            return []
        self._ahead -= self._long
        self._long = None
        return self._let_through()

    def _leave(self, request: int) -> list[Effect]:
        self._waiting.pop(request, None)
        self._live.pop(request, None)
        if request not in self._ahead:
            return []
        self._ahead.discard(request)
        return self._let_through()

    def _ended(self, ending: str) -> list[Effect]:
        if not self.alive:
            return []
        self.alive = False
        match self.state:
            case State.LOADING | State.RUNNING:
                effects = self._drop_live()
                effects += [Refuse(request) for request in self._waiting]
                self._waiting = {}
                self.state = State.ERROR
                self.ending = ending
                return effects
            case State.KILLING:
                return self._start()
            case State.ERROR:
                raise AssertionError("a backend that lives in the state Error")
            case _:
                assert_never(self.state)

    def _arrive(self, request: int) -> list[Effect]:
        match self.state:
            case State.RUNNING if not self._waiting:
                self._live[request] = None
                return [Pass(request)]
            case State.ERROR:
                return [Refuse(request)]
            case State.LOADING | State.KILLING | State.RUNNING:
                if len(self._waiting) >= self._most_waiting:
                    return [TurnAway(request)]
                self._waiting[request] = None
                return []
            case _:
                assert_never(self.state)

    def _start(self) -> list[Effect]:
        self.state = State.LOADING
        self.run += 1
        self.alive = True
        return [Start(self.run), Ping(self.run)]

    def _drop_live(self) -> list[Effect]:
        dropped: list[Effect] = [Drop(request) for request in self._live]
        self._live = {}
        self._ahead.clear()
        self._long = None
        return dropped
