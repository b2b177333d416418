"""Cache-Status (RFC 9211)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.cache_status import cache_status
from aprp.semantics.structured import parse_dictionary


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # The examples of RFC 9211 section 3.
        ({"hit": True}, "ExampleCache; hit"),
        ({"hit": True, "ttl": 376}, "ExampleCache; hit; ttl=376"),
        ({"hit": True, "ttl": -412}, "ExampleCache; hit; ttl=-412"),
        ({"hit": True, "detail": "MEMORY"}, "ExampleCache; hit; detail=MEMORY"),
        ({"fwd": "uri-miss"}, "ExampleCache; fwd=uri-miss"),
        ({"fwd": "stale", "fwd_status": 304}, "ExampleCache; fwd=stale; fwd-status=304"),
        ({"fwd": "uri-miss", "collapsed": True}, "ExampleCache; fwd=uri-miss; collapsed"),
        # The rest.
        ({"fwd": "miss", "stored": True}, "ExampleCache; fwd=miss; stored"),
        ({"fwd": "bypass", "detail": "no-store"}, "ExampleCache; fwd=bypass; detail=no-store"),
        ({"fwd": "method", "detail": "a b"}, 'ExampleCache; fwd=method; detail="a b"'),
        ({"hit": True, "key": 'h/a?"b"'}, r'ExampleCache; hit; key="h/a?\"b\""'),
        ({"hit": True, "ttl": 10.9}, "ExampleCache; hit; ttl=10"),
        ({"hit": True, "ttl": -0.5}, "ExampleCache; hit; ttl=-1"),
        ({"hit": True, "ttl": 0}, "ExampleCache; hit; ttl=0"),
        (
            {
                "fwd": "partial",
                "fwd_status": 206,
                "ttl": 60.0,
                "stored": True,
                "collapsed": True,
                "key": "k",
                "detail": "x",
            },
            "ExampleCache; fwd=partial; fwd-status=206; ttl=60; stored; collapsed; "
            'key="k"; detail=x',
        ),
    ],
)
def test_serialisation(arguments: dict[str, Any], expected: str) -> None:
    assert cache_status("ExampleCache", **arguments) == expected


def test_a_name_that_is_no_token() -> None:
    assert cache_status("CDN Company Here", hit=True) == '"CDN Company Here"; hit'


def test_what_caches_before_said_stays() -> None:
    told = cache_status("CDN", hit=True, ttl=545, existing="OriginCache; hit; ttl=1100")
    assert told == "OriginCache; hit; ttl=1100, CDN; hit; ttl=545"
    assert cache_status("CDN", hit=True, existing="") == "CDN; hit"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"hit": True, "fwd": "miss"},
        {"hit": True, "fwd_status": 200},
        {"hit": True, "stored": True},
        {"hit": True, "collapsed": True},
        {"fwd": "unknown"},
        {"fwd": ""},
    ],
)
def test_what_says_nothing_or_contradicts_itself_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Cache-Status"):
        cache_status("x", **arguments)


@given(st.text(), st.text(), st.text(), st.floats(-1e9, 1e9))
def test_the_value_is_always_well_formed(name: str, key: str, detail: str, ttl: float) -> None:
    member = cache_status(name, hit=True, key=key, detail=detail, ttl=ttl)
    # A List member is a Dictionary member's value.
    assert parse_dictionary(f"a={member}") is not None
