"""What may be taken from origins, an account that all workers keep together."""

import copy
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.media.tally import Tallies, Tally

ID = 0x3FFF_0123_4567_89AB
SPARE = 100


def forked(work: Callable[[], bool]) -> bool:
    """Do the work in a forked child; give what it says."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = int(work())
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    status = os.waitstatus_to_exitcode(ended)
    assert status in (0, 1), "the child failed"
    return bool(status)


def account(tallies: Tallies, id: int = ID) -> Tally:
    return Tally(tallies, id, SPARE)


# One worker


def test_the_allowance_and_not_a_byte_more() -> None:
    assert account(Tallies()).allows(SPARE, 0)
    assert not account(Tallies()).allows(SPARE + 1, 0)


def test_what_clients_ask_for_may_be_taken() -> None:
    tally = account(Tallies())
    tally.asked = 1000
    assert tally.allows(1000 + SPARE, 0)
    assert not tally.allows(1000 + SPARE + 1, 0)


def test_what_was_taken_counts_and_so_does_what_is_to_come() -> None:
    tally = account(Tallies())
    tally.asked, tally.taken = 1000, 700
    assert not tally.allows(101, 300)
    assert tally.allows(100, 300)
    tally.taken = 1000
    assert not tally.allows(1, 100)
    assert tally.allows(0, 100)


def test_small_ranges_use_the_allowance_up() -> None:
    """RFC 9110 section 17.15: a byte here and a byte there, and each would take 30."""
    tally = account(Tallies())
    taken = 0
    for _ in range(50):
        tally.asked += 1
        if tally.allows(30, 0):
            tally.taken += 30
            taken += 30
    assert taken <= 50 + SPARE


def test_each_object_has_its_own() -> None:
    tallies = Tallies()
    assert account(tallies, 1).allows(SPARE, 0)
    assert account(tallies, 2).allows(SPARE, 0)


# Several workers


def test_what_another_process_takes_counts() -> None:
    tallies = Tallies(2)

    def takes_60() -> bool:
        tallies.attach(1)
        return account(tallies).allows(60, 0)

    tallies.attach(0)
    mine = account(tallies)
    assert forked(takes_60)
    assert not mine.allows(41, 0)
    assert mine.allows(40, 0)
    # And the other way: the allowance is used up.
    assert not forked(lambda: Tally(attached(tallies, 1), ID, SPARE).allows(61, 0))


def attached(tallies: Tallies, worker: int) -> Tallies:
    """The same memory as another worker has it."""
    other = copy.copy(tallies)
    other.attach(worker)
    return other


def test_what_another_process_is_asked_for_may_be_taken_here() -> None:
    """Its clients want the bytes: it is all the same which worker fetches them."""
    tallies = Tallies(2)

    def is_asked() -> bool:
        tallies.attach(1)
        tally = account(tallies)
        tally.asked = 500
        tally.publish(0)
        return True

    tallies.attach(0)
    assert forked(is_asked)
    assert not account(tallies).allows(601, 0)
    assert account(tallies).allows(600, 0)


def test_a_worker_in_the_place_of_one_that_died_begins_anew() -> None:
    tallies = Tallies(2)

    def takes_all() -> bool:
        tallies.attach(1)
        return account(tallies).allows(SPARE, 0)

    tallies.attach(0)
    mine = account(tallies)
    assert forked(takes_all)
    assert not mine.allows(1, 0)

    def begins() -> bool:
        tallies.attach(1)
        return True

    assert forked(begins)
    assert mine.allows(SPARE, 0)


def test_to_attach_leaves_the_others_alone() -> None:
    tallies = Tallies(3)
    one, two = attached(tallies, 1), attached(tallies, 2)
    one.publish(ID, 11)
    two.publish(ID, 22)
    # Its predecessor's 11 is gone.
    assert attached(tallies, 1).publish(ID, 5) == 27
    assert two.publish(ID, 22) == 27


def test_until_it_is_attached_it_is_worker_0() -> None:
    tallies = Tallies(2)
    assert tallies.publish(ID, 7) == 7
    assert attached(tallies, 1).publish(ID, 5) == 12
    assert attached(tallies, 0).publish(ID, 0) == 5


# Slots


def test_an_object_takes_over_a_slot() -> None:
    tallies = Tallies(2, slots=8)
    other = attached(tallies, 1)
    assert other.publish(3, 1000) == 1000
    # The one before it is forgotten, in all columns.
    assert tallies.publish(11, 5) == 5
    assert other.publish(11, 6) == 11
    # It begins anew when it comes back, with what this worker knows of it.
    assert tallies.publish(3, 40) == 40


def test_a_worker_that_lost_its_slot_still_knows_what_it_took() -> None:
    tallies = Tallies(1, slots=8)
    first, second = account(tallies, 3), account(tallies, 11)
    assert first.allows(SPARE, 0)
    first.taken = SPARE
    assert second.allows(SPARE, 0)
    assert not first.allows(1, 0)


@pytest.mark.parametrize("id", [1, 2**61, 2**62 - 1])
def test_ids_of_any_size(id: int) -> None:
    tallies = Tallies(2)
    assert tallies.publish(id, -(2**60)) == -(2**60)
    assert attached(tallies, 1).publish(id, 2**60) == 0


# Whatever happens in which order


steps = st.tuples(
    st.integers(0, 2), st.sampled_from(["asked", "take", "came", "told"]), st.integers(0, 150)
)


@given(st.lists(steps, max_size=60))
def test_no_more_is_taken_than_was_asked_for_and_the_allowance(
    steps: list[tuple[int, str, int]],
) -> None:
    tallies = Tallies(3)
    workers = [account(attached(tallies, number)) for number in range(3)]
    pending = [0, 0, 0]
    for number, what, count in steps:
        tally = workers[number]
        if what == "asked":
            tally.asked += count
        elif what == "take":
            if tally.allows(count, pending[number]):
                pending[number] += count
        elif what == "came":
            come = min(count, pending[number])
            pending[number] -= come
            tally.taken += come
        else:
            tally.publish(pending[number])
        taken = sum(each.taken for each in workers) + sum(pending)
        assert taken <= sum(each.asked for each in workers) + SPARE
