"""Accept (RFC 9110 section 12.5.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.accept import quality, ranked


@pytest.mark.parametrize(
    ("accept", "html", "json"),
    [
        ("", 1.0, 1.0),
        ("*/*", 1.0, 1.0),
        ("text/html", 1.0, 0.0),
        ("application/json", 0.0, 1.0),
        ("text/html;q=0.5, application/json", 0.5, 1.0),
        ("text/*;q=0.3, */*;q=0.1", 0.3, 0.1),
        ("*/*;q=0.8, text/html;q=0", 0.0, 0.8),
        ("TEXT/HTML ; Q=0.25", 0.25, 0.0),
        ("text/html;level=1;q=0.4", 0.4, 0.0),
        ("text/html;q=2", 1.0, 0.0),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 1.0, 0.8),
    ],
)
def test_weights(accept: str, html: float, json: float) -> None:
    assert quality(accept, "text", "html") == html
    assert quality(accept, "application", "json") == json


@given(st.text(alphabet="text/hml*;q=01.,- "))
def test_any_field_has_a_weight(accept: str) -> None:
    assert 0.0 <= quality(accept, "text", "html") <= 1.0


@pytest.mark.parametrize(
    ("accept", "members"),
    [
        ("", []),
        (" , ,", []),
        ("a/b", ["a/b"]),
        ("a/b;q=0", []),
        ("a/b;q=0.2, c/d;v=1;q=0.5 ,e/f", ["e/f", "c/d;v=1;q=0.5", "a/b;q=0.2"]),
        # Of equal weight: as they stand.
        ("a/b, c/d;q=1, e/f;q=1.0", ["a/b", "c/d;q=1", "e/f;q=1.0"]),
    ],
)
def test_members_by_weight(accept: str, members: list[str]) -> None:
    assert ranked(accept) == members


@given(st.text())
def test_any_text_is_ranked(accept: str) -> None:
    assert len(ranked(accept)) <= accept.count(",") + 1
