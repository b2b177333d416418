"""Ranges through the whole program: each way of asking, before origins of each kind."""

import pytest

from tests.e2e.clients import curl
from tests.e2e.content import FILM, SIZE
from tests.e2e.servers import Proxy

# What is asked, as in a Range header, and the first and last byte that it means.
RANGES = [
    ("0-0", 0, 0),
    ("0-1", 0, 1),
    ("0-99", 0, 99),
    ("262143-262145", 262143, 262145),
    ("500000-", 500000, SIZE - 1),
    ("0-", 0, SIZE - 1),
    (f"0-{SIZE - 1}", 0, SIZE - 1),
    ("500000-99999999999", 500000, SIZE - 1),
    (f"{SIZE - 1}-", SIZE - 1, SIZE - 1),
]
SUFFIXES = [("-1", SIZE - 1, SIZE - 1), ("-500", SIZE - 500, SIZE - 1), ("-2000000", 0, SIZE - 1)]


def ways(asked: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Target and curl's arguments for each way in which a range can be asked for."""
    found = {
        "header": ("/film.bin", ("-H", f"Range: bytes={asked}")),
        "parameter": (f"/film.bin?range={asked}", ()),
        "parameter with unit": (f"/film.bin?range=bytes%3D{asked}", ()),
        "all": (f"/film.bin?range={asked}", ("-H", f"Range: bytes={asked}")),
    }
    if not asked.startswith("-"):
        path = f"/film.bin/{asked.replace('-', '/')}"
        found["path"] = (path, ())
        found["all"] = (f"{path}?range={asked}", ("-H", f"Range: bytes={asked}"))
    return found


WAYS = [
    pytest.param(*how, first, last, id=f"{asked} by {way}")
    for asked, first, last in RANGES + SUFFIXES
    for way, how in ways(asked).items()
]


@pytest.mark.parametrize(("target", "arguments", "first", "last"), WAYS)
def test_a_range_is_exactly_the_bytes_asked_for(
    any_proxy: Proxy, target: str, arguments: tuple[str, ...], first: int, last: int
) -> None:
    got = curl(any_proxy.url + target, *arguments)
    assert got.exit_code == 0, got.errors
    reply = got.reply
    assert (reply.status, reply.reason) == (206, "Partial Content")
    assert reply.get("Content-Range") == f"bytes {first}-{last}/{SIZE}"
    assert reply.get("Content-Length") == str(last - first + 1)
    assert reply.get("Accept-Ranges") == "bytes"
    assert reply.body == FILM[first : last + 1]
