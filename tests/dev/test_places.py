"""Where to listen, as it is typed."""

import pytest

from aprp.dev.places import BadPlaceError, Place, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8000", Place("localhost", 8000)),
        ("0", Place("localhost", 0)),
        ("localhost:8000", Place("localhost", 8000)),
        ("127.0.0.1:80", Place("127.0.0.1", 80)),
        ("my-host.example:65535", Place("my-host.example", 65535)),
        ("[::1]:8000", Place("::1", 8000)),
        ("[fe80::1%eth0]:8000", Place("fe80::1%eth0", 8000)),
        (":8000", Place("", 8000)),
        ("*:8000", Place("", 8000)),
        ("http://localhost:8001/", Place("localhost", 8001)),
    ],
)
def test_a_place(text: str, place: Place) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "localhost",
        "::1:8000",
        "65536",
        "-1",
        "a:b",
        "https://localhost:1",
        "1:2:3",
        "a..b:8000",
        f"{'a' * 64}.example:8000",
        "８０",
    ],
)
def test_no_place(text: str) -> None:
    with pytest.raises(BadPlaceError):
        parse_place(text)


def test_a_place_is_shown_as_in_a_url() -> None:
    assert str(Place("::1", 80)) == "[::1]:80"
    assert str(Place("localhost", 80)) == "localhost:80"
