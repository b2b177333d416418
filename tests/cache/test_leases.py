"""Leases between processes, and what becomes of them when one is killed."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.cache.leases import Leases, key_place, slice_place
from tests.cache.children import Child, Connection
from tests.stats.forks import ended, in_worker

VERSIONS = st.integers(1, (1 << 62) - 1)
PLACE = 12345


def take(pipe: Connection, path: Path, *places: int) -> None:
    """Tell which leases could be had, and keep them until something is said."""
    leases = Leases(path)
    pipe.send([leases.take(place) for place in places])
    pipe.recv()
    leases.close()
    pipe.send("closed")
    pipe.recv()


def test_a_lease_is_had_once_in_a_process(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases")
    assert leases.take(PLACE)
    assert not leases.take(PLACE)
    assert leases.held(PLACE)
    assert not leases.held(PLACE + 1)
    leases.release(PLACE)
    assert not leases.held(PLACE)
    assert leases.take(PLACE)


def test_two_that_opened_the_file_do_not_share(tmp_path: Path) -> None:
    mine, yours = Leases(tmp_path / "leases"), Leases(tmp_path / "leases")
    assert mine.take(PLACE)
    assert not yours.take(PLACE)
    assert not yours.held(PLACE)
    yours.release(PLACE)  # not theirs to give back
    assert not yours.take(PLACE)
    mine.release(PLACE)
    assert yours.take(PLACE)


def test_neighbours_are_released_one_by_one(tmp_path: Path) -> None:
    # The kernel keeps locks that touch as one.
    mine, yours = Leases(tmp_path / "leases"), Leases(tmp_path / "leases")
    assert all(mine.take(place) for place in range(10, 15))
    mine.release(12)
    assert [place for place in range(10, 15) if yours.take(place)] == [12]


def test_a_lease_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "leases"
    mine = Leases(path)
    with Child(take, path, PLACE, PLACE + 1) as child:
        assert child.hear() == [True, True]
        assert not mine.take(PLACE)
        child.kill()
        assert mine.take(PLACE)
        assert mine.take(PLACE + 1)


def test_closing_gives_all_back(tmp_path: Path) -> None:
    path = tmp_path / "leases"
    mine = Leases(path)
    with Child(take, path, PLACE) as child:
        assert child.hear() == [True]
        child.say("close")
        assert child.hear() == "closed"
        assert mine.take(PLACE)


def test_a_lease_outlives_other_descriptors_of_the_file(tmp_path: Path) -> None:
    # The older kind of lock is lost when the process closes any descriptor of the file.
    path = tmp_path / "leases"
    mine = Leases(path)
    assert mine.take(PLACE)
    path.open("rb").close()
    Leases(path).close()
    with Child(take, path, PLACE) as child:
        assert child.hear() == [False]


def test_a_fork_is_told_to_open_its_own(tmp_path: Path) -> None:
    def forked(leases: Leases) -> bytes:
        try:
            leases.take(PLACE)
        except RuntimeError as error:
            return str(error).encode()
        return b"taken"

    leases = Leases(tmp_path / "leases")
    reading, writing = os.pipe()
    assert ended(in_worker(lambda: os.write(writing, forked(leases)))) == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        assert b"before the fork" in answer.read()
    assert leases.take(PLACE)


def test_closed_leases_are_nobodys(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases")
    leases.take(PLACE)
    leases.close()
    assert not leases.held(PLACE)
    leases.release(PLACE)
    with pytest.raises(ValueError, match="closed"):
        leases.take(PLACE)
    leases.close()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Leases(tmp_path / "gone" / "leases")


@given(VERSIONS, st.integers(0, 1 << 40), st.text())
def test_places_are_in_disjoint_halves(version: int, number: int, key: str) -> None:
    assert 0 <= slice_place(version, number) < 1 << 61
    assert 1 << 61 <= key_place(key) < 1 << 62
    assert key_place(key) == key_place(key)


@given(st.sets(VERSIONS | st.integers(1, 50), min_size=2, max_size=50))
def test_slices_of_different_versions_do_not_meet(versions: set[int]) -> None:
    # A hundred thousand slices each: 100 GiB at the usual size.
    begins = sorted(slice_place(version, 0) for version in versions)
    assert all(after - before > 100_000 for before, after in pairwise(begins))


def test_different_keys_have_different_places() -> None:
    keys = [f"http://origin/film-{n}.mp4" for n in range(1000)] + ["", "\udcff"]
    assert len({key_place(key) for key in keys}) == len(keys)
