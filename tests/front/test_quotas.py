"""Connections in all and for an address, over workers that are processes of their own."""

import contextlib
import sys
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.front import quotas as quotas_module
from aprp.front.quotas import Quotas, Refusal, holder, make_quotas
from aprp.front.shared import WAYS, Place, SharedTable
from tests.front.forks import Worker, all_at_once


def test_connections_in_all() -> None:
    quotas = Quotas(connections=2)
    assert quotas.enter("192.0.2.1") is None
    assert quotas.enter("192.0.2.1") is None
    refusal = quotas.enter("192.0.2.2")
    assert refusal is not None
    # RFC 9110 section 15.6.4: 503 and Retry-After where the server has too much to do.
    assert refusal.status == 503
    assert refusal.retry_after == 5
    assert refusal.fields == {"Retry-After": "5"}
    assert "2 connections" in refusal.detail
    assert "MAX_CONNECTIONS " in refusal.detail
    assert quotas.connections == 2
    quotas.leave("192.0.2.1")
    assert quotas.enter("192.0.2.2") is None


def test_connections_of_an_address() -> None:
    quotas = Quotas(per_address=2)
    for _ in range(2):
        assert quotas.enter("192.0.2.1") is None
    refusal = quotas.enter("192.0.2.1")
    assert refusal is not None
    # RFC 6585 section 4.
    assert refusal.status == 429
    assert refusal.fields == {"Retry-After": "5"}
    assert "2 connections" in refusal.detail
    assert "MAX_CONNECTIONS_PER_ADDRESS" in refusal.detail
    assert quotas.enter("192.0.2.2") is None
    assert quotas.connections == 3
    quotas.leave("192.0.2.1")
    assert quotas.enter("192.0.2.1") is None
    assert quotas.enter("192.0.2.1") is not None


def test_who_is_refused_for_its_address_takes_no_room_from_others() -> None:
    quotas = Quotas(connections=3, per_address=1)
    assert quotas.enter("192.0.2.1") is None
    for _ in range(10):
        refusal = quotas.enter("192.0.2.1")
        assert refusal is not None
        assert refusal.status == 429
    assert quotas.enter("192.0.2.2") is None
    assert quotas.enter("192.0.2.3") is None
    refusal = quotas.enter("192.0.2.4")
    assert refusal is not None
    assert refusal.status == 503


def test_requests() -> None:
    now = 1000.0
    quotas = Quotas(rate=2, clock=lambda: now)
    assert quotas.request("192.0.2.1") is None
    assert quotas.request("192.0.2.1") is None
    refusal = quotas.request("192.0.2.1")
    assert refusal == Refusal(
        429, "More than 2 requests a second from this address (REQUEST_RATE).", 1
    )
    assert quotas.request("192.0.2.2") is None
    now += 1.6
    assert quotas.request("192.0.2.1") is None


def test_a_long_wait_is_told_in_whole_seconds() -> None:
    now = 1000.0
    quotas = Quotas(rate=0.05, clock=lambda: now)
    assert quotas.request("192.0.2.1") is None
    now += 6.5
    refusal = quotas.request("192.0.2.1")
    assert refusal is not None
    # One in 20 seconds, counted from 1000: 13.5 s are left.
    assert refusal.retry_after == 14
    now += 14
    assert quotas.request("192.0.2.1") is None


def test_limits_that_are_not_set() -> None:
    quotas = Quotas(rate=1)
    assert all(quotas.enter("192.0.2.1") is None for _ in range(1000))
    assert quotas.connections == 1000
    quotas = Quotas(connections=1)
    assert all(quotas.request("192.0.2.1") is None for _ in range(1000))
    assert make_quotas(4, connections=0, per_address=0, rate=0) is None
    for limit in ("connections", "per_address", "rate"):
        made = make_quotas(2, **{"connections": 0, "per_address": 0, "rate": 0, limit: 1})
        assert made is not None
        calls = made.request if limit == "rate" else made.enter
        assert [calls("192.0.2.1") is None for _ in range(2)] == [True, False]


def test_leaving_without_having_entered() -> None:
    quotas = Quotas(per_address=2)
    with pytest.raises(ValueError, match="none had entered"):
        quotas.leave("192.0.2.1")
    assert quotas.enter("192.0.2.1") is None
    with pytest.raises(ValueError, match="had not entered"):
        quotas.leave("192.0.2.2")
    quotas.leave("192.0.2.1")
    assert quotas.connections == 0


