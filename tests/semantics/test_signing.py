"""Signed links: HMAC-SHA256 (RFC 2104) in base64url (RFC 4648 section 5)."""

import base64
import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.signing import (
    Claim,
    canonical_path,
    sign,
    signed_query,
    take_claim,
    verify,
)

KEY = "a key of enough characters"
EXPIRES = 2_000_000_000
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
SEGMENTS = st.lists(st.text(max_size=8).map(lambda text: text.encode()), min_size=1, max_size=4)


@st.composite
def written(draw: st.DrawFn, segments: list[bytes]) -> str:
    """A path of these segments, escaped as a client might."""

    def byte(value: int) -> str:
        forms = [f"%{value:02x}", f"%{value:02X}"]
        # Sub-delimiters, ":" and "@" may stand in a path as they are too (RFC 3986 section 3.3).
        if value in UNRESERVED + b"!$&'()*+,;=:@":
            forms.append(chr(value))
        return draw(st.sampled_from(forms))

    return "/" + "/".join("".join(map(byte, segment)) for segment in segments)


def link(path: str, expires: int = EXPIRES, key: str = KEY) -> Claim:
    return Claim(str(expires), sign(path, expires, key))


def test_a_signature_is_that_of_path_and_expiry() -> None:
    message = b"aprp link 1\n2000000000\n/films/a%20b.mp4"
    expected = hmac.new(KEY.encode(), message, hashlib.sha256).digest()
    signature = sign("/films/a%20b.mp4", EXPIRES, KEY)
    assert base64.urlsafe_b64decode(signature + "=") == expected
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", signature)


def test_a_link_lets_in_until_it_expires() -> None:
    claim = link("/film.mp4")
    assert verify("/film.mp4", claim, KEY, 0.0) is None
    assert verify("/film.mp4", claim, KEY, EXPIRES - 0.001) is None
    assert verify("/film.mp4", claim, KEY, EXPIRES) == "the link has expired"
    assert verify("/film.mp4", claim, KEY, EXPIRES + 1e9) == "the link has expired"


@pytest.mark.parametrize(
    ("path", "claim", "reason"),
    [
        ("/b.mp4", link("/a.mp4"), "does not fit"),
        ("/a.mp4/", link("/a.mp4"), "does not fit"),
        ("/A.mp4", link("/a.mp4"), "does not fit"),
        ("/a.mp4", link("/a.mp4", key="another key of enough"), "does not fit"),
        # Other expiries than the signed one.
        ("/a.mp4", Claim(str(EXPIRES + 1), sign("/a.mp4", EXPIRES, KEY)), "does not fit"),
        ("/a.mp4", Claim(f"0{EXPIRES}", sign("/a.mp4", EXPIRES, KEY)), "not a time"),
        ("/a.mp4", Claim(f"+{EXPIRES}", sign("/a.mp4", EXPIRES, KEY)), "not a time"),
        ("/a.mp4", Claim(f"{EXPIRES} ", sign("/a.mp4", EXPIRES, KEY)), "not a time"),
        ("/a.mp4", Claim(f"{EXPIRES}.0", sign("/a.mp4", EXPIRES, KEY)), "not a time"),
        ("/a.mp4", Claim("\uff12", sign("/a.mp4", 2, KEY)), "not a time"),
        ("/a.mp4", Claim("9" * 5000, "x"), "not a time"),
        ("/a.mp4", Claim("0", sign("/a.mp4", 0, KEY)), "not a time"),
        ("/a.mp4", Claim("", sign("/a.mp4", EXPIRES, KEY)), "not a time"),
        # Signatures that are nearly right.
        ("/a.mp4", Claim(str(EXPIRES), sign("/a.mp4", EXPIRES, KEY) + "="), "does not fit"),
        ("/a.mp4", Claim(str(EXPIRES), sign("/a.mp4", EXPIRES, KEY)[:-1]), "does not fit"),
        ("/a.mp4", Claim(str(EXPIRES), sign("/a.mp4", EXPIRES, KEY).swapcase()), "does not fit"),
        ("/a.mp4", Claim(str(EXPIRES), ""), "does not fit"),
        ("/a.mp4", Claim(str(EXPIRES), "\u00fc\udc80"), "does not fit"),
        ("/a.mp4", Claim(None, None), "it has no expires and no signature"),
        ("/a.mp4", Claim(None, sign("/a.mp4", EXPIRES, KEY)), "it has no expires"),
        ("/a.mp4", Claim(str(EXPIRES), None), "it has no signature"),
    ],
)
def test_other_links_do_not(path: str, claim: Claim, reason: str) -> None:
    said = verify(path, claim, KEY, 0.0)
    assert said is not None
    assert reason in said
    assert sign(path, EXPIRES, KEY) not in said


