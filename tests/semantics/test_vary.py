"""Vary (RFC 9111 section 4.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.vary import normalized, selected, vary_of
from tests.semantics.times import getting

Pairs = list[tuple[str, str]]


def fits(vary: str, stored_for: Pairs, asked: Pairs, *fields: tuple[str, str]) -> bool:
    """Say whether what was stored for one request is selected for another."""
    found = vary_of(getting(("Vary", vary), *fields), getting(*stored_for))
    assert found is not None
    return selected(found, getting(*asked))


FOO = ("Foo", "1")
BAR = ("Bar", "abc")
BAZ = ("Baz", "789")


@pytest.mark.parametrize(
    ("vary", "stored_for", "asked", "expected"),
    [
        pytest.param("", [FOO], [], True, id="nothing"),
        pytest.param("Foo", [FOO], [FOO], True, id="the same"),
        pytest.param("fOO", [FOO], [("foo", "1")], True, id="names without case"),
        pytest.param("Foo", [FOO], [("Foo", "2")], False, id="another"),
        pytest.param("Foo", [], [FOO], False, id="stored without"),
        pytest.param("Foo", [FOO], [], False, id="asked without"),
        pytest.param("Foo", [("Foo", "")], [], False, id="empty is not absent"),
        pytest.param("Foo", [], [], True, id="both without"),
        pytest.param("Foo", [FOO, ("Other", "2")], [FOO, ("Other", "3")], True, id="not named"),
        pytest.param("Foo, Bar", [FOO, BAR], [BAR, FOO], True, id="two"),
        pytest.param("Foo, Bar", [FOO, BAR], [("Foo", "2"), BAR], False, id="one of two differs"),
        pytest.param("Foo, Bar", [FOO, BAR], [], False, id="two left out"),
        pytest.param("Foo, Bar, Baz", [FOO, BAR, BAZ], [FOO, BAZ, BAR], True, id="any order"),
        pytest.param(
            "Foo, Bar, Baz", [FOO, BAR, BAZ], [FOO, BAZ, ("Bar", "abcde")], False, id="the middle"
        ),
        pytest.param("Foo, Bar, Baz", [FOO, BAZ], [FOO, BAZ], True, id="one left out by both"),
        pytest.param(", Foo,,Foo", [FOO], [FOO], True, id="empty and repeated members"),
        pytest.param("Foo", [("Foo", "1, 2")], [FOO, ("Foo", "2")], True, id="lines are joined"),
        pytest.param("Foo", [("Foo", "1,2")], [("Foo", " 1, 2 ")], True, id="blanks"),
        pytest.param("Foo", [("Foo", "1,2")], [("Foo", "2,1")], False, id="order of an unknown"),
        pytest.param("Foo", [("Foo", "a")], [("Foo", "A")], False, id="case of an unknown"),
        pytest.param("Foo", [("Foo", "1 2")], [("Foo", "1  2")], False, id="blanks between words"),
        pytest.param("Range", [("Range", "bytes=0-1")], [], True, id="ranges do not select"),
    ],
)
def test_selection(vary: str, stored_for: Pairs, asked: Pairs, expected: bool) -> None:
    assert fits(vary, stored_for, asked) is expected


@pytest.mark.parametrize(
    "vary", ["*", "*, *", ", *", "*, Foo", "Foo, *", "Foo Bar", '"Foo"', "\xe4"]
)
def test_what_no_other_request_fits(vary: str) -> None:
    assert vary_of(getting(("Vary", vary)), getting(FOO, BAZ)) is None


def test_stars_on_lines_of_their_own() -> None:
    assert vary_of(getting(("Vary", ""), ("Vary", "*")), getting()) is None
    assert vary_of(getting(("Vary", "Foo"), ("Vary", "*")), getting()) is None


def test_no_vary_costs_nothing() -> None:
    found = vary_of(getting(), getting(FOO))
    assert found == ()
    assert selected((), getting())


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("Accept-Language", "en, de", "de, en", True),
        ("Accept-Language", "en, de", "eN, De", True),
        ("Accept-Language", "en, de", " en ,   de", True),
        ("Accept-Language", "en, de", "en, fr", False),
        ("Accept-Language", "en, de;q=0.5", "en;q=0.5, de", False),
        ("Accept-Encoding", "gzip, br", "br,gzip", True),
        ("Accept-Encoding", "GZIP", "gzip", True),
        ("Accept-Encoding", "gzip;q=1.0, br ; q=0.50", "br;Q=0.5, gzip", True),
        ("Accept-Encoding", "gzip, gzip", "gzip", True),
        ("Accept-Encoding", "gzip;q=0", "gzip", False),
        ("Accept-Encoding", "gzip;q=0", "gzip;q=0.000", True),
        ("Accept-Encoding", "gzip;q=0.1", "gzip;q=0.01", False),
        ("Accept-Encoding", "", "identity", False),
        ("Accept", "text/html, */*;q=0.8", "*/*;q=0.8,TEXT/html", True),
        ("Accept", "text/html;level=A", "text/html;level=a", False),
        ("Accept", 'text/html;x="a, b"', 'text/html;x="a,b"', False),
        ("Foo", '"a, b", c', '"a,b", c', False),
        ("Foo", '"a, b" , c', '"a, b",c', True),
        ("Foo", '"a, b', '"a,b', False),
        ("Foo", '"a\\', "a\\", False),
        ("Authorization", "Digest a, b", "Digest a,b", False),
        ("Cookie", "a=1, 2", "a=1,2", False),
    ],
)
def test_differences_that_mean_nothing(name: str, one: str, other: str, same: bool) -> None:
    assert fits(name, [(name, one)], [(name, other)]) is same
    assert fits(name, [(name, other)], [(name, one)]) is same


def test_long_values_are_compared_too() -> None:
    long = "x" * 600
    assert fits("Foo", [("Foo", f"{long}, 1")], [("Foo", f"{long},1")])
    assert not fits("Foo", [("Foo", f"{long}1")], [("Foo", f"{long}2")])


@pytest.mark.parametrize(
    ("coding", "implied"), [("gzip", True), ("br, gzip", True), ("identity", False), ("", False)]
)
def test_a_content_coding_stands_for_accept_encoding(coding: str, implied: bool) -> None:
    response = getting(("Content-Encoding", coding)) if coding else getting()
    found = vary_of(response, getting(("Accept-Encoding", "gzip")))
    assert found == ((("accept-encoding", "gzip"),) if implied else ())


def test_a_coded_response_is_kept_from_who_cannot_decode_it() -> None:
    asked = [("Accept-Encoding", "gzip")]
    coded = ("Content-Encoding", "GZip")
    assert fits("", asked, asked, coded)
    assert not fits("", asked, [], coded)
    assert not fits("Foo", asked, [("Accept-Encoding", "identity")], coded)


NAMES = st.sampled_from(["foo", "accept", "accept-encoding", "accept-language", "cookie"])


@given(NAMES, st.text(alphabet='ab,;q=01. \t"\\A', max_size=30))
def test_normalizing_twice_is_normalizing_once(name: str, value: str) -> None:
    once = normalized(name, value)
    assert once is not None
    assert normalized(name, once) == once


# So short that many of them are alike but for blanks.
SHORT = st.text(alphabet="a, \t", max_size=4)


@given(SHORT, SHORT)
def test_unknown_fields_differ_in_blanks_at_most(one: str, other: str) -> None:
    if normalized("foo", one) == normalized("foo", other):
        assert "".join(one.split()) == "".join(other.split())


@given(NAMES, st.text(max_size=30), st.text(max_size=30))
def test_a_request_always_selects_what_it_stored(vary: str, name: str, value: str) -> None:
    found = vary_of(getting(("Vary", vary)), getting((name, value)))
    assert found is not None
    assert selected(found, getting((name, value)))
