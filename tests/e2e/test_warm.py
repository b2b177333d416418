"""Fetching whole what an operator wants stored: whatever the origin is like."""

import json

from tests.e2e.caching import MIB, get_range, get_whole
from tests.e2e.events import act, objects, one_object
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy


def warm(proxy: Proxy, file: File) -> None:
    """Have it fetched; returns at once."""
    reply = act(proxy, "warm", [one_object(proxy, file.path)["id"]])
    assert (reply.status, json.loads(reply.body)) == (202, {"warming": 1})


def wait_whole(proxy: Proxy, file: File) -> None:
    wait_until(
        lambda: any(
            told["present_bytes"] == file.size
            for told in objects(proxy, search=file.path)["objects"]
        ),
        "all of it is stored",
    )


def check_hit(proxy: Proxy, file: File) -> None:
    """Check that the origin is not asked for what is stored."""
    asked = len(file.served)
    get_whole(proxy, file)
    assert len(file.served) == asked


def test_each_missing_byte_comes_once(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(7 * MIB + 5)
    for start in (1, 4):
        get_range(cached_proxy, file, start * MIB, start * MIB + 1)
    warm(cached_proxy, file)
    wait_whole(cached_proxy, file)
    file.wait_quiet()
    assert file.sent == file.size
    check_hit(cached_proxy, file)
    # There is nothing left to do.
    asked = len(file.served)
    warm(cached_proxy, file)
    check_hit(cached_proxy, file)
    assert len(file.served) == asked


def test_an_origin_without_ranges(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(3 * MIB)
    file.ranges = False
    file.plans.append(Plan(cut=MIB + 10))
    get_range(cached_proxy, file, 0, 10)
    warm(cached_proxy, file)
    wait_whole(cached_proxy, file)
    check_hit(cached_proxy, file)


def test_a_file_that_has_changed(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(4 * MIB)
    get_range(cached_proxy, file, 0, 10)
    before = one_object(cached_proxy, file.path)["id"]
    file.version = 2
    warm(cached_proxy, file)

    def replaced() -> bool:
        # For a moment neither is there.
        return any(
            told["id"] != before and told["present_bytes"] == file.size
            for told in objects(cached_proxy, search=file.path)["objects"]
        )

    wait_until(replaced, "the new version is stored whole")
    check_hit(cached_proxy, file)


def test_an_origin_that_breaks_off(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(4 * MIB)
    get_range(cached_proxy, file, 0, 10)
    file.plans.append(Plan(cut=MIB + 10))
    warm(cached_proxy, file)
    wait_whole(cached_proxy, file)
    check_hit(cached_proxy, file)


def test_a_file_that_is_gone(source: FaultOrigin, cached_proxy: Proxy) -> None:
    file = source.add(3 * MIB)
    get_range(cached_proxy, file, 0, 10)
    file.always = Plan(status="404 Not Found")
    warm(cached_proxy, file)
    wait_until(
        lambda: f"{file.path} was not fetched whole" in cached_proxy.log(), "the log says so"
    )
    file.always = Plan()
    get_whole(cached_proxy, file)