def test_a_wrong_signature_is_told_before_the_expiry() -> None:
    said = verify("/a", Claim("1", "x"), KEY, EXPIRES)
    assert said == "the signature in the link does not fit its path and expiry"


def test_the_last_bits_of_a_signature_count() -> None:
    # 43 characters hold two bits more than the 256 of the digest.
    signature = sign("/a", EXPIRES, KEY)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(other + "=") == base64.urlsafe_b64decode(signature + "=")
    assert verify("/a", Claim(str(EXPIRES), other), KEY, 0.0) is not None


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("/a/b.mp4", "/a/b.mp4"),
        ("/%61", "/a"),
        ("/a%2db%2E%5F%7e", "/a-b._~"),
        ("/a%20b", "/a%20b"),
        ("/F%c3%bc", "/F%C3%BC"),
        ("/a,b;c=d", "/a%2Cb%3Bc%3Dd"),
        ("/a%2Cb%3bc%3Dd", "/a%2Cb%3Bc%3Dd"),
        ("/a+b", "/a%2Bb"),
        # Decoded once, and an escaped slash parts no segments.
        ("/a%2fb", "/a%2Fb"),
        ("/a%252fb", "/a%252fb"),
        ("/a%25", "/a%25"),
        ("//a//", "//a//"),
        ("/%ff", "/%FF"),
    ],
)
def test_one_way_to_write_a_path(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical
    assert canonical_path(canonical) == canonical


@pytest.mark.parametrize(
    ("one", "other"), [("/a%2Fb", "/a/b"), ("/a%252Fb", "/a%2Fb"), ("/a/b", "/a//b"), ("/a", "/a/")]
)
def test_different_files_have_different_signatures(one: str, other: str) -> None:
    assert sign(one, EXPIRES, KEY) != sign(other, EXPIRES, KEY)


@given(st.data(), SEGMENTS)
def test_however_a_path_is_escaped_the_link_fits(
    data: st.DataObject, segments: list[bytes]
) -> None:
    one, other = data.draw(written(segments)), data.draw(written(segments))
    assert verify(other, link(one), KEY, 0.0) is None


@given(st.data(), SEGMENTS, SEGMENTS)
def test_a_link_fits_no_other_path(
    data: st.DataObject, one: list[bytes], other: list[bytes]
) -> None:
    fits = verify(data.draw(written(other)), link(data.draw(written(one))), KEY, 0.0) is None
    assert fits is (one == other)


@pytest.mark.parametrize(
    ("query", "rest", "claim"),
    [
        ("", "", Claim(None, None)),
        ("a=1", "a=1", Claim(None, None)),
        ("expires=5&signature=x", "", Claim("5", "x")),
        ("a=1&expires=5&b=%2F&signature=x&&c", "a=1&b=%2F&&c", Claim("5", "x")),
        ("%65xpires=5&sig%6Eature=%78", "", Claim("5", "x")),
        ("expires", "", Claim("", None)),
        ("Expires=5&Signature=x", "Expires=5&Signature=x", Claim(None, None)),
        ("xexpires=5&signatures=x", "xexpires=5&signatures=x", Claim(None, None)),
        ("expires=5&expires=5&signature=x", "", Claim("5", "x")),
        ("expires=5&expires=6&signature=x", "", Claim("", "x")),
        ("signature=x&signature=y&signature=x", "", Claim(None, "")),
        ("a;expires=5", "a;expires=5", Claim(None, None)),
    ],
)
def test_the_parameters_are_taken_out_of_a_query(query: str, rest: str, claim: Claim) -> None:
    assert take_claim(query) == (rest, claim)


@given(st.text("ab=&%2F;x", max_size=30), st.integers(1, 10**12 - 1))
def test_what_is_put_into_a_query_comes_out_of_it(query: str, expires: int) -> None:
    signature = sign("/a", expires, KEY)
    rest, claim = take_claim(signed_query(query, expires, signature))
    assert rest == query
    assert claim == Claim(str(expires), signature)
