"""The pool as pure state: slots, the queue for them, idle connections."""

from types import SimpleNamespace
from typing import Any

import pytest

from aprp.upstream.dial import Endpoint
from aprp.upstream.pool import Pool

HERE = Endpoint("here", 80)
THERE = Endpoint("there", 80)


def pool(max_active: int = 10, max_idle: int = 10, keep_for: float = 60.0) -> Pool:
    return Pool(max_active, max_idle, keep_for)


def connection(usable: bool = True) -> Any:
    """All that the pool knows of a connection."""
    return SimpleNamespace(usable=usable, idle_since=0.0)


def never() -> None:
    raise AssertionError("the pool itself calls nobody")


def test_slots_are_free_up_to_the_bound() -> None:
    p = pool(max_active=2)
    assert p.enter(never) is None
    assert p.enter(never) is None
    assert p.enter(never) is not None
    assert (p.active, len(p.queue)) == (2, 1)


def test_a_slot_given_back_goes_to_those_who_wait_in_their_order() -> None:
    p = pool(max_active=1)
    assert p.enter(never) is None
    waiting = [p.enter(never) for _ in range(3)]
    assert [p.leave() for _ in range(3)] == waiting
    assert p.active == 1
    assert p.leave() is None
    assert p.active == 0


def test_who_stopped_waiting_is_passed_over() -> None:
    p = pool(max_active=1)
    p.enter(never)
    tickets = [p.enter(never) for _ in range(4)]
    for index in (0, 1, 3):
        ticket = tickets[index]
        assert ticket is not None
        ticket.left = True
    assert p.leave() is tickets[2]
    assert p.leave() is None
    assert (p.active, len(p.queue)) == (0, 0)


def test_a_newcomer_does_not_overtake() -> None:
    p = pool(max_active=1)
    p.enter(never)
    first = p.enter(never)
    assert p.leave() is first
    assert p.enter(never) is not None


def test_a_ticket_keeps_what_is_to_be_called() -> None:
    called = []
    p = pool(max_active=1)
    p.enter(never)
    p.enter(lambda: called.append("granted"))
    ticket = p.leave()
    assert called == []
    assert ticket is not None
    ticket.granted()
    assert called == ["granted"]


def test_the_connection_used_last_is_taken_first() -> None:
    p = pool()
    kept = [connection() for _ in range(3)]
    for one in kept:
        assert p.keep(HERE, one, now=1.0) == []
    assert [p.take(HERE) for _ in range(4)] == [*reversed(kept), None]


def test_connections_belong_to_their_endpoint() -> None:
    p = pool()
    one = connection()
    p.keep(HERE, one, now=1.0)
    for other in (THERE, HERE._replace(port=81), HERE._replace(source="127.0.0.1")):
        assert p.take(other) is None
    assert p.take(Endpoint("here", 80)) is one


def test_a_connection_is_handed_out_once() -> None:
    p = pool()
    p.keep(HERE, connection(), now=1.0)
    assert p.take(HERE) is not None
    assert (p.take(HERE), p.idle, p.drain()) == (None, 0, [])


def test_what_the_origin_closed_is_not_handed_out() -> None:
    p = pool()
    alive, dead = connection(), connection()
    p.keep(HERE, alive, now=1.0)
    p.keep(HERE, dead, now=2.0)
    dead.usable = False
    assert p.take(HERE) is alive
    assert p.take(HERE) is None


def test_what_was_idle_for_too_long_is_left_for_others() -> None:
    p = pool()
    old, young = connection(), connection()
    p.keep(HERE, old, now=1.0)
    p.keep(HERE, young, now=2.0)
    assert p.take(HERE, since=1.5) is young
    assert p.take(HERE, since=1.0) is None
    assert p.idle == 1
    assert p.take(HERE, since=0.9) is old


def test_connections_of_another_guard_are_others() -> None:
    class Guard:
        def check_nameless(self, host: str) -> None:
            raise AssertionError("nothing is resolved")

        def check(self, address: str) -> None:
            """All may pass."""

    p = pool()
    guarded = HERE._replace(guard=Guard())
    one = connection()
    p.keep(guarded, one, now=1.0)
    assert p.take(HERE) is None
    assert p.take(HERE._replace(guard=Guard())) is None
    assert p.take(guarded) is one


def test_more_than_may_be_kept_push_out_the_oldest() -> None:
    p = pool(max_idle=2)
    a, b, c = (connection() for _ in range(3))
    assert p.keep(HERE, a, now=1.0) == []
    assert p.keep(HERE, b, now=2.0) == []
    assert p.keep(HERE, c, now=3.0) == [a]
    assert p.idle == 2


def test_the_bound_is_for_each_endpoint() -> None:
    p = pool(max_idle=1)
    assert p.keep(HERE, connection(), now=1.0) == []
    assert p.keep(THERE, connection(), now=1.0) == []
    assert p.idle == 2


def test_nothing_is_kept_where_nothing_may_be() -> None:
    p = pool(max_idle=0)
    one = connection()
    assert p.keep(HERE, one, now=1.0) == [one]
    assert (p.take(HERE), p.idle) == (None, 0)


@pytest.mark.parametrize(
    ("now", "gone"),
    [(0.0, 0), (69.9, 0), (70.0, 1), (79.9, 1), (80.0, 2), (89.9, 2), (90.0, 3), (1e9, 3)],
)
def test_connections_expire(now: float, gone: int) -> None:
    p = pool(keep_for=60.0)
    kept = [connection() for _ in range(3)]
    for index, one in enumerate(kept):
        p.keep((HERE, THERE, HERE)[index], one, now=10.0 * (index + 1))
    expired = p.expired(now)
    assert sorted(map(id, expired)) == sorted(map(id, kept[:gone]))
    assert p.idle == 3 - gone
    assert p.expired(now) == []


def test_what_the_origin_closed_expires_at_once() -> None:
    p = pool()
    alive, dead = connection(), connection()
    p.keep(HERE, dead, now=1.0)
    p.keep(HERE, alive, now=1.0)
    dead.usable = False
    assert p.expired(1.0) == [dead]
    assert p.take(HERE) is alive


def test_drain_takes_out_all() -> None:
    p = pool()
    kept = [connection() for _ in range(3)]
    for one, endpoint in zip(kept, (HERE, THERE, HERE), strict=True):
        p.keep(endpoint, one, now=1.0)
    assert sorted(map(id, p.drain())) == sorted(map(id, kept))
    assert (p.idle, p.take(HERE), p.expired(1e9)) == (0, None, [])


def test_repr_tells_the_state() -> None:
    p = pool(max_active=2)
    for _ in range(3):
        p.enter(never)
    p.keep(HERE, connection(), now=1.0)
    assert repr(p) == "<Pool 2 active, 1 idle, 1 waiting>"
