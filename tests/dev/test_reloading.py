"""Protocol 7 and what pages are told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.dev.reloading import (
    PROTOCOL,
    HelloError,
    History,
    check_hello,
    hello,
    reload,
    worth_telling,
)


def test_what_livereload_js_says_is_a_hello() -> None:
    six = "http://livereload.com/protocols/official-6"
    check_hello(json.dumps({"command": "hello", "protocols": [six, PROTOCOL], "ver": "4.0.2"}))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        b"\xff",
        "[]",
        "{}",
        '"hello"',
        '{"command": "hello"}',
        '{"command": "hello", "protocols": []}',
        '{"command": "hello", "protocols": "http://livereload.com/protocols/official-7"}',
        '{"command": "hello", "protocols": ["http://livereload.com/protocols/official-6"]}',
        '{"command": "info", "protocols": ["http://livereload.com/protocols/official-7"]}',
    ],
)
def test_anything_else_is_none(message: str | bytes) -> None:
    with pytest.raises(HelloError):
        check_hello(message)


def test_the_commands_are_those_of_protocol_7() -> None:
    assert json.loads(hello("x")) == {
        "command": "hello",
        "protocols": [PROTOCOL],
        "serverName": "x",
    }
    command = json.loads(reload("a/b.css"))
    assert (command["command"], command["path"], command["liveCSS"]) == ("reload", "a/b.css", True)


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ([], []),
        (["a.py"], ["a.py"]),
        (["a.css", "b/c.CSS"], ["a.css", "b/c.CSS"]),
        (["a.css", "b.png", "c.svg"], ["a.css", "b.png", "c.svg"]),
        (["a.css", "b.html", "c.py"], ["b.html"]),
        (["a.css", "a.css.map"], ["a.css", "a.css.map"]),
        (["a.scss"], ["a.scss"]),
        (["css"], ["css"]),
        ([f"{n}.css" for n in range(21)], ["*"]),
    ],
)
def test_styles_and_images_are_told_one_by_one(paths: list[str], told: list[str]) -> None:
    assert list(worth_telling(paths)) == told


@given(
    st.lists(st.sampled_from([("a.css",), ("b.css", "a.css"), ("c.py",)]), max_size=8), st.data()
)
def test_a_page_hears_of_what_it_has_missed(
    changes: list[tuple[str, ...]], data: st.DataObject
) -> None:
    history = History("n")
    positions = [history.position]
    for change in changes:
        history.add(change)
        positions.append(history.position)
    seen = data.draw(st.integers(0, len(changes)))
    missed = {path for change in changes[seen:] for path in change}
    told = set(history.since(positions[seen]))
    assert told == ({"c.py"} if "c.py" in missed else missed)


@pytest.mark.parametrize(
    "position", ["", "n", "n.", "n.2", "n.-1", "n.\u0661", "o.0", "n.x", "n.1.1"]
)
def test_a_page_of_another_time_is_loaded_anew(position: str) -> None:
    history = History("n")
    history.add(["a.css"])
    assert list(history.since(position)) == ["*"]


def test_a_page_that_missed_more_than_is_remembered_is_loaded_anew() -> None:
    history = History("n")
    for _ in range(101):
        history.add(["a.css"])
    assert list(history.since("n.0")) == ["*"]
    assert list(history.since("n.1")) == ["a.css"]
