"""Circles told by Via (RFC 9110 section 7.6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.headers import Fields, add_via
from aprp.semantics.loops import passed_through


@pytest.mark.parametrize(
    ("via", "name", "passed"),
    [
        pytest.param(None, "aprp", False, id="no field"),
        pytest.param("", "aprp", False, id="empty"),
        pytest.param("1.1 aprp", "aprp", True, id="alone"),
        pytest.param("1.0 fred, 1.1 p.example.net", "fred", True, id="7.6.3 pseudonym"),
        pytest.param("1.0 fred, 1.1 p.example.net", "p.example.net", True, id="7.6.3 host"),
        pytest.param("1.0 fred, 1.1 p.example.net", "example.net", False, id="part of a name"),
        pytest.param("1.0 fred, 1.1 p.example.net", "p.example.net:80", False, id="a port more"),
        pytest.param("1.0 ricky, 1.1 ethel, 1.1 fred, 1.0 lucy", "fred", True, id="7.6.3 in a row"),
        pytest.param("1.1 APRP", "aprp", True, id="case of the field"),
        pytest.param("1.1 aprp", "Aprp", True, id="case of the name"),
        pytest.param("HTTP/1.1 aprp", "aprp", True, id="protocol name"),
        pytest.param("1.1 proxy.example:8080", "proxy.example:8080", True, id="host and port"),
        pytest.param("1.1 proxy.example:8080", "proxy.example:8081", False, id="another port"),
        pytest.param("1.1 proxy.example:8080", "proxy.example", False, id="another's port"),
        pytest.param("1.1 [2001:db8::1]:80", "[2001:db8::1]:80", True, id="IPv6"),
        pytest.param("1.1\taprp\t(one)", "aprp", True, id="tabs"),
        pytest.param(" , ,1.1  aprp", "aprp", True, id="5.6.1 empty members"),
        pytest.param("1.1 aprp (Apache/1.1)", "aprp", True, id="7.6.3 with a comment"),
        pytest.param("1.1 aprp(comment)", "aprp", True, id="comment without a blank"),
        pytest.param("1.1 squid (1.1 aprp)", "aprp", False, id="in a comment"),
        pytest.param("1.1 squid (a, 1.1 aprp, b)", "aprp", False, id="a comma in a comment"),
        pytest.param("1.1 squid ((x), 1.1 aprp)", "aprp", False, id="nested"),
        pytest.param(r"1.1 squid (\), 1.1 aprp)", "aprp", False, id="a quoted parenthesis"),
        pytest.param(r"1.1 squid (\\), 1.1 aprp", "aprp", True, id="a quoted backslash"),
        pytest.param("1.1 squid (x), 1.1 aprp, 1.1 b (y)", "aprp", True, id="between comments"),
        pytest.param("1.1 squid (x, 1.1 aprp", "aprp", True, id="a comment left open hides none"),
        pytest.param("1.1 squid ((x), 1.1 aprp (y)", "aprp", True, id="and none behind others"),
        pytest.param("1.1 squid (\\, 1.1 aprp", "aprp", True, id="nor with a backslash"),
        pytest.param("1.1 squid ), 1.1 aprp", "aprp", True, id="a comment not opened"),
        pytest.param("aprp 1.1", "aprp", False, id="in the protocol's place"),
        pytest.param("aprp", "aprp", False, id="alone in a member"),
        pytest.param("1.1 other aprp", "aprp", False, id="behind the name"),
    ],
)
def test_passed_through(via: str | None, name: str, passed: bool) -> None:
    assert passed_through(via, name) is passed


NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,8}(:[0-9]{1,5})?", fullmatch=True)
WIRE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)


@given(WIRE, NAMES, st.lists(NAMES, max_size=3))
def test_what_was_added_is_found_behind_anything(before: str, name: str, after: list[str]) -> None:
    """A client cannot write a Via that hides the members which proxies add."""
    via = add_via(before, "HTTP/1.1", name)
    for other in after:
        via = add_via(via, "HTTP/1.1", f"{other} (relay)")
    assert passed_through(via, name)


@given(st.lists(NAMES, max_size=5), NAMES)
def test_the_names_alone_decide(names: list[str], own: str) -> None:
    fields = Fields(("Via", f"1.1 {name} ({own}, 1.1 {own})") for name in names)
    assert passed_through(fields.get("Via"), own.upper()) is (own in names)


def test_many_parentheses_take_no_time() -> None:
    deep = "(" * 50_000 + ")" * 49_999
    assert passed_through(f"1.1 x {deep}, 1.1 aprp", "aprp")
    assert not passed_through(f"1.1 x {deep}), 1.1 other", "aprp")
