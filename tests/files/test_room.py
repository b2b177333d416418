"""The directory of the store, and what counts as being in it."""

import os
from pathlib import Path

from aprp.files.room import Room


def test_a_file_that_is_being_given_its_name_counts_once(tmp_path: Path) -> None:
    room = Room(tmp_path, 1000, 60.0)
    place, descriptor = room.new()
    try:
        os.write(descriptor, bytes(10))
        (tmp_path / "a.bin").hardlink_to(place)
        assert room.used() == 10
        place.unlink()
        assert room.used() == 10
    finally:
        os.close(descriptor)
