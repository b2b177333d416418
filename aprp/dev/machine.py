"""What the development proxy does next: states, events, and effects as values; no I/O, no clock.

| state   | file changed         | answered            | backend ended         | request came |
| ------- | -------------------- | ------------------- | --------------------- | ------------ |
| Loading | kill: Killing        | pass all: Running   | refuse all: Error     | waits        |
| Running | drop, kill: Killing  | -                   | drop all: Error       | passes       |
| Error   | start: Loading       | -                   | -                     | refused      |
| Killing | nothing              | -                   | start: Loading        | waits        |

Runs of the backend are numbered. What comes of an earlier run than the present one changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import assert_never


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


Event = Changed | Answered | Exited | Killed | Arrived | Left


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


Effect = Start | Ping | Kill | Pass | Refuse | TurnAway | Drop | Ready

MOST_PATHS = 1000
"""As many changed paths are remembered until the backend is good again."""


class Machine:
    """The state, and what each event does to it.

    `handle` returns the effects, to be carried out in their order. `run` is the number of the
    present run; `alive` says whether there is a backend: from Start until Exited or Killed.
    `ending` says how the last run ended, in the state Error.
    """

    def __init__(self, most_waiting: int) -> None:
        """At most `most_waiting` requests wait at a time."""
        self.state = State.LOADING
        self.run = 0
        self.alive = False
        self.ending = ""
        self._most_waiting = most_waiting
        # In the order in which they came.
        self._waiting: dict[int, None] = {}
        self._live: dict[int, None] = {}
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
                self._waiting.pop(request, None)
                self._live.pop(request, None)
                return []
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
        self._live = self._waiting
        self._waiting = {}
        paths, self._changed = tuple(self._changed), {}
        return [*(Pass(request) for request in self._live), Ready(paths)]

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
            case State.RUNNING:
                self._live[request] = None
                return [Pass(request)]
            case State.ERROR:
                return [Refuse(request)]
            case State.LOADING | State.KILLING:
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
        return dropped
