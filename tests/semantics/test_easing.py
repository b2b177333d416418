"""Policies of an answer that are taken out where a site has another name."""

import pytest

from aprp.semantics.easing import eased
from aprp.semantics.headers import Pair

CSP = "Content-Security-Policy"


@pytest.mark.parametrize(
    ("pairs", "kept"),
    [
        pytest.param([], [], id="none"),
        pytest.param(
            [
                ("X-Frame-Options", "DENY"),
                ("Server", "x"),
                ("referrer-policy", "no-referrer"),
                ("Cross-Origin-Opener-Policy", "same-origin"),
                ("Cross-Origin-Embedder-Policy", "require-corp"),
                ("CROSS-ORIGIN-RESOURCE-POLICY", "same-origin"),
                ("server", "y"),
            ],
            [("Server", "x"), ("server", "y")],
            id="policies go, others stay in their order",
        ),
        pytest.param([(CSP, "frame-ancestors 'none'")], [], id="nothing left"),
        pytest.param([(CSP, "frame-ancestors 'none';")], [], id="but a semicolon"),
        pytest.param([(CSP, "Frame-Ancestors")], [], id="case, no value"),
        pytest.param(
            [("content-security-policy", "default-src 'self'; frame-ancestors a b; img-src *")],
            [("content-security-policy", "default-src 'self'; img-src *")],
            id="in the middle",
        ),
        pytest.param(
            [(CSP, "frame-ancestors a;script-src 'self' ;")],
            [(CSP, "script-src 'self'")],
            id="first",
        ),
        pytest.param(
            [(CSP, "frame-ancestors a, default-src b;frame-ancestors c,img-src d; ")],
            [(CSP, "default-src b,img-src d;")],
            id="2.2.1 a list of policies",
        ),
        pytest.param(
            [(CSP, "frame-src a; report-uri /frame-ancestors;")],
            [(CSP, "frame-src a; report-uri /frame-ancestors;")],
            id="no such directive",
        ),
        pytest.param(
            [("Content-Security-Policy-Report-Only", "frame-ancestors 'none'")],
            [("Content-Security-Policy-Report-Only", "frame-ancestors 'none'")],
            id="what only reports stays",
        ),
    ],
)
def test_eased(pairs: list[Pair], kept: list[Pair]) -> None:
    assert eased(pairs) == kept
    assert eased(kept) == kept