@given(
    st.integers(0, 6),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), max_size=80),
)
def test_it_is_as_if_counted_with_pencil_and_paper(
    most: int, of_one: int, steps: list[tuple[int, int, bool]]
) -> None:
    quotas = Quotas(3, connections=most, per_address=of_one)
    inside: list[tuple[int, int]] = []
    for worker, number, enters in steps:
        become(quotas, worker)
        address = f"192.0.2.{number}"
        if not enters:
            if (worker, number) in inside:
                inside.remove((worker, number))
                quotas.leave(address)
            continue
        refusal = quotas.enter(address)
        if most and len(inside) >= most:
            assert refusal is not None
            assert refusal.status == 503
        elif of_one and sum(who == number for _, who in inside) >= of_one:
            assert refusal is not None
            assert refusal.status == 429
        else:
            assert refusal is None
            inside.append((worker, number))
        assert quotas.connections == len(inside)


def become(quotas: Quotas, worker: int) -> None:
    """Go on as another worker, as a fork would; `attach` would forget what that one has open."""
    quotas._worker = worker
    if quotas._of_one is not None:
        quotas._of_one.attach(worker)


def test_more_addresses_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        quotas_module, "SharedTable", lambda workers, values: SharedTable(workers, values, 1)
    )
    quotas = Quotas(2, per_address=2)
    addresses = [f"192.0.2.{number}" for number in range(3 * WAYS)]
    for address in addresses:
        assert quotas.enter(address) is None
    # In this worker all are counted.
    for address in addresses:
        assert quotas.enter(address) is None
        refusal = quotas.enter(address)
        assert refusal is not None
        assert refusal.status == 429
    for address in addresses:
        quotas.leave(address)
        assert quotas.enter(address) is None
        assert quotas.enter(address) is not None
    for address in addresses * 2:
        quotas.leave(address)
    assert quotas._unplaced == {}
    assert quotas.connections == 0
    # Room is found again for those that come now.
    assert [quotas.enter("192.0.2.200") is None for _ in range(3)] == [True, True, False]
    become(quotas, 1)
    assert quotas.enter("192.0.2.200") is not None


# Processes.

ADDRESS = "192.0.2.7"
ENTER, LEAVE = 1, 2


def entering(quotas: Quotas, worker: int) -> Callable[[int], int]:
    quotas.attach(worker)

    def step(what: int) -> int:
        if what == LEAVE:
            quotas.leave(ADDRESS)
            return 0
        refusal = quotas.enter(ADDRESS)
        return 0 if refusal is None else refusal.status

    return step


@pytest.mark.parametrize(("limit", "status"), [("connections", 503), ("per_address", 429)])
def test_workers_count_together(limit: str, status: int) -> None:
    quotas = Quotas(3, **{limit: 4})  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        a, b, c = (stack.enter_context(Worker(partial(entering, quotas, n))) for n in range(3))
        assert [a.do(ENTER), a.do(ENTER), b.do(ENTER), c.do(ENTER)] == [0, 0, 0, 0]
        assert [a.do(ENTER), b.do(ENTER), c.do(ENTER)] == [status] * 3
        a.do(LEAVE)
        assert b.do(ENTER) == 0
        assert c.do(ENTER) == status
        assert quotas.connections == 4


@pytest.mark.parametrize(("limit", "status"), [("connections", 503), ("per_address", 429)])
def test_a_worker_that_died_leaves_no_connections(limit: str, status: int) -> None:
    quotas = Quotas(2, **{limit: 4})  # type: ignore[arg-type]
    with Worker(lambda: entering(quotas, 0)) as lives:
        with Worker(lambda: entering(quotas, 1)) as dies:
            assert lives.do(ENTER) == 0
            assert [dies.do(ENTER) for _ in range(3)] == [0] * 3
            assert lives.do(ENTER) == status
            dies.kill()
        with Worker(lambda: entering(quotas, 1)) as follows:
            assert [follows.do(ENTER) for _ in range(4)] == [0, 0, 0, status]
            assert lives.do(ENTER) == status
            follows.do(LEAVE)
            assert lives.do(ENTER) == 0
    assert quotas.connections == 4


