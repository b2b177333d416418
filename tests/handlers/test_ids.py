"""Ids of requests: whose are believed, and that no two that are made are the same."""

import os
import re

import pytest

from aprp.handlers.ids import RequestIds
from tests.stats.forks import ended, in_worker


def ids(believed: str) -> RequestIds:
    return RequestIds(believed, {"192.0.2.1"}.__contains__)


@pytest.mark.parametrize(
    ("believed", "peer", "taken"),
    [
        ("everybody", "198.51.100.7", True),
        ("everybody", "192.0.2.1", True),
        ("trusted", "192.0.2.1", True),
        ("trusted", "198.51.100.7", False),
        ("nobody", "192.0.2.1", False),
    ],
)
def test_who_is_believed(believed: str, peer: str, taken: bool) -> None:
    given = ids(believed).of(peer, "job-17")
    assert (given == "job-17") is taken
    assert taken or re.fullmatch("[0-9a-f]{24}", given)


@pytest.mark.parametrize("told", [None, "", "a b", "a, b", "x" * 129, 'a"'])
def test_what_is_no_good_is_replaced(told: str | None) -> None:
    assert re.fullmatch("[0-9a-f]{24}", ids("everybody").of("192.0.2.1", told))


def test_each_request_has_its_own() -> None:
    one, other = ids("everybody"), ids("everybody")
    given = [source.of("192.0.2.1", None) for _ in range(1000) for source in (one, other)]
    assert len(set(given)) == 2000


def test_processes_that_were_forked_give_others() -> None:
    made = ids("everybody")
    before = made.of("192.0.2.1", None)
    told, tell = os.pipe()

    def work() -> None:
        made.attach()
        os.write(tell, made.of("192.0.2.1", None).encode())

    assert ended(in_worker(work)) == 0
    os.close(tell)
    childs = os.read(told, 100).decode()
    os.close(told)
    made.attach()
    assert len({text[:16] for text in (before, childs, made.of("192.0.2.1", None))}) == 3
