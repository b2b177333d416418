"""Content security policies with what LiveReload needs (Content Security Policy Level 3)."""

import pytest

from aprp.dev.policies import Needs, Policy, nonce_of, read_policies

NEEDS = Needs.of("localhost:8000", "/_aprp/l.js", "/_aprp/l")
SCRIPT = "localhost:8000/_aprp/l.js"
SOCKET = "ws://localhost:8000/_aprp/l"


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        pytest.param("img-src 'self'", "img-src 'self'", id="no word of scripts"),
        pytest.param("", "", id="empty"),
        pytest.param("script-src 'self'", f"script-src 'self' {SCRIPT}", id="self"),
        pytest.param("script-src 'none'", f"script-src {SCRIPT}", id="none"),
        pytest.param("script-src", f"script-src {SCRIPT}", id="nothing"),
        pytest.param("script-src 'nonce-abc'", "script-src 'nonce-abc'", id="own nonce"),
        pytest.param("script-src 'nonce-x'", f"script-src 'nonce-x' {SCRIPT}", id="other nonce"),
        pytest.param(
            "script-src 'sha256-x' 'strict-dynamic'",
            "script-src 'sha256-x' 'strict-dynamic' 'nonce-abc'",
            id="strict",
        ),
        pytest.param(
            "script-src 'unsafe-inline'", f"script-src 'unsafe-inline' {SCRIPT}", id="inline"
        ),
        pytest.param(
            "script-src 'self'; script-src-elem 'none'",
            f"script-src 'self'; script-src-elem {SCRIPT}",
            id="elements",
        ),
        pytest.param("connect-src 'self'", f"connect-src 'self' {SOCKET}", id="connections"),
        pytest.param(
            "Default-Src 'None'; img-src *",
            f"default-src 'None'; img-src *; script-src {SCRIPT}; connect-src {SOCKET}",
            id="default",
        ),
        pytest.param(
            "script-src 'self'; script-src *", f"script-src 'self' {SCRIPT}", id="first counts"
        ),
    ],
)
def test_two_addresses_are_added(policy: str, allowed: str) -> None:
    read = Policy(policy)
    read.allow(NEEDS, "abc")
    assert str(read) == allowed
    read.allow(NEEDS, "abc")
    assert str(read) == allowed


@pytest.mark.parametrize("host", [None, "[::1]:8000", "a b", "x;script-src *", "a,b"])
def test_hosts_that_no_policy_can_name_are_itself(host: str | None) -> None:
    assert Needs.of(host, "/s", "/w") == Needs("'self'", "'self'")


@pytest.mark.parametrize(
    ("values", "nonce"),
    [
        (["script-src 'nonce-a+/_-9=='"], "a+/_-9=="),
        (["default-src 'NONCE-x'"], "x"),
        (["img-src 'nonce-x'"], None),
        (["script-src 'none'; default-src 'nonce-x'"], None),
        (["script-src 'self', script-src 'nonce-b'"], "b"),
        (["script-src 'self'", "script-src 'nonce-b'"], "b"),
        (["script-src 'nonce-\"><b>'"], None),
        ([], None),
    ],
)
def test_the_nonce_is_that_of_scripts(values: list[str], nonce: str | None) -> None:
    assert nonce_of(read_policies(values)) == nonce


@pytest.mark.parametrize(
    ("policy", "nothing"),
    [
        ("sandbox", True),
        ("sandbox allow-forms", True),
        ("sandbox Allow-Scripts", False),
        ("script-src 'none'", False),
    ],
)
def test_a_sandbox_may_run_nothing(policy: str, nothing: bool) -> None:
    assert Policy(policy).runs_nothing is nothing
