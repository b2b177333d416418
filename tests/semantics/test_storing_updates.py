"""How later messages change what is stored (RFC 9111 sections 3.2, 4.3.4 and 4.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.freshness import policy
from aprp.semantics.storing import invalidated_targets, selects_for_update, updated_fields
from tests.semantics.times import NOW, at, getting

Pairs = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Test-Header", "a", "b"),
        ("X-Content-Foo", "a", "b"),
        ("Cache-Control", "max-age=1", "max-age=3600"),
        ("Content-Location", "/foo", "/bar"),
        ("Content-Security-Policy", "default-src 'self'", "default-src 'none'"),
        ("Content-Type", "text/plain", "text/plain;charset=utf-8"),
        ("ETag", '"a"', '"b"'),
        ("Expires", at(1), at(60)),
        ("Last-Modified", at(-60), at(-1)),
        ("Date", at(0), at(60)),
    ],
)
def test_a_newer_field_replaces_the_stored_one(name: str, old: str, new: str) -> None:
    stored = [("First", "1"), (name, old), ("Last", "2")]
    expected = [("First", "1"), (name.lower(), new), ("Last", "2")]
    assert updated_fields(stored, [(name.lower(), new)]) == expected


def test_what_the_new_one_does_not_have_stays_and_what_is_new_comes_after() -> None:
    stored = [("A", "1"), ("B", "2")]
    assert updated_fields(stored, []) == stored
    assert updated_fields(stored, [("C", "3"), ("b", "4"), ("C", "5")]) == [
        ("A", "1"),
        ("b", "4"),
        ("C", "3"),
        ("C", "5"),
    ]


def test_all_lines_of_a_name_are_replaced() -> None:
    stored = [("A", "1"), ("B", "2"), ("a", "3")]
    assert updated_fields(stored, [("A", "4")]) == [("A", "4"), ("B", "2")]
    assert updated_fields(stored, [("A", "4"), ("A", "5")]) == [("A", "4"), ("A", "5"), ("B", "2")]


@pytest.mark.parametrize("name", ["Content-Length", "content-encoding", "Content-Range"])
def test_what_describes_the_stored_bytes_stays_3_2(name: str) -> None:
    assert updated_fields([(name, "5")], [(name, "10")]) == [(name, "5")]
    assert updated_fields([], [(name, "10")]) == []


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "TE",
        "Upgrade",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
        "Named",
    ],
)
def test_fields_of_the_connection_are_not_taken_over(name: str) -> None:
    stored = [("A", "1")]
    assert updated_fields(stored, [("Connection", "named"), (name, "x")]) == stored


def test_fields_the_new_one_keeps_from_caches_are_not_taken_over() -> None:
    stored = [("A", "1"), ("B", "2")]
    new = [("A", "3"), ("Cache-Control", 'max-age=5, private="a"')]
    assert updated_fields(stored, new) == [("B", "2"), new[1]]


@pytest.mark.parametrize(("stated", "taken"), [("max-age=5", False), ("public", True)])
def test_a_cookie_is_taken_over_only_where_it_would_be_stored(stated: str, taken: bool) -> None:
    new = [("Cache-Control", stated), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]
    assert updated_fields([], new) == (new if taken else new[:1])


def test_the_age_of_the_old_message_does_not_make_the_new_one_old() -> None:
    stored = [("Date", at(-100)), ("Age", "50"), ("A", "1")]
    updated = updated_fields(stored, [("ETag", '"x"')])
    assert updated == [("A", "1"), ("ETag", '"x"')]
    assert policy(getting(*updated), 200, NOW, NOW).age(NOW) == 0
    assert updated_fields(stored, [("Age", "7"), ("Date", at(0))]) == [
        ("Date", at(0)),
        ("Age", "7"),
        ("A", "1"),
    ]


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["A", "a", "B", "Content-Length", "Set-Cookie", "Connection", "Age"]),
        st.sampled_from(["1", "2", "b"]),
    ),
    max_size=6,
)


@given(FIELDS, FIELDS)
def test_updating_twice_is_updating_once(stored: Pairs, new: Pairs) -> None:
    once = updated_fields(stored, new)
    assert updated_fields(once, new) == once
    lengths = [pair for pair in stored if pair[0] == "Content-Length"]
    assert [pair for pair in once if pair[0] == "Content-Length"] == lengths


OLD, NEW = ("Last-Modified", at(-60)), ("Last-Modified", at(-1))
STRONG, OTHER, WEAK = ("ETag", '"x"'), ("ETag", '"y"'), ("ETag", 'W/"x"')


@pytest.mark.parametrize(
    ("stored", "new", "selected"),
    [
        pytest.param([STRONG], [STRONG], True, id="the same strong tag"),
        pytest.param([STRONG], [OTHER], False, id="another strong tag"),
        pytest.param([STRONG, OLD], [STRONG, NEW], True, id="the tag decides"),
        pytest.param([STRONG, OLD], [OTHER, OLD], False, id="the tag decides against the date"),
        pytest.param([WEAK], [STRONG], False, id="a weak tag does not become strong"),
        pytest.param([OLD], [STRONG, OLD], False, id="a strong tag that is not stored"),
        pytest.param([WEAK], [WEAK], True, id="the same weak tag"),
        pytest.param([STRONG], [WEAK], True, id="a tag that became weak"),
        pytest.param([OTHER], [WEAK], False, id="another weak tag"),
        pytest.param([OLD], [WEAK, OLD], True, id="a weak tag that is not stored, the date is"),
        pytest.param([OLD], [WEAK], False, id="a weak tag that is not stored"),
        pytest.param([OLD], [OLD], True, id="the same date"),
        pytest.param([OLD], [NEW], False, id="another date"),
        pytest.param([STRONG, OLD], [OLD], True, id="the date alone"),
        pytest.param([STRONG], [OLD], False, id="a date that is not stored"),
        pytest.param([], [], True, id="no validators"),
        pytest.param([STRONG], [], True, id="a 304 without validators"),
        pytest.param([OLD], [("ETag", "malformed")], True, id="a malformed tag is none"),
        pytest.param([], [STRONG], False, id="a tag where none is stored"),
    ],
)
def test_which_response_a_304_speaks_of_4_3_4(stored: Pairs, new: Pairs, selected: bool) -> None:
    assert selects_for_update(getting(*stored), getting(*new)) is selected


def invalidated(
    method: str, status: int, *fields: tuple[str, str], target: str = "/dir/a?x=1"
) -> list[str]:
    return invalidated_targets(method, status, target, getting(*fields), "example.com:8080")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "post"])
@pytest.mark.parametrize("status", [200, 201, 204, 206, 299, 301, 303, 308])
def test_unsafe_methods_that_did_not_fail(method: str, status: int) -> None:
    assert invalidated(method, status) == ["/dir/a?x=1"]


@pytest.mark.parametrize("method", ["POST", "M-SEARCH"])
@pytest.mark.parametrize("status", [100, 199, 400, 404, 412, 500, 503])
def test_unsafe_methods_that_failed(method: str, status: int) -> None:
    assert invalidated(method, status, ("Location", "/b")) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods(method: str) -> None:
    assert invalidated(method, 200, ("Location", "/b")) == []


@pytest.mark.parametrize("field", ["Location", "Content-Location"])
@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("/b", ["/b"]),
        ("/b?y=2", ["/b?y=2"]),
        ("b", ["/dir/b"]),
        ("../b", ["/b"]),
        ("?y=2", ["/dir/a?y=2"]),
        (" /b ", ["/b"]),
        ("/b#part", ["/b"]),
        ("http://example.com:8080/b", ["/b"]),
        ("HTTP://EXAMPLE.com:8080/b", ["/b"]),
        ("http://example.com:8080", ["/"]),
        ("//example.com:8080/b", ["/b"]),
        ("/dir/a?x=1", []),
        # Elsewhere, so a stranger could have written it (section 4.4).
        ("http://example.com/b", []),
        ("http://example.com:8081/b", []),
        ("http://other.example:8080/b", []),
        ("http://user@example.com:8080/b", []),
        ("//other.example/b", []),
        ("ftp://example.com:8080/b", []),
        ("mailto:a@example.com:8080", []),
        ("http://[::1/b", []),
    ],
)
def test_what_a_field_of_the_answer_names(field: str, reference: str, found: list[str]) -> None:
    assert invalidated("POST", 201, (field, reference)) == ["/dir/a?x=1", *found]


def test_both_fields_each_target_once() -> None:
    found = invalidated("PUT", 201, ("Location", "/b"), ("Content-Location", "/c"))
    assert found == ["/dir/a?x=1", "/b", "/c"]
    same = invalidated("PUT", 201, ("Location", "/b"), ("Content-Location", "b"), target="/a")
    assert same == ["/a", "/b"]


@pytest.mark.parametrize(
    ("authority", "location"),
    [
        ("example.com", "http://example.com:80/b"),
        ("example.com:80", "http://example.com/b"),
        ("example.com", "https://example.com:443/b"),
        ("[::1]:8080", "http://[::1]:8080/b"),
        ("[::1]", "http://[::1]/b"),
    ],
)
def test_default_ports_and_ipv6(authority: str, location: str) -> None:
    get = getting(("Location", location))
    assert invalidated_targets("POST", 201, "/a", get, authority) == ["/a", "/b"]


@given(st.text(max_size=30))
def test_no_reference_is_too_odd(reference: str) -> None:
    found = invalidated("POST", 200, ("Location", reference))
    assert found[0] == "/dir/a?x=1"
    assert len(found) <= 2
