"""Ids of requests, and Trace Context of the W3C, whose sections are named (level 1; level 2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.headers import Fields, Pair
from aprp.semantics.tracing import (
    MOST_MEMBERS,
    TraceParent,
    believable_id,
    is_trace_state,
    marks_of,
    propagated,
    trace_parent,
    with_parent,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "0",
        "3f2a",
        "f058ebd6-02f7-4d3f-942e-904344e8cde5",
        "urn:uuid:f058ebd6-02f7-4d3f-942e-904344e8cde5",
        "dGhlIHNhbXBsZSBub25jZQ==",
        "Root=1-67891233-abcdef012345678912345678",
        "job/17.2+b_c~d@host",
        "x" * 128,
    ],
)
def test_ids_that_are_good(value: str) -> None:
    assert believable_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "x" * 129, "a b", " a", "a ", "a\t", "a\n", "a\r\nX: y", "a\0", "\x7f", "ä"),
        *("a,b", 'a"', "a\\", "<a>", "a;b", "$(a)", "`a`", "a%0a", "{a}", "a|b", "a&b", "'a'"),
    ],
)
def test_ids_that_are_not(value: str | None) -> None:
    assert believable_id(value) is None


def test_of_several_ids_none_is_good() -> None:
    assert (
        believable_id(Fields([("X-Request-ID", "a"), ("x-request-id", "b")]).get("X-Request-ID"))
        is None
    )


@given(st.text() | st.text(VISIBLE, max_size=3) | st.from_regex(r"[A-Za-z0-9._:~@=/+-]{1,140}.?"))
def test_a_good_id_needs_no_quotation_anywhere(value: str) -> None:
    if believable_id(value) is not None:
        assert 1 <= len(value) <= 128
        assert set(value) <= set(VISIBLE) - set("\"\\,;'`$&|<>(){}%!#*?^[]")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(PARENT, id="3.2.3 sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", id="3.2.3 not sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-02", id="level 2: random"),
        pytest.param(f"00-{TRACE}-{SPAN}-ff", id="3.2.2.5 other flags"),
        pytest.param(f"01-{TRACE}-{SPAN}-01", id="3.2.4 a later version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01", id="3.2.4 a far later version"),
        pytest.param(f"fe-{TRACE}-{SPAN}-01", id="3.2.2.1 the last version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-", id="3.2.4 a dash behind"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-the.future=is", id="3.2.4 more behind a dash"),
    ],
)
def test_a_trace_parent(value: str) -> None:
    assert trace_parent(value) == TraceParent(TRACE, SPAN)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="3.2.2.1 version ff"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="3.2.2.3 no trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="3.2.2.4 no parent"),
        pytest.param(f"cc-{'0' * 32}-{SPAN}-01", id="no trace in a later version"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", id="3.2.2 upper case in the trace"),
        pytest.param(f"00-{TRACE}-{SPAN.upper()}-01", id="3.2.2 upper case in the parent"),
        pytest.param(f"00-{TRACE}-{SPAN}-0A", id="3.2.2 upper case in the flags"),
        pytest.param(f"0A-{TRACE}-{SPAN}-01", id="3.2.2 upper case in the version"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", id="3.2.2.2 more in version 00"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-", id="3.2.2.2 a dash in version 00"),
        pytest.param(f"00-{TRACE}-{SPAN}-01.", id="3.2.2.2 a point in version 00"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01.more", id="3.2.4 no dash before what is more"),
        pytest.param(f"cc-{TRACE}-{SPAN}-011", id="3.2.4 longer flags"),
        pytest.param(f"0-{TRACE}-{SPAN}-01", id="a short version"),
        pytest.param(f"000-{TRACE}-{SPAN}-01", id="a long version"),
        pytest.param(f".0-{TRACE}-{SPAN}-01", id="a version that is no number"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", id="a short trace"),
        pytest.param(f"00-{TRACE}0-{SPAN}-01", id="a long trace"),
        pytest.param(f"00-.{TRACE[1:]}-{SPAN}-01", id="a trace that is no number"),
        pytest.param(f"00-{TRACE}-{SPAN[1:]}-01", id="a short parent"),
        pytest.param(f"00-{TRACE}-{SPAN}0-01", id="a long parent"),
        pytest.param(f"00-{TRACE}-{SPAN}-1", id="short flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-001", id="long flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-.0", id="flags that are no number"),
        pytest.param(f"00-{TRACE}-{SPAN}", id="no flags"),
        pytest.param(f"00_{TRACE}_{SPAN}_01", id="no dashes"),
        pytest.param(f"{PARENT}, {PARENT}", id="two fields"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-a,cc-{TRACE}-{SPAN}-01", id="two fields, joined"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-a b", id="a blank"),
        pytest.param(f"{PARENT}\n", id="a line end"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-\n", id="a line end behind a dash"),
    ],
)
def test_a_malformed_trace_parent(value: str | None) -> None:
    assert trace_parent(value) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("congo=t61rcWkgMzE", id="3.1 one"),
        pytest.param("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", id="3.3.2 several"),
        pytest.param("foo=1 \t , \t bar=2, \t baz=3", id="3.3.1.1 blanks around members"),
        pytest.param("foo=1,,bar=2, ,", id="3.3.1.1 empty members"),
        pytest.param("foo= 1", id="3.3.1.3.2 a blank that begins a value"),
        pytest.param("foo=a b", id="3.3.1.3.2 a blank in a value"),
        pytest.param("foo=" + VISIBLE.replace(",", "").replace("=", ""), id="3.3.1.3.2 a value"),
        pytest.param("foo=" + "x" * 256, id="3.3.1.3.2 the longest value"),
        pytest.param("abcz0189_-*/=1", id="3.3.1.3.1 a key"),
        pytest.param("z" * 256 + "=1", id="3.3.1.3.1 the longest key"),
        pytest.param("fw529a3039@dt=FfhpM", id="3.3.1.3.1 a tenant"),
        pytest.param("1" + "t" * 240 + "@" + "v" * 14 + "=1", id="3.3.1.3.1 the longest tenant"),
        pytest.param("1special=1", id="level 2: a digit first"),
        pytest.param("special@@vendor=1", id="level 2: more signs"),
        pytest.param(",".join(f"k{n}={n}" for n in range(32)), id="3.3.1.1 32 members"),
        pytest.param(",".join(f"k{n}={'x' * 100}" for n in range(32)), id="3.3.1.5 a long one"),
    ],
)
def test_a_trace_state(value: str) -> None:
    assert is_trace_state(value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="3.3.1.1 empty, not to be sent"),
        pytest.param(" , ,", id="3.3.1.1 empty members alone"),
        pytest.param("foo", id="no value"),
        pytest.param("foo=", id="an empty value"),
        pytest.param("=1", id="an empty key"),
        pytest.param("foo=,bar=3", id="one empty value"),
        pytest.param("foo=bar=baz", id="3.3.1.3.2 two signs"),
        pytest.param("foo =1", id="3.3.1.3.1 a blank behind a key"),
        pytest.param("FOO=1", id="3.3.1.3.1 upper case"),
        pytest.param("foo.bar=1", id="3.3.1.3.1 a point"),
        pytest.param("@foo=1,bar=2", id="3.3.1.3.1 no tenant"),
        pytest.param("_foo=1", id="3.3.1.3.1 begins with another character"),
        pytest.param("z" * 257 + "=1", id="a key that is too long"),
        pytest.param("foo=" + "x" * 257, id="a value that is too long"),
        pytest.param("foo=a\tb", id="3.3.1.3.2 a tab"),
        pytest.param("foo=ä", id="3.3.1.3.2 beyond ASCII"),
        pytest.param("foo=1\n", id="a line end"),
        pytest.param("foo=1,foo=1", id="3.3.1.4 one entry a key"),
        pytest.param("foo=1,bar=2,foo=3", id="3.3.1.4 one entry a key, in whatever order"),
        pytest.param(",".join(f"k{n}={n}" for n in range(33)), id="3.3.1.1 33 members"),
    ],
)
def test_a_malformed_trace_state(value: str) -> None:
    assert not is_trace_state(value)


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        pytest.param([("Accept", "a")], [0], id="no trace at all"),
        pytest.param([("traceparent", PARENT)], [0], id="a parent alone"),
        pytest.param(
            [("A", "1"), ("TraceParent", PARENT), ("B", "2"), ("TRACESTATE", "a=1")],
            [0, 1, 2, 3],
            id="3.2.1 names in any case, and the order as it was",
        ),
        pytest.param(
            [("tracestate", "a=1,b=2"), ("traceparent", PARENT), ("tracestate", "c=3")],
            [0, 1, 2],
            id="3.3.1 several lines",
        ),
        pytest.param(
            [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "")],
            [0, 1, 2],
            id="3.3.1.1 an empty one among them",
        ),
        pytest.param([("traceparent", PARENT), ("tracestate", "")], [0], id="3.3.1.1 empty"),
        pytest.param(
            [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "a=2"), ("B", "1")],
            [0, 3],
            id="3.3.1.4 one entry a key over all lines",
        ),
        pytest.param(
            [("traceparent", PARENT), ("tracestate", "A=1")], [0], id="3.3 a bad state goes alone"
        ),
        pytest.param(
            [("traceparent", PARENT + "0"), ("A", "1"), ("tracestate", "a=1")],
            [1],
            id="3.3 with a bad parent the state goes",
        ),
        pytest.param([("tracestate", "a=1"), ("A", "1")], [1], id="3.3 a state alone"),
        pytest.param(
            [("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "a=1")],
            [],
            id="3.2 two parents",
        ),
    ],
)
def test_what_is_passed_on(pairs: list[Pair], kept: list[int]) -> None:
    assert propagated(pairs) == [pairs[place] for place in kept]


NAMES = st.sampled_from(["traceparent", "TraceParent", "tracestate", "X-Own"])
VALUES = st.sampled_from([PARENT, "a=1", "", "b=2,c=3", PARENT.upper()]) | st.text()


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_nothing_else_is_touched(pairs: list[Pair]) -> None:
    found = propagated(pairs)
    others = [pair for pair in pairs if pair[0] == "X-Own"]
    assert [pair for pair in found if pair[0] == "X-Own"] == others
    left = iter(pairs)
    assert all(pair in left for pair in found), "in their order, unchanged"
    parents = [value for name, value in found if name.lower() == "traceparent"]
    states = [value for name, value in found if name == "tracestate"]
    assert len(parents) < 2 and all(map(trace_parent, parents))
    assert not states or (parents and is_trace_state(",".join(states)))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_a_parent_takes_the_place_of_all_others(pairs: list[Pair]) -> None:
    others = [pair for pair in pairs if pair[0].lower() != "traceparent"]
    assert with_parent(pairs, PARENT) == [*others, ("traceparent", PARENT)]


def test_marks() -> None:
    marks = {"X-Request-ID": "a", "traceparent": PARENT, "TraceState": "a=1"}
    assert marks_of({"Accept": "*/*", **marks, "X-Request": "b"}) == marks
    assert MOST_MEMBERS == 32
