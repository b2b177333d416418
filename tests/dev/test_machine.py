"""Every transition of the development proxy's table, one by one."""

import pytest

from aprp.dev.machine import (
    MOST_PATHS,
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

CHANGE = Changed(("app.py",))
CRASH = Exited(1, "exit code 3")


def machine(*events: Event, most_waiting: int = 10, at_once: int = 6) -> Machine:
    """A machine in its first run, after these events."""
    made = Machine(most_waiting, at_once)
    made.begin()
    for event in events:
        made.handle(event)
    return made


TO_LOADING: tuple[Event, ...] = ()
TO_RUNNING = (Answered(1),)
TO_ERROR = (CRASH,)
TO_KILLING = (Changed(("first.py",)),)


def test_it_begins_with_a_start() -> None:
    made = Machine(10)
    assert made.begin() == [Start(1), Ping(1)]
    assert (made.state, made.run, made.alive) == (State.LOADING, 1, True)


@pytest.mark.parametrize(
    ("before", "event", "effects", "state"),
    [
        pytest.param(TO_LOADING, CHANGE, [Kill(1)], State.KILLING, id="loading-changed"),
        pytest.param(TO_LOADING, Answered(1), [Ready(())], State.RUNNING, id="loading-answered"),
        pytest.param(TO_LOADING, CRASH, [], State.ERROR, id="loading-exited"),
        pytest.param(TO_LOADING, Killed(1), [], State.ERROR, id="loading-killed"),
        pytest.param(TO_LOADING, Arrived(7), [], State.LOADING, id="loading-arrived"),
        pytest.param(TO_LOADING, Left(7), [], State.LOADING, id="loading-left"),
        pytest.param(TO_LOADING, Delayed(1), [], State.LOADING, id="loading-delayed"),
        pytest.param(TO_RUNNING, CHANGE, [Kill(1)], State.KILLING, id="running-changed"),
        pytest.param(TO_RUNNING, Answered(1), [], State.RUNNING, id="running-answered"),
        pytest.param(TO_RUNNING, CRASH, [], State.ERROR, id="running-exited"),
        pytest.param(TO_RUNNING, Killed(1), [], State.ERROR, id="running-killed"),
        pytest.param(TO_RUNNING, Arrived(7), [Pass(7)], State.RUNNING, id="running-arrived"),
        pytest.param(TO_RUNNING, Left(7), [], State.RUNNING, id="running-left"),
        pytest.param(TO_RUNNING, Delayed(1), [], State.RUNNING, id="running-delayed"),
        pytest.param(TO_ERROR, CHANGE, [Start(2), Ping(2)], State.LOADING, id="error-changed"),
        pytest.param(TO_ERROR, Answered(1), [], State.ERROR, id="error-answered"),
        pytest.param(TO_ERROR, CRASH, [], State.ERROR, id="error-exited"),
        pytest.param(TO_ERROR, Killed(1), [], State.ERROR, id="error-killed"),
        pytest.param(TO_ERROR, Arrived(7), [Refuse(7)], State.ERROR, id="error-arrived"),
        pytest.param(TO_ERROR, Left(7), [], State.ERROR, id="error-left"),
        pytest.param(TO_ERROR, Delayed(1), [], State.ERROR, id="error-delayed"),
        pytest.param(TO_KILLING, CHANGE, [], State.KILLING, id="killing-changed"),
        pytest.param(TO_KILLING, Answered(1), [], State.KILLING, id="killing-answered"),
        pytest.param(TO_KILLING, CRASH, [Start(2), Ping(2)], State.LOADING, id="killing-exited"),
        pytest.param(
            TO_KILLING, Killed(1), [Start(2), Ping(2)], State.LOADING, id="killing-killed"
        ),
        pytest.param(TO_KILLING, Arrived(7), [], State.KILLING, id="killing-arrived"),
        pytest.param(TO_KILLING, Left(7), [], State.KILLING, id="killing-left"),
        pytest.param(TO_KILLING, Delayed(1), [], State.KILLING, id="killing-delayed"),
    ],
)
def test_a_transition(
    before: tuple[Event, ...], event: Event, effects: list[Effect], state: State
) -> None:
    made = machine(*before)
    assert made.handle(event) == effects
    assert made.state is state


def test_waiting_requests_pass_in_their_order_before_anything_else() -> None:
    made = machine(Arrived(3), Arrived(1), Arrived(2))
    assert made.handle(Answered(1)) == [Pass(3), Pass(1), Pass(2), Ready(())]
    assert made.live == (3, 1, 2)
    assert made.waiting == ()


def test_a_few_at_a_time_are_let_through() -> None:
    made = machine(*map(Arrived, range(1, 6)), at_once=2)
    assert made.handle(Answered(1)) == [Pass(1), Pass(2), Delay(1), Ready(())]
    assert made.handle(Arrived(6)) == []
    assert made.handle(Left(2)) == [Pass(3)]
    # One that has not been let through makes no place.
    assert made.handle(Left(5)) == []
    assert (made.live, made.waiting) == ((1, 3), (4, 6))
    assert made.handle(Left(1)) == [Pass(4)]
    assert made.handle(Left(3)) == [Pass(6)]
    assert made.handle(Arrived(7)) == [Pass(7)]


def test_those_who_take_long_are_not_waited_for() -> None:
    made = machine(*map(Arrived, range(1, 6)), at_once=2)
    made.handle(Answered(1))
    assert made.handle(Delayed(1)) == [Pass(3), Pass(4), Delay(1)]
    # The first ones are forgotten: their end makes no place.
    assert made.handle(Left(1)) == []
    assert made.handle(Delayed(1)) == [Pass(5)]
    assert made.handle(Delayed(1)) == []


def test_who_went_during_the_moment_is_waited_for_still() -> None:
    made = machine(*map(Arrived, range(1, 7)), at_once=2)
    made.handle(Answered(1))
    assert made.handle(Left(1)) == [Pass(3)]
    assert made.handle(Delayed(1)) == [Pass(4), Delay(1)]
    assert made.handle(Delayed(1)) == [Pass(5), Pass(6)]


def test_who_waits_for_others_is_not_dropped_by_a_change() -> None:
    made = machine(*map(Arrived, range(1, 5)), at_once=2)
    made.handle(Answered(1))
    assert made.handle(CHANGE) == [Drop(1), Drop(2), Kill(1)]
    assert made.handle(Delayed(1)) == []
    made.handle(Killed(1))
    assert made.handle(Delayed(1)) == []
    assert made.handle(Answered(2)) == [Pass(3), Pass(4), Ready(("app.py",))]


def test_who_waits_for_others_is_refused_by_a_crash() -> None:
    made = machine(*map(Arrived, range(1, 4)), at_once=2)
    made.handle(Answered(1))
    assert made.handle(CRASH) == [Drop(1), Drop(2), Refuse(3)]


def test_the_queue_is_bounded_while_it_is_let_through() -> None:
    made = machine(*map(Arrived, range(1, 4)), at_once=1, most_waiting=3)
    made.handle(Answered(1))
    assert made.handle(Arrived(4)) == []
    assert made.handle(Arrived(5)) == [TurnAway(5)]


def test_those_who_came_in_killing_are_answered_by_the_next_run() -> None:
    made = machine(Answered(1), CHANGE, Arrived(1), Killed(1), Arrived(2))
    assert made.handle(Answered(2)) == [Pass(1), Pass(2), Ready(("app.py",))]


def test_a_crash_while_loading_refuses_those_who_wait() -> None:
    made = machine(Arrived(1), Arrived(2))
    assert made.handle(CRASH) == [Refuse(1), Refuse(2)]
    assert made.ending == "exit code 3"


def test_those_who_wait_for_a_kill_go_on_waiting() -> None:
    made = machine(Arrived(1))
    assert made.handle(CHANGE) == [Kill(1)]
    assert made.handle(Killed(1)) == [Start(2), Ping(2)]
    assert made.waiting == (1,)


@pytest.mark.parametrize(("event", "more"), [(CHANGE, [Kill(1)]), (CRASH, [])])
def test_live_connections_are_dropped_first(event: Event, more: list[Effect]) -> None:
    made = machine(Answered(1), Arrived(1), Arrived(2), Arrived(3), Left(2))
    assert made.handle(event) == [Drop(1), Drop(3), *more]
    assert made.live == ()


def test_who_left_is_not_let_through() -> None:
    made = machine(Arrived(1), Arrived(2), Left(1))
    assert made.handle(Answered(1)) == [Pass(2), Ready(())]


@pytest.mark.parametrize("before", [TO_LOADING, TO_KILLING], ids=["loading", "killing"])
def test_the_queue_is_bounded(before: tuple[Event, ...]) -> None:
    made = machine(*before, Arrived(1), Arrived(2), most_waiting=2)
    assert made.handle(Arrived(3)) == [TurnAway(3)]
    assert made.waiting == (1, 2)
    made.handle(Left(1))
    assert made.handle(Arrived(4)) == []


@pytest.mark.parametrize("event", [Answered(1), Exited(1, "late"), Killed(1)])
def test_news_of_an_earlier_run_change_nothing(event: Event) -> None:
    made = machine(CHANGE, Killed(1), Arrived(5))
    assert made.handle(event) == []
    assert (made.state, made.run, made.waiting) == (State.LOADING, 2, (5,))


def test_all_that_changed_since_it_was_good_is_told_then() -> None:
    made = machine(Answered(1), Changed(("a", "b")), Changed(("c",)), Killed(1))
    made.handle(Exited(2, "exit code 1"))
    made.handle(Changed(("a", "d")))
    assert made.handle(Answered(3)) == [Ready(("a", "b", "c", "d"))]
    made.handle(Changed(("e",)))
    made.handle(Killed(3))
    assert made.handle(Answered(4)) == [Ready(("e",))]


def test_what_changed_before_the_start_is_told_too() -> None:
    made = machine()
    made.note(("early.css",))
    assert made.handle(Answered(1)) == [Ready(("early.css",))]


def test_the_paths_that_are_remembered_are_bounded() -> None:
    made = machine()
    for turn in range(3):
        made.note(tuple(f"{turn}-{number}" for number in range(MOST_PATHS - 1)))
    (ready,) = made.handle(Answered(1))
    assert isinstance(ready, Ready)
    assert len(ready.paths) == MOST_PATHS
