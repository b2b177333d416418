"""No sequence of events loses a request, answers it twice, or leaves two backends alive."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

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

MOST_WAITING = 5
AT_ONCE = 2
FINAL = (Pass, Refuse, TurnAway)


class World(RuleBasedStateMachine):
    """Backends and clients, as the machine's effects make them and events tell of them."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(MOST_WAITING, AT_ONCE)
        # Backends that are alive, and those that are to be killed.
        self.alive: set[int] = set()
        self.dying: set[int] = set()
        self.pinged: set[int] = set()
        # The moments that are waited for, by their run.
        self.delays: list[int] = []
        # What each request was told so far, and who is connected still.
        self.told: dict[int, list[Effect]] = {}
        self.present: set[int] = set()
        self.number = 0
        self.passed = 0
        self.changes: set[str] = set()
        self.carry_out(self.machine.begin())

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Start(run):
                    assert not self.alive, "two backends alive"
                    self.alive.add(run)
                case Ping(run):
                    assert run in self.alive
                    self.pinged.add(run)
                case Delay(run):
                    assert run == self.machine.run
                    self.delays.append(run)
                case Kill(run):
                    assert run in self.alive
                    assert run not in self.dying
                    self.dying.add(run)
                case Pass(request) | Refuse(request) | TurnAway(request):
                    assert request in self.present, "somebody who has left is answered"
                    assert not any(isinstance(each, FINAL) for each in self.told[request])
                    self.told[request].append(effect)
                    if isinstance(effect, Pass):
                        assert request > self.passed, "somebody who came later went first"
                        self.passed = request
                    else:
                        self.present.discard(request)
                case Drop(request):
                    assert request in self.present
                    assert [type(each) for each in self.told[request]] == [Pass]
                    self.told[request].append(effect)
                    self.present.discard(request)
                case Ready(paths):
                    assert set(paths) == self.changes
                    self.changes = set()

    @rule(paths=st.sets(st.sampled_from("abc"), min_size=1))
    def files_change(self, paths: set[str]) -> None:
        self.changes |= paths
        self.carry_out(self.machine.handle(Changed(tuple(sorted(paths)))))

    @precondition(lambda self: self.alive)
    @rule()
    def backend_ends(self) -> None:
        (run,) = self.alive
        self.alive.clear()
        killed = run in self.dying
        self.carry_out(self.machine.handle(Killed(run) if killed else Exited(run, "exit code 1")))

    @precondition(lambda self: self.alive)
    @rule()
    def backend_ends_before_the_signal_reaches_it(self) -> None:
        (run,) = self.alive
        self.alive.clear()
        self.carry_out(self.machine.handle(Exited(run, "exit code 0")))

    @precondition(lambda self: self.pinged)
    @rule(data=st.data())
    def ping_is_answered(self, data: st.DataObject) -> None:
        # Also one of a run that is over: its news may come late.
        run = data.draw(st.sampled_from(sorted(self.pinged)))
        self.carry_out(self.machine.handle(Answered(run)))

    @precondition(lambda self: self.delays)
    @rule()
    def a_moment_is_over(self) -> None:
        self.carry_out(self.machine.handle(Delayed(self.delays.pop(0))))

    @rule(data=st.data())
    def late_news(self, data: st.DataObject) -> None:
        earlier = sorted(set(range(1, self.machine.run)) - self.alive)
        if earlier:
            run = data.draw(st.sampled_from(earlier))
            endings: list[Event] = [Killed(run), Exited(run, "late")]
            self.carry_out(self.machine.handle(data.draw(st.sampled_from(endings))))

    @rule(target=requests, count=st.integers(1, 3))
    def requests_come(self, count: int) -> object:
        first = self.number + 1
        self.number += count
        for request in range(first, self.number + 1):
            self.told[request] = []
            self.present.add(request)
            self.carry_out(self.machine.handle(Arrived(request)))
        return multiple(*range(first, self.number + 1))

    @rule(request=consumes(requests))
    def request_is_over(self, request: int) -> None:
        self.present.discard(request)
        self.carry_out(self.machine.handle(Left(request)))

    @invariant()
    def nobody_is_lost(self) -> None:
        undecided = {number for number in self.present if not self.told[number]}
        assert set(self.machine.waiting) == undecided
        assert set(self.machine.live) == {
            number for number in self.present if [type(e) for e in self.told[number]] == [Pass]
        }

    @invariant()
    def nobody_waits_where_nothing_comes(self) -> None:
        if self.machine.state is State.ERROR:
            assert not self.machine.waiting
        if self.machine.state is State.RUNNING and self.machine.waiting:
            assert self.machine.run in self.delays
        if self.machine.state is not State.RUNNING:
            assert not self.machine.live
        assert len(self.machine.waiting) <= MOST_WAITING

    @invariant()
    def the_machine_knows_whether_there_is_a_backend(self) -> None:
        assert self.machine.alive == bool(self.alive)
        assert self.alive <= {self.machine.run}
        # Without a backend, and none to come, everybody is refused.
        assert self.alive or self.machine.state is State.ERROR

    def teardown(self) -> None:
        """Whoever waits is answered in the end, once the files stay as they are."""
        for _ in range(3):
            if self.machine.state is State.KILLING:
                self.backend_ends()
        if self.machine.state is State.LOADING:
            self.carry_out(self.machine.handle(Answered(self.machine.run)))
        while self.delays:
            self.a_moment_is_over()
        assert all(self.told[number] for number in self.present)


TestSequences = World.TestCase
TestSequences.settings = settings(stateful_step_count=40)
