"""What a shared cache stores (RFC 9111 sections 3, 3.1 and 3.5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.cache_control import NO_DIRECTIVES
from aprp.semantics.freshness import Fresh, judge, policy
from aprp.semantics.storing import storable, storable_fields
from tests.semantics.times import NOW, at, getting

DATE = ("Date", at(0))
ETAG = ("ETag", '"x"')
MODIFIED = ("Last-Modified", at(-86400))
NEGATIVE = (400, 403, 404, 405, 410, 414, 499, 500, 501, 502, 503, 504, 599)
OF_THE_REQUEST = (401, 407, 408, 412, 416, 417, 421, 425, 426, 428, 429, 431, 511)
AUTHORIZED = ("Authorization", "Basic eDp5")


def why_not(
    *response: tuple[str, str],
    status: int = 200,
    method: str = "GET",
    request: tuple[tuple[str, str], ...] = (),
) -> str | None:
    return storable(method, getting(*request), status, getting(DATE, *response), NOW)


def cache_control(value: str) -> tuple[str, str]:
    return ("Cache-Control", value)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "get", "M-SEARCH"])
def test_only_answers_to_get(method: str) -> None:
    assert why_not(cache_control("max-age=60"), method=method) == "method"


EXPLICIT = [
    (cache_control("max-age=60"),),
    (cache_control("s-maxage=60"),),
    (("CDN-Cache-Control", "max-age=60"),),
    (("Expires", at(60)),),
]


@pytest.mark.parametrize("fields", EXPLICIT)
@pytest.mark.parametrize(
    "status",
    (200, 203, 204, 299, 301, 302, 303, 307, 308, *NEGATIVE),
)
def test_any_final_status_with_an_explicit_lifetime(
    fields: tuple[tuple[str, str], ...], status: int
) -> None:
    assert why_not(*fields, status=status) is None


@pytest.mark.parametrize(
    "status",
    (0, 100, 101, 103, 199, 600, 999, 304, *OF_THE_REQUEST),
)
def test_statuses_that_fit_no_other_request(status: int) -> None:
    assert why_not(cache_control("max-age=60, public"), ETAG, status=status) == "status"


def test_a_part_is_stored_if_its_place_is_known() -> None:
    assert why_not(cache_control("max-age=60"), status=206) == "status"
    content_range = ("Content-Range", "bytes 0-4/10")
    assert why_not(cache_control("max-age=60"), content_range, status=206) is None


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308])
def test_without_a_lifetime_a_validator_is_needed(status: int) -> None:
    assert why_not(ETAG, status=status) is None
    assert why_not(("ETag", 'W/"x"'), status=status) is None
    assert why_not(MODIFIED, status=status) is None
    assert why_not(status=status) == "no-freshness"
    assert why_not(("ETag", "malformed"), status=status) == "no-freshness"
    assert why_not(("Last-Modified", "yesterday"), status=status) == "no-freshness"


@pytest.mark.parametrize(
    "status", [201, 202, 299, 302, 303, 307, 400, 403, 404, 405, 410, 414, 500, 501, 503, 599]
)
def test_other_statuses_need_the_word_of_the_origin(status: int) -> None:
    assert why_not(ETAG, MODIFIED, status=status) == "no-freshness"
    assert why_not(ETAG, cache_control("must-revalidate"), status=status) == "no-freshness"
    assert why_not(MODIFIED, cache_control("public"), status=status) is None


@pytest.mark.parametrize("stated", ["max-age=0", "max-age=x", "s-maxage=0, max-age=60"])
def test_what_is_stale_at_once_is_kept_to_be_validated(stated: str) -> None:
    assert why_not(cache_control(stated), ETAG) is None
    assert why_not(cache_control(stated), MODIFIED) is None
    assert why_not(cache_control(stated)) == "no-validator"
    assert why_not(cache_control(f"{stated}, stale-if-error=60")) is None
    assert why_not(cache_control(f"{stated}, stale-while-revalidate=60")) is None
    assert why_not(("Expires", "0")) == "no-validator"


def test_no_cache_is_stored_to_be_validated() -> None:
    assert why_not(cache_control("no-cache"), ETAG) is None
    assert why_not(cache_control("max-age=60, no-cache"), ETAG) is None
    assert why_not(cache_control("max-age=60, no-cache")) == "no-validator"
    assert why_not(cache_control('max-age=60, no-cache="a"')) is None


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("no-store", "no-store"),
        ("No-StOrE", "no-store"),
        ("max-age=60, public, no-store", "no-store"),
        ("private", "private"),
        ("private, max-age=60", "private"),
        ("private, s-maxage=60", "private"),
        ("private=, max-age=60", "private"),
        ('private="a", max-age=60', None),
        ("max-age=60, unknown, x=y", None),
    ],
)
def test_the_origin_may_forbid_it(response: str, reason: str | None) -> None:
    assert why_not(cache_control(response), ("Expires", at(60)), ETAG) == reason


def test_the_client_may_forbid_it_5_2_1_5() -> None:
    fresh = cache_control("max-age=60")
    assert why_not(fresh, request=(cache_control("no-store"),)) == "request-no-store"
    assert why_not(fresh, request=(cache_control("no-cache"),)) is None
    assert why_not(fresh, request=(("Pragma", "no-store"),)) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, None), (404, None), (599, "must-understand"), (299, "must-understand")],
)
def test_must_understand_5_2_2_3(status: int, reason: str | None) -> None:
    for stated in ("max-age=60, no-store, must-understand", "max-age=60, must-understand"):
        assert why_not(cache_control(stated), status=status) == reason
    assert why_not(cache_control("private, must-understand, max-age=60")) == "private"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("max-age=60", "authorization"),
        ("max-age=60, proxy-revalidate", "authorization"),
        ("max-age=60, public", None),
        ("max-age=60, must-revalidate", None),
        ("s-maxage=60", None),
        ("public, no-store", "no-store"),
        ("public, private", "private"),
    ],
)
def test_answers_to_one_user_3_5(response: str, reason: str | None) -> None:
    assert why_not(cache_control(response), ETAG, request=(AUTHORIZED,)) == reason


def test_a_cdn_directive_does_not_allow_it_for_one_user() -> None:
    targeted = ("CDN-Cache-Control", "max-age=60")
    assert why_not(targeted, request=(AUTHORIZED,)) == "authorization"
    public = ("CDN-Cache-Control", "max-age=60, public")
    assert why_not(public, request=(AUTHORIZED,)) is None


@pytest.mark.parametrize("vary", ["*", "*, *", ", *", "*, Foo", "Foo, *", "Foo bar"])
def test_what_fits_no_other_request_4_1(vary: str) -> None:
    assert why_not(cache_control("max-age=60"), ETAG, ("Vary", vary)) == "vary"


def test_other_vary_is_stored() -> None:
    assert why_not(cache_control("max-age=60"), ("Vary", "Foo, Bar")) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([cache_control("max-age=60")], "set-cookie"),
        ([("Expires", at(60))], "set-cookie"),
        ([ETAG], "set-cookie"),
        ([cache_control("max-age=60, public")], None),
        ([cache_control("s-maxage=60")], None),
        ([cache_control('max-age=60, private="Set-Cookie"')], None),
        ([cache_control('max-age=60, no-cache="set-cookie"')], None),
        ([("CDN-Cache-Control", "max-age=60")], None),
        ([("CDN-Cache-Control", "none"), ETAG], "set-cookie"),
    ],
)
def test_cookies_are_for_one_client(fields: list[tuple[str, str]], reason: str | None) -> None:
    assert why_not(("Set-Cookie", "a=b"), *fields) == reason


def test_a_targeted_field_decides_alone() -> None:
    targeted = ("CDN-Cache-Control", "max-age=60")
    assert why_not(cache_control("no-store"), targeted) is None
    assert why_not(cache_control("private"), targeted) is None
    assert why_not(cache_control("no-store"), ("CDN-Cache-Control", "x, &&")) == "no-store"
    for directive, reason in (("no-store", "no-store"), ("private", "private")):
        fields = (
            cache_control("max-age=60"),
            ("Expires", at(60)),
            ("CDN-Cache-Control", directive),
        )
        assert why_not(*fields) == reason


CHOICES = st.sets(
    st.sampled_from(
        [
            "no-store",
            "private",
            "public",
            "max-age=60",
            "s-maxage=60",
            "no-cache",
            "must-revalidate",
        ]
    )
)


@given(CHOICES, st.booleans(), st.booleans(), st.integers(100, 600))
def test_nothing_private_is_ever_stored(
    stated: set[str], authorized: bool, validator: bool, status: int
) -> None:
    request = (AUTHORIZED,) if authorized else ()
    response = (cache_control(", ".join(stated)), *([ETAG] if validator else []))
    if why_not(*response, status=status, request=request) is None:
        assert not stated & {"no-store", "private"}
        assert status >= 200
        if authorized:
            assert stated & {"public", "s-maxage=60", "must-revalidate"}
        if status >= 400:
            assert stated & {"public", "s-maxage=60", "max-age=60"}
        if not validator:
            stored = policy(getting(*response), status, NOW, NOW)
            assert isinstance(judge(stored, NO_DIRECTIVES, NOW), Fresh)


def test_fields_that_are_stored_3_1() -> None:
    pairs = [
        ("Date", at(0)),
        ("Connection", "a, B"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Authentication-Info", "x"),
        ("Proxy-Authorization", "x"),
        ("Proxy-Connection", "keep-alive"),
        ("X-Unknown", "x"),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
        ("Content-Security-Policy", "default-src 'self'"),
    ]
    assert storable_fields(pairs, "a, B") == [
        ("Date", at(0)),
        ("c", "3"),
        ("X-Unknown", "x"),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
        ("Content-Security-Policy", "default-src 'self'"),
    ]


@pytest.mark.parametrize("stated", ['no-cache="a, b"', 'private="A,b"', 'no-cache=A, private="b"'])
def test_fields_the_origin_names_are_left_out(stated: str) -> None:
    pairs = [("A", "1"), ("b", "2"), ("c", "3"), cache_control(f"max-age=60, {stated}")]
    assert storable_fields(pairs, None) == pairs[2:]


def test_fields_are_left_out_by_the_field_that_counts() -> None:
    pairs = [
        ("a", "1"),
        ("b", "2"),
        cache_control('private="a"'),
        ("CDN-Cache-Control", 'private="b"'),
    ]
    assert storable_fields(pairs, None) == [pairs[0], *pairs[2:]]
