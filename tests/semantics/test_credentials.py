"""Basic authentication: RFC 7617."""

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.credentials import basic, challenge, matches

WORDS = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters="".join(map(chr, [*range(32), 127]))
    ),
    max_size=20,
)


def value(pair: str, charset: str = "utf-8") -> str:
    return f"Basic {base64.b64encode(pair.encode(charset)).decode()}"


@pytest.mark.parametrize(
    ("field", "given_"),
    [
        # The examples of RFC 7617 sections 2 and 2.1.
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame")),
        ("Basic dGVzdDoxMjPCow==", ("test", "123£")),
        ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame")),
        ("BASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ("Aladdin", "open sesame")),
        (" Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\t", ("Aladdin", "open sesame")),
        (value("a:b:c:"), ("a", "b:c:")),
        (value(":"), ("", "")),
        (value("a:"), ("a", "")),
        (value("test:123£", "latin-1"), ("test", "123£")),
        (None, None),
        ("", None),
        ("Basic", None),
        ("Basic ", None),
        ("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", None),
        ("BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==", None),
        (value("no colon"), None),
        (value("a\nb:c"), None),
        (value("a:b\0"), None),
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", None),
        ("Basic QWxh ZGRpbg==", None),
        ("Basic YTpi, Basic YTpi", None),
        ("Basic YTp-", None),
        ("Basic ====", None),
    ],
)
def test_reading(field: str | None, given_: tuple[str, str] | None) -> None:
    assert basic(field) == given_


@given(WORDS.filter(lambda word: ":" not in word), WORDS)
def test_what_a_client_writes_is_read(user: str, password: str) -> None:
    assert basic(value(f"{user}:{password}")) == (user, password)


@given(st.text(max_size=40))
def test_nothing_that_comes_is_a_failure(text: str) -> None:
    pair = basic(f"Basic {text}")
    assert pair is None or ":" not in pair[0]


USERS = ("ann:secret", "bob:pass:word", "jürgen:£")


@pytest.mark.parametrize(
    ("pair", "known"),
    [
        (("ann", "secret"), True),
        (("bob", "pass:word"), True),
        (("jürgen", "£"), True),
        (("ann", "pass:word"), False),
        (("ann", "secre"), False),
        (("ann", "secret "), False),
        (("Ann", "secret"), False),
        (("ann", ""), False),
        (("", ""), False),
        (("", "ann:secret"), False),
        (("ju\u0308rgen", "£"), False),
        (("a", "\udc80"), False),
        (None, False),
    ],
)
def test_matching(pair: tuple[str, str] | None, known: bool) -> None:
    assert matches(USERS, pair) is known
    assert matches((), pair) is False


def test_two_passwords_of_one_name_are_both_taken() -> None:
    users = ("ann:old", "ann:new")
    assert matches(users, ("ann", "old"))
    assert matches(users, ("ann", "new"))


def test_every_user_is_compared_also_behind_the_one_that_matches() -> None:
    compared = []

    def users() -> Iterator[str]:
        for user in USERS:
            compared.append(user)
            yield user

    assert matches(users(), ("ann", "secret"))
    assert compared == list(USERS)


def test_the_challenge_asks_for_utf_8() -> None:
    assert challenge("aprp") == 'Basic realm="aprp", charset="UTF-8"'