@pytest.mark.parametrize("limit", ["connections", "per_address"])
def test_workers_that_race_are_never_above_the_limit(limit: str) -> None:
    most = 3
    quotas = Quotas(4, **{limit: most})  # type: ignore[arg-type]
    # What is open for certain has an odd number here: written when its worker has entered, and an
    # even one before it leaves.
    held = SharedTable(4, 1)

    def work(worker: int) -> Callable[[int], int]:
        quotas.attach(worker)
        held.attach(worker)
        place = held.place("held")
        entry = held.claim(place)
        assert entry is not None

        def numbers() -> list[int]:
            return [values[0] for values in held.read(place)]

        def step(times: int) -> int:
            entered = 0
            for _ in range(times):
                if quotas.enter(ADDRESS) is not None:
                    continue
                entered += 1
                held.put(entry, 0, 2 * entered - 1)
                # One is read after the other; read twice alike, all of them stood there at once.
                seen = numbers()
                if sum(number % 2 for number in seen) > most and numbers() == seen:
                    return -1
                held.put(entry, 0, 2 * entered)
                quotas.leave(ADDRESS)
            return entered

        return step

    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(partial(work, n))) for n in range(4)]
        entered = all_at_once(workers, 5000)
    assert -1 not in entered
    assert max(entered) > 0
    assert quotas.connections == 0
    assert [quotas.enter(ADDRESS) is None for _ in range(most + 1)] == [True] * most + [False]


def test_two_that_see_the_last_place_do_not_both_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    quotas = Quotas(2, per_address=1)
    table = quotas._of_one
    assert table is not None
    read = table.read
    others: list[Refusal | None] = []

    def overtaken(place: Place) -> list[list[int]]:
        seen = read(place)
        if not others:
            # Another worker is quicker, after this one has looked and before it has counted.
            others.append(None)
            become(quotas, 1)
            others.append(quotas.enter(ADDRESS))
            become(quotas, 0)
        return seen

    monkeypatch.setattr(table, "read", overtaken)
    assert quotas.enter(ADDRESS) is not None
    assert others == [None, None]
    assert quotas.connections == 1


# Who is counted as one.


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:0DB8:0001:0002:0:0:0:9"),
        # RFC 4291 section 2.5.5.2 and RFC 6052 section 2.1.
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("192.0.2.1", "::ffff:c000:201"),
        ("192.0.2.1", "64:ff9b::192.0.2.1"),
    ],
)
def test_counted_as_one(address: str, other: str) -> None:
    assert holder(address) == holder(other)


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"),
        # Neighbours on one link share a /64 and nothing else (RFC 4291 section 2.5.6).
        ("fe80::1%eth0", "fe80::2%eth0"),
        ("fe80::1%eth0", "fe80::1%eth1"),
        ("unix", "192.0.2.1"),
        ("_hidden:80", "_hidden:81"),
    ],
)
def test_counted_apart(address: str, other: str) -> None:
    assert holder(address) != holder(other)


def test_addresses_of_one_subscriber_share_the_limits() -> None:
    quotas = Quotas(per_address=1, rate=1, clock=lambda: 1000.0)
    assert quotas.enter("2001:db8::1") is None
    assert quotas.enter("2001:db8::2") is not None
    quotas.leave("2001:db8::1")
    assert quotas.enter("2001:db8::2") is None
    assert quotas.request("2001:db8::1") is None
    assert quotas.request("2001:db8::2") is not None


def test_without_a_rate_the_package_is_not_loaded() -> None:
    def work() -> Callable[[int], int]:
        for name in [name for name in sys.modules if name.partition(".")[0] == "limits"]:
            del sys.modules[name]
        sys.modules.pop("aprp.front.rates", None)

        def step(rate: int) -> int:
            Quotas(connections=1, per_address=1, rate=rate)
            return "limits" in sys.modules

        return step

    with Worker(work) as worker:
        assert worker.do(0) == 0
        assert worker.do(1) == 1


@pytest.mark.parametrize("worker", [-1, 2])
def test_a_worker_that_is_none(worker: int) -> None:
    with pytest.raises(ValueError, match="they are 0 to 1"):
        Quotas(2, connections=1).attach(worker)


def test_no_workers() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        Quotas(0, connections=1)
