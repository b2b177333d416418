"""Whether a stored response is used (RFC 9111 sections 4.2.4 and 5.2, RFC 5861, RFC 8246)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.cache_control import Directives, request_directives
from aprp.semantics.freshness import (
    Fresh,
    MustAsk,
    StaleWhileRevalidating,
    Verdict,
    judge,
    may_collapse,
    policy,
)
from tests.semantics.times import NOW, at, getting

DATE = ("Date", at(0))


def verdict(
    response: str | None,
    age: float,
    request: str | None = None,
    *,
    fields: tuple[tuple[str, str], ...] = (),
    revalidating: float = 0,
    error: float = 0,
) -> Verdict:
    """Ask for a response with that Cache-Control, `age` seconds after it came."""
    stored = getting(DATE, *fields, *([] if response is None else [("Cache-Control", response)]))
    asked = getting(*([] if request is None else [("Cache-Control", request)]))
    return judge(
        policy(stored, 200, NOW, NOW),
        request_directives(asked),
        NOW + age,
        default_stale_while_revalidate=revalidating,
        default_stale_if_error=error,
    )


def test_fresh_until_its_lifetime_is_over() -> None:
    assert verdict("max-age=60", 0) == Fresh(0, 60)
    assert verdict("max-age=60", 59) == Fresh(59, 1)
    assert verdict("max-age=60", 60) == MustAsk(60, 0, False, "stale")
    assert verdict("max-age=60", 61) == MustAsk(61, -1, False, "stale")
    assert verdict("max-age=0", 0) == MustAsk(0, 0, False, "stale")


def test_time_spent_before_counts() -> None:
    assert verdict("max-age=10", 0, fields=(("Age", "15"),)) == MustAsk(15, -5, False, "stale")
    assert verdict("max-age=3600", 5, fields=(("Age", "30"),)) == Fresh(35, 3565)


def test_guessed_lifetimes_are_used() -> None:
    fields = (("Last-Modified", at(-1000)),)
    assert verdict(None, 99, fields=fields) == Fresh(99, 1)
    assert verdict(None, 101, fields=fields) == MustAsk(101, -1, False, "stale")


@pytest.mark.parametrize("request_field", [None, "max-stale", "max-stale=1000"])
def test_without_a_lifetime_each_use_is_asked_for(request_field: str | None) -> None:
    found = verdict(None, 0, request_field, fields=(("ETag", '"x"'),), revalidating=60, error=60)
    assert found == MustAsk(0, 0, True, "stale")


@pytest.mark.parametrize(
    "fields",
    [
        (("Cache-Control", "no-cache"),),
        (("Cache-Control", "max-age=60, No-CaChE"),),
        (("Cache-Control", "max-age=60, no-cache, stale-while-revalidate=60, stale-if-error=60"),),
        (("Cache-Control", "no-cache, immutable, max-age=60"), ("Expires", at(60))),
        (("CDN-Cache-Control", "no-cache"), ("Cache-Control", "max-age=60"), ("Expires", at(60))),
    ],
)
@pytest.mark.parametrize("request_field", [None, "max-stale", "stale-if-error=60"])
def test_no_cache_is_asked_for_each_time_5_2_2_4(
    fields: tuple[tuple[str, str], ...], request_field: str | None
) -> None:
    found = verdict(None, 5, request_field, fields=fields, revalidating=60, error=60)
    assert isinstance(found, MustAsk)
    assert not found.usable_on_error
    assert found.reason == "stale"


def test_no_cache_for_a_field_lets_the_rest_be_used() -> None:
    assert verdict('no-cache="a, b", max-age=60', 5) == Fresh(5, 55)


@pytest.mark.parametrize(
    ("request_field", "used"),
    [
        ("max-age=0", False),
        ("max-age=1", False),
        ("max-age=9", False),
        ("max-age=10", True),
        ("max-age=600", True),
        ("max-age=x", False),
        ("min-fresh=50", True),
        ("min-fresh=51", False),
        ("min-fresh=2000", False),
        ("no-cache", False),
        ("no-cache, max-stale", False),
        ("max-stale", True),
        ("max-stale=0", True),
        ("only-if-cached", True),
        ("no-store", True),
        ("unknown=1", True),
    ],
)
def test_a_client_may_want_a_newer_one_5_2_1(request_field: str, used: bool) -> None:
    expected = Fresh(10, 50) if used else MustAsk(10, 50, True, "request")
    assert verdict("max-age=60", 10, request_field) == expected


def test_pragma_asks_too() -> None:
    stored = policy(getting(DATE, ("Cache-Control", "max-age=60")), 200, NOW, NOW)
    found = judge(stored, request_directives(getting(("Pragma", "no-cache"))), NOW + 10)
    assert found == MustAsk(10, 50, True, "request")
    found = judge(stored, request_directives(getting(("Pragma", "x"))), NOW + 10)
    assert found == Fresh(10, 50)


@pytest.mark.parametrize("request_field", ["max-age=0", "max-age=5"])
def test_what_never_changes_is_not_asked_for_by_a_reload_8246(request_field: str) -> None:
    assert verdict("max-age=60, immutable", 10, request_field) == Fresh(10, 50)
    stale = verdict("max-age=60, immutable", 70, request_field)
    assert stale == MustAsk(70, -10, False, "stale")


@pytest.mark.parametrize("request_field", ["no-cache", "no-cache, max-age=0", "min-fresh=55"])
def test_what_never_changes_is_asked_for_where_the_client_insists(request_field: str) -> None:
    found = verdict("max-age=60, immutable", 10, request_field)
    assert found == MustAsk(10, 50, True, "request")


@pytest.mark.parametrize(
    ("request_field", "used"),
    [
        ("max-stale", True),
        ("max-stale=10", True),
        ("max-stale=1000", True),
        ("max-stale=9", False),
        ("max-stale=x", False),
        ("max-stale=1000, max-age=60", False),
        ("max-stale=1000, max-age=70", True),
        ("max-stale=1000, min-fresh=1", False),
        ("max-stale=1000, no-cache", False),
        ("max-age=600", False),
        (None, False),
    ],
)
def test_a_client_may_accept_a_stale_one_5_2_1_2(request_field: str | None, used: bool) -> None:
    expected = Fresh(70, -10) if used else MustAsk(70, -10, False, "stale")
    assert verdict("max-age=60", 70, request_field) == expected


def test_stale_while_revalidate_5861() -> None:
    served = StaleWhileRevalidating(70, -10)
    assert verdict("max-age=60, stale-while-revalidate=11", 70) == served
    assert verdict("max-age=60, stale-while-revalidate=10", 70) == MustAsk(70, -10, False, "stale")
    assert verdict("max-age=60, stale-while-revalidate=11", 59) == Fresh(59, 1)
    assert verdict("max-age=0, stale-while-revalidate=11", 0) == StaleWhileRevalidating(0, 0)


@pytest.mark.parametrize(
    ("request_field", "used"),
    [
        ("max-age=60", False),
        ("max-age=600", False),
        ("no-cache", False),
        ("min-fresh=1", False),
        ("max-stale=5", False),
        ("max-stale=50", True),
        ("max-age=600, max-stale=50", True),
        ("stale-if-error=5", True),
    ],
)
def test_a_client_may_not_want_it_while_revalidating(request_field: str, used: bool) -> None:
    found = verdict("max-age=60, stale-while-revalidate=30", 70, request_field)
    expected = StaleWhileRevalidating(70, -10) if used else MustAsk(70, -10, False, "stale")
    assert found == expected


def test_defaults_stand_in_where_the_origin_says_nothing() -> None:
    served = StaleWhileRevalidating(70, -10)
    refused = MustAsk(70, -10, False, "stale")
    assert verdict("max-age=60", 70, revalidating=11) == served
    assert verdict("max-age=60", 70, revalidating=10) == refused
    assert verdict("max-age=60, stale-while-revalidate=0", 70, revalidating=60) == refused
    assert verdict("max-age=0", 1, revalidating=60) == MustAsk(1, -1, False, "stale")
    assert verdict("max-age=60", 70, error=11) == MustAsk(70, -10, True, "stale")
    assert verdict("max-age=60", 70, error=10) == refused
    assert verdict("max-age=60, stale-if-error=0", 70, error=60) == refused


@pytest.mark.parametrize(
    ("response", "request_field", "usable"),
    [
        ("max-age=60", None, False),
        ("max-age=60, stale-if-error=11", None, True),
        ("max-age=60, stale-if-error=10", None, False),
        ("max-age=60", "stale-if-error=11", True),
        ("max-age=60", "stale-if-error=10", False),
        ("max-age=60, stale-if-error=5", "stale-if-error=11", True),
        ("max-age=60, stale-if-error=11", "stale-if-error=5", True),
        ("max-age=60, stale-if-error=11", "no-cache", True),
    ],
)
def test_stale_if_error_5861(response: str, request_field: str | None, usable: bool) -> None:
    assert verdict(response, 70, request_field) == MustAsk(70, -10, usable, "stale")


@pytest.mark.parametrize("rule", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
@pytest.mark.parametrize("request_field", [None, "max-stale", "stale-if-error=60"])
@pytest.mark.parametrize("more", ["", ", stale-while-revalidate=60, stale-if-error=60"])
def test_what_must_be_validated_is_never_used_stale(
    rule: str, request_field: str | None, more: str
) -> None:
    response = f"max-age=60, {rule}{more}"
    found = verdict(response, 70, request_field, revalidating=60, error=60)
    assert found == MustAsk(70, -10, False, "stale")
    assert verdict(response, 59, request_field) == Fresh(59, 1)


STATED = st.sets(
    st.sampled_from(
        [
            "max-age=60",
            "s-maxage=30",
            "no-cache",
            "must-revalidate",
            "proxy-revalidate",
            "immutable",
            "stale-while-revalidate=20",
            "stale-if-error=40",
            "public",
        ]
    )
)
WANTED = st.sets(
    st.sampled_from(
        ["max-age=0", "max-age=90", "max-stale", "max-stale=5", "min-fresh=9", "no-cache"]
    )
)


@given(STATED, WANTED, st.integers(0, 120), st.integers(0, 60))
def test_a_stale_response_is_used_only_where_that_is_allowed(
    stated: set[str], wanted: set[str], age: int, default: int
) -> None:
    stored = policy(getting(DATE, ("Cache-Control", ",".join(stated))), 200, NOW, NOW)
    found = judge(
        stored,
        Directives.parse(",".join(wanted)),
        NOW + age,
        default_stale_while_revalidate=default,
        default_stale_if_error=default,
    )
    assert found.age == age
    assert found.ttl == stored.lifetime.seconds - age
    if "no-cache" in stated | wanted:
        assert isinstance(found, MustAsk)
    elif found.ttl > 0:
        assert isinstance(found, Fresh) or wanted
    elif stated & {"must-revalidate", "proxy-revalidate", "s-maxage=30"}:
        assert isinstance(found, MustAsk) and not found.usable_on_error
    elif isinstance(found, Fresh):
        assert wanted & {"max-stale", "max-stale=5"}
    elif isinstance(found, StaleWhileRevalidating):
        assert -found.ttl < (20 if "stale-while-revalidate=20" in stated else default)
        assert found.ttl + age > 0  # the lifetime


@pytest.mark.parametrize(
    ("response", "request_field", "enough"),
    [
        ("max-age=60", None, True),
        ("max-age=60", "max-age=0", True),
        ("max-age=60", "no-cache", False),
        ("max-age=60, no-cache", None, False),
        ("max-age=60, must-revalidate", None, True),
        ("max-age=0", None, True),
        ("max-age=0, must-revalidate", None, False),
        ("max-age=0, proxy-revalidate", None, False),
        ("s-maxage=0", None, False),
        ("no-cache", None, False),
        ("public", None, True),
    ],
)
def test_what_was_asked_for_before_a_request_came(
    response: str, request_field: str | None, enough: bool
) -> None:
    stored = policy(getting(DATE, ("Cache-Control", response)), 200, NOW, NOW)
    given = [] if request_field is None else [("Cache-Control", request_field)]
    asked = request_directives(getting(*given))
    assert may_collapse(stored, asked, NOW) is enough
