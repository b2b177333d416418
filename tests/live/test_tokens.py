"""Tokens of the dashboard: made here, not too old, changed in nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.live.tokens import VALID, Tokens

SECRET = bytes(range(32))


@given(st.floats(0, 4e9), st.floats(0, VALID - 1))
def test_a_token_is_good_for_an_hour(now: float, later: float) -> None:
    tokens = Tokens(SECRET)
    token = tokens.make(now)
    assert tokens.good(token, now + later)
    assert not tokens.good(token, now + VALID + 1)
    # Another worker, with the same secret; and another proxy.
    assert Tokens(SECRET).good(token, now)
    assert not Tokens(SECRET[::-1]).good(token, now)


@given(st.data())
def test_a_changed_token_is_not_good(data: st.DataObject) -> None:
    tokens = Tokens(SECRET)
    token = tokens.make(1000.0)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    assert not tokens.good(token[:place] + other + token[place + 1 :], 1000.0)
    assert not tokens.good(token[:place], 1000.0)
    assert not tokens.good(token + other, 1000.0)


@given(st.text())
def test_junk_is_not_good(junk: str) -> None:
    assert not Tokens(SECRET).good(junk, 0.0)


@pytest.mark.parametrize("token", ["", ".", "0.", "999999999999999999999.0", "\u0661.a", "-1.a"])
def test_what_is_no_token(token: str) -> None:
    assert not Tokens(SECRET).good(token, 0.0)


def test_a_time_to_come_cannot_be_made_up() -> None:
    tokens = Tokens(SECRET)
    expires, _, digest = tokens.make(0.0).partition(".")
    assert not tokens.good(f"{int(expires) + 10_000}.{digest}", 0.0)


def test_a_secret_that_can_be_guessed() -> None:
    with pytest.raises(ValueError, match="a secret of 8 bytes can be guessed"):
        Tokens(b"12345678")
