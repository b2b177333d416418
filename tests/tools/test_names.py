"""What people may call an object."""

import pytest

from aprp.flags import UsageError
from aprp.tools.names import object_of, target_of
from settings.base import Settings


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("/", "/"),
        ("/film.mp4", "/film.mp4"),
        ("/film.mp4?a=1&b=2", "/film.mp4?a=1&b=2"),
        ("/film.mp4?", "/film.mp4"),
        ("/?target_url=http://media.example/a", "/?target_url=http://media.example/a"),
        ("http://localhost:8000/film.mp4", "/film.mp4"),
        ("https://media.example/a/film.mp4?token=x%20y", "/a/film.mp4?token=x%20y"),
        ("http://media.example/film.mp4#t=10", "/film.mp4"),
        ("http://media.example", "/"),
        ("http://media.example?a=1", "/?a=1"),
        ("http://[::1]:8000/film.mp4", "/film.mp4"),
        ("/a b.mp4", "/a%20b.mp4"),
        # UTF-8, as browsers send it.
        ("/Füße.mp4", "/F%C3%BC%C3%9Fe.mp4"),
        ("/film.mp4?q=ü", "/film.mp4?q=%C3%BC"),
        ("/F%C3%BC.mp4", "/F%C3%BC.mp4"),
    ],
)
def test_targets(word: str, target: str) -> None:
    assert target_of(word) == target


@pytest.mark.parametrize(
    "word",
    [
        "film.mp4",
        "localhost:8000/film.mp4",
        "",
        "ftp://host/film.mp4",
        "http:///film.mp4",
        "http://[::1/film.mp4",
        "/a/../film.mp4",
        "/film%2.mp4",
        "/film\n.mp4",
        "/film.mp4#t=10",
    ],
)
def test_no_targets(word: str) -> None:
    with pytest.raises(UsageError, match=r"\A[^\n]*:|\n") as caught:
        target_of(word)
    assert str(caught.value).startswith(f"{word}: ")


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("/film.mp4?range=0-99", "/film.mp4"),
        ("/film.mp4?a=1&range=0-99&b=2", "/film.mp4?a=1&b=2"),
        ("/film.mp4/0/99", "/film.mp4"),
        ("http://h/film.mp4/100/", "/film.mp4"),
        ("/film.mp4", "/film.mp4"),
    ],
)
def test_ranges_are_no_part_of_an_object(word: str, target: str) -> None:
    assert object_of(Settings(UPSTREAM=["http://o"]), word) == target


def test_what_is_no_range_here_is_a_name() -> None:
    settings = Settings(UPSTREAM=["http://o"], RANGE_PATH=False, RANGE_PARAM="")
    word = "/film.mp4/0/99?range=0-99"
    assert object_of(settings, word) == word


def test_a_malformed_range_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="range"):
        object_of(Settings(UPSTREAM=["http://o"]), "/film.mp4/99/0")
